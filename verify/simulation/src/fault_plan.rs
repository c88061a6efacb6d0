//! Decides what goes wrong and when, by the seed. Each kind of fault draws random numbers of its own, so that leaving one
//! kind out changes the others as little as possible.

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
use crate::observer::note_answer;
use crate::recorder::Recorder;
use crate::requests::{items, operation, subjects};
use crate::scenario::Scenario;

/// What a planted panic says.
pub const PANIC: &str = "a planted panic";

/// Decides what goes wrong, and notes what the services did.
pub struct SeededFaultPlan {
    recorder: Arc<Recorder>,
    outages: Vec<Outage>,
    poll_interval: Duration,
    state: Mutex<State>,
}

struct State {
    is_over: bool,
    sources: BTreeMap<FaultKind, Source>,
    latency: Rng,
}

/// One kind's own random numbers.
struct Source {
    rate: f64,
    random: Rng,
    hits: u64,
}

impl SeededFaultPlan {
    /// For one world.
    #[must_use]
    pub fn new(scenario: &Scenario, recorder: Arc<Recorder>) -> Self {
        let new = |(&kind, &rate): (&FaultKind, &f64)| {
            let random = Rng::with_seed(scenario.seed.wrapping_mul(1_000).wrapping_add(kind as u64));
            (kind, Source { rate, random, hits: 0 })
        };
        let mut sources: BTreeMap<FaultKind, Source> = scenario.rates.iter().map(new).collect();
        let outages =
            if scenario.rates.contains_key(&FaultKind::Outage) { scenario.outages.clone() } else { Vec::new() };
        if scenario.skew_ms > 0 {
            sources.entry(FaultKind::ClockSkew).and_modify(|source| source.hits = 1);
        }
        let state = State { is_over: false, sources, latency: Rng::with_seed(!scenario.seed) };
        Self { recorder, outages, poll_interval: scenario.poll_interval, state: Mutex::new(state) }
    }

    /// Whether it happens now; if so, gives what decides how.
    pub fn draw(&self, kind: FaultKind) -> Option<Rng> {
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let source = state.sources.get_mut(&kind)?;
        let hit = source.random.f64() < source.rate;
        let random = hit.then(|| source.random.fork())?;
        source.hits += 1;
        Some(random)
    }

    /// From now on nothing goes wrong.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.recorder.note(Entry::NoFaults);
    }

    /// How often each kind happened.
    #[must_use]
    pub fn hits(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().sources.iter().map(|(kind, source)| (*kind, source.hits)).collect()
    }

    /// What goes wrong with a request, which is noted. Nothing does with what is done by hand.
    pub fn fault(&self, call: &Call<'_>) -> Option<Fault> {
        let invocation = current_invocation();
        if invocation.is_none() && call.service == Service::DynamoDb {
            return None;
        }
        if invocation.is_some() && self.draw(FaultKind::Panic).is_some() {
            for subject in subjects(call) {
                self.recorder.note(Entry::Panicked { invocation, subject });
            }
            panic!("{PANIC}");
        }
        let fault = self.choose(call);
        for subject in subjects(call) {
            let operation = operation(call).to_owned();
            self.recorder.note(Entry::Requested { invocation, operation, subject, fault });
        }
        let fault = fault.or_else(|| self.latency());
        if let Some(Fault::RequestDelayed(delay)) = fault {
            self.recorder.arrives_after(delay);
        }
        fault
    }

    /// Panics where a function draws the random part of a claim id.
    pub fn panic_on_claim_id(&self) {
        if self.draw(FaultKind::Panic).is_some() {
            self.recorder.note(Entry::Panicked { invocation: current_invocation(), subject: "a claim id".to_owned() });
            panic!("{PANIC}");
        }
    }

    fn choose(&self, call: &Call<'_>) -> Option<Fault> {
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
            let of = |fault: fn(&mut Rng) -> Fault| self.draw(kind).map(|mut random| fault(&mut random));
            match kind {
                FaultKind::RequestLost => of(|_| Fault::RequestLost),
                FaultKind::AnswerLost => of(|_| Fault::AnswerLost),
                FaultKind::Throttled => of(|_| Fault::Throttled),
                FaultKind::ServerError => of(|_| Fault::Refused(500)),
                FaultKind::Unavailable => of(|_| Fault::Refused(503)),
                FaultKind::Conflict if s3 => of(|_| Fault::Refused(409)),
                FaultKind::StatementsThrottled if batch => {
                    self.draw(kind).map(|mut random| Fault::StatementsThrottled(some_of(call, &mut random)))
                }
                FaultKind::StatementsUnknown if batch => {
                    self.draw(kind).map(|mut random| Fault::StatementsUnknown(some_of(call, &mut random)))
                }
                FaultKind::RequestLate => self.draw(kind).map(|mut random| Fault::RequestDelayed(seconds(&mut random))),
                FaultKind::AnswerLate => self.draw(kind).map(|mut random| Fault::AnswerDelayed(seconds(&mut random))),
                _ => None,
            }
        })
    }

    /// Which of two requests comes first is left to chance as well.
    fn latency(&self) -> Option<Fault> {
        let mut state = self.lock();
        if state.is_over {
            return None;
        }
        let latency = Duration::from_millis(state.latency.u64(1..30));
        Some(if state.latency.bool() { Fault::RequestDelayed(latency) } else { Fault::AnswerDelayed(latency) })
    }

    fn draw_and_note(&self, kind: FaultKind) -> Option<Rng> {
        let random = self.draw(kind)?;
        self.recorder.note(Entry::Fault(kind));
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
        if self.draw_and_note(FaultKind::MessageTwice).is_some() {
            return Some(Duration::ZERO);
        }
        let mut random = self.draw_and_note(FaultKind::VisibilityRunsOut)?;
        Some(Duration::from_millis(random.u64(1..20_000)))
    }

    fn sandbox(&self, _: &str, idle: usize) -> Option<usize> {
        match self.draw(FaultKind::ColdStart) {
            None => idle.checked_sub(1),
            // A new one, or any that is idle.
            Some(mut random) => random.usize(..=idle).checked_sub(1).filter(|_| random.bool()),
        }
    }

    fn delivery(&self, _: &str) -> Delivery {
        if let Some(mut random) = self.draw_and_note(FaultKind::BatchTwice) {
            let at_most = if random.bool() { 100 } else { 20_000 };
            return Delivery::Twice(Duration::from_millis(random.u64(..at_most)));
        }
        if self.draw_and_note(FaultKind::BatchAnswerLost).is_some() { Delivery::AnswerLost } else { Delivery::Once }
    }

    fn batch_size(&self, maximum: usize) -> usize {
        self.draw(FaultKind::OtherBoundaries).map_or(maximum, |mut random| random.usize(1..=maximum))
    }

    fn reads_anew(&self) -> bool {
        self.draw_and_note(FaultKind::ReadAnew).is_some()
    }

    fn batches_back(&self) -> usize {
        self.draw_and_note(FaultKind::CheckpointLost).map_or(0, |mut random| random.usize(1..10))
    }

    fn poll_interval(&self) -> Duration {
        // With nothing left to happen, looking seldom saves time.
        if self.lock().is_over { Duration::from_secs(5) } else { self.poll_interval }
    }

    fn answered(&self, call: &Call<'_>, status: u16, answer: &[u8]) {
        note_answer(&self.recorder, call, status, answer);
    }
}

/// Bits of some statements of a request.
fn some_of(call: &Call<'_>, random: &mut Rng) -> u32 {
    let statements = u32::try_from(items(call).len()).unwrap_or(1);
    random.u32(1..1 << statements)
}
