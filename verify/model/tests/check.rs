//! Every state of the protocol is looked at, and every mistake is found.

#![allow(clippy::print_stdout, reason = "the number of states is the test's report")]

use std::collections::BTreeSet;
use std::time::Instant;

use model::{Mistake, Protocol};
use stateright::{Checker as _, HasDiscoveries, Model as _};

/// Two copies of one event, time for two windows, and anything that can go wrong, once.
const DUPLICATES: Protocol = Protocol {
    messages: &['a', 'a'],
    window: 1,
    last_second: 3,
    skew: 1,
    max_receives: 2,
    faults: 1,
    batch: 2,
    batched: false,
    mistake: None,
};

/// Two messages of one event that say different things, and anything that can go wrong, twice.
const CONFLICT: Protocol = Protocol { messages: &['a', 'b'], last_second: 2, faults: 2, ..DUPLICATES };

/// Looks at every state, and prints how many there are, so that a change that cuts the model down is seen.
fn hold_in_every_state(what: &str, protocol: Protocol) {
    let started = Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.max_depth());
    println!("{what}: {states} states, up to {steps} steps, {:.1} s", started.elapsed().as_secs_f64());
    checker.assert_properties();
}

#[test]
fn what_must_always_hold_holds_with_two_duplicates() {
    hold_in_every_state("two duplicates, one fault", DUPLICATES);
}

#[test]
fn what_must_always_hold_holds_with_a_conflict() {
    hold_in_every_state("a conflict, two faults", CONFLICT);
}

#[test]
fn what_must_always_hold_holds_with_two_duplicates_and_a_conflict() {
    let three = Protocol { messages: &['a', 'a', 'b'], last_second: 2, ..DUPLICATES };
    hold_in_every_state("two duplicates and a conflict, one fault", three);
}

#[test]
fn what_must_always_hold_holds_with_batched_claims() {
    hold_in_every_state("two duplicates, batched, one fault", Protocol { batched: true, ..DUPLICATES });
    hold_in_every_state("a conflict, batched, two faults", Protocol { batched: true, ..CONFLICT });
}

#[test]
#[ignore = "nine million states: a minute and a half"]
fn what_must_always_hold_holds_with_more_faults_and_more_time() {
    hold_in_every_state("two duplicates, two faults", Protocol { faults: 2, ..DUPLICATES });
}

/// The property that a mistake violates.
fn violated_by(mistake: Mistake) -> &'static str {
    match mistake {
        Mistake::NoCondition => "of two claims the earlier had run out, up to the clock skew",
        Mistake::NoExpiryInCondition | Mistake::CachedBeyondTtl => {
            "a claim is held against a message only while it holds"
        }
        Mistake::AcknowledgedBeforeTheWrite
        | Mistake::UnknownIsDuplicate
        | Mistake::FollowersOfAFailedLeaderAcknowledged
        | Mistake::FollowersJudgedByTheirLeader => {
            "a message is acknowledged only by a claim in the table, for what it says"
        }
        Mistake::CachedBeforeConfirmation | Mistake::DuplicateItemIsOwn => {
            "nothing is remembered that the table did not confirm"
        }
        Mistake::FreshClaimIdOnRetry | Mistake::FreshClaimIdAfterInsert => {
            "one receive of a message makes at most one object"
        }
        Mistake::InsertOnly | Mistake::ConflictIsAlreadyThere | Mistake::CheckpointAtTheHighestFailure => {
            "in the end each claim has its object"
        }
        Mistake::NoIfNoneMatch => "a claim has at most one object, with one version",
    }
}

#[test]
fn every_mistake_is_found() {
    for mistake in Mistake::ALL {
        let property = violated_by(mistake);
        let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let batched = matches!(mistake, Mistake::DuplicateItemIsOwn | Mistake::FreshClaimIdAfterInsert);
        let protocol = Protocol { batched, mistake: Some(mistake), ..CONFLICT };
        let checker = protocol.checker().finish_when(found).spawn_bfs().join();
        let steps = checker.assert_any_discovery(property).into_actions();
        println!("{mistake:?}: \"{property}\" is violated by");
        for (number, step) in (1..).zip(steps) {
            println!("{number:>4}. {step:?}");
        }
    }
}
