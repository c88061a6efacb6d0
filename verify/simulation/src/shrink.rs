//! Less of a seed that still fails: halves of the workload, and then single faults, are left out as long as it fails.

use std::collections::BTreeSet;

use crate::fault_kind::FaultKind;
use crate::judgement::Violation;
use crate::scenario::Scenario;
use crate::world::run;

/// As much of a seed as it takes to fail.
#[derive(Clone, Debug)]
pub struct Reproduction {
    /// The seed.
    pub seed: u64,
    /// Messages of the workload that are sent.
    pub messages: BTreeSet<usize>,
    /// Kinds of faults that happen.
    pub faults: BTreeSet<FaultKind>,
}

impl Reproduction {
    /// The world it stands for.
    #[must_use]
    pub fn apply(&self, scenario: Scenario) -> Scenario {
        scenario.with_faults(&self.faults).with_messages(&self.messages)
    }

    /// The command that replays it.
    #[must_use]
    pub fn command(&self) -> String {
        let messages: Vec<String> = self.messages.iter().map(ToString::to_string).collect();
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        let (messages, faults) = (messages.join(","), faults.join(","));
        format!("cargo run -p simulation -- --seed {} --only-messages={messages} --only-faults={faults}", self.seed)
    }
}

/// Shrinks a scenario that fails. `fails` says whether what came out is still the failure that is looked for.
#[must_use]
pub fn shrink(scenario: &Scenario, fails: impl Fn(&[Violation]) -> bool) -> Reproduction {
    let still_fails = |shrunk: &Reproduction| fails(&run(&shrunk.apply(scenario.clone())).judgement.violations);
    let mut shrunk = Reproduction { seed: scenario.seed, messages: scenario.sent(), faults: scenario.faults() };
    loop {
        let before = (shrunk.messages.len(), shrunk.faults.len());
        shrunk.faults =
            halve(&shrunk.faults, |faults| still_fails(&Reproduction { faults: faults.clone(), ..shrunk.clone() }));
        shrunk.messages = halve(&shrunk.messages, |messages| {
            still_fails(&Reproduction { messages: messages.clone(), ..shrunk.clone() })
        });
        if (shrunk.messages.len(), shrunk.faults.len()) == before {
            return shrunk;
        }
    }
}

/// Leaves out ever smaller parts of `set`, each as long as `fails` without it.
fn halve<T: Ord + Copy>(set: &BTreeSet<T>, fails: impl Fn(&BTreeSet<T>) -> bool) -> BTreeSet<T> {
    let mut kept: Vec<T> = set.iter().copied().collect();
    let mut part = kept.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < kept.len() {
            let without = kept.iter().enumerate().filter(|(at, _)| !(from..from + part).contains(at));
            let without: BTreeSet<T> = without.map(|(_, kept)| *kept).collect();
            if fails(&without) {
                kept = without.into_iter().collect();
            } else {
                from += part;
            }
        }
        part /= 2;
    }
    kept.into_iter().collect()
}
