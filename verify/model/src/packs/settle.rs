//! Settling: how `ingest-fn` and `replay` find the pack that contains a claim's line, or put such a pack.

use super::mutant::Mutant;
use super::protocol::Packs;
use super::state::{Claim, Line, Pack, PackId, Receive, Request, Step, Task, Work};
use super::table::Answer;

/// Returns the pack that a packed claim names. Under the mutant [`Mutant::ObjectClaimSettled`], a claim with the layout
/// `object` counts as naming its own pack.
pub(crate) fn pack_of(protocol: &Packs, claim: Claim) -> PackId {
    claim.pack.unwrap_or_else(|| protocol.own_pack(claim.id))
}

/// Builds a pack item with the lines of these claims. `settled_by` is the message whose batch puts the pack.
pub(crate) fn build_pack(protocol: &Packs, id: PackId, claims: &[Claim], settled_by: Option<Receive>) -> Pack {
    let body_of = |claim: Claim| match settled_by {
        Some(message) if protocol.has(Mutant::LineOfOtherBody) => protocol.body(message),
        _ => protocol.body(claim.id),
    };
    let lines = claims.iter().map(|claim| Line { claim: claim.id, body: body_of(*claim) }).collect();
    let extra = if protocol.has(Mutant::PackExpiresWithClaims) { 0 } else { protocol.pack_extra };
    let ttl = claims.iter().map(|claim| protocol.ttl(*claim)).max().expect("a pack has at least one claim") + extra;
    Pack { id, lines, ttl }
}

/// Returns the next request that settles these tasks. A request that closes a pack lists every claim of the pack whose
/// step is `Close`. `leader` is the first message of the batch.
pub(crate) fn next_request(protocol: &Packs, tasks: &[Task], leader: Option<Receive>) -> Option<Request> {
    let find = |step: Step| tasks.iter().find(|task| task.step == step).map(|task| task.claim);
    if let Some(claim) = find(Step::Read) {
        return Some(Request::ReadPack(pack_of(protocol, claim)));
    }
    if let Some(claim) = find(Step::Close) {
        let id = pack_of(protocol, claim);
        let together = tasks.iter().filter(|task| task.step == Step::Close && pack_of(protocol, task.claim) == id);
        let claims: Vec<Claim> = together.map(|task| task.claim).collect();
        return Some(Request::PutPack(build_pack(protocol, id, &claims, leader)));
    }
    let claim = find(Step::PutOwn)?;
    Some(Request::PutPack(build_pack(protocol, protocol.own_pack(claim.id), &[claim], leader)))
}

/// Returns the next step of `task` after the answer to a request about it. `may_wait` is true for a duplicate: someone
/// else may be about to close the pack.
pub(crate) fn after_answer(protocol: &Packs, task: Task, answer: &Answer, may_wait: bool) -> Step {
    let lists = |pack: &Pack| pack.lists(task.claim.id);
    match (task.step, answer) {
        (Step::Read | Step::Wait, Answer::Pack(Some(pack))) => {
            if lists(pack) {
                Step::Settled
            } else {
                Step::PutOwn
            }
        }
        (Step::Read | Step::Wait, Answer::Pack(None)) => match protocol.mutant {
            Some(Mutant::OwnPackWithoutClosing) => Step::PutOwn,
            _ if may_wait => Step::Wait,
            _ => Step::Close,
        },
        (Step::Close, Answer::PackExists(pack)) => {
            if lists(pack) && !protocol.has(Mutant::FailedConditionIsNotListed) {
                Step::Settled
            } else {
                Step::PutOwn
            }
        }
        (Step::Won, Answer::PackExists(pack)) => match protocol.mutant {
            Some(Mutant::WinnerIgnoresPack) => Step::Settled,
            Some(Mutant::StaleReadDecides) => Step::PutOwn,
            _ if lists(pack) => Step::Settled,
            _ => Step::PutOwn,
        },
        (Step::PutOwn, Answer::PackExists(pack)) => {
            if lists(pack) || protocol.has(Mutant::OwnPackNotChecked) {
                Step::Settled
            } else {
                Step::Failed
            }
        }
        (Step::Won | Step::Close | Step::PutOwn, Answer::PackWritten) => Step::Settled,
        (step, answer) => unreachable!("{answer:?} is not an answer in {step:?}"),
    }
}

/// Returns true if the answer to `request` decides the next step of this task.
pub(crate) fn is_about(protocol: &Packs, task: &Task, request: &Request) -> bool {
    match (task.step, request) {
        (Step::Read | Step::Wait, Request::ReadPack(id)) => pack_of(protocol, task.claim) == *id,
        (Step::Won | Step::Close, Request::PutPack(pack)) => {
            task.claim.pack == Some(pack.id) || pack.lists(task.claim.id)
        }
        (Step::PutOwn, Request::PutPack(pack)) => protocol.own_pack(task.claim.id) == pack.id,
        _ => false,
    }
}

/// Returns true if the batch need not wait for someone else to close the pack of a duplicate's claim: a message of the
/// group made the claim, the claim's `close_by` has passed, or a message of the group has its last receive.
pub(crate) fn may_close(protocol: &Packs, receives: &[Receive], claim: Claim, now: u8) -> bool {
    let is_own = |receive: &Receive| protocol.message_id(*receive) == protocol.message_id(claim.id);
    let is_own_message = match protocol.mutant {
        Some(Mutant::OwnMessageWaits) => false,
        Some(Mutant::FollowerIdIgnored) => is_own(&receives[0]),
        _ => receives.iter().any(is_own),
    };
    let is_late = now > protocol.close_by(claim) && !protocol.has(Mutant::CloseByIgnored);
    let is_last = receives.iter().any(|receive| protocol.is_last_receive(receive.number))
        && !protocol.has(Mutant::LastReceiveFails);
    is_own_message || is_late || is_last || protocol.has(Mutant::DuplicateClosesEarly)
}

impl Work {
    /// Returns the sandbox's next request. Claims come first, then the close of the chunk's pack, then settling.
    pub(crate) fn next_request(&self, protocol: &Packs, pack_exists: impl Fn(PackId) -> bool) -> Option<Request> {
        for group in &self.groups {
            if let Step::Claim { is_insert } = group.task.step {
                return Some(Request::Claim { claim: group.task.claim, is_insert });
            }
        }
        let leader = self.groups[0].receives[0];
        let won: Vec<Claim> = self.tasks().filter(|task| task.step == Step::Won).map(|task| task.claim).collect();
        if !won.is_empty() {
            return Some(Request::PutPack(build_pack(protocol, self.pack, &won, None)));
        }
        let tasks: Vec<Task> = self.tasks().copied().collect();
        next_request(protocol, &tasks, Some(leader)).or_else(|| {
            let ids = tasks.iter().filter(|task| task.step == Step::Wait).map(|task| pack_of(protocol, task.claim));
            ids.into_iter().find(|id| pack_exists(*id)).map(Request::ReadPack)
        })
    }
}
