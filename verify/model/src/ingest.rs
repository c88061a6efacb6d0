//! The actions of `ingest-fn`, of the table that executes its claim requests, and of the queue.

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::state::{Claim, ClaimRequest, Message, Place, Record, State, Step, Work};

/// Maximum number of times that the SDK retries a claim request.
const RETRIES: u8 = 1;

pub(crate) fn receive(protocol: &Protocol, state: &mut State, sandbox: usize, batch: Vec<u8>) {
    for &message in &batch {
        let message = &mut state.messages[usize::from(message)];
        message.receives += 1;
        message.place = Place::InFlight(sandbox);
    }
    let at = protocol.clock(state, sandbox);
    let is_valid = |claim: &Claim| protocol.ttl(*claim) >= at || protocol.has(Mutant::CachedPastTtl);
    if let Some(claim) = state.sandboxes[sandbox].cache.filter(is_valid) {
        state.sandboxes[sandbox].work = Some(Work { batch, at, claim, step: Step::Confirmed });
        return;
    }
    let message = batch[0];
    let claim = Claim { message, receive: state.messages[usize::from(message)].receives, retry: 0, at };
    let is_acknowledged_early = protocol.has(Mutant::AcknowledgedBeforeWrite);
    let is_insert = protocol.batched;
    let step =
        if is_acknowledged_early { Step::Confirmed } else { Step::AwaitingAnswer { retries_left: RETRIES, is_insert } };
    state.sandboxes[sandbox].work = Some(Work { batch, at, claim, step });
    if protocol.has(Mutant::CachedBeforeConfirmation) {
        state.sandboxes[sandbox].cache = Some(claim);
    }
    send(state, ClaimRequest { claim, is_insert });
}

fn send(state: &mut State, request: ClaimRequest) {
    state.claim_requests.push(request);
    state.claim_requests.sort_unstable();
}

pub(crate) fn claim_answered(protocol: &Protocol, state: &mut State, request: ClaimRequest) {
    match write_claim(protocol, state, request) {
        Some(confirmed) => deliver_answer(state, request, confirmed),
        None => refuse_insert(protocol, state, request),
    }
}

pub(crate) fn claim_answer_lost(protocol: &Protocol, state: &mut State, request: ClaimRequest) {
    write_claim(protocol, state, request);
    mark_unanswered(state, request);
}

pub(crate) fn claim_request_lost(state: &mut State, request: ClaimRequest) {
    state.take_claim_request(request);
    mark_unanswered(state, request);
}

pub(crate) fn attempt_timed_out(state: &mut State, sandbox: usize) {
    let work = work_mut(state, sandbox);
    let Step::AwaitingAnswer { is_insert, .. } = work.step else {
        unreachable!("only a sandbox that waits for an answer times out")
    };
    let request = ClaimRequest { claim: work.claim, is_insert };
    mark_unanswered(state, request);
}

pub(crate) fn stop_retrying(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let unknown_is_duplicate = protocol.has(Mutant::UnknownIsDuplicate);
    let work = work_mut(state, sandbox);
    match work.step {
        Step::Unanswered { is_insert: true, .. } => send_put(protocol, state, sandbox),
        _ => work.step = if unknown_is_duplicate { Step::Confirmed } else { Step::Failed },
    }
}

pub(crate) fn reach_deadline(state: &mut State, sandbox: usize) {
    work_mut(state, sandbox).step = Step::Failed;
}

pub(crate) fn kill(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let killed = std::mem::take(&mut state.sandboxes[sandbox]);
    for message in killed.work.into_iter().flat_map(|work| work.batch) {
        retry_message(protocol, state, message, sandbox);
    }
}

pub(crate) fn become_visible(protocol: &Protocol, state: &mut State, message: u8) {
    let message = &mut state.messages[usize::from(message)];
    message.place = redeliver_or_dead_letter(protocol, *message);
}

pub(crate) fn retry(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let has_fresh_id = protocol.has(Mutant::FreshClaimIdOnRetry);
    let work = work_mut(state, sandbox);
    let Step::Unanswered { retries_left, is_insert } = work.step else {
        unreachable!("only an unanswered request is retried")
    };
    work.step = Step::AwaitingAnswer { retries_left: retries_left - 1, is_insert };
    work.claim.retry += u8::from(has_fresh_id);
    let request = ClaimRequest { claim: work.claim, is_insert };
    send(state, request);
}

/// Sends the conditional put of a claim whose insert was refused or has an unknown outcome.
fn send_put(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let has_fresh_id = protocol.has(Mutant::FreshClaimIdAfterInsert);
    let work = work_mut(state, sandbox);
    work.step = Step::AwaitingAnswer { retries_left: RETRIES, is_insert: false };
    work.claim.retry += u8::from(has_fresh_id);
    let request = ClaimRequest { claim: work.claim, is_insert: false };
    send(state, request);
}

/// Executes a claim request in the table. Returns the claim in the table after the request. If an insert is refused,
/// returns `None`, because the answer to a refused insert does not contain the claim.
fn write_claim(protocol: &Protocol, state: &mut State, request: ClaimRequest) -> Option<Claim> {
    state.take_claim_request(request);
    let ClaimRequest { claim, is_insert } = request;
    if is_insert && state.table.is_some() {
        return None;
    }
    let written = state.second;
    let may_replace = |old: Claim| match protocol.mutant {
        Some(Mutant::NoCondition) => true,
        Some(Mutant::NoExpiryInCondition) => false,
        _ => protocol.ttl(old) < claim.at,
    };
    match state.table {
        Some(old) if !may_replace(old) => Some(old),
        old => {
            state.table = Some(claim);
            state.stream.push(Record { claim, is_modify: old.is_some(), written });
            Some(claim)
        }
    }
}

/// Answers `request`. Each sandbox that waits for this answer learns that the claim `confirmed` holds the event, and
/// caches that claim.
fn deliver_answer(state: &mut State, request: ClaimRequest, confirmed: Claim) {
    for sandbox in &mut state.sandboxes {
        if let Some(work) = sandbox.work.as_mut().filter(|work| work.awaits(request)) {
            work.claim = confirmed;
            work.step = Step::Confirmed;
            sandbox.cache = Some(confirmed);
        }
    }
}

/// Answers an insert with `DuplicateItem`. The sandboxes that wait for this answer then send a put.
fn refuse_insert(protocol: &Protocol, state: &mut State, request: ClaimRequest) {
    if protocol.has(Mutant::DuplicateItemIsOwn) {
        return deliver_answer(state, request, request.claim);
    }
    for sandbox in 0..state.sandboxes.len() {
        if state.sandboxes[sandbox].work.as_ref().is_some_and(|work| work.awaits(request)) {
            send_put(protocol, state, sandbox);
        }
    }
}

/// Marks the attempt as unanswered in each sandbox that waits for the answer to `request`.
fn mark_unanswered(state: &mut State, request: ClaimRequest) {
    for sandbox in &mut state.sandboxes {
        if let Some(work) = sandbox.work.as_mut().filter(|work| work.awaits(request))
            && let Step::AwaitingAnswer { retries_left, is_insert } = work.step
        {
            work.step = Step::Unanswered { retries_left, is_insert };
        }
    }
}

pub(crate) fn respond(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let work = state.sandboxes[sandbox].work.take().expect("only a sandbox with a batch responds");
    let leader = work.batch[0];
    for (position, &message) in work.batch.iter().enumerate() {
        let is_follower = position > 0;
        let acknowledged =
            work.step == Step::Confirmed || is_follower && protocol.has(Mutant::FollowersOfFailedLeaderAcknowledged);
        if acknowledged {
            let by_leader = is_follower && protocol.has(Mutant::FollowersJudgedByLeader);
            let judge = if by_leader { leader } else { work.claim.message };
            let is_duplicate = protocol.have_same_body(message, judge);
            let place = &mut state.messages[usize::from(message)].place;
            // In the model, an old receipt handle still deletes its message, unless the message has left the queue.
            if matches!(place, Place::Visible | Place::InFlight(_)) {
                *place = Place::Acknowledged { by: work.claim, is_duplicate };
            }
        } else {
            retry_message(protocol, state, message, sandbox);
        }
    }
}

/// Moves an unacknowledged message back to the queue or, after the message's last receive, to the dead-letter queue. Does
/// nothing if the message is no longer in flight in this sandbox.
fn retry_message(protocol: &Protocol, state: &mut State, message: u8, sandbox: usize) {
    let message = &mut state.messages[usize::from(message)];
    if message.place == Place::InFlight(sandbox) {
        message.place = redeliver_or_dead_letter(protocol, *message);
    }
}

fn redeliver_or_dead_letter(protocol: &Protocol, message: Message) -> Place {
    if message.receives < protocol.max_receives { Place::Visible } else { Place::DeadLetter }
}

fn work_mut(state: &mut State, sandbox: usize) -> &mut Work {
    state.sandboxes[sandbox].work.as_mut().expect("the sandbox has a batch")
}
