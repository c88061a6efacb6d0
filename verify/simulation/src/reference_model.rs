//! The reference model, which decides the results that a world may have.
//!
//! The model is small. It derives the allowed results only from the messages that were sent and the actions that the services
//! recorded, never from the handlers' code or logs. Only `Rule::Log` looks at the logs, to check them. The model checks times
//! to the second and allows for the maximum clock skew.

mod claims;
mod messages;
mod model;
mod objects;

use std::collections::BTreeMap;

use self::model::{Invocation, Model};
use crate::final_state::FinalState;
use crate::history::{Entry, History};
use crate::judgment::{Judgment, Rule};
use crate::scenario::Scenario;

/// Judges a world by its history and its final state.
#[must_use]
pub fn judge(scenario: &Scenario, history: &History, final_state: &FinalState) -> Judgment {
    let mut model = Model::new(scenario);
    for (at_ms, entry) in history {
        model.apply(*at_ms, entry);
    }
    model.check(final_state);
    model.judgment
}

impl<'a> Model<'a> {
    fn apply(&mut self, at_ms: u64, entry: &'a Entry) {
        match entry {
            Entry::Accepted { message, id } => self.accept_message(id, *message),
            Entry::Redriven { old_id, new_id } => self.redrive(old_id, new_id),
            // After an error, only the queue's answer shows whether it accepted the messages.
            Entry::Sent { messages, result: Ok(()) } => self.check_sent(messages),
            Entry::Invoked { invocation, function, wall_seconds, items, .. } => {
                let is_ingest = *function == "ingest";
                let wall_seconds = *wall_seconds;
                let state = Invocation { is_ingest, wall_seconds, items, outcomes: 0, claims: BTreeMap::new() };
                self.invocations.insert(*invocation, state);
            }
            Entry::Requested { invocation: Some(invocation), operation, subject, .. }
                if matches!(operation.as_str(), "PutItem" | "BatchExecuteStatement") =>
            {
                self.check_claim_request(*invocation, operation, subject);
            }
            Entry::Claimed(claim) => self.check_claim(at_ms, claim),
            Entry::PutByHand { pk } => drop(self.table.insert(pk, None)),
            Entry::TtlDeleted(_) => {
                let now = self.wall_ms(at_ms) / 1_000;
                self.table.retain(|_, claim| claim.is_none_or(|claim| claim.ttl >= now));
            }
            Entry::Logged { invocation, outcome, message_id, claim_id } => {
                self.check_log(*invocation, outcome, message_id, claim_id);
            }
            Entry::Answered { invocation, failed, newly_cached } => {
                self.check_answer(*invocation, failed, newly_cached);
            }
            Entry::Failed { invocation, error } => {
                self.judgment.add_violation(Rule::Isolation, format!("#{invocation} failed its whole batch: {error}"));
            }
            Entry::TimedOut { invocation } => {
                self.judgment.add_violation(Rule::Deadline, format!("#{invocation} did not stop before its timeout"));
            }
            Entry::PanicInjected { subject, .. } => {
                // An object's key ends with the id of its claim.
                let name = subject.rsplit('/').next().unwrap_or_default();
                self.panicked.insert(name.trim_end_matches(".json"));
            }
            Entry::Crashed { invocation } => {
                self.judgment.add_violation(
                    Rule::Isolation,
                    format!("#{invocation} let a panic on one item end its whole batch"),
                );
            }
            _ => {}
        }
    }

    /// Checks the final state.
    fn check(&mut self, final_state: &FinalState) {
        for work in &final_state.unfinished {
            self.judgment.add_violation(Rule::Completion, work.clone());
        }
        self.check_messages(final_state);
        self.check_objects(final_state);
        self.check_table(final_state);
    }
}
