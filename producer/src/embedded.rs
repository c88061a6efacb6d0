//! The embedded pipeline of one run: as deployed, but for what the run's scenario does to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use claim::EventIdPointer;
use emulator::fault_plan::{Delivery, FaultPlan};
use emulator::{Call, Fault, Service, Services};
use pipeline::{Pipeline, PipelineSettings, names};
use tokio::time::Instant;

use crate::scenario::{OUTAGE, Scenario, ScenarioFaults};

/// Receives that a message gets where a scenario makes receives fail. The deployed queue's three are for messages that fail by
/// themselves.
const RECEIVES: u32 = 20;

/// The services of an embedded pipeline, with a scenario's faults.
pub struct EmbeddedStack {
    /// On the real clock.
    pub services: Arc<Services>,
    /// How the pipeline on them is to be set.
    pub settings: PipelineSettings,
    /// How often something was done.
    pub fault_counts: Arc<FaultCounts>,
}

/// How often the scenario's faults occurred.
#[derive(Debug, Default)]
pub struct FaultCounts {
    /// Batches delivered twice, answers lost, messages shown too early; or writes that the table throttled.
    first: AtomicU64,
    /// Writes that S3 refused.
    second: AtomicU64,
}

impl FaultCounts {
    /// Says whether each of the scenario's faults occurred.
    #[must_use]
    pub fn occurred(&self, faults: ScenarioFaults) -> bool {
        let counters = match faults {
            ScenarioFaults::Redelivery => &[&self.first][..],
            ScenarioFaults::Outage => &[&self.first, &self.second],
        };
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

impl EmbeddedStack {
    /// Makes the services. `seed` decides ids, and when something is delivered again.
    ///
    /// # Errors
    /// When the table's database cannot be made.
    pub fn new(pointer: &EventIdPointer, scenario: &Scenario, seed: u64) -> anyhow::Result<Self> {
        let fault_counts = Arc::new(FaultCounts::default());
        let redelivers = scenario.faults == Some(ScenarioFaults::Redelivery);
        let random = redelivers.then(|| Mutex::new(fastrand::Rng::with_seed(seed)));
        let plan =
            ScenarioFaultPlan { hidden_for: scenario.hidden_for, random, fault_counts: Arc::clone(&fault_counts) };
        let services = Services::on_real_clock_with_fault_plan(seed, Arc::new(plan));
        let services = services.context("the embedded table cannot be made")?;
        let mut settings = PipelineSettings::default();
        settings.ingest.event_id_pointer = pointer.clone();
        if scenario.faults.is_some() {
            settings.max_receive_count = RECEIVES;
        }
        if scenario.hidden_for.is_some() {
            // A message that comes again, perhaps alone, would wait for others for longer than it was hidden.
            settings.sqs_mapping.batching_window = Duration::ZERO;
        }
        if scenario.faults == Some(ScenarioFaults::Outage) {
            let begun = OnceLock::new();
            let fault_counts = Arc::clone(&fault_counts);
            services.faults.set(move |call| outage(call, &begun, &fault_counts));
        }
        Ok(Self { services, settings, fault_counts })
    }

    /// Starts the pipeline.
    #[must_use]
    pub fn start(&self, seed: u64) -> Pipeline {
        Pipeline::start(&self.services, self.settings.clone(), seed)
    }
}

/// The table fails for a while from the first write on, and then S3. What reads for the verdict goes through.
fn outage(call: &Call<'_>, begun: &OnceLock<Instant>, fault_counts: &FaultCounts) -> Option<Fault> {
    let operation = call.operation.as_str();
    let (fault, counter, from) = match call.service {
        Service::DynamoDb if !["BatchGetItem", "GetItem"].contains(&operation) => {
            begun.get_or_init(Instant::now);
            (Fault::Throttled, &fault_counts.first, Duration::ZERO)
        }
        Service::S3 if operation.starts_with("PUT ") => (Fault::Refused(503), &fault_counts.second, OUTAGE),
        _ => return None,
    };
    let since = begun.get()?.elapsed();
    if !(from..from + OUTAGE).contains(&since) {
        return None;
    }
    counter.fetch_add(1, Ordering::Relaxed);
    Some(fault)
}

/// The faults of queue and mappings.
struct ScenarioFaultPlan {
    hidden_for: Option<Duration>,
    /// Thrown for each batch and each receive, if things are delivered again.
    random: Option<Mutex<fastrand::Rng>>,
    fault_counts: Arc<FaultCounts>,
}

impl ScenarioFaultPlan {
    /// Once in so many times.
    fn roll(&self, in_times: u32) -> bool {
        let Some(random) = &self.random else { return false };
        let happens = random.lock().unwrap_or_else(PoisonError::into_inner).u32(0..in_times) == 0;
        if happens {
            self.fault_counts.first.fetch_add(1, Ordering::Relaxed);
        }
        happens
    }
}

impl FaultPlan for ScenarioFaultPlan {
    fn visibility(&self, queue: &str) -> Option<Duration> {
        if queue != names::QUEUE {
            return None;
        }
        if self.roll(10) { Some(Duration::ZERO) } else { self.hidden_for }
    }

    /// Small batches are more to deliver twice.
    fn batch_size(&self, maximum: usize) -> usize {
        if self.random.is_some() { maximum.min(10) } else { maximum }
    }

    fn delivery(&self, _function: &str) -> Delivery {
        if self.roll(2) {
            Delivery::Twice(Duration::from_millis(20))
        } else if self.roll(5) {
            Delivery::AnswerLost
        } else {
            Delivery::Once
        }
    }
}
