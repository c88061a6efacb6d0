//! The reference model, which decides if a world violated a rule.
//!
//! The model derives the allowed results from the messages that were sent, from what the services did with each
//! request, and from the faults. It does not use the handlers' code, and uses their logs only for `Rule::Log`, which
//! checks these logs. The model compares expiry times in whole seconds. If two times come from different clocks, the
//! model allows for the maximum clock skew.

mod claims;
mod messages;
mod model;
mod objects;
mod packs;
mod retention;

use std::collections::BTreeMap;

use self::model::{Disablement, Invocation, Model};
use crate::final_state::FinalState;
use crate::history::{Entry, History};
use crate::judgment::{Judgment, Rule};
use crate::scenario::Scenario;

/// Checks the history and the final state of a world against all rules.
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
            Entry::Accepted { message, id } => self.accept_message(at_ms, id, *message),
            Entry::Redriven { old_id, new_id } => self.redrive(at_ms, old_id, new_id),
            // If `result` is an error, only the `Accepted` entries show which messages the queue accepted.
            Entry::Sent { messages, result: Ok(()) } => self.check_sent(messages),
            Entry::Invoked { invocation, function, wall_seconds, items, .. } => {
                let is_ingest = *function == "ingest";
                let wall_seconds = *wall_seconds;
                if is_ingest {
                    self.note_receives(at_ms, items);
                }
                let state = Invocation { is_ingest, wall_seconds, items, outcomes: 0, claims: BTreeMap::new() };
                self.invocations.insert(*invocation, state);
            }
            Entry::Requested { invocation: Some(invocation), operation, subject, .. }
                if matches!(operation.as_str(), "PutItem" | "BatchExecuteStatement") =>
            {
                self.check_claim_request(*invocation, operation, subject);
            }
            Entry::Claimed(claim) => self.check_claim(at_ms, claim),
            Entry::PackStored(pack) => self.check_pack(at_ms, pack),
            Entry::PutByHand { pk } => {
                self.table.insert(pk, None);
                self.stored_ms.insert(pk, at_ms);
            }
            Entry::Disabled(function) => self.disabled.push(Disablement { function, from_ms: at_ms, until_ms: at_ms }),
            Entry::Enabled(_) => self.note_enabled(at_ms),
            Entry::QueueCounted(messages) => self.check_queue_count(at_ms, *messages),
            Entry::DeadLettersListed(ids) => self.check_dead_letters(at_ms, ids),
            Entry::TtlDeleted(_) => {
                let now = self.wall_ms(at_ms) / 1_000;
                self.table.retain(|_, claim| claim.is_none_or(|claim| claim.ttl >= now));
                self.packs_in_table.retain(|pack_id| self.packs[pack_id].ttl >= now);
            }
            Entry::Counted { invocation, items } => {
                let invocation_state = self.invocations.get(invocation);
                let counted = invocation_state.map_or(0, |invocation| invocation.items.len());
                // A pack counts once for each of its claims.
                let has_packs = self.scenario.has_packs && invocation_state.is_some_and(|state| !state.is_ingest);
                if *items != counted && !has_packs {
                    self.judgment.add_violation(
                        Rule::Log,
                        format!("#{invocation} has metrics that count {items} outcomes for {counted} items"),
                    );
                }
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
            Entry::PanicInjected { invocation: Some(invocation), subject } => {
                self.note_panic(at_ms, *invocation, subject);
            }
            Entry::Crashed { invocation } => {
                self.judgment.add_violation(
                    Rule::Isolation,
                    format!("#{invocation} did not catch a panic, which ended its whole batch"),
                );
            }
            _ => {}
        }
    }

    /// Checks the final state, after all entries of the history have been applied.
    fn check(&mut self, final_state: &FinalState) {
        for work in &final_state.unfinished {
            self.judgment.add_violation(Rule::Completion, work.clone());
        }
        self.check_messages(final_state);
        self.check_objects(final_state);
        self.check_table(final_state);
    }
}
