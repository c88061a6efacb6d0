//! Applies an action to a state.

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::State;
use crate::{archive, ingest};

pub(crate) fn apply(protocol: &Protocol, state: &mut State, action: Action) {
    if is_fault(&action) {
        state.faults_left -= 1;
    }
    match action {
        Action::Tick => state.second += 1,
        Action::DeleteExpired => state.table = None,
        Action::Receive { sandbox, batch } => ingest::receive(protocol, state, sandbox, batch),
        Action::ClaimAnswered(request) => ingest::claim_answered(protocol, state, request),
        Action::ClaimAnswerLost(request) => ingest::claim_answer_lost(protocol, state, request),
        Action::ClaimRequestLost(request) => ingest::claim_request_lost(state, request),
        Action::AttemptTimedOut { sandbox } => ingest::attempt_timed_out(state, sandbox),
        Action::Retry { sandbox } => ingest::retry(protocol, state, sandbox),
        Action::StopRetrying { sandbox } => ingest::stop_retrying(protocol, state, sandbox),
        Action::ReachDeadline { sandbox } => ingest::reach_deadline(state, sandbox),
        Action::Respond { sandbox } => ingest::respond(protocol, state, sandbox),
        Action::Kill { sandbox } => ingest::kill(protocol, state, sandbox),
        Action::BecomeVisible { message } => ingest::become_visible(protocol, state, message),
        Action::Archive { records } => archive::begin(protocol, state, records),
        Action::ObjectAnswered { record } => archive::object_answered(protocol, state, record),
        Action::ObjectAnswerLost { record } => archive::object_answer_lost(protocol, state, record),
        Action::ObjectRefused { record, conflict } => archive::object_refused(protocol, state, record, conflict),
        Action::ObjectTimedOut { record } => archive::object_timed_out(state, record),
        Action::ObjectArrivesLate(claim) => archive::object_arrives_late(protocol, state, claim),
        Action::ArchiveResponds => archive::respond(protocol, state),
        Action::KillArchive => state.archiving = None,
        Action::LoseCheckpoint => state.checkpoint = 0,
    }
}

/// Returns true if the action counts as one of the faults that `Protocol::faults` limits.
fn is_fault(action: &Action) -> bool {
    match action {
        Action::ClaimAnswerLost(_)
        | Action::ClaimRequestLost(_)
        | Action::AttemptTimedOut { .. }
        | Action::Kill { .. }
        | Action::BecomeVisible { .. }
        | Action::ObjectAnswerLost { .. }
        | Action::ObjectRefused { .. }
        | Action::ObjectTimedOut { .. }
        | Action::KillArchive
        | Action::LoseCheckpoint => true,
        Action::Tick
        | Action::DeleteExpired
        | Action::Receive { .. }
        | Action::ClaimAnswered(_)
        | Action::Retry { .. }
        | Action::StopRetrying { .. }
        | Action::ReachDeadline { .. }
        | Action::Respond { .. }
        | Action::Archive { .. }
        | Action::ObjectAnswered { .. }
        | Action::ObjectArrivesLate(_)
        | Action::ArchiveResponds => false,
    }
}
