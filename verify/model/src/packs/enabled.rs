//! The actions that can happen in a state.

use super::action::{Action, Actor, Loss};
use super::mutant::Mutant;
use super::protocol::Packs;
use super::state::{PackId, Place, Request, Sandbox, State, Step, Work};
use super::{ingest, replay};
use crate::enabled::batches;

/// Adds every action that can happen in `state` to `actions`.
pub(crate) fn actions(protocol: &Packs, state: &State, actions: &mut Vec<Action>) {
    if state.finished {
        return;
    }
    let is_at_rest = state.ingest_is_at_rest();
    let dead_letters: Vec<u8> = (0..)
        .zip(&state.messages)
        .filter(|(_, message)| may_redrive(protocol, message.receives, message.place))
        .map(|(index, _)| index)
        .collect();
    let may_redrive = state.lake.is_empty() && !dead_letters.is_empty();
    if !is_at_rest || may_redrive {
        actions.extend(dead_letters.into_iter().filter(|_| may_redrive).map(|message| Action::Redrive { message }));
        ingest_actions(protocol, state, actions);
    }
    if is_at_rest {
        if !may_redrive {
            restore_actions(state, actions);
        }
        archive_actions(protocol, state, actions);
    }
}

fn may_redrive(protocol: &Packs, receives: u8, place: Place) -> bool {
    matches!(place, Place::DeadLetter { .. }) && receives < protocol.max_receives * (1 + protocol.redrives)
}

fn ingest_actions(protocol: &Packs, state: &State, actions: &mut Vec<Action>) {
    let may_fail = state.faults_left > 0;
    if state.second < protocol.last_second && may_tick(protocol, state) {
        actions.push(Action::Tick);
    }
    for (event, claim) in state.claims.iter().enumerate() {
        if claim.is_some_and(|claim| protocol.ttl(claim) < protocol.ttl_clock(state)) {
            actions.push(Action::DeleteClaim { event });
        }
    }
    let expired = state.packs.iter().filter(|pack| pack.ttl < protocol.ttl_clock(state));
    actions.extend(expired.map(|pack| Action::DeletePack(pack.id)));
    let mut late = state.late.clone();
    late.dedup();
    actions.extend(late.into_iter().map(|(request, sent)| Action::ArriveLate(request, sent)));
    for (sandbox, Sandbox { work, .. }) in state.sandboxes.iter().enumerate() {
        match work {
            Some(work) => work_actions(protocol, state, sandbox, work, actions),
            // Two idle sandboxes with the same clock, setting and cache are interchangeable.
            None if sandbox == 1 && are_interchangeable(protocol, state) => {}
            None => {
                let visible = (0..).zip(&state.messages).filter(|(_, message)| message.place == Place::Visible);
                let visible: Vec<u8> = visible.map(|(index, _)| index).collect();
                let batches = batches(&visible, protocol.batch).into_iter();
                actions.extend(batches.map(|batch| Action::Receive { sandbox, batch }));
            }
        }
    }
    for (index, message) in (0..).zip(&state.messages) {
        if may_fail && matches!(message.place, Place::InFlight(_)) {
            actions.push(Action::BecomeVisible { message: index });
        }
    }
    replay_actions(protocol, state, actions);
    if protocol.restores && state.backup.is_none() && state.is_idle() {
        actions.push(Action::Backup);
    }
    restore_actions(state, actions);
}

/// Returns true if the clock may advance. It waits for a batch that has reached its deadline, for `replay`, and for a
/// late write from an earlier second.
fn may_tick(protocol: &Packs, state: &State) -> bool {
    let has_time = |sandbox: usize| {
        let work = state.sandboxes[sandbox].work.as_ref();
        work.is_none_or(|work| protocol.clock(state, sandbox) < work.at + protocol.invocation)
    };
    has_time(0) && has_time(1) && state.replay.is_none() && state.late.iter().all(|(_, sent)| *sent == state.second)
}

fn are_interchangeable(protocol: &Packs, state: &State) -> bool {
    protocol.skew == 0 && protocol.writers[0] == protocol.writers[1] && state.sandboxes[0] == state.sandboxes[1]
}

fn work_actions(protocol: &Packs, state: &State, sandbox: usize, work: &Work, actions: &mut Vec<Action>) {
    let actor = Actor::Sandbox(sandbox);
    request_actions(protocol, state, actor, actions);
    if work.tasks().all(|task| matches!(task.step, Step::Settled | Step::Failed)) {
        actions.push(Action::Respond { sandbox });
    } else if work.tasks().all(|task| matches!(task.step, Step::Wait | Step::Settled | Step::Failed)) {
        actions.push(Action::StopWaiting { sandbox });
    }
    if state.faults_left > 0 {
        actions.push(Action::Kill { sandbox });
    }
}

/// Adds the actions that answer or lose the sender's next request.
fn request_actions(protocol: &Packs, state: &State, actor: Actor, actions: &mut Vec<Action>) {
    let Some(request) = ingest::next_request(protocol, state, actor) else { return };
    actions.push(Action::Answer(actor));
    if state.faults_left == 0 {
        return;
    }
    actions.push(Action::Lose(actor, Loss::NotExecuted));
    match request {
        Request::ReadPack(id) => actions.extend(state.pack(id).map(|_| Action::MissPack(actor))),
        Request::Claim { .. } | Request::PutPack(_) => {
            let losses = [Loss::Executed, Loss::ExecutedAndRetried, Loss::Late, Loss::LateAndRetried];
            actions.extend(losses.map(|loss| Action::Lose(actor, loss)));
        }
    }
}

fn replay_actions(protocol: &Packs, state: &State, actions: &mut Vec<Action>) {
    if state.replay.is_some() {
        request_actions(protocol, state, Actor::Replay, actions);
    } else if state.replays_left > 0 {
        for (event, claim) in state.claims.iter().enumerate() {
            if claim.is_some_and(|claim| replay::may_replay(protocol, state, claim)) {
                actions.push(Action::Replay { event });
            }
        }
    }
}

fn restore_actions(state: &State, actions: &mut Vec<Action>) {
    if state.backup.is_some() && !state.restored && state.is_idle() && state.lake.is_empty() {
        actions.push(Action::Restore);
    }
}

fn archive_actions(protocol: &Packs, state: &State, actions: &mut Vec<Action>) {
    if state.stream.is_empty() {
        actions.push(Action::Finish);
        return;
    }
    actions.push(Action::Archive { again: false });
    if state.faults_left > 0 && protocol.has(Mutant::NoIfNoneMatch) {
        actions.push(Action::Archive { again: true });
    }
    if state.records_for_version_before > 0 {
        actions.push(Action::ArchiveByVersionBefore);
    }
}

impl Action {
    /// Returns true if the action counts as one of the faults that [`Packs::faults`] limits.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::MissPack(_)
            | Self::Lose(..)
            | Self::Kill { .. }
            | Self::BecomeVisible { .. }
            | Self::Archive { again: true } => true,
            Self::Tick
            | Self::Receive { .. }
            | Self::Answer(_)
            | Self::ArriveLate(..)
            | Self::StopWaiting { .. }
            | Self::Respond { .. }
            | Self::Redrive { .. }
            | Self::DeleteClaim { .. }
            | Self::DeletePack(_)
            | Self::Replay { .. }
            | Self::Backup
            | Self::Restore
            | Self::Archive { again: false }
            | Self::ArchiveByVersionBefore
            | Self::Finish => false,
        }
    }
}

impl PackId {
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Own(_))
    }
}
