//! Runs many seeds in parallel.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use crate::fault_kind::{self, FaultKind};
use crate::fault_plan::PANIC;
use crate::judgment::Violation;
use crate::scenario::Scenario;
use crate::world::{Outcome, run};

/// Totals over many worlds.
#[derive(Debug, Default)]
pub struct Totals {
    /// Number of worlds started.
    pub started: u64,
    /// Number of worlds finished.
    pub seeds: u64,
    /// Number of messages sent in the finished worlds.
    pub messages: u64,
    /// Number of times that each kind of fault happened.
    pub faults: BTreeMap<FaultKind, u64>,
    /// The violations of each seed whose world violated a rule.
    pub failures: BTreeMap<u64, Vec<Violation>>,
    /// Number of times that each result, such as `events won`, occurred.
    pub results: BTreeMap<&'static str, u64>,
}

/// The results that must occur if enough worlds run. If one of them never occurs, the code that produces it was not tested.
const REQUIRED_RESULTS: [&str; 16] = [
    "claims in packs",
    "claims with packs of their own",
    "events won",
    "events won again after expiry",
    "claims inserted in a batch",
    "claims put after a batched insert",
    "messages acknowledged",
    "dead letters: conflicts",
    "dead letters: invalid events",
    "objects",
    "records quarantined",
    "claims quarantined after a panic",
    "records discarded",
    "messages expired in the queue",
    "dead letters expired",
    "records expired in the stream",
];

impl Totals {
    /// Returns one line for each kind of fault that never happened and for each required result that never occurred. The
    /// code that handles such a fault, or produces such a result, was not tested.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let happened = |kind: &&FaultKind| self.faults.get(kind).is_some_and(|&count| count > 0);
        let faults =
            fault_kind::all().iter().filter(|kind| !happened(kind)).map(|kind| format!("fault {kind} never happened"));
        let results = REQUIRED_RESULTS.iter().filter(|result| !self.results.contains_key(*result));
        faults.chain(results.map(|result| format!("result \"{result}\" never occurred"))).collect()
    }

    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.messages += outcome.messages as u64;
        for (kind, count) in outcome.fault_counts {
            *self.faults.entry(kind).or_default() += count;
        }
        for (result, count) in outcome.judgment.results {
            *self.results.entry(result).or_default() += count;
        }
        if !outcome.judgment.violations.is_empty() {
            self.failures.insert(seed, outcome.judgment.violations);
        }
    }
}

/// Runs the worlds of consecutive seeds, starting at the seed `first`, on `threads` threads. `scenario` returns the
/// scenario of a seed.
///
/// Before each seed, a thread passes the totals so far to `should_continue`. After `should_continue` has returned false,
/// the threads only finish the worlds that they have started.
///
/// # Panics
/// If a world panics while it runs or is judged. This would be a bug in the simulation.
pub fn run_seeds(
    first: u64,
    threads: usize,
    scenario: impl Fn(u64) -> Scenario + Sync,
    should_continue: impl Fn(&Totals) -> bool + Sync,
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
                        if !should_continue(&totals) {
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

/// Returns the number of cores, or 1 if the number is unknown.
#[must_use]
pub fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Keeps injected panics from printing their messages, which would fill standard error. Other panics still print theirs.
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
