//! Checks that the properties hold in every state of the model, and that every mutant violates one of them.

mod support;

use model::{Mutant, Protocol};
use support::{check_every_state, find_violation};

/// Two messages of one event with the same body, enough time for two dedup windows, and at most one fault in a run.
const DUPLICATES: Protocol = Protocol {
    messages: &['a', 'a'],
    window: 1,
    last_second: 3,
    skew: 1,
    max_receives: 2,
    faults: 1,
    batch: 2,
    batched: false,
    mutant: None,
};

/// Two messages of one event with different bodies, and at most two faults in a run.
const CONFLICT: Protocol = Protocol { messages: &['a', 'b'], last_second: 2, faults: 2, ..DUPLICATES };

#[test]
fn properties_hold_for_duplicates() {
    check_every_state("two duplicates, one fault", DUPLICATES);
}

#[test]
fn properties_hold_for_conflict() {
    check_every_state("a conflict, two faults", CONFLICT);
}

#[test]
fn properties_hold_for_duplicates_and_conflict() {
    let three = Protocol { messages: &['a', 'a', 'b'], last_second: 2, ..DUPLICATES };
    check_every_state("two duplicates and a conflict, one fault", three);
}

#[test]
fn properties_hold_for_batched_claims() {
    check_every_state("two duplicates, batched, one fault", Protocol { batched: true, ..DUPLICATES });
    check_every_state("a conflict, batched, two faults", Protocol { batched: true, ..CONFLICT });
}

#[test]
#[ignore = "nine million states take a minute and a half"]
fn properties_hold_for_duplicates_and_two_faults() {
    check_every_state("two duplicates, two faults", Protocol { faults: 2, ..DUPLICATES });
}

/// Returns the property that the mutant must violate.
fn violated_by(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::NoCondition => {
            "an event is claimed again only after its window, or at most the clock skew before its end"
        }
        Mutant::NoExpiryInCondition | Mutant::CachedPastTtl => {
            "a message is judged only by a claim that has not expired"
        }
        Mutant::AcknowledgedBeforeWrite
        | Mutant::UnknownIsDuplicate
        | Mutant::FollowersOfFailedLeaderAcknowledged
        | Mutant::FollowersJudgedByLeader => {
            "a message is acknowledged only for a written claim, and compared with that claim's body"
        }
        Mutant::CachedBeforeConfirmation | Mutant::DuplicateItemIsOwn => {
            "the cache holds only claims that the table has confirmed"
        }
        Mutant::FreshClaimIdOnRetry | Mutant::FreshClaimIdAfterInsert => {
            "one receive of a message creates at most one object"
        }
        Mutant::InsertOnly | Mutant::ConflictIsAlreadyThere | Mutant::CheckpointAtHighestFailure => {
            "in the end, every claim has an object"
        }
        Mutant::NoIfNoneMatch => "a claim has at most one object, with one version",
    }
}

/// For each mutant, the checker finds a state that violates the expected property. The test prints the steps to that state.
#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let property = violated_by(mutant);
        let batched = matches!(mutant, Mutant::DuplicateItemIsOwn | Mutant::FreshClaimIdAfterInsert);
        find_violation(&mutant, &Protocol { batched, mutant: Some(mutant), ..CONFLICT }, property);
    }
}
