//! Many seeds on all cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use crate::fault_kind::{self, FaultKind};
use crate::fault_plan::PANIC;
use crate::judgement::Violation;
use crate::scenario::Scenario;
use crate::world::{Outcome, run};

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Totals {
    /// Worlds that were begun.
    pub started: u64,
    /// Worlds that were run to their end.
    pub seeds: u64,
    /// Messages that were sent in them.
    pub messages: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Seeds that failed, each with what was violated.
    pub failures: BTreeMap<u64, Vec<Violation>>,
    /// How messages, claims and records ended.
    pub ends: BTreeMap<&'static str, u64>,
}

/// How messages, claims and records end, in a campaign that shows enough.
const ENDS: [&str; 11] = [
    "events won",
    "events won again after their window",
    "claims inserted in a batch",
    "claims put after their insert",
    "messages acknowledged",
    "dead letters: conflicts",
    "dead letters: no events",
    "objects",
    "records quarantined",
    "claims quarantined after a panic",
    "records discarded",
];

impl Totals {
    /// The faults that never happened, and the ends that nothing came to: worlds in which nothing goes wrong show nothing.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let happened = |kind: &&FaultKind| self.faults.get(kind).is_some_and(|&hits| hits > 0);
        let faults =
            fault_kind::all().iter().filter(|kind| !happened(kind)).map(|kind| format!("{kind} never happened"));
        let ends = ENDS.iter().filter(|end| !self.ends.contains_key(*end)).map(|end| format!("there were no {end}"));
        faults.chain(ends).collect()
    }

    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.messages += outcome.messages as u64;
        for (kind, hits) in outcome.hits {
            *self.faults.entry(kind).or_default() += hits;
        }
        for (how, number) in outcome.judgement.ends {
            *self.ends.entry(how).or_default() += number;
        }
        if !outcome.judgement.violations.is_empty() {
            self.failures.insert(seed, outcome.judgement.violations);
        }
    }
}

/// Runs seeds from `first` on, each as `scenario` makes it, on `threads` threads, for as long as `goes_on` says of what
/// they came to so far. Seeds are taken in order, and those that are under way at the end are finished.
///
/// # Panics
/// If a world panics, which none should.
pub fn run_seeds(
    first: u64,
    threads: usize,
    scenario: impl Fn(u64) -> Scenario + Sync,
    goes_on: impl Fn(&Totals) -> bool + Sync,
) -> Totals {
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    let lock = || totals.lock().unwrap_or_else(PoisonError::into_inner);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = {
                        let mut totals = lock();
                        if !goes_on(&totals) {
                            break;
                        }
                        totals.started += 1;
                        next.fetch_add(1, Ordering::Relaxed)
                    };
                    let outcome = run(&scenario(seed));
                    lock().add(seed, outcome);
                }
            });
        }
    });
    totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// As many threads as there are cores.
#[must_use]
pub fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Keeps planted panics from filling standard error. Other panics are printed.
pub fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(PANIC) {
                report(panic);
            }
        }));
    });
}
