//! `ingest-fn`, its requests to the table, and the queue before it.

use crate::mutant::Mutant;
use crate::protocol::Protocol;
use crate::state::{Claim, ClaimRequest, Message, Place, Record, State, Step, Work};

/// The SDK sends a request again this often.
const RETRIES: u8 = 1;

pub(crate) fn receive(protocol: &Protocol, state: &mut State, sandbox: usize, batch: Vec<u8>) {
    for &message in &batch {
        let message = &mut state.messages[usize::from(message)];
        message.receives += 1;
        message.place = Place::With(sandbox);
    }
    let at = protocol.clock(state, sandbox);
    let holds = |claim: &Claim| protocol.ttl(*claim) >= at || protocol.has(Mutant::CachedBeyondTtl);
    if let Some(claim) = state.sandboxes[sandbox].cache.filter(holds) {
        state.sandboxes[sandbox].work = Some(Work { batch, at, claim, step: Step::Confirmed });
        return;
    }
    let message = batch[0];
    let claim = Claim { message, receive: state.messages[usize::from(message)].receives, retry: 0, at };
    let early = protocol.has(Mutant::AcknowledgedBeforeTheWrite);
    let is_insert = protocol.batched;
    let step = if early { Step::Confirmed } else { Step::Asking { retries_left: RETRIES, is_insert } };
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
        Some(confirmed) => answer(state, request, confirmed),
        None => left_open(protocol, state, request),
    }
}

pub(crate) fn claim_answer_lost(protocol: &Protocol, state: &mut State, request: ClaimRequest) {
    write_claim(protocol, state, request);
    unanswered(state, request);
}

pub(crate) fn claim_request_lost(state: &mut State, request: ClaimRequest) {
    state.take_claim_request(request);
    unanswered(state, request);
}

pub(crate) fn attempt_timed_out(state: &mut State, sandbox: usize) {
    let work = work(state, sandbox);
    let Step::Asking { is_insert, .. } = work.step else { unreachable!("only an attempt times out") };
    let request = ClaimRequest { claim: work.claim, is_insert };
    unanswered(state, request);
}

pub(crate) fn give_up(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let unknown_is_duplicate = protocol.has(Mutant::UnknownIsDuplicate);
    let work = work(state, sandbox);
    match work.step {
        Step::Unanswered { is_insert: true, .. } => put(protocol, state, sandbox),
        _ => work.step = if unknown_is_duplicate { Step::Confirmed } else { Step::Failed },
    }
}

pub(crate) fn out_of_time(state: &mut State, sandbox: usize) {
    work(state, sandbox).step = Step::Failed;
}

pub(crate) fn kill(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let killed = std::mem::take(&mut state.sandboxes[sandbox]);
    for message in killed.work.into_iter().flat_map(|work| work.batch) {
        retry_message(protocol, state, message, sandbox);
    }
}

pub(crate) fn visible_again(protocol: &Protocol, state: &mut State, message: u8) {
    let message = &mut state.messages[usize::from(message)];
    message.place = unless_dead(protocol, *message);
}

pub(crate) fn retry(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let fresh = protocol.has(Mutant::FreshClaimIdOnRetry);
    let work = work(state, sandbox);
    let Step::Unanswered { retries_left, is_insert } = work.step else {
        unreachable!("only what is unanswered is retried")
    };
    work.step = Step::Asking { retries_left: retries_left - 1, is_insert };
    work.claim.retry += u8::from(fresh);
    let request = ClaimRequest { claim: work.claim, is_insert };
    send(state, request);
}

/// After an insert that has left the claim open: the same claim, by the conditional put.
fn put(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let fresh = protocol.has(Mutant::FreshClaimIdAfterInsert);
    let work = work(state, sandbox);
    work.step = Step::Asking { retries_left: RETRIES, is_insert: false };
    work.claim.retry += u8::from(fresh);
    let request = ClaimRequest { claim: work.claim, is_insert: false };
    send(state, request);
}

/// A request reaches the table. Gives the claim that holds: the new one, or the old item that a put is told.
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

/// Whoever waits for this request's answer gets it.
fn answer(state: &mut State, request: ClaimRequest, confirmed: Claim) {
    for sandbox in &mut state.sandboxes {
        if let Some(work) = sandbox.work.as_mut().filter(|work| work.is_asking_for(request)) {
            work.claim = confirmed;
            work.step = Step::Confirmed;
            sandbox.cache = Some(confirmed);
        }
    }
}

/// Whoever waits for this insert's answer is told that there is an item.
fn left_open(protocol: &Protocol, state: &mut State, request: ClaimRequest) {
    if protocol.has(Mutant::DuplicateItemIsOwn) {
        return answer(state, request, request.claim);
    }
    for sandbox in 0..state.sandboxes.len() {
        if state.sandboxes[sandbox].work.as_ref().is_some_and(|work| work.is_asking_for(request)) {
            put(protocol, state, sandbox);
        }
    }
}

/// Whoever waits for this request's answer waits in vain.
fn unanswered(state: &mut State, request: ClaimRequest) {
    for sandbox in &mut state.sandboxes {
        if let Some(work) = sandbox.work.as_mut().filter(|work| work.is_asking_for(request))
            && let Step::Asking { retries_left, is_insert } = work.step
        {
            work.step = Step::Unanswered { retries_left, is_insert };
        }
    }
}

pub(crate) fn respond(protocol: &Protocol, state: &mut State, sandbox: usize) {
    let work = state.sandboxes[sandbox].work.take().expect("only a batch in work is responded to");
    let leader = work.batch[0];
    for (position, &message) in work.batch.iter().enumerate() {
        let follows = position > 0;
        let acknowledged =
            work.step == Step::Confirmed || follows && protocol.has(Mutant::FollowersOfAFailedLeaderAcknowledged);
        if acknowledged {
            let by_leader = follows && protocol.has(Mutant::FollowersJudgedByTheirLeader);
            let says_the_same = protocol.say_the_same(message, if by_leader { leader } else { work.claim.message });
            let place = &mut state.messages[usize::from(message)].place;
            // A receipt handle that has become stale still deletes, unless the message is gone from the queue.
            if matches!(place, Place::Visible | Place::With(_)) {
                *place = Place::Acknowledged { by: work.claim, says_the_same };
            }
        } else {
            retry_message(protocol, state, message, sandbox);
        }
    }
}

/// A message that was not acknowledged by a sandbox, unless somebody else has it by now.
fn retry_message(protocol: &Protocol, state: &mut State, message: u8, sandbox: usize) {
    let message = &mut state.messages[usize::from(message)];
    if message.place == Place::With(sandbox) {
        message.place = unless_dead(protocol, *message);
    }
}

fn unless_dead(protocol: &Protocol, message: Message) -> Place {
    if message.receives < protocol.max_receives { Place::Visible } else { Place::Dead }
}

fn work(state: &mut State, sandbox: usize) -> &mut Work {
    state.sandboxes[sandbox].work.as_mut().expect("only a sandbox at work does this")
}
