//! Checks that the properties hold in every state of the model of packs, and that every mutant violates one of them.
//! Each configuration enables only a few features, such as faults, expiry and replays, because all features together
//! have too many states. Random walks combine almost all features.

#![expect(clippy::print_stdout, reason = "people read the number of states")]

mod support;

use std::ops::Range;
use std::time::Instant;

use model::packs::{Action, Message, Mutant, Packs, Situation, State, Writer};
use stateright::{Expectation, Model as _};
use support::{check_every_state, find_violation};

const A: Message = Message { event: 0, body: 'a' };
/// A message of the same event as [`A`], with another body.
const A_CONFLICT: Message = Message { event: 0, body: 'x' };
const B: Message = Message { event: 1, body: 'b' };
const C: Message = Message { event: 2, body: 'c' };

/// A chunk of two claims whose dedup window does not end during a run, and at most two faults in a run.
const CHUNK: Packs = Packs {
    messages: &[A, B],
    writers: [Writer::Packs, Writer::Packs],
    batched: false,
    batch: 2,
    max_receives: 3,
    redrives: 0,
    window: 9,
    invocation: 0,
    pack_extra: 2,
    settle_extra: 1,
    skew: 0,
    last_second: 0,
    faults: 2,
    replays: 0,
    records_for_version_before: 0,
    restores: false,
    situations: &[Situation::FullPack, Situation::OwnPack],
    mutant: None,
};

/// A chunk of two claims, with at most one fault in a run, and at most two receives of a message.
const ONE_FAULT: Packs = Packs { faults: 1, max_receives: 2, ..CHUNK };

/// Claims expire at the end of the second in which they are made. TTL can delete their pack three seconds after that
/// second begins.
const EXPIRY: Packs = Packs {
    window: 0,
    last_second: 3,
    situations: &[
        Situation::FullPack,
        Situation::OwnPack,
        Situation::ReplacedAndSettled,
        Situation::Unsettled,
        Situation::PackDeletedFirst,
    ],
    ..ONE_FAULT
};

/// The properties hold for a chunk of two claims, with both values of `CLAIM_WRITES`.
#[test]
fn properties_hold_for_chunk() {
    check_every_state("a chunk, two faults", CHUNK);
    check_every_state("a chunk, CLAIM_WRITES=batch, two faults", Packs { batched: true, ..CHUNK });
}

/// The properties hold with followers, with conflicts and with several chunks, both before and after `close_by`.
#[test]
fn properties_hold_for_duplicates() {
    let situations = &[Situation::FullPack, Situation::OwnPack, Situation::Conflict];
    check_every_state("a chunk and a conflict", Packs { messages: &[A, B, A_CONFLICT], situations, ..ONE_FAULT });
    check_every_state("three claims", Packs { messages: &[A, B, C], ..ONE_FAULT });
    let situations = &[Situation::Conflict];
    let late = Packs { messages: &[A, A_CONFLICT], last_second: 2, invocation: 1, skew: 1, situations, ..ONE_FAULT };
    check_every_state("a conflict before and after close_by, skewed clocks", late);
}

/// The properties hold if claims expire, are replaced, and are deleted before or after their packs.
#[test]
fn properties_hold_when_claims_expire() {
    check_every_state("claims expire", EXPIRY);
    let situations = &[Situation::Redriven, Situation::DeadLetter];
    let redrives = Packs { redrives: 1, max_receives: 1, situations, ..EXPIRY };
    check_every_state("claims expire, redrives", redrives);
    check_every_state("claims expire, while replay settles", Packs { replays: 1, ..EXPIRY });
}

/// The properties hold while both layouts are written, and while a version without support for packs runs.
#[test]
fn properties_hold_for_layouts_and_versions() {
    let situations = &[Situation::BothLayouts, Situation::ReplacedAndSettled];
    let layouts =
        Packs { messages: &[A, A], writers: [Writer::Packs, Writer::Objects], last_second: 2, situations, ..EXPIRY };
    check_every_state("both layouts, claims expire", layouts.clone());
    let writers = [Writer::Packs, Writer::VersionBefore];
    let versions = Packs { writers, situations: &[Situation::BothLayouts, Situation::Unsettled], ..layouts };
    check_every_state("ingest-fn of the version before, claims expire", versions);
    let archive = Packs { records_for_version_before: 2, ..ONE_FAULT };
    check_every_state("archive-fn of the version before", archive);
}

/// The properties hold after a point-in-time restore of the table.
#[test]
fn properties_hold_after_restore() {
    let situations = &[Situation::Restored, Situation::FullPack, Situation::OwnPack];
    check_every_state("the table is restored", Packs { restores: true, last_second: 1, situations, ..ONE_FAULT });
}

/// The properties hold with more messages, faults or seconds.
#[test]
#[ignore = "eleven million states take up to four minutes"]
fn properties_hold_in_large_configurations() {
    check_every_state("a chunk, three faults", Packs { faults: 3, max_receives: 2, ..CHUNK });
    check_every_state(
        "three claims, CLAIM_WRITES=batch, two faults",
        Packs { messages: &[A, B, C], batched: true, max_receives: 2, ..CHUNK },
    );
    let situations = &[Situation::Conflict];
    let late = Packs { messages: &[A, A_CONFLICT], last_second: 2, invocation: 1, skew: 1, situations, ..CHUNK };
    check_every_state("a conflict before and after close_by, skewed clocks, two faults", late);
    check_every_state("a chunk, a duplicate and a conflict", Packs { messages: &[A, B, A, A_CONFLICT], ..ONE_FAULT });
    let skew = Packs { skew: 1, pack_extra: 3, batched: true, situations: &[], ..EXPIRY };
    check_every_state("claims expire, CLAIM_WRITES=batch, skewed clocks", skew);
    let situations = &[Situation::FullPack, Situation::OwnPack, Situation::ReplacedAndSettled, Situation::Unsettled];
    check_every_state("claims expire, two faults", Packs { faults: 2, last_second: 2, situations, ..EXPIRY });
    check_every_state("claims expire, while two replays settle", Packs { replays: 2, ..EXPIRY });
    check_every_state(
        "a chunk, two faults, while replay settles",
        Packs { replays: 1, last_second: 1, max_receives: 2, ..CHUNK },
    );
    let restore =
        Packs { messages: &[A, B, A], restores: true, last_second: 1, situations: &[Situation::Restored], ..ONE_FAULT };
    check_every_state("the table is restored, with a duplicate", restore);
}

/// Returns the property that the mutant must violate, and a small configuration in which it does.
fn violated_by(mutant: Mutant) -> (&'static str, Packs) {
    let one_copy = "a claim has at most one copy in the data lake";
    let acknowledged = "a message is acknowledged only for a settled claim";
    let acknowledged_copy = "in the end, the claim of every acknowledged message has one copy";
    let copy = "in the end, every claim has one copy, unless it left the table unsettled or is too old to settle";
    let full_packs = "without faults, every claim is in the pack of its chunk";
    let chunk = Packs { faults: 1, situations: &[], mutant: Some(mutant), ..CHUNK };
    let duplicate = Packs { messages: &[A, A], ..chunk };
    let conflict = Packs { messages: &[A, A_CONFLICT], ..chunk };
    let expiry = Packs { max_receives: 2, window: 0, last_second: 2, pack_extra: 1, settle_extra: 0, ..chunk };
    let layouts = Packs { messages: &[A, A], writers: [Writer::Packs, Writer::Objects], ..chunk };
    match mutant {
        Mutant::OwnPackWithoutClosing
        | Mutant::StaleReadDecides
        | Mutant::FailedConditionIsNotListed
        | Mutant::FreshPackIdOnRetry
        | Mutant::PackedClaimArchived => (one_copy, chunk),
        Mutant::OldReplacedClaimSettled | Mutant::PackExpiresWithClaims => (one_copy, expiry),
        Mutant::SettledUntilPackTtl => (one_copy, Packs { skew: 1, pack_extra: 2, ..expiry }),
        Mutant::OldClaimReplayed => (one_copy, Packs { replays: 1, ..expiry }),
        Mutant::OldClaimLookedUpInObject => (copy, Packs { replays: 1, ..expiry }),
        Mutant::ObjectClaimSettled => (one_copy, layouts),
        Mutant::VersionBeforeArchivesPackedClaim => (one_copy, Packs { records_for_version_before: 1, ..chunk }),
        Mutant::RestoreWithoutRebuild | Mutant::RestoreBeforeArchiving => {
            (one_copy, Packs { max_receives: 2, restores: true, ..chunk })
        }
        Mutant::WinnerIgnoresPack
        | Mutant::OwnPackNotChecked
        | Mutant::UnknownCloseIsDone
        | Mutant::AcknowledgedBeforeClose => (acknowledged, chunk),
        Mutant::FollowersAcknowledgedBeforeClose | Mutant::DuplicateAcknowledgedUnsettled => (acknowledged, duplicate),
        Mutant::ConflictAcknowledgedUnsettled => (acknowledged, conflict),
        Mutant::SettingDecides => (acknowledged, layouts),
        Mutant::VersionBeforeReadsPackedClaim => {
            (acknowledged, Packs { writers: [Writer::Packs, Writer::VersionBefore], ..duplicate })
        }
        Mutant::PackPutWithoutCondition => (acknowledged_copy, chunk),
        Mutant::ReplayOnlySettles => (acknowledged_copy, Packs { records_for_version_before: 1, ..chunk }),
        Mutant::PackIdIsClaimId => (copy, chunk),
        Mutant::ReplacedClaimNotSettled => (copy, Packs { settle_extra: 1, pack_extra: 2, ..expiry }),
        Mutant::UnknownOutcomeListed => ("a pack lists only claims that the table has stored", chunk),
        Mutant::CachedBeforeSettling => ("the cache holds only settled claims", chunk),
        Mutant::CachedPastTtl => {
            ("a message is judged only by a claim that has not expired", Packs { messages: &[A, A], ..expiry })
        }
        Mutant::LineOfOtherBody => ("a line has the body of its claim", Packs { last_second: 1, ..conflict }),
        Mutant::DuplicateClosesEarly => (full_packs, Packs { messages: &[A, B, A], faults: 0, ..chunk }),
        Mutant::YoungClaimReplayed => (full_packs, Packs { replays: 1, faults: 0, ..chunk }),
        Mutant::OwnMessageWaits => ("a winner is received again at most once for each fault", chunk),
        Mutant::FollowerIdIgnored => ("a winner is received again at most once for each fault", duplicate),
        Mutant::CloseByIgnored => {
            ("without a fault, no message fails after close_by", Packs { last_second: 1, ..duplicate })
        }
        Mutant::LastReceiveFails => {
            ("a message becomes a dead letter only after a fault", Packs { faults: 0, ..duplicate })
        }
        Mutant::NoIfNoneMatch => ("an object never changes", chunk),
    }
}

/// For each mutant, the checker finds a state that violates the expected property. The test prints the steps to that
/// state.
#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let (property, protocol) = violated_by(mutant);
        find_violation(&mutant, &protocol, property);
    }
}

/// The properties hold in each configuration of [`violated_by`] without its mutant. So the mutant causes the violation.
#[test]
#[ignore = "600,000 states take ten seconds"]
fn configurations_of_mutants_hold() {
    for mutant in Mutant::ALL {
        let (_, protocol) = violated_by(mutant);
        check_every_state(&format!("without {mutant:?}"), Packs { mutant: None, ..protocol });
    }
}

/// The mutant `OldClaimLookedUpInObject` can also give a claim two copies. The mutant looks for an old claim in the
/// object of the pack that the claim names. If the stream record of that pack was lost, the object does not exist. The
/// lookup then misses the copy in the object of the claim's own pack.
#[test]
#[ignore = "the search takes about a minute"]
fn lookup_in_object_also_doubles() {
    let mutant = Mutant::OldClaimLookedUpInObject;
    let protocol = Packs {
        max_receives: 1,
        redrives: 2,
        window: 0,
        last_second: 2,
        pack_extra: 1,
        settle_extra: 0,
        records_for_version_before: 1,
        situations: &[],
        mutant: Some(mutant),
        ..CHUNK
    };
    find_violation(&mutant, &protocol, "a claim has at most one copy in the data lake");
}

/// Almost everything at once: six messages of three events, expiry, skewed clocks, redrives and replays.
const EVERYTHING: Packs = Packs {
    messages: &[A, B, C, A, A_CONFLICT, B],
    batched: true,
    max_receives: 2,
    redrives: 1,
    window: 0,
    pack_extra: 3,
    skew: 1,
    last_second: 8,
    faults: 8,
    replays: 3,
    situations: &[],
    ..CHUNK
};

/// Follows random paths through the model, and checks the properties in every state. The same seeds give the same
/// paths.
fn walk(name: &str, protocol: &Packs, seeds: Range<u64>) {
    let started = Instant::now();
    let mut properties = protocol.properties();
    properties.retain(|property| property.expectation == Expectation::Always);
    let mut steps = 0;
    for seed in seeds.clone() {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut path = Vec::new();
        let mut state = protocol.init_states().remove(0);
        while !state.finished {
            let action = choose(&mut random, protocol, &state);
            let next = protocol.next_state(&state, action.clone()).expect("an enabled action leads to a state");
            path.push((state, action));
            state = next;
            if let Some(property) = properties.iter().find(|property| !(property.condition)(protocol, &state)) {
                let steps = path.iter().filter_map(|(state, action)| protocol.format_step(state, action.clone()));
                let steps: Vec<String> = steps.collect();
                panic!("{name}, seed {seed}: \"{}\" is violated by\n{}", property.name, steps.join("\n"));
            }
        }
        steps += path.len();
    }
    println!("{name}: {} walks, {steps} steps, {:.1} s", seeds.count(), started.elapsed().as_secs_f64());
}

/// Chooses the next action. Faults and ticks have fixed probabilities, because most paths would otherwise spend their
/// faults in their first steps, or end before claims expire.
fn choose(random: &mut fastrand::Rng, protocol: &Packs, state: &State) -> Action {
    let mut actions = Vec::new();
    protocol.actions(state, &mut actions);
    let (faults, others): (Vec<Action>, Vec<Action>) = actions.into_iter().partition(Action::is_fault);
    let is_fault = others.is_empty() || !faults.is_empty() && random.u8(..8) == 0;
    let choices = if is_fault { faults } else { others };
    if choices.contains(&Action::Tick) && random.u8(..8) == 0 {
        return Action::Tick;
    }
    choices[random.usize(..choices.len())].clone()
}

fn walk_everywhere(seeds: &Range<u64>) {
    walk("expiry, redrives and replays", &EVERYTHING, seeds.clone());
    let layouts = Packs { writers: [Writer::Packs, Writer::Objects], ..EVERYTHING };
    walk("the same in both layouts", &layouts, seeds.clone());
    walk("the same with a restore", &Packs { restores: true, ..EVERYTHING }, seeds.clone());
    // A roll-back of `archive-fn` loses pack records, and `replay` must run before TTL deletes the pack items. So
    // claims do not expire in these walks.
    let writers = [Writer::Packs, Writer::VersionBefore];
    let before = Packs { writers, records_for_version_before: 3, window: 9, last_second: 3, ..EVERYTHING };
    walk("both functions of the version before", &before, seeds.clone());
}

/// The properties hold in every state of seeded random walks.
#[test]
fn properties_hold_on_random_walks() {
    walk_everywhere(&(0..4_000));
}

/// The properties hold in every state of many more random walks.
#[test]
#[ignore = "six million steps take a minute"]
fn properties_hold_on_many_random_walks() {
    walk_everywhere(&(0..50_000));
}
