//! Worlds that once failed, shrunk to the messages and faults that mattered. Each test also checks that the situation that
//! led to the failure still occurs in its world.

use std::collections::BTreeMap;

use ingest_fn::ClaimWrites;
use simulation::history::Entry;
use simulation::shrink::Reproduction;
use simulation::world::Outcome;
use simulation::{FaultKind, Scenario, campaign, run};

fn replay(seed: u64, messages: &[usize], faults: &[FaultKind]) -> Outcome {
    campaign::silence_panics();
    let shrunk =
        Reproduction { seed, messages: messages.iter().copied().collect(), faults: faults.iter().copied().collect() };
    // These seeds failed before the simulation had batched claims, so their worlds run without batched claims.
    run(&Scenario { claim_writes: ClaimWrites::Single, ..shrunk.apply(Scenario::with_pointer(seed)) })
}

/// This failure was a bug in the reference model, not in the functions. The SDK retries a write whose answer is late.
/// If the claim has expired and TTL has deleted it by then, the retry writes the same claim again. The claim already
/// has an object and gets no second one.
#[test]
fn late_retry_rewrites_deleted_claim() {
    let outcome = replay(814, &[41, 44], &[FaultKind::AnswerLate, FaultKind::TtlDeletion]);
    let mut writes: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, entry) in &outcome.history {
        if let Entry::Claimed(claim) = entry {
            *writes.entry(&claim.claim_id).or_default() += 1;
        }
    }
    assert!(writes.values().any(|&count| count > 1), "no claim was written twice in this world: choose another seed");
    assert!(outcome.judgment.violations.is_empty(), "{:?}", outcome.judgment.violations);
}

/// This failure was a bug in the simulation, not in the functions. The simulation advanced the clock by days while a
/// request that a killed function had sent was in flight. The claim therefore reached the table days after `ingest-fn`
/// had created it. Real requests do not take days.
#[test]
fn no_request_is_in_flight_for_days() {
    let messages = [0, 1, 2, 4, 5, 7, 13, 15, 20, 21, 22, 25, 27];
    let faults = [FaultKind::RequestLate, FaultKind::Outage, FaultKind::Killed, FaultKind::IdlePeriod];
    let outcome = replay(22_094, &messages, &faults);
    for kind in faults {
        assert!(
            outcome.fault_counts.get(&kind).is_some_and(|&count| count > 0),
            "the fault {kind} never happened in this world: choose another seed"
        );
    }
    assert!(outcome.judgment.violations.is_empty(), "{:?}", outcome.judgment.violations);
}
