//! Every state of the protocol is looked at, and every mutant is found.

#![allow(clippy::print_stdout, reason = "the number of states is the test's report")]

use std::collections::BTreeSet;
use std::time::Instant;

use model::{Mutant, Protocol};
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
    mutant: None,
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

/// The property that a mutant violates.
fn violated_by(mutant: Mutant) -> &'static str {
    match mutant {
        Mutant::NoCondition => "of two claims the earlier had run out, up to the clock skew",
        Mutant::NoExpiryInCondition | Mutant::CachedBeyondTtl => {
            "a claim is held against a message only while it holds"
        }
        Mutant::AcknowledgedBeforeTheWrite
        | Mutant::UnknownIsDuplicate
        | Mutant::FollowersOfAFailedLeaderAcknowledged
        | Mutant::FollowersJudgedByTheirLeader => {
            "a message is acknowledged only by a claim in the table, for what it says"
        }
        Mutant::CachedBeforeConfirmation | Mutant::DuplicateItemIsOwn => {
            "nothing is remembered that the table did not confirm"
        }
        Mutant::FreshClaimIdOnRetry | Mutant::FreshClaimIdAfterInsert => {
            "one receive of a message makes at most one object"
        }
        Mutant::InsertOnly | Mutant::ConflictIsAlreadyThere | Mutant::CheckpointAtTheHighestFailure => {
            "in the end each claim has its object"
        }
        Mutant::NoIfNoneMatch => "a claim has at most one object, with one version",
    }
}

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let property = violated_by(mutant);
        let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let batched = matches!(mutant, Mutant::DuplicateItemIsOwn | Mutant::FreshClaimIdAfterInsert);
        let protocol = Protocol { batched, mutant: Some(mutant), ..CONFLICT };
        let checker = protocol.checker().finish_when(found).spawn_bfs().join();
        let steps = checker.assert_any_discovery(property).into_actions();
        println!("{mutant:?}: \"{property}\" is violated by");
        for (number, step) in (1..).zip(steps) {
            println!("{number:>4}. {step:?}");
        }
    }
}
