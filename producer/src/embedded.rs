//! The embedded pipeline of one run. It has the settings of a deployed pipeline, except for those that the run's scenario
//! changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use emulator::dynamodb::TableStorage;
use emulator::fault_plan::{Delivery, FaultPlan};
use emulator::{Call, Fault, Service, Services};
use pipeline::{Pipeline, PipelineSettings, names};
use tokio::time::Instant;

use crate::scenario::{OUTAGE, Scenario, ScenarioFaults};
use crate::target::FunctionSettings;

/// Number of times that a message may be received before it becomes a dead letter, in scenarios with injected faults. The
/// deployed queue allows three. That would be too few here, because the faults make valid messages fail too.
const MAX_RECEIVES: u32 = 20;

/// The services of an embedded pipeline, with a scenario's faults.
pub struct EmbeddedStack {
    /// The emulated services, which run on the real clock.
    pub services: Arc<Services>,
    /// Settings of the pipeline that runs on the services.
    pub settings: PipelineSettings,
    /// Counts of the injected faults that have occurred so far.
    pub fault_counts: Arc<FaultCounts>,
}

/// Number of times that each kind of fault occurred.
#[derive(Debug, Default)]
pub struct FaultCounts {
    /// Total of batches that were delivered twice, function responses that were lost, and messages that became visible too
    /// early.
    redeliveries: AtomicU64,
    throttled_writes: AtomicU64,
    /// Number of writes that S3 refused.
    refused_writes: AtomicU64,
}

impl FaultCounts {
    /// Returns true if `faults` occurred. For [`Redelivery`](ScenarioFaults::Redelivery), one fault of any kind is
    /// enough. For [`Outage`](ScenarioFaults::Outage), each of the two outages must have caused a fault.
    #[must_use]
    pub fn occurred(&self, faults: ScenarioFaults) -> bool {
        let counters = match faults {
            ScenarioFaults::Redelivery => &[&self.redeliveries][..],
            ScenarioFaults::Outage => &[&self.throttled_writes, &self.refused_writes],
        };
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }
}

impl EmbeddedStack {
    /// Creates the services. `seed` decides the generated ids, and which deliveries have faults.
    pub fn new(
        function_settings: &FunctionSettings,
        scenario: &Scenario,
        storage: TableStorage,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let fault_counts = Arc::new(FaultCounts::default());
        let redelivers = scenario.faults == Some(ScenarioFaults::Redelivery);
        let random = redelivers.then(|| Mutex::new(fastrand::Rng::with_seed(seed)));
        let plan =
            ScenarioFaultPlan { hidden_for: scenario.hidden_for, random, fault_counts: Arc::clone(&fault_counts) };
        let services = Services::on_real_clock_with(seed, storage, Arc::new(plan));
        let services = services.context("failed to create the embedded table")?;
        let mut settings = PipelineSettings::default();
        function_settings.apply(&mut settings);
        if scenario.faults.is_some() {
            settings.max_receive_count = MAX_RECEIVES;
        }
        if scenario.hidden_for.is_some() {
            // A redelivered message may be alone in the queue. With the default batching window, the queue mapping would
            // wait for more messages until the visibility timeout of the redelivered message has expired.
            settings.sqs_mapping.batching_window = Duration::ZERO;
            // Lambda does not accept a larger batch without a batching window.
            settings.sqs_mapping.batch_size = settings.sqs_mapping.batch_size.min(10);
        }
        if scenario.faults == Some(ScenarioFaults::Outage) {
            let begun = OnceLock::new();
            let fault_counts = Arc::clone(&fault_counts);
            services.faults.set(move |call| outage(call, &begun, &fault_counts));
        }
        Ok(Self { services, settings, fault_counts })
    }

    /// Starts the pipeline, with each mapping on a thread of its own.
    pub fn start(&self, seed: u64) -> anyhow::Result<Pipeline> {
        let pipeline = Pipeline::start_on_threads(&self.services, self.settings.clone(), seed);
        pipeline.context("failed to start the threads of the embedded pipeline")
    }
}

/// Returns the fault for `call` in the scenario `outage`. The table throttles all writes for the duration [`OUTAGE`], which
/// starts at the first write. After that, S3 refuses all writes for the same duration. Reads succeed, because the producer
/// needs them for the verdict.
fn outage(call: &Call<'_>, begun: &OnceLock<Instant>, fault_counts: &FaultCounts) -> Option<Fault> {
    let operation = call.operation.as_str();
    let (fault, counter, from) = match call.service {
        Service::DynamoDb if !["BatchGetItem", "GetItem"].contains(&operation) => {
            begun.get_or_init(Instant::now);
            (Fault::Throttled, &fault_counts.throttled_writes, Duration::ZERO)
        }
        Service::S3 if operation.starts_with("PUT ") => (Fault::Refused(503), &fault_counts.refused_writes, OUTAGE),
        _ => return None,
    };
    let since = begun.get()?.elapsed();
    if !(from..from + OUTAGE).contains(&since) {
        return None;
    }
    counter.fetch_add(1, Ordering::Relaxed);
    Some(fault)
}

/// Decides the faults of the queue and of the mappings.
struct ScenarioFaultPlan {
    hidden_for: Option<Duration>,
    /// Random numbers that decide when a fault occurs; `None` if the scenario has no redelivery faults.
    random: Option<Mutex<fastrand::Rng>>,
    fault_counts: Arc<FaultCounts>,
}

impl ScenarioFaultPlan {
    /// Returns true with a probability of 1 in `one_in`, and then counts a fault. Always returns false if the scenario
    /// has no redelivery faults.
    fn roll(&self, one_in: u32) -> bool {
        let Some(random) = &self.random else { return false };
        let happens = random.lock().unwrap_or_else(PoisonError::into_inner).u32(0..one_in) == 0;
        if happens {
            self.fault_counts.redeliveries.fetch_add(1, Ordering::Relaxed);
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

    /// Limits the stream mapping's batches to 10 records in a scenario with redelivery faults, so that there are more
    /// batches to deliver twice.
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
