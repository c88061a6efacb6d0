//! The actions of `ops replay`.

use super::mutant::Mutant;
use super::protocol::Packs;
use super::state::{Claim, Object, ObjectKey, Pack, State, Step, Task, insert_sorted};
use super::table::{self, Answer};
use super::{archive, settle};

/// Returns true if `replay` may settle this claim now.
pub(crate) fn may_replay(protocol: &Packs, state: &State, claim: Claim) -> bool {
    let now = state.second;
    let is_young = now <= protocol.close_by(claim) && !protocol.has(Mutant::YoungClaimReplayed);
    claim.pack.is_some() && !is_young && !is_too_old(protocol, claim, now)
}

fn is_too_old(protocol: &Packs, claim: Claim, now: u8) -> bool {
    let replays_old = matches!(protocol.mutant, Some(Mutant::OldClaimReplayed | Mutant::OldClaimLookedUpInObject));
    !protocol.may_settle(claim, now) && !replays_old
}

/// Returns the first step in which `replay` settles a claim.
fn first_step(protocol: &Packs, state: &State, claim: Claim) -> Step {
    if !protocol.has(Mutant::OldClaimLookedUpInObject) || protocol.may_settle(claim, state.second) {
        return Step::Read;
    }
    match state.object(ObjectKey::Pack(settle::pack_of(protocol, claim))) {
        Some(object) if object.lines.iter().any(|line| line.claim == claim.id) => Step::Settled,
        Some(_) => Step::PutOwn,
        None => Step::Read,
    }
}

pub(crate) fn begin(protocol: &Packs, state: &mut State, event: usize) {
    let claim = state.claims[event].expect("only an existing claim is replayed");
    state.replays_left -= 1;
    let step = first_step(protocol, state, claim);
    state.replay = (step != Step::Settled).then_some(Task { claim, step });
}

pub(crate) fn deliver(protocol: &Packs, state: &mut State, answer: &Answer) {
    let task = state.replay.expect("replay is running");
    let step = settle::after_answer(protocol, task, answer, false);
    state.replay = match step {
        Step::Settled | Step::Failed => None,
        step => Some(Task { step, ..task }),
    };
}

/// Runs `replay` while nothing else runs. It settles every claim that is not too old, and then writes the missing
/// objects.
pub(crate) fn finish(protocol: &Packs, state: &mut State) {
    for event in 0..state.claims.len() {
        let Some(claim) = state.claims[event].filter(|claim| claim.pack.is_some()) else { continue };
        if is_too_old(protocol, claim, state.second) {
            state.note_if_unsettled(claim);
            continue;
        }
        let mut task = Task { claim, step: first_step(protocol, state, claim) };
        while !matches!(task.step, Step::Settled | Step::Failed) {
            let request = settle::next_request(protocol, &[task], None).expect("an unsettled claim has a request");
            let answer = table::execute(protocol, state, &request);
            task.step = settle::after_answer(protocol, task, &answer, false);
        }
    }
    archive::archive_all(protocol, state);
    if !protocol.has(Mutant::ReplayOnlySettles) {
        for pack in state.packs.clone() {
            archive::put_object(protocol, state, ObjectKey::Pack(pack.id), pack.lines);
        }
    }
    state.finished = true;
}

/// Writes the pack item of every object whose item is missing.
pub(crate) fn rebuild_packs(protocol: &Packs, state: &mut State) {
    for Object { key, lines } in state.lake.clone() {
        let ObjectKey::Pack(id) = key else { continue };
        if state.pack(id).is_none() {
            let ttl = state.second + protocol.window + protocol.pack_extra;
            insert_sorted(&mut state.packs, Pack { id, lines, ttl });
        }
    }
}
