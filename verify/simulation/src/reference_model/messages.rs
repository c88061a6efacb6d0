//! Rules about messages: no message is lost, and no message is acknowledged or becomes a dead letter without a reason.

use std::collections::BTreeSet;

use claim::key::KEY_PREFIX;
use sha2::{Digest as _, Sha256};

use super::model::{Invocation, Model, QueuedMessage};
use crate::final_state::FinalState;
use crate::history::{CacheEntry, StoredClaim};
use crate::judgment::Rule;
use crate::workload::Meaning;

impl<'a> Model<'a> {
    /// Checks that the queue accepted all messages of a request that SQS confirmed to the producer.
    pub(super) fn check_sent(&mut self, messages: &[usize]) {
        let accepted: BTreeSet<usize> = self.accepted.values().map(|accepted| accepted.message).collect();
        for message in messages.iter().filter(|message| !accepted.contains(message)) {
            self.judgment.add_violation(
                Rule::Message,
                format!("SQS confirmed message {message} to the producer, but the queue did not accept it"),
            );
        }
    }

    /// Notes that a dead letter was redriven and has a new message id.
    pub(super) fn redrive(&mut self, at_ms: u64, old_id: &str, new_id: &'a str) {
        let Some(letter) = self.accepted.get_mut(old_id) else {
            return self.judgment.add_violation(Rule::Message, format!("dead letter {old_id} was never sent"));
        };
        letter.redriven = true;
        let message = letter.message;
        self.accept_message(at_ms, new_id, message);
    }

    /// Checks the answer of an invocation, how many outcomes the invocation logged, and which claims it cached.
    ///
    /// Every message that the answer does not report as failed must be a winner, a duplicate or, if `ingest-fn` is
    /// configured to acknowledge conflicts, a conflict. In all three cases, the table must have stored a claim of the
    /// same event, and this claim must not have expired when the invocation began. If the claim is packed, a pack must
    /// list it. Unless `ingest-fn` acknowledges
    /// conflicts, the claim must also have the same content as the message.
    pub(super) fn check_answer(&mut self, invocation: u64, failed: &[String], newly_cached: &[CacheEntry]) {
        let Some(&Invocation { is_ingest, wall_seconds, items, outcomes, .. }) = self.invocations.get(&invocation)
        else {
            return;
        };
        let is_complete = self.scenario.rules.log_routine_outcomes;
        // The log has a line for each claim of a pack.
        let has_packs = self.scenario.has_packs && !is_ingest;
        if (outcomes > items.len() && !has_packs) || (is_complete && outcomes < items.len()) {
            self.judgment.add_violation(
                Rule::Log,
                format!("#{invocation} logged {outcomes} outcomes for {} items", items.len()),
            );
        }
        if !is_ingest {
            return;
        }
        for id in items.iter().filter(|id| !failed.contains(id)) {
            let Some(accepted) = self.accepted.get_mut(id.as_str()) else { continue };
            accepted.acknowledged = true;
            self.judgment.count_result("messages acknowledged");
            let Meaning::Event { id: event_id, content, .. } = accepted.meaning else {
                self.judgment.add_violation(
                    Rule::Acknowledged,
                    format!("#{invocation} acknowledged {id}, which is not a valid event"),
                );
                continue;
            };
            let pk = format!("{KEY_PREFIX}{event_id}");
            let is_valid =
                |claim: &&&StoredClaim| claim.pk == pk && claim.ttl >= wall_seconds && self.is_settled(claim);
            let mut unexpired = self.claims.values().filter(is_valid);
            let acknowledges_conflicts = !self.scenario.conflict_is_dead_letter;
            if !unexpired.any(|claim| acknowledges_conflicts || self.content(claim) == Some(*content)) {
                self.judgment.add_violation(
                    Rule::Acknowledged,
                    format!("#{invocation} acknowledged {id}, but no unexpired and settled claim of {pk} allows it"),
                );
            }
        }
        for CacheEntry { key, claim_id, digest } in newly_cached {
            let is_confirmed = self.claims.get(claim_id.as_str()).is_some_and(|claim| {
                let hash = Sha256::digest(claim.pk.trim_start_matches(KEY_PREFIX));
                // A sandbox with another list of ignored members computes another digest from the claim's body.
                let is_same_digest = claim.digest == *digest || self.scenario.rules.lists.len() > 1;
                is_same_digest && hash.starts_with(key) && self.is_settled(claim)
            });
            if !is_confirmed {
                self.judgment.add_violation(
                    Rule::Cache,
                    format!("#{invocation} cached claim {claim_id}, which the table has not confirmed in this form"),
                );
            }
        }
    }

    /// Counts an outcome that a function logged. If `ingest-fn` logged it, also checks that the outcome agrees with the
    /// stored claims and with the meaning of the message.
    pub(super) fn check_log(&mut self, invocation: u64, outcome: &str, message_id: &str, claim_id: &'a str) {
        let Some(state) = self.invocations.get_mut(&invocation) else { return };
        state.outcomes += 1;
        if !state.is_ingest {
            return;
        }
        let is_own_claim = state.claims.values().any(|own| *own == claim_id);
        let Some(QueuedMessage { meaning, .. }) = self.accepted.get(message_id) else {
            return self.judgment.add_violation(
                Rule::Log,
                format!("#{invocation} logged {outcome} for {message_id}, which was never sent"),
            );
        };
        let claim = self.claims.get(claim_id).copied();
        let has_same_content = match (meaning, claim) {
            (Meaning::Event { content, .. }, Some(claim)) => self.content(claim) == Some(*content),
            _ => false,
        };
        let is_own_message = claim.is_some_and(|claim| claim.message_id == message_id);
        let is_routine = matches!(outcome, "won" | "duplicate");
        let is_true = match outcome {
            _ if is_routine && !self.scenario.rules.log_routine_outcomes => false,
            "won" => is_own_claim && is_own_message && self.won.insert(claim_id),
            // A message can be a duplicate of its own claim only if the batch contains the message twice and the other copy
            // won.
            "duplicate" => has_same_content && (!(is_own_claim && is_own_message) || self.won.contains(claim_id)),
            "conflict" => claim.is_some() && !has_same_content,
            "rejected" => matches!(meaning, Meaning::Invalid),
            "failed" => true,
            _ => false,
        };
        if !is_true {
            self.judgment.add_violation(
                Rule::Log,
                format!("#{invocation} logged {outcome} for {message_id} with claim {claim_id}, which is wrong"),
            );
        }
    }

    /// Checks that every message was acknowledged, or is a dead letter, or expired in a way that no guarantee covers.
    /// All dead letters were redriven after the faults had ended. A message that is still a dead letter must therefore
    /// have a permanent cause: it is not a valid event, or it is a conflict, or a poison record blocks its event.
    pub(super) fn check_messages(&mut self, final_state: &FinalState) {
        for id in final_state.dead_letters.iter().filter(|id| !self.accepted.contains_key(id.as_str())) {
            self.judgment.add_violation(Rule::Message, format!("dead letter {id} was never sent"));
        }
        for (id, accepted) in &self.accepted {
            let is_dead = final_state.dead_letters.contains(*id);
            if is_dead {
                let is_event = matches!(accepted.meaning, Meaning::Event { .. });
                self.judgment.count_result(if is_event {
                    "dead letters: conflicts"
                } else {
                    "dead letters: invalid events"
                });
            }
            if !is_dead && !accepted.acknowledged && !accepted.redriven && !accepted.expired {
                if self.may_expire_between_receives(accepted) {
                    self.judgment.count_result("messages expired between receives");
                } else {
                    self.judgment.add_violation(Rule::Message, format!("message {id} was lost"));
                }
            }
            if let Meaning::Event { id: event_id, content, .. } = accepted.meaning
                && is_dead
            {
                let pk = format!("{KEY_PREFIX}{event_id}");
                let is_conflict = self.scenario.conflict_is_dead_letter
                    && self.claims.values().any(|claim| claim.pk == pk && self.content(claim) != Some(*content));
                if !is_conflict && !final_state.put_by_hand.contains_key(&pk) {
                    self.judgment.add_violation(
                        Rule::Message,
                        format!("message {id} about {pk} is a dead letter without a reason"),
                    );
                }
            }
        }
    }
}
