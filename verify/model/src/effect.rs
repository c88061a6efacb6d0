//! What an action does to a state: one function for each.

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::State;
use crate::{archive, ingest};

/// Takes a step.
pub(crate) fn take(protocol: &Protocol, state: &mut State, action: Action) {
    if uses_up_a_fault(&action) {
        state.faults_left -= 1;
    }
    match action {
        Action::Tick => state.second += 1,
        Action::TtlDeletes => state.table = None,
        Action::Receive { sandbox, batch } => ingest::receive(protocol, state, sandbox, batch),
        Action::ClaimAnswered(request) => ingest::claim_answered(protocol, state, request),
        Action::ClaimAnswerLost(request) => ingest::claim_answer_lost(protocol, state, request),
        Action::ClaimRequestLost(request) => ingest::claim_request_lost(state, request),
        Action::AttemptTimedOut { sandbox } => ingest::attempt_timed_out(state, sandbox),
        Action::Retry { sandbox } => ingest::retry(protocol, state, sandbox),
        Action::GiveUp { sandbox } => ingest::give_up(protocol, state, sandbox),
        Action::OutOfTime { sandbox } => ingest::out_of_time(state, sandbox),
        Action::Respond { sandbox } => ingest::respond(protocol, state, sandbox),
        Action::Kill { sandbox } => ingest::kill(protocol, state, sandbox),
        Action::VisibleAgain { message } => ingest::visible_again(protocol, state, message),
        Action::Archive { records } => archive::begin(protocol, state, records),
        Action::ObjectAnswered { record } => archive::object_answered(protocol, state, record),
        Action::ObjectAnswerLost { record } => archive::object_answer_lost(protocol, state, record),
        Action::ObjectRefused { record, conflict } => archive::object_refused(protocol, state, record, conflict),
        Action::ObjectTimedOut { record } => archive::object_timed_out(state, record),
        Action::ObjectArrivesLate(claim) => archive::object_arrives_late(protocol, state, claim),
        Action::ArchiveResponds => archive::respond(protocol, state),
        Action::KillArchive => state.archiving = None,
        Action::Rewind => state.checkpoint = 0,
    }
}

/// Says whether an action is something that goes wrong.
fn uses_up_a_fault(action: &Action) -> bool {
    match action {
        Action::ClaimAnswerLost(_)
        | Action::ClaimRequestLost(_)
        | Action::AttemptTimedOut { .. }
        | Action::Kill { .. }
        | Action::VisibleAgain { .. }
        | Action::ObjectAnswerLost { .. }
        | Action::ObjectRefused { .. }
        | Action::ObjectTimedOut { .. }
        | Action::KillArchive
        | Action::Rewind => true,
        Action::Tick
        | Action::TtlDeletes
        | Action::Receive { .. }
        | Action::ClaimAnswered(_)
        | Action::Retry { .. }
        | Action::GiveUp { .. }
        | Action::OutOfTime { .. }
        | Action::Respond { .. }
        | Action::Archive { .. }
        | Action::ObjectAnswered { .. }
        | Action::ObjectArrivesLate(_)
        | Action::ArchiveResponds => false,
    }
}
