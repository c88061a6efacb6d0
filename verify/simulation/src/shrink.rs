//! Shrinks a failing scenario: removes messages and kinds of faults as long as the scenario still fails. Removes halves
//! first, then smaller and smaller parts.

use std::collections::BTreeSet;

use crate::fault_kind::FaultKind;
use crate::judgment::Violation;
use crate::scenario::Scenario;
use crate::world::run;

/// The parts of a seed's scenario that still reproduce a failure.
#[derive(Clone, Debug)]
pub struct Reproduction {
    pub seed: u64,
    /// Positions of the messages to send, in the scenario's list of messages.
    pub messages: BTreeSet<usize>,
    /// Kinds of faults that may happen.
    pub faults: BTreeSet<FaultKind>,
}

impl Reproduction {
    /// Limits `scenario` to the messages and faults of this reproduction.
    #[must_use]
    pub fn apply(&self, scenario: Scenario) -> Scenario {
        scenario.with_faults(&self.faults).with_messages(&self.messages)
    }

    /// Returns the command that replays this reproduction.
    #[must_use]
    pub fn command(&self) -> String {
        let messages: Vec<String> = self.messages.iter().map(ToString::to_string).collect();
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        format!(
            "cargo run -p simulation -- --seed {} --only-messages={} --only-faults={}",
            self.seed,
            messages.join(","),
            faults.join(",")
        )
    }
}

/// Shrinks a failing scenario. `is_failure` gets the violations of a smaller scenario, and returns true if they contain the
/// failure that must be reproduced.
#[must_use]
pub fn shrink(scenario: &Scenario, is_failure: impl Fn(&[Violation]) -> bool) -> Reproduction {
    let still_fails = |shrunk: &Reproduction| is_failure(&run(&shrunk.apply(scenario.clone())).judgment.violations);
    let mut shrunk = Reproduction { seed: scenario.seed, messages: scenario.sent(), faults: scenario.faults() };
    loop {
        let before = (shrunk.messages.len(), shrunk.faults.len());
        shrunk.faults = remove_parts(&shrunk.faults, |faults| {
            still_fails(&Reproduction { faults: faults.clone(), ..shrunk.clone() })
        });
        shrunk.messages = remove_parts(&shrunk.messages, |messages| {
            still_fails(&Reproduction { messages: messages.clone(), ..shrunk.clone() })
        });
        if (shrunk.messages.len(), shrunk.faults.len()) == before {
            return shrunk;
        }
    }
}

/// Removes parts of `set`, first halves and finally single elements, and returns the remaining elements. A part stays
/// removed if `still_fails` returns true for the elements without it.
fn remove_parts<T: Ord + Copy>(set: &BTreeSet<T>, still_fails: impl Fn(&BTreeSet<T>) -> bool) -> BTreeSet<T> {
    let mut kept: Vec<T> = set.iter().copied().collect();
    let mut part = kept.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < kept.len() {
            let without = kept.iter().enumerate().filter(|(at, _)| !(from..from + part).contains(at));
            let without: BTreeSet<T> = without.map(|(_, kept)| *kept).collect();
            if still_fails(&without) {
                kept = without.into_iter().collect();
            } else {
                from += part;
            }
        }
        part /= 2;
    }
    kept.into_iter().collect()
}
