//! The actions of `ingest-fn` and of the queue.

use super::action::{Actor, Loss};
use super::mutant::Mutant;
use super::protocol::{Packs, Writer};
use super::state::{Claim, Group, PackId, Place, Receive, Request, State, Step, Task, Work, insert_sorted};
use super::table::{self, Answer};
use super::{replay, settle};

pub(crate) fn receive(protocol: &Packs, state: &mut State, sandbox: usize, batch: &[u8]) {
    let at = protocol.clock(state, sandbox);
    let receives: Vec<Receive> = batch.iter().map(|message| receive_message(state, sandbox, *message)).collect();
    let pack = PackId::Chunk { first: receives[0], retry: 0 };
    let mut groups: Vec<Group> = Vec::new();
    for receive in receives {
        let event = protocol.event(receive);
        match groups.iter_mut().find(|group| protocol.event(group.receives[0]) == event) {
            Some(group) => group.receives.push(receive),
            None => {
                let claim =
                    Claim { id: receive, at, pack: (protocol.writers[sandbox] == Writer::Packs).then_some(pack) };
                let is_valid = |claim: &Claim| protocol.ttl(*claim) >= at || protocol.has(Mutant::CachedPastTtl);
                let task = match state.sandboxes[sandbox].cache[event].filter(is_valid) {
                    Some(cached) => Task { claim: cached, step: Step::Settled },
                    None => Task { claim, step: Step::Claim { is_insert: protocol.batched } },
                };
                groups.push(Group { receives: vec![receive], task, replaced: None });
            }
        }
    }
    state.sandboxes[sandbox].work = Some(Work { at, pack, groups, met_fault: false });
}

fn receive_message(state: &mut State, sandbox: usize, index: u8) -> Receive {
    let message = &mut state.messages[usize::from(index)];
    message.receives += 1;
    message.place = Place::InFlight(sandbox);
    Receive { message: index, number: message.receives }
}

pub(crate) fn next_request(protocol: &Packs, state: &State, actor: Actor) -> Option<Request> {
    match actor {
        Actor::Sandbox(sandbox) => {
            let work = state.sandboxes[sandbox].work.as_ref()?;
            work.next_request(protocol, |id| state.pack(id).is_some())
        }
        Actor::Replay => settle::next_request(protocol, state.replay.as_slice(), None),
    }
}

pub(crate) fn answer(protocol: &Packs, state: &mut State, actor: Actor) {
    let request = next_request(protocol, state, actor).expect("only a sender with a request is answered");
    let answer = table::execute(protocol, state, &request);
    deliver_to(protocol, state, actor, &request, &answer);
}

/// Answers a read as if the table had no such pack item, although it has one.
pub(crate) fn miss_pack(protocol: &Packs, state: &mut State, actor: Actor) {
    let request = next_request(protocol, state, actor).expect("only a sender with a request is answered");
    if let Actor::Sandbox(sandbox) = actor {
        work_mut(state, sandbox).met_fault = true;
    }
    deliver_to(protocol, state, actor, &request, &Answer::Pack(None));
}

fn deliver_to(protocol: &Packs, state: &mut State, actor: Actor, request: &Request, answer: &Answer) {
    match actor {
        Actor::Sandbox(sandbox) => deliver(protocol, state, sandbox, request, answer),
        Actor::Replay => replay::deliver(protocol, state, answer),
    }
}

pub(crate) fn lose(protocol: &Packs, state: &mut State, actor: Actor, loss: Loss) {
    let request = next_request(protocol, state, actor).expect("only a sender with a request loses one");
    match loss {
        Loss::NotExecuted => {}
        Loss::Executed | Loss::ExecutedAndRetried => table::execute_unanswered(protocol, state, &request),
        Loss::Late | Loss::LateAndRetried => {
            let sent = state.second;
            insert_sorted(&mut state.late, (request.clone(), sent));
        }
    }
    let is_retried = matches!(loss, Loss::ExecutedAndRetried | Loss::LateAndRetried);
    match actor {
        Actor::Sandbox(sandbox) => {
            let work = work_mut(state, sandbox);
            work.met_fault = true;
            if is_retried {
                retry(protocol, work);
            } else {
                stop_retrying(protocol, state, sandbox, &request);
            }
        }
        Actor::Replay if is_retried => {}
        Actor::Replay => state.replay = None,
    }
}

fn retry(protocol: &Packs, work: &mut Work) {
    let is_closing = work.tasks().any(|task| task.step == Step::Won);
    if is_closing && protocol.has(Mutant::FreshPackIdOnRetry) {
        let PackId::Chunk { first, retry } = work.pack else { unreachable!("a chunk has a chunk's pack") };
        work.pack = PackId::Chunk { first, retry: retry + 1 };
    }
}

/// Stops retrying a request without an answer. Its outcome is unknown.
fn stop_retrying(protocol: &Packs, state: &mut State, sandbox: usize, request: &Request) {
    let work = work_mut(state, sandbox);
    if let Request::Claim { claim, is_insert } = request {
        let task = work.tasks_mut().find(|task| task.claim == *claim).expect("the claim is in the batch");
        task.step = match is_insert {
            true => Step::Claim { is_insert: false },
            false if claim.pack.is_some() && protocol.has(Mutant::UnknownOutcomeListed) => Step::Won,
            false => Step::Failed,
        };
        return;
    }
    let is_done = protocol.has(Mutant::UnknownCloseIsDone);
    for task in work.tasks_mut().filter(|task| settle::is_about(protocol, task, request)) {
        task.step = if task.step == Step::Won && is_done { Step::Settled } else { Step::Failed };
    }
    let replaced = work.groups.iter().filter_map(|group| group.replaced);
    let abandoned: Vec<Claim> = replaced.filter(|task| task.step == Step::Failed).map(|task| task.claim).collect();
    for claim in abandoned {
        state.note_if_unsettled(claim);
    }
}

/// Delivers the answer to a sandbox. A claim enters the warm cache when it is settled.
fn deliver(protocol: &Packs, state: &mut State, sandbox: usize, request: &Request, answer: &Answer) {
    if let Request::Claim { claim, .. } = request {
        deliver_claim_answer(protocol, state, sandbox, *claim, answer);
    } else {
        for group in &mut work_mut(state, sandbox).groups {
            if settle::is_about(protocol, &group.task, request) {
                group.task.step = settle::after_answer(protocol, group.task, answer, true);
            }
            if let Some(task) = &mut group.replaced
                && settle::is_about(protocol, task, request)
            {
                task.step = settle::after_answer(protocol, *task, answer, false);
            }
        }
    }
    fill_cache(protocol, state, sandbox);
}

fn fill_cache(protocol: &Packs, state: &mut State, sandbox: usize) {
    let is_early = protocol.has(Mutant::CachedBeforeSettling);
    let sandbox = &mut state.sandboxes[sandbox];
    let Some(work) = &sandbox.work else { return };
    for Task { claim, step } in work.groups.iter().map(|group| group.task) {
        if step == Step::Settled || is_early && !matches!(step, Step::Claim { .. } | Step::Failed) {
            sandbox.cache[protocol.event(claim.id)] = Some(claim);
        }
    }
}

fn deliver_claim_answer(protocol: &Packs, state: &mut State, sandbox: usize, claim: Claim, answer: &Answer) {
    let now = protocol.clock(state, sandbox);
    let writer = protocol.writers[sandbox];
    let group = work_mut(state, sandbox).groups.iter_mut().find(|group| group.task.claim == claim);
    let group = group.expect("the claim is in the batch");
    match answer {
        Answer::InsertRefused => group.task.step = Step::Claim { is_insert: false },
        Answer::Held(held) => {
            let leader = group.receives[0];
            group.task = Task { claim: *held, step: step_of_duplicate(protocol, writer, leader, *held) };
        }
        Answer::Won { replaced } => {
            group.task.step = if claim.pack.is_some() { Step::Won } else { Step::Settled };
            let receives = group.receives.clone();
            if let Some(old) = replaced.filter(|old| old.pack.is_some()) {
                settle_replaced(protocol, state, sandbox, claim, old, now);
            }
            if protocol.has(Mutant::AcknowledgedBeforeClose) {
                acknowledge(state, &receives, claim.id);
            }
        }
        other => unreachable!("{other:?} is not an answer to a claim"),
    }
}

/// Returns the step that follows when the claim `held` holds the event. The step depends on the layout of `held`, not
/// on the sandbox's setting `LAKE_LAYOUT`.
fn step_of_duplicate(protocol: &Packs, writer: Writer, leader: Receive, held: Claim) -> Step {
    let is_conflict = protocol.body(leader) != protocol.body(held.id);
    let is_packed = held.pack.is_some();
    match protocol.mutant {
        Some(Mutant::ObjectClaimSettled) if !is_packed && writer == Writer::Packs => Step::PutOwn,
        _ if !is_packed => Step::Settled,
        Some(Mutant::VersionBeforeReadsPackedClaim) if writer == Writer::VersionBefore => Step::Settled,
        _ if writer == Writer::VersionBefore => Step::Failed,
        Some(Mutant::DuplicateAcknowledgedUnsettled) if !is_conflict => Step::Settled,
        Some(Mutant::ConflictAcknowledgedUnsettled) if is_conflict => Step::Settled,
        Some(Mutant::SettingDecides) if writer == Writer::Objects => Step::Settled,
        _ => Step::Read,
    }
}

/// Starts to settle `old`, an expired claim that `claim` has replaced, unless TTL may already have deleted its pack.
fn settle_replaced(protocol: &Packs, state: &mut State, sandbox: usize, claim: Claim, old: Claim, now: u8) {
    let writer = protocol.writers[sandbox];
    if protocol.has(Mutant::ReplacedClaimNotSettled)
        || protocol.has(Mutant::SettingDecides) && writer == Writer::Objects
    {
        return;
    }
    let may_settle = protocol.may_settle(old, now) || protocol.has(Mutant::OldReplacedClaimSettled);
    if writer == Writer::VersionBefore || !may_settle {
        state.note_if_unsettled(old);
        return;
    }
    let mut groups = work_mut(state, sandbox).groups.iter_mut();
    let group = groups.find(|group| group.task.claim == claim).expect("the claim is in the batch");
    group.replaced = Some(Task { claim: old, step: Step::Read });
}

pub(crate) fn stop_waiting(protocol: &Packs, state: &mut State, sandbox: usize) {
    let now = protocol.clock(state, sandbox);
    let mut groups = work_mut(state, sandbox).groups.iter_mut();
    let group = groups.find(|group| group.task.step == Step::Wait).expect("a duplicate waits");
    let may_close = settle::may_close(protocol, &group.receives, group.task.claim, now);
    group.task.step = if may_close { Step::Close } else { Step::Failed };
}

pub(crate) fn respond(protocol: &Packs, state: &mut State, sandbox: usize) {
    let is_version_before = protocol.writers[sandbox] == Writer::VersionBefore;
    let Work { at, groups, met_fault, .. } =
        state.sandboxes[sandbox].work.take().expect("only a sandbox with a batch responds");
    let may_fail = met_fault || is_version_before;
    for Group { receives, task, replaced } in groups {
        if task.step == Step::Settled && replaced.is_none_or(|task| task.step == Step::Settled) {
            acknowledge(state, &receives, task.claim.id);
            continue;
        }
        state.notes.failed_without_cause |= !may_fail && at > protocol.close_by(task.claim);
        let mut failed = receives.as_slice();
        let is_won = state.written.contains(&task.claim) && task.claim.id == receives[0];
        if is_won && protocol.has(Mutant::FollowersAcknowledgedBeforeClose) {
            acknowledge(state, &receives[1..], task.claim.id);
            failed = &receives[..1];
        }
        for receive in failed {
            retry_message(protocol, state, *receive, sandbox, may_fail);
        }
    }
}

fn acknowledge(state: &mut State, receives: &[Receive], claim: Receive) {
    for receive in receives {
        let place = &mut state.messages[usize::from(receive.message)].place;
        // In the model, an old receipt handle still deletes its message, unless the message has left the queue.
        if matches!(place, Place::Visible | Place::InFlight(_)) {
            *place = Place::Acknowledged(claim);
        }
    }
}

pub(crate) fn kill(protocol: &Packs, state: &mut State, sandbox: usize) {
    let killed = &mut state.sandboxes[sandbox];
    killed.cache = vec![None; protocol.events()];
    let work = killed.work.take().expect("only a sandbox with a batch is killed");
    for group in work.groups {
        if let Some(task) = group.replaced {
            state.note_if_unsettled(task.claim);
        }
        for receive in group.receives {
            retry_message(protocol, state, receive, sandbox, true);
        }
    }
}

pub(crate) fn become_visible(protocol: &Packs, state: &mut State, message: u8) {
    let message = &mut state.messages[usize::from(message)];
    message.place = redeliver_or_dead_letter(protocol, message.receives, true);
}

/// Moves an unacknowledged message back to the queue or, after the message's last receive, to the dead-letter queue.
/// Does nothing if the message is no longer in flight in this sandbox.
fn retry_message(protocol: &Packs, state: &mut State, receive: Receive, sandbox: usize, after_fault: bool) {
    let message = &mut state.messages[usize::from(receive.message)];
    if message.place == Place::InFlight(sandbox) {
        message.place = redeliver_or_dead_letter(protocol, message.receives, after_fault);
    }
}

fn redeliver_or_dead_letter(protocol: &Packs, receives: u8, after_fault: bool) -> Place {
    if protocol.is_last_receive(receives) { Place::DeadLetter { after_fault } } else { Place::Visible }
}

fn work_mut(state: &mut State, sandbox: usize) -> &mut Work {
    state.sandboxes[sandbox].work.as_mut().expect("the sandbox has a batch")
}
