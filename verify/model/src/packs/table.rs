//! The table: it executes requests, and TTL deletes expired items.

use super::mutant::Mutant;
use super::protocol::Packs;
use super::state::{Claim, Pack, PackId, Record, Request, State, insert_sorted};
use super::{archive, replay};

/// The table's answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This request or an earlier attempt wrote the claim. `replaced` is the expired claim that this request replaced.
    Won { replaced: Option<Claim> },
    /// Another claim holds the event.
    Held(Claim),
    /// The event has an item, so the insert was refused.
    InsertRefused,
    /// The pack item, or `None` if it does not exist.
    Pack(Option<Pack>),
    /// The pack item was written.
    PackWritten,
    /// A pack item with this id already existed, so the put failed.
    PackExists(Pack),
}

pub(crate) fn execute(protocol: &Packs, state: &mut State, request: &Request) -> Answer {
    match request {
        Request::Claim { claim, is_insert } => write_claim(protocol, state, *claim, *is_insert),
        Request::ReadPack(id) => Answer::Pack(state.pack(*id).cloned()),
        Request::PutPack(pack) => put_pack(protocol, state, pack),
    }
}

fn write_claim(protocol: &Packs, state: &mut State, claim: Claim, is_insert: bool) -> Answer {
    let event = protocol.event(claim.id);
    let old = state.claims[event];
    if let Some(old) = old {
        if is_insert {
            return Answer::InsertRefused;
        }
        if old == claim {
            return Answer::Won { replaced: None };
        }
        if protocol.ttl(old) >= claim.at {
            return Answer::Held(old);
        }
    }
    let holds_event =
        |earlier: &&Claim| protocol.event(earlier.id) == event && protocol.ttl(**earlier) >= protocol.ttl_clock(state);
    state.notes.claimed_within_window |= !state.restored && state.written.iter().any(|earlier| holds_event(&earlier));
    state.claims[event] = Some(claim);
    insert_sorted(&mut state.written, claim);
    // The stream mapping's filter drops packed claims. The filter of the version before packs passes them.
    let is_filtered =
        claim.pack.is_some() && protocol.records_for_version_before == 0 && !protocol.has(Mutant::PackedClaimArchived);
    if !is_filtered {
        insert_sorted(&mut state.stream, Record::Claim(claim));
    }
    Answer::Won { replaced: old }
}

fn put_pack(protocol: &Packs, state: &mut State, pack: &Pack) -> Answer {
    if let Some(existing) = state.pack(pack.id) {
        if !protocol.has(Mutant::PackPutWithoutCondition) {
            return Answer::PackExists(existing.clone());
        }
        state.packs.retain(|existing| existing.id != pack.id);
    }
    insert_sorted(&mut state.packs, pack.clone());
    insert_sorted(&mut state.stream, Record::Pack(pack.clone()));
    Answer::PackWritten
}

pub(crate) fn arrive_late(protocol: &Packs, state: &mut State, request: &Request, sent: u8) {
    let late = (request.clone(), sent);
    let position = state.late.iter().position(|other| *other == late).expect("only a request on its way arrives");
    state.late.remove(position);
    execute_unanswered(protocol, state, request);
}

/// Executes a request whose sender does not receive the answer. So the sender cannot settle the claim that the request
/// replaced.
pub(crate) fn execute_unanswered(protocol: &Packs, state: &mut State, request: &Request) {
    if let Answer::Won { replaced: Some(old) } = execute(protocol, state, request) {
        state.note_if_unsettled(old);
    }
}

pub(crate) fn delete_claim(state: &mut State, event: usize) {
    let claim = state.claims[event].take().expect("only an existing claim is deleted");
    state.note_if_unsettled(claim);
}

pub(crate) fn delete_pack(state: &mut State, id: PackId) {
    state.packs.retain(|pack| pack.id != id);
}

/// Archives everything in the stream, restores the table from the backup, and lets `replay` rebuild each missing pack
/// item from its object.
pub(crate) fn restore(protocol: &Packs, state: &mut State) {
    if !protocol.has(Mutant::RestoreBeforeArchiving) {
        archive::archive_all(protocol, state);
    }
    let (claims, packs) = state.backup.clone().expect("only an existing backup is restored");
    let replaced = std::mem::replace(&mut state.claims, claims);
    state.packs = packs;
    state.restored = true;
    for claim in replaced.into_iter().flatten() {
        if !state.claims.contains(&Some(claim)) {
            state.note_if_unsettled(claim);
        }
    }
    if !protocol.has(Mutant::RestoreWithoutRebuild) {
        replay::rebuild_packs(protocol, state);
    }
}
