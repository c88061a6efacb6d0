//! What can happen in a state, and what it does.

use crate::{
    Action, Archived, Claim, ClaimRequest, Message, Mutant, Place, Protocol, Record, Sandbox, State, Step, Work,
};

/// The SDK sends a request again this often.
const RETRIES: u8 = 1;

/// Everything that can happen next.
///
/// `archive-fn` begins when everything before the stream is at rest. It neither reads the clock nor is heard by anybody,
/// and it may take as few records at a time as it likes, so whatever it could do earlier it can still do then, with the same
/// outcome: no interleaving is lost that could be told apart, and most of the states are spared.
pub(crate) fn possible(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let may_fail = state.faults_left > 0;
    if state.ingest_is_at_rest() {
        archive_possible(protocol, state, may_fail, actions);
    } else {
        ingest_possible(protocol, state, may_fail, actions);
    }
}

fn ingest_possible(protocol: &Protocol, state: &State, may_fail: bool, actions: &mut Vec<Action>) {
    if state.second < protocol.last_second {
        actions.push(Action::Tick);
    }
    if state.table.is_some_and(|claim| protocol.ttl(claim) < state.second) {
        actions.push(Action::TtlDeletes);
    }
    let mut requests = state.claim_requests.clone();
    requests.dedup();
    for request in requests {
        actions.push(Action::ClaimAnswered(request));
        if may_fail {
            actions.extend([Action::ClaimAnswerLost(request), Action::ClaimRequestLost(request)]);
        }
    }
    for (sandbox, Sandbox { work, .. }) in state.sandboxes.iter().enumerate() {
        match work {
            None => {
                let batches = batches(protocol, state).into_iter();
                actions.extend(batches.map(|batch| Action::Receive { sandbox, batch }));
            }
            Some(work) => {
                match work.step {
                    Step::Asking { .. } if may_fail => actions.push(Action::AttemptTimedOut { sandbox }),
                    Step::Asking { .. } => {}
                    Step::Unanswered { retries_left, is_insert } => {
                        actions.push(Action::GiveUp { sandbox });
                        if is_insert {
                            actions.push(Action::OutOfTime { sandbox });
                        }
                        if retries_left > 0 {
                            actions.push(Action::Retry { sandbox });
                        }
                    }
                    Step::Confirmed | Step::Failed => actions.push(Action::Respond { sandbox }),
                }
                if may_fail {
                    actions.push(Action::Kill { sandbox });
                }
            }
        }
    }
    for (index, message) in (0..).zip(&state.messages) {
        if may_fail && matches!(message.place, Place::With(_)) {
            actions.push(Action::VisibleAgain { message: index });
        }
    }
}

fn archive_possible(protocol: &Protocol, state: &State, may_fail: bool, actions: &mut Vec<Action>) {
    match &state.archiving {
        None => {
            let left = state.stream.len() - state.checkpoint;
            actions.extend((1..=left.min(protocol.batch)).map(|records| Action::Archive { records }));
            if may_fail && state.checkpoint > 0 {
                actions.push(Action::Rewind);
            }
        }
        Some(records) => {
            let pending = (0..records.len()).filter(|record| records[*record] == Archived::Pending);
            for record in pending.clone() {
                actions.push(Action::ObjectAnswered { record });
                if may_fail {
                    actions.extend([
                        Action::ObjectAnswerLost { record },
                        Action::ObjectRefused { record, conflict: true },
                        Action::ObjectRefused { record, conflict: false },
                        Action::ObjectTimedOut { record },
                    ]);
                }
            }
            if pending.count() == 0 {
                actions.push(Action::ArchiveResponds);
            }
            if may_fail {
                actions.push(Action::KillArchive);
            }
        }
    }
    let mut late = state.late_object_requests.clone();
    late.dedup();
    actions.extend(late.into_iter().map(Action::ObjectArrivesLate));
}

/// Every message that is visible by itself, and every two of them, either of them leading.
fn batches(protocol: &Protocol, state: &State) -> Vec<Vec<u8>> {
    let visible = (0..).zip(&state.messages).filter(|(_, message)| message.place == Place::Visible);
    let visible: Vec<u8> = visible.map(|(index, _)| index).collect();
    let mut batches: Vec<Vec<u8>> = visible.iter().map(|&message| vec![message]).collect();
    if protocol.batch > 1 {
        for &leader in &visible {
            batches.extend(visible.iter().filter(|&&other| other != leader).map(|&follower| vec![leader, follower]));
        }
    }
    batches
}

/// Does one of them.
pub(crate) fn take(protocol: &Protocol, state: &mut State, action: Action) {
    match action {
        Action::Tick => state.second += 1,
        Action::TtlDeletes => state.table = None,
        Action::Receive { sandbox, batch } => receive(protocol, state, sandbox, batch),
        Action::ClaimAnswered(request) => match write_claim(protocol, state, request) {
            Some(confirmed) => answer(state, request, confirmed),
            None => left_open(protocol, state, request),
        },
        Action::ClaimAnswerLost(request) => {
            state.faults_left -= 1;
            write_claim(protocol, state, request);
            unanswered(state, request);
        }
        Action::ClaimRequestLost(request) => {
            state.faults_left -= 1;
            remove_first(&mut state.claim_requests, request);
            unanswered(state, request);
        }
        Action::AttemptTimedOut { sandbox } => {
            state.faults_left -= 1;
            let work = work(state, sandbox);
            let Step::Asking { is_insert, .. } = work.step else { unreachable!("only an attempt times out") };
            let request = ClaimRequest { claim: work.claim, is_insert };
            unanswered(state, request);
        }
        Action::Retry { sandbox } => retry(protocol, state, sandbox),
        Action::GiveUp { sandbox } => {
            let unknown_is_duplicate = protocol.has(Mutant::UnknownIsDuplicate);
            let work = work(state, sandbox);
            match work.step {
                Step::Unanswered { is_insert: true, .. } => put(protocol, state, sandbox),
                _ => work.step = if unknown_is_duplicate { Step::Confirmed } else { Step::Failed },
            }
        }
        Action::OutOfTime { sandbox } => work(state, sandbox).step = Step::Failed,
        Action::Respond { sandbox } => respond(protocol, state, sandbox),
        Action::Kill { sandbox } => {
            state.faults_left -= 1;
            let killed = std::mem::take(&mut state.sandboxes[sandbox]);
            for message in killed.work.into_iter().flat_map(|work| work.batch) {
                come_again(protocol, state, message, sandbox);
            }
        }
        Action::VisibleAgain { message } => {
            state.faults_left -= 1;
            let message = &mut state.messages[usize::from(message)];
            message.place = unless_dead(protocol, *message);
        }
        Action::Archive { records } => {
            let records = &state.stream[state.checkpoint..state.checkpoint + records];
            let passed_over = |record: &Record| protocol.has(Mutant::InsertOnly) && record.is_modify;
            let begun = |record| if passed_over(record) { Archived::Done } else { Archived::Pending };
            state.archiving = Some(records.iter().map(begun).collect());
        }
        Action::ObjectAnswered { record } => {
            put_object(protocol, state, archived_claim(state, record));
            archived(state, record, Archived::Done);
        }
        Action::ObjectAnswerLost { record } => {
            state.faults_left -= 1;
            put_object(protocol, state, archived_claim(state, record));
            archived(state, record, Archived::Failed);
        }
        Action::ObjectRefused { record, conflict } => {
            state.faults_left -= 1;
            let done = conflict && protocol.has(Mutant::ConflictIsAlreadyThere);
            archived(state, record, if done { Archived::Done } else { Archived::Failed });
        }
        Action::ObjectTimedOut { record } => {
            state.faults_left -= 1;
            let claim = archived_claim(state, record);
            state.late_object_requests.push(claim);
            state.late_object_requests.sort_unstable();
            archived(state, record, Archived::Failed);
        }
        Action::ObjectArrivesLate(claim) => {
            remove_first(&mut state.late_object_requests, claim);
            put_object(protocol, state, claim);
        }
        Action::ArchiveResponds => {
            let records = state.archiving.take().expect("only what is being archived is responded to");
            let mut failed = (0..records.len()).filter(|record| records[*record] == Archived::Failed);
            let at_the_highest = protocol.has(Mutant::CheckpointAtTheHighestFailure);
            let restart = if at_the_highest { failed.next_back() } else { failed.next() };
            state.checkpoint += restart.unwrap_or(records.len());
        }
        Action::KillArchive => {
            state.faults_left -= 1;
            state.archiving = None;
        }
        Action::Rewind => {
            state.faults_left -= 1;
            state.checkpoint = 0;
        }
    }
}

fn receive(protocol: &Protocol, state: &mut State, sandbox: usize, batch: Vec<u8>) {
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

fn retry(protocol: &Protocol, state: &mut State, sandbox: usize) {
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
    remove_first(&mut state.claim_requests, request);
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

impl Work {
    fn is_asking_for(&self, request: ClaimRequest) -> bool {
        let Step::Asking { is_insert, .. } = self.step else { return false };
        request == ClaimRequest { claim: self.claim, is_insert }
    }
}

fn respond(protocol: &Protocol, state: &mut State, sandbox: usize) {
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
            come_again(protocol, state, message, sandbox);
        }
    }
}

/// A message that was not acknowledged by a sandbox, unless somebody else has it by now.
fn come_again(protocol: &Protocol, state: &mut State, message: u8, sandbox: usize) {
    let message = &mut state.messages[usize::from(message)];
    if message.place == Place::With(sandbox) {
        message.place = unless_dead(protocol, *message);
    }
}

fn unless_dead(protocol: &Protocol, message: Message) -> Place {
    if message.receives < protocol.max_receives { Place::Visible } else { Place::Dead }
}

fn archived_claim(state: &State, record: usize) -> Claim {
    state.stream[state.checkpoint + record].claim
}

fn archived(state: &mut State, record: usize, how: Archived) {
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

fn work(state: &mut State, sandbox: usize) -> &mut Work {
    state.sandboxes[sandbox].work.as_mut().expect("only a sandbox at work does this")
}

fn remove_first<Request: PartialEq + Copy>(requests: &mut Vec<Request>, request: Request) {
    let position = requests.iter().position(|other| *other == request).expect("only what is on its way arrives");
    requests.remove(position);
}
