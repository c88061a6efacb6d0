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

use crate::scenario::{Disturbance, OUTAGE, Scenario};

/// Receives that a message gets where a scenario makes receives fail. The deployed queue's three are for messages that fail by
/// themselves.
const RECEIVES: u32 = 20;

/// An embedded pipeline's services, and what is done to them.
pub struct World {
    /// On the real clock.
    pub services: Arc<Services>,
    /// How the pipeline on them is to be set.
    pub settings: PipelineSettings,
    /// How often something was done.
    pub disturbances: Arc<Disturbances>,
}

/// How often the scenario's disturbances took place.
#[derive(Debug, Default)]
pub struct Disturbances {
    /// Batches delivered twice, answers lost, messages shown too early; or writes that the table throttled.
    first: AtomicU64,
    /// Writes that S3 refused.
    second: AtomicU64,
}

impl Disturbances {
    /// All that belongs to the scenario took place.
    #[must_use]
    pub fn took_place(&self, disturbance: Disturbance) -> bool {
        let counters = match disturbance {
            Disturbance::Redelivery => &[&self.first][..],
            Disturbance::Outage => &[&self.first, &self.second],
        };
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

impl World {
    /// Makes the services. `seed` decides ids, and when something is delivered again.
    ///
    /// # Errors
    /// When the table's database cannot be made.
    pub fn new(pointer: &EventIdPointer, scenario: &Scenario, seed: u64) -> anyhow::Result<Self> {
        let disturbances = Arc::new(Disturbances::default());
        let redelivers = scenario.disturbance == Some(Disturbance::Redelivery);
        let dice = redelivers.then(|| Mutex::new(fastrand::Rng::with_seed(seed)));
        let unrest = Unrest { hidden_for: scenario.hidden_for, dice, disturbances: Arc::clone(&disturbances) };
        let services = Services::on_real_clock_with_fault_plan(seed, Arc::new(unrest));
        let services = services.context("the embedded table cannot be made")?;
        let mut settings = PipelineSettings::default();
        settings.ingest.event_id_pointer = pointer.clone();
        if scenario.disturbance.is_some() {
            settings.max_receive_count = RECEIVES;
        }
        if scenario.hidden_for.is_some() {
            // A message that comes again, perhaps alone, would wait for others for longer than it was hidden.
            settings.sqs_mapping.batching_window = Duration::ZERO;
        }
        if scenario.disturbance == Some(Disturbance::Outage) {
            let (begun, disturbances) = (OnceLock::new(), Arc::clone(&disturbances));
            services.faults.set(move |call| outage(call, &begun, &disturbances));
        }
        Ok(Self { services, settings, disturbances })
    }

    /// Starts the pipeline.
    #[must_use]
    pub fn start(&self, seed: u64) -> Pipeline {
        Pipeline::start(&self.services, self.settings.clone(), seed)
    }
}

/// The table fails for a while from the first write on, and then S3. What reads for the verdict goes through.
fn outage(call: &Call<'_>, begun: &OnceLock<Instant>, disturbances: &Disturbances) -> Option<Fault> {
    let operation = call.operation.as_str();
    let (fault, counter, from) = match call.service {
        Service::DynamoDb if !["BatchGetItem", "GetItem"].contains(&operation) => {
            begun.get_or_init(Instant::now);
            (Fault::Throttled, &disturbances.first, Duration::ZERO)
        }
        Service::S3 if operation.starts_with("PUT ") => (Fault::Refused(503), &disturbances.second, OUTAGE),
        _ => return None,
    };
    let since = begun.get()?.elapsed();
    if !(from..from + OUTAGE).contains(&since) {
        return None;
    }
    counter.fetch_add(1, Ordering::Relaxed);
    Some(fault)
}

/// What queue and mappings do.
struct Unrest {
    hidden_for: Option<Duration>,
    /// Thrown for each batch and each receive, if things are delivered again.
    dice: Option<Mutex<fastrand::Rng>>,
    disturbances: Arc<Disturbances>,
}

impl Unrest {
    /// Once in so many times.
    fn happens(&self, in_times: u32) -> bool {
        let Some(dice) = &self.dice else { return false };
        let happens = dice.lock().unwrap_or_else(PoisonError::into_inner).u32(0..in_times) == 0;
        if happens {
            self.disturbances.first.fetch_add(1, Ordering::Relaxed);
        }
        happens
    }
}

impl FaultPlan for Unrest {
    fn visibility(&self, queue: &str) -> Option<Duration> {
        if queue != names::QUEUE {
            return None;
        }
        if self.happens(10) { Some(Duration::ZERO) } else { self.hidden_for }
    }

    /// Small batches are more to deliver twice.
    fn batch_size(&self, maximum: usize) -> usize {
        if self.dice.is_some() { maximum.min(10) } else { maximum }
    }

    fn delivery(&self, _function: &str) -> Delivery {
        if self.happens(2) {
            Delivery::Twice(Duration::from_millis(20))
        } else if self.happens(5) {
            Delivery::AnswerLost
        } else {
            Delivery::Once
        }
    }
}
