//! What may come out of a world: small, and computed from what was sent and from what the services say that they did, never
//! from what the handlers say or from how they do it. Times are judged to the second, and clocks to their skew.

mod claims;
mod messages;
mod model;
mod objects;

use std::collections::BTreeMap;

use self::model::{Invocation, Model};
use crate::final_state::FinalState;
use crate::history::{Entry, History};
use crate::judgement::{Judgement, Rule};
use crate::scenario::Scenario;

/// Judges a world by its history and by its final state.
#[must_use]
pub fn judge(scenario: &Scenario, history: &History, final_state: &FinalState) -> Judgement {
    let mut model = Model::new(scenario);
    for (at_ms, entry) in history {
        model.apply(*at_ms, entry);
    }
    model.check(final_state);
    model.judgement
}

impl<'a> Model<'a> {
    fn apply(&mut self, at_ms: u64, entry: &'a Entry) {
        match entry {
            Entry::Accepted { message, id } => self.take(id, *message),
            Entry::Redriven { old, new } => self.redriven(old, new),
            // The others are indefinite: whether the queue took them is seen from the queue alone.
            Entry::Sent { messages, known: Ok(()) } => self.sent(messages),
            Entry::Invoked { invocation, function, wall_seconds, items, .. } => {
                let is_ingest = *function == "ingest";
                let wall_seconds = *wall_seconds;
                let invoked = Invocation { is_ingest, wall_seconds, items, outcomes: 0, claims: BTreeMap::new() };
                self.invocations.insert(*invocation, invoked);
            }
            Entry::Requested { invocation: Some(invocation), operation, subject, .. }
                if matches!(operation.as_str(), "PutItem" | "BatchExecuteStatement") =>
            {
                self.claim_requested(*invocation, operation, subject);
            }
            Entry::Claimed(claimed) => self.claimed(at_ms, claimed),
            Entry::PutByHand { pk } => drop(self.table.insert(pk, None)),
            Entry::Swept(_) => {
                let now = self.wall_ms(at_ms) / 1_000;
                self.table.retain(|_, claim| claim.is_none_or(|claim| claim.ttl >= now));
            }
            Entry::Logged { invocation, outcome, message_id, claim_id } => {
                self.logged(*invocation, outcome, message_id, claim_id);
            }
            Entry::Answered { invocation, failed, remembered } => self.answered(*invocation, failed, remembered),
            Entry::Refused { invocation, error } => {
                self.judgement.violated(Rule::OneItem, format!("#{invocation} failed as a whole: {error}"));
            }
            Entry::TimedOut { invocation } => {
                self.judgement.violated(Rule::InTime, format!("#{invocation} did not stop in time"));
            }
            Entry::Panicked { subject, .. } => {
                // An object's key ends with its claim's id.
                let name = subject.rsplit('/').next().unwrap_or_default();
                self.panicked.insert(name.trim_end_matches(".json"));
            }
            Entry::Crashed { invocation } => {
                self.judgement.violated(Rule::OneItem, format!("#{invocation} panicked on one item of its batch"));
            }
            _ => {}
        }
    }

    /// Checks what is there when nothing moves any more.
    fn check(&mut self, final_state: &FinalState) {
        for what in &final_state.unfinished {
            self.judgement.violated(Rule::Rest, what.clone());
        }
        self.check_messages(final_state);
        self.check_objects(final_state);
        self.check_table(final_state);
    }
}
