//! The actions that can happen in a state.

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::{Place, RecordState, Sandbox, State, Step};

/// Adds every action that can happen in `state` to `actions`.
///
/// In the model, `archive-fn` starts only after `ingest-fn` has nothing left to do. This order removes most states from
/// the model, but no outcome. `ingest-fn` does not depend on `archive-fn`. `archive-fn` does not read the clock, and
/// its batches may have any size up to the maximum, so everything that it could do earlier, it can also do later.
pub(crate) fn actions(protocol: &Protocol, state: &State, actions: &mut Vec<Action>) {
    let may_fail = state.faults_left > 0;
    if state.ingest_is_at_rest() {
        archive_actions(protocol, state, may_fail, actions);
    } else {
        ingest_actions(protocol, state, may_fail, actions);
    }
}

fn ingest_actions(protocol: &Protocol, state: &State, may_fail: bool, actions: &mut Vec<Action>) {
    if state.second < protocol.last_second {
        actions.push(Action::Tick);
    }
    if state.table.is_some_and(|claim| protocol.ttl(claim) < state.second) {
        actions.push(Action::DeleteExpired);
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
                let visible = (0..).zip(&state.messages).filter(|(_, message)| message.place == Place::Visible);
                let visible: Vec<u8> = visible.map(|(index, _)| index).collect();
                let batches = batches(&visible, protocol.batch).into_iter();
                actions.extend(batches.map(|batch| Action::Receive { sandbox, batch }));
            }
            Some(work) => work_actions(sandbox, work.step, may_fail, actions),
        }
    }
    for (index, message) in (0..).zip(&state.messages) {
        if may_fail && matches!(message.place, Place::InFlight(_)) {
            actions.push(Action::BecomeVisible { message: index });
        }
    }
}

/// Adds the actions that can happen to a sandbox that is working on a batch.
fn work_actions(sandbox: usize, step: Step, may_fail: bool, actions: &mut Vec<Action>) {
    match step {
        Step::AwaitingAnswer { .. } if may_fail => actions.push(Action::AttemptTimedOut { sandbox }),
        Step::AwaitingAnswer { .. } => {}
        Step::Unanswered { retries_left, is_insert } => {
            actions.push(Action::StopRetrying { sandbox });
            if is_insert {
                actions.push(Action::ReachDeadline { sandbox });
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

fn archive_actions(protocol: &Protocol, state: &State, may_fail: bool, actions: &mut Vec<Action>) {
    match &state.archiving {
        None => {
            let remaining = state.stream.len() - state.checkpoint;
            actions.extend((1..=remaining.min(protocol.batch)).map(|records| Action::Archive { records }));
            if may_fail && state.checkpoint > 0 {
                actions.push(Action::LoseCheckpoint);
            }
        }
        Some(records) => {
            let pending = (0..records.len()).filter(|record| records[*record] == RecordState::Pending);
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

/// Returns every possible batch: each visible message alone and, if a batch may have two messages, each ordered pair of
/// visible messages. The first message of a pair is the leader.
pub(crate) fn batches(visible: &[u8], batch: usize) -> Vec<Vec<u8>> {
    let mut batches: Vec<Vec<u8>> = visible.iter().map(|&message| vec![message]).collect();
    if batch > 1 {
        for &leader in visible {
            batches.extend(visible.iter().filter(|&&other| other != leader).map(|&follower| vec![leader, follower]));
        }
    }
    batches
}
