//! The actions of `archive-fn`, and of the data lake in S3.

use super::mutant::Mutant;
use super::protocol::Packs;
use super::state::{Claim, Line, Object, ObjectKey, Record, State, insert_sorted};

/// Archives the next record. The stream mapping delivers the record once more if `again` is true.
pub(crate) fn archive(protocol: &Packs, state: &mut State, again: bool) {
    let record = state.stream[0].clone();
    if !again {
        state.stream.remove(0);
    }
    match record {
        Record::Claim(claim) if claim.pack.is_some() && !protocol.has(Mutant::PackedClaimArchived) => {}
        Record::Claim(claim) => put_claim_object(protocol, state, claim),
        Record::Pack(pack) => put_object(protocol, state, ObjectKey::Pack(pack.id), pack.lines),
    }
}

/// Archives every record.
pub(crate) fn archive_all(protocol: &Packs, state: &mut State) {
    while !state.stream.is_empty() {
        archive(protocol, state, false);
    }
}

/// Processes the next record as a version without support for packs. This version skips pack records, and quarantines a
/// packed claim, because it finds no body in the item.
pub(crate) fn archive_by_version_before(protocol: &Packs, state: &mut State) {
    state.records_for_version_before -= 1;
    if let Record::Claim(claim) = state.stream.remove(0)
        && (claim.pack.is_none() || protocol.has(Mutant::VersionBeforeArchivesPackedClaim))
    {
        put_claim_object(protocol, state, claim);
    }
}

fn put_claim_object(protocol: &Packs, state: &mut State, claim: Claim) {
    let lines = vec![Line { claim: claim.id, body: protocol.body(claim.id) }];
    put_object(protocol, state, ObjectKey::Claim(claim.id), lines);
}

/// Puts an object with `If-None-Match`: an existing object stays.
pub(crate) fn put_object(protocol: &Packs, state: &mut State, key: ObjectKey, lines: Vec<Line>) {
    match state.lake.iter_mut().find(|object| object.key == key) {
        Some(object) if protocol.has(Mutant::NoIfNoneMatch) => {
            object.lines = lines;
            state.notes.object_replaced = true;
        }
        Some(_) => {}
        None => insert_sorted(&mut state.lake, Object { key, lines }),
    }
}
