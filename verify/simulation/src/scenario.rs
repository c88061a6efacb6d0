//! What a seed stands for: settings, workload, faults, and the order of things.

use std::collections::BTreeSet;
use std::time::Duration;

use emulator::{Fault, Service};
use fastrand::Rng;
use ingest_fn::ClaimWrites;
use mutants::Mutant;

use crate::fault_kind::{self, FaultKind, Outage, Rates};
use crate::workload::{self, Message, Mix};

/// When a world begins: a second before an hour of a January day of 2027, so that hours and days change in it.
const EPOCH_SECONDS: u64 = 1_799_999_999;

const MINUTE_MS: u64 = 60_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The mapping's record age as deployed, in seconds.
const RECORD_AGE_SECONDS: u64 = 79_200;

/// A world before anything has happened.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Everything follows from it.
    pub seed: u64,
    /// When the world begins, since 1970.
    pub epoch: Duration,
    /// How long a claim holds, in seconds.
    pub window_seconds: u64,
    /// Where a body's event id stands.
    pub event_id_pointer: &'static str,
    /// Whether a conflict is reported, so that it becomes a dead letter, and not acknowledged.
    pub conflict_is_dead_letter: bool,
    /// `CLAIM_CACHE_ENTRIES`.
    pub cache_entries: usize,
    /// `CLAIM_WRITES`.
    pub claim_writes: ClaimWrites,
    /// Of both functions, in seconds.
    pub timeout_seconds: u64,
    /// Messages in a batch.
    pub queue_batch: usize,
    /// Of the queue's mapping, in seconds.
    pub batching_window_seconds: u64,
    /// Invocations of `ingest-fn` at once.
    pub concurrency: usize,
    /// Stream records in a batch.
    pub stream_batch: usize,
    /// Whether the stream's mapping halves a batch on which the function fails.
    pub bisect: bool,
    /// After so many seconds a stream record is given up.
    pub record_age_seconds: u64,
    /// How often the stream's mapping looks at an idle shard.
    pub poll_interval: Duration,
    /// How far a sandbox's clock may be off, either way, in milliseconds.
    pub skew_ms: u64,
    /// What is sent. The last one is sent when nothing goes wrong any more, and shows that things still move.
    pub messages: Vec<Message>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Which faults happen, and how often.
    pub rates: Rates,
    /// Long ones.
    pub outages: Vec<Outage>,
    /// What is wrong with the functions, if anything.
    pub mutant: Option<Mutant>,
}

/// One thing that the world does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Messages are sent, up to ten in a request, all requests at once.
    Send(Vec<usize>),
    /// Time passes, in milliseconds, in which things happen.
    Wait(u64),
    /// DynamoDB deletes what has expired.
    Sweep,
    /// Idle sandboxes end.
    ScaleIn,
    /// Dead letters are moved back.
    Redrive,
    /// Everything is waited for, and then so many seconds pass.
    Pass(u64),
    /// The n-th poison record is put into the table.
    PutByHand(usize),
    /// An item that is no claim is put where the first event's claim should be.
    BlockFirstEvent,
}

impl Scenario {
    /// What `seed` stands for.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let (mut settings, mut work, mut order, mut wrong) =
            (random.fork(), random.fork(), random.fork(), random.fork());
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
        let mix = Mix::by(&mut work, count);
        let mut messages = workload::messages(&mut work, count, mix, event_id_pointer);
        messages.push(workload::plain("the last event", event_id_pointer));

        let mut rates = rates(&mut wrong);
        let (outages, record_age_seconds) = outages(&mut wrong);
        // Apart, so that worlds with single writes are what they were before there were others.
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
            // Lambda asks for it.
            scenario.batching_window_seconds = scenario.batching_window_seconds.max(1);
        }
        scenario.steps = steps(&mut order, count, window_seconds.min(600));
        scenario.with_faults(&fault_kind::all().iter().copied().collect())
    }

    /// The same with these messages of the workload alone, and the last one.
    #[must_use]
    pub fn with_messages(mut self, kept: &BTreeSet<usize>) -> Self {
        for step in &mut self.steps {
            if let Step::Send(messages) = step {
                messages.retain(|message| kept.contains(message));
            }
        }
        self
    }

    /// The same with these kinds of faults alone.
    #[must_use]
    pub fn with_faults(mut self, kept: &BTreeSet<FaultKind>) -> Self {
        self.rates.retain(|kind, _| kept.contains(kind));
        let happens = |kind| self.rates.contains_key(&kind);
        if !happens(FaultKind::ClockSkew) {
            self.skew_ms = 0;
        }
        if !happens(FaultKind::Outage) {
            // Short, so that an outage outlasts it: without one, nothing may be given up.
            self.record_age_seconds = RECORD_AGE_SECONDS;
        }
        self
    }

    /// The same world around a mutant of the functions.
    #[must_use]
    pub fn with_mutant(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// The kinds of faults that happen in it.
    #[must_use]
    pub fn faults(&self) -> BTreeSet<FaultKind> {
        self.rates.keys().copied().collect()
    }

    /// The messages that are sent, without the last one.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<usize> {
        let sent = |step: &Step| if let Step::Send(messages) = step { messages.clone() } else { Vec::new() };
        self.steps.iter().flat_map(sent).collect()
    }

    /// Whether S3 is away for longer than records are kept, so that they may be given up.
    #[must_use]
    pub fn discards_records(&self) -> bool {
        self.record_age_seconds < RECORD_AGE_SECONDS
    }
}

/// Which faults happen, and how often. A world in which everything happens all the time shows little: half of the kinds
/// are left out.
fn rates(random: &mut Rng) -> Rates {
    let intensity = [0.1, 0.4, 1.0, 1.0][random.usize(..4)];
    let of = |kind: &FaultKind| {
        let at_most = match kind {
            // The SDK tries four times: few conflicts would come through.
            FaultKind::Conflict => 0.9,
            FaultKind::ColdStart | FaultKind::OutOfOrder | FaultKind::OtherBoundaries => 0.7,
            FaultKind::RequestLate | FaultKind::AnswerLate => 0.15,
            FaultKind::ScaledIn
            | FaultKind::TtlDeletion
            | FaultKind::DaysPass
            | FaultKind::Redrive
            | FaultKind::PoisonRecord
            | FaultKind::Outage
            | FaultKind::ClockSkew => 1.0,
            _ => 0.3,
        };
        // What is always done when it can be, is a step or a setting, and rare by itself.
        let rate = if at_most < 1.0 { random.f64() * at_most * intensity } else { 1.0 };
        random.bool().then_some((*kind, rate))
    };
    let apart = [FaultKind::StatementsThrottled, FaultKind::StatementsUnknown, FaultKind::Panic];
    fault_kind::all().iter().filter(|kind| !apart.contains(kind)).filter_map(of).collect()
}

/// Outages, and the age at which records are given up: in a few worlds S3 is away for longer than that.
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

/// Sends all messages, in bursts, with something or nothing in between.
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
            // Around the moment at which what was claimed last runs out.
            11..17 => (window_seconds * 1_000 + random.u64(..4_000)).saturating_sub(2_000),
            _ => random.u64(..3 * MINUTE_MS),
        };
        steps.push(Step::Wait(wait_ms));
        let other = match random.u8(..20) {
            0..6 => Some(Step::Sweep),
            6..9 => Some(Step::ScaleIn),
            9..11 => Some(Step::Redrive),
            11..13 => Some(Step::Pass([HOUR, DAY, 5 * DAY, 13 * DAY, 17 * DAY][random.usize(..5)])),
            13..15 => Some(Step::PutByHand(random.usize(..))),
            _ => None,
        };
        steps.extend(other);
    }
    steps
}
