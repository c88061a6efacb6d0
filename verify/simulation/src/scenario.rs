//! Everything that follows from a seed: settings, workload, faults and steps.

use std::collections::BTreeSet;
use std::time::Duration;

use emulator::{Fault, Service};
use fastrand::Rng;
use ingest_fn::ClaimWrites;
use mutants::Mutant;

use crate::fault_kind::{self, FaultKind, Outage, Rates};
use crate::workload::{self, Message, Mix};

/// Start of every world: up to one second before 08:00 UTC on January 15, 2027, so that the hour changes during the run.
const EPOCH_SECONDS: u64 = 1_799_999_999;

const MINUTE_MS: u64 = 60_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Maximum record age of the deployed stream mapping: 22 hours.
const RECORD_AGE_SECONDS: u64 = 79_200;

/// The plan of one world.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Start of the world, since 1970.
    pub epoch: Duration,
    /// `DEDUP_WINDOW_SECONDS`.
    pub window_seconds: u64,
    /// `EVENT_ID_POINTER`.
    pub event_id_pointer: &'static str,
    /// True if `ingest-fn` reports a conflict, which then becomes a dead letter. Otherwise it acknowledges conflicts.
    pub conflict_is_dead_letter: bool,
    /// `CLAIM_CACHE_ENTRIES`.
    pub cache_entries: usize,
    /// `CLAIM_WRITES`.
    pub claim_writes: ClaimWrites,
    /// Timeout of both functions.
    pub timeout_seconds: u64,
    /// Maximum number of messages in a batch.
    pub queue_batch: usize,
    /// Batching window of the queue mapping.
    pub batching_window_seconds: u64,
    /// Maximum number of concurrent invocations of `ingest-fn`.
    pub concurrency: usize,
    /// Maximum number of stream records in a batch.
    pub stream_batch: usize,
    /// True if the stream mapping halves a batch on which the function fails.
    pub bisect: bool,
    /// Age at which the stream mapping discards a record.
    pub record_age_seconds: u64,
    /// Interval at which the stream mapping polls an idle shard.
    pub poll_interval: Duration,
    /// Maximum difference between a sandbox's clock and the services' clock, in either direction.
    pub skew_ms: u64,
    /// The workload. The last message is sent after the faults have ended, and shows that the pipeline still works.
    pub messages: Vec<Message>,
    /// The steps of the world, in order.
    pub steps: Vec<Step>,
    /// The kinds of faults that happen, and their rates.
    pub rates: Rates,
    pub outages: Vec<Outage>,
    /// The mutant that replaces the functions.
    pub mutant: Option<Mutant>,
}

/// A step of a world.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these messages, up to ten in a request, all requests at once.
    Send(Vec<usize>),
    /// Waits for this number of milliseconds while the pipeline works.
    Wait(u64),
    /// Lets DynamoDB delete the expired items.
    DeleteExpired,
    /// Ends all idle sandboxes.
    ScaleIn,
    /// Moves the dead letters back to the queue.
    Redrive,
    /// Waits until all work is done, and then lets this number of seconds pass.
    Idle(u64),
    /// Puts the poison record of this number into the table.
    PutByHand(usize),
    /// Puts a poison record under the partition key of the first message's event, which then cannot be claimed.
    BlockFirstEvent,
}

impl Scenario {
    /// Derives a scenario from `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut settings = random.fork();
        let mut work = random.fork();
        let mut order = random.fork();
        let mut faults = random.fork();
        let mut pick = |options: &[u64]| options[settings.usize(..options.len())];
        let window_seconds = match pick(&[0, 0, 0, 1, 2, 2]) {
            0 => pick(&[1, 2, 5, 10, 20]),
            1 => pick(&[60, 600]),
            _ => 16 * DAY,
        };
        let event_id_pointer = if pick(&[0, 0, 1]) == 0 { "/event_id" } else { "/detail/id" };

        let count = match work.u8(..20) {
            0 => work.usize(100..200),
            1..=4 => work.usize(1..10),
            _ => work.usize(10..60),
        };
        let mix = Mix::random(&mut work, count);
        let mut messages = workload::messages(&mut work, count, mix, event_id_pointer);
        messages.push(workload::plain_message("the last event", event_id_pointer));

        let mut rates = rates(&mut faults);
        let (outages, record_age_seconds) = outages(&mut faults);
        // These use random numbers of their own, so that the rest of the world does not depend on them.
        let mut batched = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let claim_writes = if batched.bool() { ClaimWrites::Batch } else { ClaimWrites::Single };
        for kind in [FaultKind::StatementsThrottled, FaultKind::StatementsUnknown] {
            let rate = batched.f64() * 0.3;
            if claim_writes == ClaimWrites::Batch && batched.bool() {
                rates.insert(kind, rate);
            }
        }
        let mut panics = Rng::with_seed(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let rate = panics.f64() * 0.05;
        if panics.bool() {
            rates.insert(FaultKind::Panic, rate);
        }
        let mut scenario = Self {
            seed,
            epoch: Duration::from_millis(EPOCH_SECONDS * 1_000 + settings.u64(..1_000)),
            window_seconds,
            event_id_pointer,
            conflict_is_dead_letter: settings.bool(),
            cache_entries: [0, 1, 10_000, 10_000][settings.usize(..4)],
            claim_writes,
            timeout_seconds: [3, 10, 30][settings.usize(..3)],
            queue_batch: [1, 2, 10, 10, 10, 50][settings.usize(..6)],
            batching_window_seconds: [0, 1, 5][settings.usize(..3)],
            concurrency: settings.usize(2..=10),
            stream_batch: [1, 3, 10, 100, 100][settings.usize(..5)],
            bisect: settings.bool(),
            record_age_seconds,
            poll_interval: Duration::from_millis([500, 1_000, 3_000][settings.usize(..3)]),
            skew_ms: [0, 200, 3_000][settings.usize(..3)],
            messages,
            steps: Vec::new(),
            rates,
            outages,
            mutant: None,
        };
        if scenario.queue_batch > 10 {
            // Lambda requires a batching window for batches of more than ten messages.
            scenario.batching_window_seconds = scenario.batching_window_seconds.max(1);
        }
        scenario.steps = steps(&mut order, count, window_seconds.min(600));
        scenario.with_faults(&fault_kind::all().iter().copied().collect())
    }

    /// Limits the workload to the messages in `kept` and the last message.
    #[must_use]
    pub fn with_messages(mut self, kept: &BTreeSet<usize>) -> Self {
        for step in &mut self.steps {
            if let Step::Send(messages) = step {
                messages.retain(|message| kept.contains(message));
            }
        }
        self
    }

    /// Limits the faults to the kinds in `kept`.
    #[must_use]
    pub fn with_faults(mut self, kept: &BTreeSet<FaultKind>) -> Self {
        self.rates.retain(|kind, _| kept.contains(kind));
        let happens = |kind| self.rates.contains_key(&kind);
        if !happens(FaultKind::ClockSkew) {
            self.skew_ms = 0;
        }
        if !happens(FaultKind::Outage) {
            // A short record age exists only so that an outage exceeds it. Without outages no record may be discarded.
            self.record_age_seconds = RECORD_AGE_SECONDS;
        }
        self
    }

    /// Replaces the functions with a mutant.
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// Returns the kinds of faults that can happen.
    #[must_use]
    pub fn faults(&self) -> BTreeSet<FaultKind> {
        self.rates.keys().copied().collect()
    }

    /// Returns the messages that are sent, without the last one.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<usize> {
        let sent = |step: &Step| if let Step::Send(messages) = step { messages.clone() } else { Vec::new() };
        self.steps.iter().flat_map(sent).collect()
    }

    /// Returns true if an outage of S3 may exceed the record age, so that the stream mapping may discard records.
    #[must_use]
    pub fn discards_records(&self) -> bool {
        self.record_age_seconds < RECORD_AGE_SECONDS
    }
}

/// Chooses the kinds of faults and their rates. Leaves out about half of the kinds, because a world with all faults at
/// once shows little.
fn rates(random: &mut Rng) -> Rates {
    let intensity = [0.1, 0.4, 1.0, 1.0][random.usize(..4)];
    let choose = |kind: &FaultKind| {
        let max_rate = match kind {
            // The SDK makes four attempts, so a lower rate would rarely let a 409 reach the function.
            FaultKind::S3Conflict => 0.9,
            FaultKind::ColdStart | FaultKind::OutOfOrder | FaultKind::ShorterBatches => 0.7,
            FaultKind::RequestLate | FaultKind::AnswerLate => 0.15,
            FaultKind::ScaledIn
            | FaultKind::TtlDeletion
            | FaultKind::IdlePeriod
            | FaultKind::Redrive
            | FaultKind::PoisonRecord
            | FaultKind::Outage
            | FaultKind::ClockSkew => 1.0,
            _ => 0.3,
        };
        // Kinds with a rate of 1 follow from a step or a setting, which is rare by itself.
        let rate = if max_rate < 1.0 { random.f64() * max_rate * intensity } else { 1.0 };
        random.bool().then_some((*kind, rate))
    };
    let chosen_elsewhere = [FaultKind::StatementsThrottled, FaultKind::StatementsUnknown, FaultKind::Panic];
    fault_kind::all().iter().filter(|kind| !chosen_elsewhere.contains(kind)).filter_map(choose).collect()
}

/// Chooses the outages and the record age. In one world of six, S3 is unavailable for longer than the record age.
fn outages(random: &mut Rng) -> (Vec<Outage>, u64) {
    let services = [Service::DynamoDb, Service::S3, Service::S3, Service::Sqs];
    let mut outages: Vec<Outage> = (0..random.usize(1..4))
        .map(|_| {
            let service = services[random.usize(..services.len())];
            let fault = match (service, random.u8(..5)) {
                (Service::S3, 0..2) => Fault::Refused(409),
                (_, 1) => Fault::Throttled,
                (_, 2) => Fault::Refused(503),
                (_, 3) => Fault::RequestLost,
                (_, 4) => Fault::AnswerLost,
                _ => Fault::Refused(500),
            };
            let from = random.u64(..5 * MINUTE_MS);
            Outage { service, fault, ms: (from, from + random.u64(1_000..5 * MINUTE_MS)) }
        })
        .collect();
    if random.u8(..6) > 0 {
        return (outages, RECORD_AGE_SECONDS);
    }
    let record_age_seconds = random.u64(120..600);
    let from = random.u64(..2 * MINUTE_MS);
    let until = from + record_age_seconds * 1_000 + random.u64(..10 * MINUTE_MS);
    outages.push(Outage { service: Service::S3, fault: Fault::Refused(503), ms: (from, until) });
    (outages, record_age_seconds)
}

/// Chooses the steps: all messages are sent in random bursts, with waits and other steps in between.
fn steps(random: &mut Rng, messages: usize, window_seconds: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    if random.u8(..10) == 0 {
        steps.push(Step::BlockFirstEvent);
    }
    let mut order: Vec<usize> = (0..messages).collect();
    random.shuffle(&mut order);
    let mut rest = &order[..];
    while !rest.is_empty() {
        let (burst, later) = rest.split_at(random.usize(1..=rest.len().min(20)));
        rest = later;
        steps.push(Step::Send(burst.to_vec()));
        let wait_ms = match random.u8(..20) {
            0..6 => 0,
            6..11 => random.u64(..2_000),
            // Up to two seconds before or after the claims of this burst expire.
            11..17 => (window_seconds * 1_000 + random.u64(..4_000)).saturating_sub(2_000),
            _ => random.u64(..3 * MINUTE_MS),
        };
        steps.push(Step::Wait(wait_ms));
        let other = match random.u8(..20) {
            0..6 => Some(Step::DeleteExpired),
            6..9 => Some(Step::ScaleIn),
            9..11 => Some(Step::Redrive),
            11..13 => Some(Step::Idle([HOUR, DAY, 5 * DAY, 13 * DAY, 17 * DAY][random.usize(..5)])),
            13..15 => Some(Step::PutByHand(random.usize(..))),
            _ => None,
        };
        steps.extend(other);
    }
    steps
}
