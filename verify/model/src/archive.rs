//! `archive-fn`, the stream's mapping before it, and the lake behind it.

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::state::{Archived, Claim, Record, State};

pub(crate) fn begin(protocol: &Protocol, state: &mut State, records: usize) {
    let records = &state.stream[state.checkpoint..state.checkpoint + records];
    let skipped = |record: &Record| protocol.has(Mutant::InsertOnly) && record.is_modify;
    let begun = |record| if skipped(record) { Archived::Done } else { Archived::Pending };
    state.archiving = Some(records.iter().map(begun).collect());
}

pub(crate) fn object_answered(protocol: &Protocol, state: &mut State, record: usize) {
    put_object(protocol, state, archived_claim(state, record));
    end(state, record, Archived::Done);
}

pub(crate) fn object_answer_lost(protocol: &Protocol, state: &mut State, record: usize) {
    put_object(protocol, state, archived_claim(state, record));
    end(state, record, Archived::Failed);
}

pub(crate) fn object_refused(protocol: &Protocol, state: &mut State, record: usize, conflict: bool) {
    let done = conflict && protocol.has(Mutant::ConflictIsAlreadyThere);
    end(state, record, if done { Archived::Done } else { Archived::Failed });
}

pub(crate) fn object_timed_out(state: &mut State, record: usize) {
    let claim = archived_claim(state, record);
    state.late_object_requests.push(claim);
    state.late_object_requests.sort_unstable();
    end(state, record, Archived::Failed);
}

pub(crate) fn object_arrives_late(protocol: &Protocol, state: &mut State, claim: Claim) {
    state.take_late_object_request(claim);
    put_object(protocol, state, claim);
}

pub(crate) fn respond(protocol: &Protocol, state: &mut State) {
    let records = state.archiving.take().expect("only what is being archived is responded to");
    let mut failed = (0..records.len()).filter(|record| records[*record] == Archived::Failed);
    let at_the_highest = protocol.has(Mutant::CheckpointAtTheHighestFailure);
    let restart = if at_the_highest { failed.next_back() } else { failed.next() };
    state.checkpoint += restart.unwrap_or(records.len());
}

fn archived_claim(state: &State, record: usize) -> Claim {
    state.stream[state.checkpoint + record].claim
}

fn end(state: &mut State, record: usize, how: Archived) {
    state.archiving.as_mut().expect("only what is being archived ends")[record] = how;
}

fn put_object(protocol: &Protocol, state: &mut State, claim: Claim) {
    match state.lake.iter_mut().find(|(key, _)| *key == claim) {
        Some((_, versions)) => *versions += u8::from(protocol.has(Mutant::NoIfNoneMatch)),
        None => {
            state.lake.push((claim, 1));
            state.lake.sort_unstable();
        }
    }
}
