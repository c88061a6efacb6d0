//! The seeded plan that decides which faults happen and when. Each kind of fault has its own random numbers, so that
//! leaving out one kind changes the others as little as possible.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emulator::fault_plan::{Delivery, FaultPlan};
use emulator::{Call, Fault, Service};
use fastrand::Rng;
use pipeline::names;

use crate::current_invocation::current_invocation;
use crate::fault_kind::{self, FaultKind, Outage};
use crate::history::Entry;
use crate::observer::record_answer;
use crate::recorder::Recorder;
use crate::requests::{items, operation, subjects};
use crate::scenario::Scenario;

/// Text of every panic that the fault `Panic` causes.
pub const PANIC: &str = "a planted panic";

/// Decides which faults happen, and records the answers of the services.
pub struct SeededFaultPlan {
    recorder: Arc<Recorder>,
    outages: Vec<Outage>,
    poll_interval: Duration,
    state: Mutex<State>,
}

struct State {
    has_ended: bool,
    /// The function whose mapping is disabled.
    disabled: Option<&'static str>,
    sources: BTreeMap<FaultKind, Source>,
    latency: Rng,
}

/// The rate and the random numbers of one kind of fault, and how often this fault has happened.
struct Source {
    rate: f64,
    random: Rng,
    count: u64,
}

impl SeededFaultPlan {
    #[must_use]
    pub fn new(scenario: &Scenario, recorder: Arc<Recorder>) -> Self {
        let new = |(&kind, &rate): (&FaultKind, &f64)| {
            let random = Rng::with_seed(scenario.seed.wrapping_mul(1_000).wrapping_add(kind as u64));
            (kind, Source { rate, random, count: 0 })
        };
        let mut sources: BTreeMap<FaultKind, Source> = scenario.rates.iter().map(new).collect();
        let outages =
            if scenario.rates.contains_key(&FaultKind::Outage) { scenario.outages.clone() } else { Vec::new() };
        if scenario.skew_ms > 0 {
            sources.entry(FaultKind::ClockSkew).and_modify(|source| source.count = 1);
        }
        let state = State { has_ended: false, disabled: None, sources, latency: Rng::with_seed(!scenario.seed) };
        Self { recorder, outages, poll_interval: scenario.poll_interval, state: Mutex::new(state) }
    }

    /// Decides if a fault of this kind happens now. If so, returns a random number generator for the details of the fault.
    pub fn draw(&self, kind: FaultKind) -> Option<Rng> {
        let mut state = self.lock();
        if state.has_ended {
            return None;
        }
        let source = state.sources.get_mut(&kind)?;
        let hit = source.random.f64() < source.rate;
        let random = hit.then(|| source.random.fork())?;
        source.count += 1;
        Some(random)
    }

    /// Disables the mapping of `function`, which is `ingest` or `archive`.
    pub fn disable(&self, function: &'static str) {
        self.lock().disabled = Some(function);
        self.recorder.record(Entry::Disabled(function));
    }

    /// Enables the mapping that is disabled, if there is one.
    pub fn enable(&self) {
        let disabled = self.lock().disabled.take();
        if let Some(function) = disabled {
            self.recorder.record(Entry::Enabled(function));
        }
    }

    /// Returns the function whose mapping is disabled, if there is one.
    #[must_use]
    pub fn disabled(&self) -> Option<&'static str> {
        self.lock().disabled
    }

    /// Ends all faults.
    pub fn end(&self) {
        self.lock().has_ended = true;
        self.recorder.record(Entry::FaultsEnded);
    }

    /// Returns how often each kind of fault has happened.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().sources.iter().map(|(kind, source)| (*kind, source.count)).collect()
    }

    /// Chooses a fault for a request, if any, and records the request. Panics if the fault `Panic` happens now. Ignores
    /// a DynamoDB request that no invocation has sent: it comes from the world itself and must not fail.
    pub fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        let invocation = current_invocation();
        if invocation.is_none() && call.service == Service::DynamoDb {
            return None;
        }
        if invocation.is_some() && self.draw(FaultKind::Panic).is_some() {
            for subject in subjects(call) {
                self.recorder.record(Entry::PanicInjected { invocation, subject });
            }
            panic!("{PANIC}");
        }
        let fault = self.choose_fault(call);
        for subject in subjects(call) {
            let operation = operation(call).to_owned();
            self.recorder.record(Entry::Requested { invocation, operation, subject, fault });
        }
        let fault = fault.or_else(|| self.draw_latency());
        if let Some(Fault::RequestDelayed(delay)) = fault {
            self.recorder.request_delayed(delay);
        }
        fault
    }

    /// Panics if the fault `Panic` happens now. Must be called when a function generates the random part of a claim id.
    pub fn panic_on_claim_id(&self) {
        if self.draw(FaultKind::Panic).is_some() {
            self.recorder
                .record(Entry::PanicInjected { invocation: current_invocation(), subject: "a claim id".to_owned() });
            panic!("{PANIC}");
        }
    }

    fn choose_fault(&self, call: &Call<'_>) -> Option<Fault> {
        let now = self.recorder.elapsed_ms();
        let outage = self
            .outages
            .iter()
            .find(|outage| outage.service == call.service && (outage.ms.0..outage.ms.1).contains(&now));
        if let Some(outage) = outage
            && self.draw(FaultKind::Outage).is_some()
        {
            return Some(outage.fault);
        }
        let seconds = |random: &mut Rng| Duration::from_millis(random.u64(1_000..60_000));
        let s3 = call.service == Service::S3;
        let batch = call.operation == "BatchExecuteStatement";
        fault_kind::all().iter().find_map(|&kind| {
            let draw = |fault: Fault| self.draw(kind).map(|_| fault);
            match kind {
                FaultKind::RequestLost => draw(Fault::RequestLost),
                FaultKind::AnswerLost => draw(Fault::AnswerLost),
                FaultKind::Throttled => draw(Fault::Throttled),
                FaultKind::ServerError => draw(Fault::Refused(500)),
                FaultKind::Unavailable => draw(Fault::Refused(503)),
                FaultKind::S3Conflict if s3 => draw(Fault::Refused(409)),
                FaultKind::StatementsThrottled if batch => {
                    self.draw(kind).map(|mut random| Fault::StatementsThrottled(random_statements(call, &mut random)))
                }
                FaultKind::StatementsUnknown if batch => {
                    self.draw(kind).map(|mut random| Fault::StatementsUnknown(random_statements(call, &mut random)))
                }
                FaultKind::RequestLate => self.draw(kind).map(|mut random| Fault::RequestDelayed(seconds(&mut random))),
                FaultKind::AnswerLate => self.draw(kind).map(|mut random| Fault::AnswerDelayed(seconds(&mut random))),
                _ => None,
            }
        })
    }

    /// Returns a delay of 1 to 29 ms for a request without a fault, so that concurrent requests arrive in random order.
    fn draw_latency(&self) -> Option<Fault> {
        let mut state = self.lock();
        if state.has_ended {
            return None;
        }
        let latency = Duration::from_millis(state.latency.u64(1..30));
        Some(if state.latency.bool() { Fault::RequestDelayed(latency) } else { Fault::AnswerDelayed(latency) })
    }

    fn draw_and_record(&self, kind: FaultKind) -> Option<Rng> {
        let random = self.draw(kind)?;
        self.recorder.record(Entry::Fault(kind));
        Some(random)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultPlan for SeededFaultPlan {
    fn next_message(&self, _: &str, waiting: usize) -> usize {
        self.draw(FaultKind::OutOfOrder).map_or(0, |mut random| random.usize(..waiting))
    }

    fn visibility(&self, queue: &str) -> Option<Duration> {
        if queue != names::QUEUE {
            return None;
        }
        if self.draw_and_record(FaultKind::MessageTwice).is_some() {
            return Some(Duration::ZERO);
        }
        let mut random = self.draw_and_record(FaultKind::VisibilityExpired)?;
        Some(Duration::from_millis(random.u64(1..20_000)))
    }

    fn sandbox(&self, _: &str, idle: usize) -> Option<usize> {
        match self.draw(FaultKind::ColdStart) {
            None => idle.checked_sub(1),
            // The result is a new sandbox or a random idle one.
            Some(mut random) => random.usize(..=idle).checked_sub(1).filter(|_| random.bool()),
        }
    }

    fn is_disabled(&self, function: &str) -> bool {
        let name = if function == names::INGEST_FUNCTION { "ingest" } else { "archive" };
        self.disabled() == Some(name)
    }

    fn delivery(&self, _: &str) -> Delivery {
        if let Some(mut random) = self.draw_and_record(FaultKind::BatchTwice) {
            let at_most = if random.bool() { 100 } else { 20_000 };
            return Delivery::Twice(Duration::from_millis(random.u64(..at_most)));
        }
        if self.draw_and_record(FaultKind::BatchAnswerLost).is_some() { Delivery::AnswerLost } else { Delivery::Once }
    }

    fn batch_size(&self, maximum: usize) -> usize {
        self.draw(FaultKind::ShorterBatches).map_or(maximum, |mut random| random.usize(1..=maximum))
    }

    fn rereads_from_checkpoint(&self) -> bool {
        self.draw_and_record(FaultKind::StreamReread).is_some()
    }

    fn lost_checkpoints(&self) -> usize {
        self.draw_and_record(FaultKind::CheckpointLost).map_or(0, |mut random| random.usize(1..10))
    }

    fn poll_interval(&self) -> Duration {
        // After the faults have ended, the world runs faster if the mapping polls less often.
        if self.lock().has_ended { Duration::from_secs(5) } else { self.poll_interval }
    }

    fn answered(&self, call: &Call<'_>, status: u16, answer: &[u8]) {
        record_answer(&self.recorder, call, status, answer);
    }
}

/// Picks at least one statement of a request at random. Returns a bit mask of the picked statements, with bit 0 for the
/// first one.
fn random_statements(call: &Call<'_>, random: &mut Rng) -> u32 {
    let statements = u32::try_from(items(call).len()).unwrap_or(1);
    random.u32(1..1 << statements)
}
