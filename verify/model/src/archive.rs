//! The actions of `archive-fn`, of the stream mapping that invokes it, and of the data lake in S3.

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::state::{Claim, Record, RecordState, State};

pub(crate) fn begin(protocol: &Protocol, state: &mut State, records: usize) {
    let records = &state.stream[state.checkpoint..state.checkpoint + records];
    let is_skipped = |record: &Record| protocol.has(Mutant::InsertOnly) && record.is_modify;
    let initial = |record| if is_skipped(record) { RecordState::Done } else { RecordState::Pending };
    state.archiving = Some(records.iter().map(initial).collect());
}

pub(crate) fn object_answered(protocol: &Protocol, state: &mut State, record: usize) {
    put_object(protocol, state, archived_claim(state, record));
    finish(state, record, RecordState::Done);
}

pub(crate) fn object_answer_lost(protocol: &Protocol, state: &mut State, record: usize) {
    put_object(protocol, state, archived_claim(state, record));
    finish(state, record, RecordState::Failed);
}

pub(crate) fn object_refused(protocol: &Protocol, state: &mut State, record: usize, conflict: bool) {
    let done = conflict && protocol.has(Mutant::ConflictIsAlreadyThere);
    finish(state, record, if done { RecordState::Done } else { RecordState::Failed });
}

pub(crate) fn object_timed_out(state: &mut State, record: usize) {
    let claim = archived_claim(state, record);
    state.late_object_requests.push(claim);
    state.late_object_requests.sort_unstable();
    finish(state, record, RecordState::Failed);
}

pub(crate) fn object_arrives_late(protocol: &Protocol, state: &mut State, claim: Claim) {
    state.take_late_object_request(claim);
    put_object(protocol, state, claim);
}

pub(crate) fn respond(protocol: &Protocol, state: &mut State) {
    let records = state.archiving.take().expect("only an invocation in progress responds");
    let mut failed = (0..records.len()).filter(|record| records[*record] == RecordState::Failed);
    let at_highest = protocol.has(Mutant::CheckpointAtHighestFailure);
    let restart = if at_highest { failed.next_back() } else { failed.next() };
    state.checkpoint += restart.unwrap_or(records.len());
}

fn archived_claim(state: &State, record: usize) -> Claim {
    state.stream[state.checkpoint + record].claim
}

fn finish(state: &mut State, record: usize, outcome: RecordState) {
    state.archiving.as_mut().expect("only an invocation in progress finishes records")[record] = outcome;
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
