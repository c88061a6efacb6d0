//! Everything that a seed decides about a world: settings, messages, faults and steps.

use std::collections::BTreeSet;
use std::time::Duration;

use emulator::{Fault, Service};
use fastrand::Rng;
use ingest_fn::ClaimWrites;
use mutants::Mutant;

use crate::event_rules::EventRules;
use crate::fault_kind::{self, FaultKind, Outage, Rates};
use crate::workload::{self, Message, Mix};

/// Earliest start of a world, in seconds since 1970: one second before 08:00 UTC on January 15, 2027. Every world
/// starts less than a second after this time, so the hour in the object keys changes during the run.
const EPOCH_SECONDS: u64 = 1_799_999_999;

const MINUTE_MS: u64 = 60_000;
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Age at which the deployed stream mapping discards a record: 22 hours.
const RECORD_AGE_SECONDS: u64 = 79_200;

/// The plan of one world. [`Scenario::from_seed`] derives the plan from a seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// Time from 1970 to the start of the world.
    pub epoch: Duration,
    /// `DEDUP_WINDOW_SECONDS`.
    pub window_seconds: u64,
    /// The rules that turn messages into events.
    pub rules: EventRules,
    /// True if `ingest-fn` reports a conflict as failed, so that the message becomes a dead letter. False if it
    /// acknowledges conflicts.
    pub conflict_is_dead_letter: bool,
    /// `CLAIM_CACHE_ENTRIES`.
    pub cache_entries: usize,
    /// `CLAIM_WRITES`.
    pub claim_writes: ClaimWrites,
    /// True if some sandboxes of `ingest-fn` run with `LAKE_LAYOUT=packs`. Each sandbox draws its layout, so the layout
    /// changes while messages flow.
    pub has_packs: bool,
    /// Timeout of each function.
    pub timeout_seconds: u64,
    /// Maximum number of messages in a batch of the queue mapping.
    pub queue_batch: usize,
    /// Batching window of the queue mapping.
    pub batching_window_seconds: u64,
    /// Maximum number of concurrent invocations of `ingest-fn`.
    pub concurrency: usize,
    /// Maximum number of records in a batch of the stream mapping.
    pub stream_batch: usize,
    /// True if the stream mapping splits a batch into two halves when it gets no valid answer from `archive-fn`.
    pub bisect: bool,
    /// Age at which the stream mapping discards a record.
    pub record_age_seconds: u64,
    /// Interval at which the stream mapping polls a shard without new records.
    pub poll_interval: Duration,
    /// Maximum difference between a sandbox's clock and the services' clock, in either direction.
    pub skew_ms: u64,
    /// The messages to send. The last one is sent after the faults have ended. It shows that the pipeline still works.
    pub messages: Vec<Message>,
    /// The steps of the world, which run one after the other.
    pub steps: Vec<Step>,
    /// The kinds of faults that may happen, and their rates.
    pub rates: Rates,
    pub outages: Vec<Outage>,
    /// The mutant that replaces the functions, or `None` to run the correct functions.
    pub mutant: Option<Mutant>,
}

/// A step of a world. A step that is a fault, such as [`Step::Redrive`], does nothing if its kind of fault is not in
/// [`Scenario::rates`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends the messages at these positions, with up to ten messages in a request. All requests are sent at the same time.
    Send(Vec<usize>),
    /// Lets the pipeline work for this number of milliseconds before the next step.
    Wait(u64),
    /// Makes DynamoDB delete all expired items.
    DeleteExpired,
    /// Makes Lambda end all idle sandboxes.
    ScaleIn,
    /// Moves the dead letters back to the queue.
    Redrive,
    /// Waits until all work is done, and then advances the clock by this number of seconds.
    Idle(u64),
    /// Puts a poison record into the table. The number selects the record's defect.
    PutByHand(usize),
    /// Waits until all work is done, and then disables the mapping of this function, `ingest` or `archive`.
    Disable(&'static str),
    /// Waits until the work that does not depend on the disabled mapping is done, and advances the clock until that
    /// mapping has been disabled for this number of seconds. Then enables it.
    Enable(u64),
    /// Redrives the dead letters and waits until all work is done. Then leaves the dead letters in their queue for this
    /// number of seconds, and redrives those that SQS has not deleted.
    KeepDeadLetters(u64),
    /// Puts a poison record under the partition key of the first message's event, so that this event cannot be claimed.
    BlockFirstEvent,
}

impl Scenario {
    /// Derives a scenario from `seed`.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::derive(seed, true)
    }

    /// Derives a scenario whose rules are those of [`EventRules::with_pointer`] and whose messages have no traces.
    /// Everything that does not depend on the rules is the same as in [`from_seed`](Self::from_seed).
    #[must_use]
    pub fn with_pointer(seed: u64) -> Self {
        Self::derive(seed, false)
    }

    fn derive(seed: u64, has_random_rules: bool) -> Self {
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
        let pointer = if pick(&[0, 0, 1]) == 0 { "/event_id" } else { "/detail/id" };

        let count = match work.u8(..20) {
            0 => work.usize(100..200),
            1..=4 => work.usize(1..10),
            _ => work.usize(10..60),
        };
        let mix = Mix::random(&mut work, count);
        // The rules and the traces have their own random numbers, too.
        let mut other = Rng::with_seed(seed.wrapping_mul(0x94d0_49bb_1331_11eb));
        let rules = match has_random_rules {
            true => EventRules::random(&mut other, pointer),
            false => EventRules::with_pointer(pointer),
        };
        let mut messages = workload::messages(&mut work, count, mix, &rules);
        messages.push(workload::plain_message("the last event", &rules));
        if has_random_rules && other.bool() {
            // A trace would make the largest messages too large.
            for message in messages.iter_mut().filter(|message| message.body.len() < 1_000_000) {
                message.add_trace(&mut other);
            }
        }

        let mut rates = rates(&mut faults);
        let (mut outages, record_age_seconds) = outages(&mut faults);
        // Batched claims and panics have their own random numbers, so that choosing them does not change the other choices
        // of a seed.
        let mut batched = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let claim_writes = if batched.bool() { ClaimWrites::Batch } else { ClaimWrites::Single };
        for kind in [FaultKind::StatementsThrottled, FaultKind::StatementsUnknown] {
            let rate = batched.f64() * 0.3;
            if claim_writes == ClaimWrites::Batch && batched.bool() {
                rates.insert(kind, rate);
            }
        }
        // The version before packs cannot read packed claims.
        let has_packs = Rng::with_seed(seed.wrapping_mul(0xff51_afd7_ed55_8ccd)).bool() && !rules.has_old_version;
        let mut panics = Rng::with_seed(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        let rate = panics.f64() * 0.05;
        if panics.bool() {
            rates.insert(FaultKind::Panic, rate);
        }
        // In some worlds, S3 is unavailable for more than an hour and panics are frequent, so that old records panic twice.
        let has_old_panics =
            rates.contains_key(&FaultKind::Panic) && record_age_seconds == RECORD_AGE_SECONDS && panics.u8(..6) == 0;
        if has_old_panics {
            rates.insert(FaultKind::Panic, 0.3);
            rates.insert(FaultKind::Outage, 1.0);
            outages.push(Outage { service: Service::S3, fault: Fault::Refused(503), ms: (0, 65 * MINUTE_MS) });
        }
        let mut scenario = Self {
            seed,
            epoch: Duration::from_millis(EPOCH_SECONDS * 1_000 + settings.u64(..1_000)),
            window_seconds,
            rules,
            conflict_is_dead_letter: settings.bool(),
            cache_entries: [0, 1, 10_000, 10_000][settings.usize(..4)],
            claim_writes,
            has_packs,
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
        if let Some(kind) =
            add_retention_end(&mut scenario.steps, &mut Rng::with_seed(seed.wrapping_mul(0xd6e8_feb8_6659_fd93)))
        {
            scenario.rates.insert(kind, 1.0);
        }
        if has_old_panics {
            scenario.steps.push(Step::Wait(70 * MINUTE_MS));
        }
        scenario.with_faults(&fault_kind::all().iter().copied().collect())
    }

    /// Removes all messages except the last one and those at the positions in `kept`.
    #[must_use]
    pub fn with_messages(mut self, kept: &BTreeSet<usize>) -> Self {
        for step in &mut self.steps {
            if let Step::Send(messages) = step {
                messages.retain(|message| kept.contains(message));
            }
        }
        self
    }

    /// Removes all kinds of faults except those in `kept`.
    #[must_use]
    pub fn with_faults(mut self, kept: &BTreeSet<FaultKind>) -> Self {
        self.rates.retain(|kind, _| kept.contains(kind));
        let happens = |kind| self.rates.contains_key(&kind);
        if !happens(FaultKind::ClockSkew) {
            self.skew_ms = 0;
        }
        if !happens(FaultKind::Outage) {
            // The record age is short only so that an outage can exceed it. Without outages, no record may be discarded.
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

    /// Returns the positions of all messages that are sent, except the last one.
    #[must_use]
    pub fn sent(&self) -> BTreeSet<usize> {
        let sent = |step: &Step| if let Step::Send(messages) = step { messages.clone() } else { Vec::new() };
        self.steps.iter().flat_map(sent).collect()
    }

    /// Returns true if an outage of S3 may last longer than the record age, so that the stream mapping may discard records.
    #[must_use]
    pub fn discards_records(&self) -> bool {
        self.record_age_seconds < RECORD_AGE_SECONDS
    }
}

/// Chooses the kinds of faults and their rates. Leaves out about half of the kinds, because a world with all kinds
/// would hide some mistakes.
fn rates(random: &mut Rng) -> Rates {
    let intensity = [0.1, 0.4, 1.0, 1.0][random.usize(..4)];
    let choose = |kind: &FaultKind| {
        let max_rate = match kind {
            // The function sees a 409 only if all four attempts of the SDK get one. With a lower rate, that would rarely
            // happen.
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
        // The kinds with a maximum rate of 1 can happen only at certain steps or with certain settings, which are already
        // rare.
        let rate = if max_rate < 1.0 { random.f64() * max_rate * intensity } else { 1.0 };
        random.bool().then_some((*kind, rate))
    };
    let chosen_elsewhere = [
        FaultKind::StatementsThrottled,
        FaultKind::StatementsUnknown,
        FaultKind::Panic,
        FaultKind::IngestDisabled,
        FaultKind::ArchiveDisabled,
        FaultKind::DeadLettersKept,
    ];
    fault_kind::all().iter().filter(|kind| !chosen_elsewhere.contains(kind)).filter_map(choose).collect()
}

/// Chooses the outages and the record age, in seconds. In one of six worlds, adds an outage of S3 that lasts longer
/// than the record age. Outages happen only if the world has the fault `Outage`.
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

/// Chooses the steps of a world. They send all messages in random bursts, with pauses and other steps between the
/// bursts.
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
            // About one dedup window, give or take two seconds: the next burst comes when the claims of this burst expire.
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

/// In five of twelve worlds, adds steps that let messages, stream records or dead letters grow about as old as their
/// retention allows. Returns the kind of fault that these steps cause, or `None` if this function adds no steps.
fn add_retention_end(steps: &mut Vec<Step>, random: &mut Rng) -> Option<FaultKind> {
    let kind = match random.u8(..12) {
        0..2 => FaultKind::IngestDisabled,
        2..4 => FaultKind::ArchiveDisabled,
        4 => FaultKind::DeadLettersKept,
        _ => return None,
    };
    let half_an_hour = HOUR / 2;
    // In these worlds, messages are sent minutes after the mapping is disabled. The retention of some of them must not
    // have ended when the mapping is enabled.
    let around = |random: &mut Rng, seconds: u64| seconds - half_an_hour + random.u64(..HOUR);
    if kind == FaultKind::DeadLettersKept {
        steps.push(Step::KeepDeadLetters(around(random, 14 * DAY)));
        return Some(kind);
    }
    let sends: Vec<usize> = (0..steps.len()).filter(|&at| matches!(steps[at], Step::Send(_))).collect();
    let first = random.usize(..sends.len());
    let last = (first + random.usize(..4)).min(sends.len() - 1);
    let (function, seconds) = if kind == FaultKind::IngestDisabled {
        ("ingest", around(random, DAY))
    } else {
        let seconds = if random.u8(..3) == 0 { RECORD_AGE_SECONDS } else { DAY };
        ("archive", around(random, seconds))
    };
    steps.insert(sends[last] + 1, Step::Enable(seconds));
    steps.insert(sends[first], Step::Disable(function));
    Some(kind)
}
