//! Shrunk worlds that once failed. Each first makes sure that what it is about still happens in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

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
    // All of them are from before there were others.
    run(&Scenario { claim_writes: ClaimWrites::Single, ..shrunk.apply(Scenario::from_seed(seed)) })
}

/// The reference model was wrong here, not the code: after the window, and after TTL has deleted the claim, the SDK's retry
/// of a write whose answer is late brings the same claim back. It has its object already, and gets no other.
#[test]
fn regression_a_retry_brings_back_a_claim_that_was_archived_and_deleted() {
    let outcome = replay(814, &[41, 44], &[FaultKind::AnswerLate, FaultKind::TtlDeletion]);
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, entry) in &outcome.history {
        if let Entry::Claimed(claimed) = entry {
            *taken.entry(&claimed.claim_id).or_default() += 1;
        }
    }
    assert!(taken.values().any(|&times| times > 1), "the world has changed: look for another seed");
    assert!(outcome.judgement.violations.is_empty(), "{:?}", outcome.judgement.violations);
}

/// The world was wrong here, not the code: days were passed over while a request of a killed function was on its way, which
/// then reached the table days after its clock was read. Requests do not travel for days.
#[test]
fn regression_no_request_is_days_on_its_way() {
    let messages = [0, 1, 2, 4, 5, 7, 13, 15, 20, 21, 22, 25, 27];
    let faults = [FaultKind::RequestLate, FaultKind::Outage, FaultKind::Killed, FaultKind::DaysPass];
    let outcome = replay(22_094, &messages, &faults);
    for kind in faults {
        assert!(outcome.hits.get(&kind).is_some_and(|&hits| hits > 0), "there was no {kind}: look for another seed");
    }
    assert!(outcome.judgement.violations.is_empty(), "{:?}", outcome.judgement.violations);
}
