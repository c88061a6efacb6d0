//! Rules about messages: none vanishes, and none is acknowledged or dead without a reason.

use std::collections::BTreeSet;

use claim::key::KEY_PREFIX;
use sha2::{Digest as _, Sha256};

use super::model::{Model, QueuedMessage};
use crate::final_state::FinalState;
use crate::history::CacheEntry;
use crate::judgement::Rule;
use crate::workload::Meaning;

impl<'a> Model<'a> {
    /// The producer was told that the queue took these messages.
    pub(super) fn sent(&mut self, messages: &[usize]) {
        let taken: BTreeSet<usize> = self.taken.values().map(|taken| taken.message).collect();
        for message in messages.iter().filter(|message| !taken.contains(message)) {
            self.judgement.violated(
                Rule::Message,
                format!("the producer was told that message {message} was taken, and it was not"),
            );
        }
    }

    /// A dead letter was moved back, under a new id.
    pub(super) fn redriven(&mut self, old: &str, new: &'a str) {
        let Some(dead) = self.taken.get_mut(old) else {
            return self.judgement.violated(Rule::Message, format!("the dead letter {old} was never sent"));
        };
        dead.redriven = true;
        let message = dead.message;
        self.take(new, message);
    }

    /// Every message that is not reported is won, a duplicate, or a conflict that the configuration acknowledges, by a claim
    /// that the table had taken and that had not run out when the batch began.
    pub(super) fn answered(&mut self, invocation: u64, failed: &[String], remembered: &[CacheEntry]) {
        let Some(of) = self.invocations.get(&invocation) else { return };
        let (is_ingest, wall_seconds, items, outcomes) = (of.is_ingest, of.wall_seconds, of.items, of.outcomes);
        if outcomes != items.len() {
            self.judgement
                .violated(Rule::Log, format!("#{invocation} logged {outcomes} outcomes of {} items", items.len()));
        }
        if !is_ingest {
            return;
        }
        for id in items.iter().filter(|id| !failed.contains(id)) {
            let Some(taken) = self.taken.get_mut(id.as_str()) else { continue };
            taken.acknowledged = true;
            self.judgement.ended("messages acknowledged");
            let Meaning::Event { id: event_id, content, .. } = taken.meaning else {
                self.judgement
                    .violated(Rule::Acknowledged, format!("#{invocation} acknowledged {id}, which is no event"));
                continue;
            };
            let pk = format!("{KEY_PREFIX}{event_id}");
            let mut holds = self.claims.values().filter(|(_, claim)| claim.pk == pk && claim.ttl >= wall_seconds);
            let conflict_is_fine = !self.scenario.conflict_is_dead_letter;
            if !holds.any(|(_, claim)| conflict_is_fine || self.content(claim) == Some(*content)) {
                self.judgement.violated(
                    Rule::Acknowledged,
                    format!("#{invocation} acknowledged {id}, and no claim of {pk} held that allows it"),
                );
            }
        }
        for CacheEntry { key, claim_id, digest } in remembered {
            let confirmed = self.claims.get(claim_id.as_str()).is_some_and(|(_, claim)| {
                let hash = Sha256::digest(claim.pk.trim_start_matches(KEY_PREFIX));
                claim.digest == *digest && hash.starts_with(key)
            });
            if !confirmed {
                self.judgement.violated(
                    Rule::Cache,
                    format!("#{invocation} remembers {claim_id}, which the table has not confirmed so"),
                );
            }
        }
    }

    /// The log tells the truth.
    pub(super) fn logged(&mut self, invocation: u64, outcome: &str, message_id: &str, claim_id: &'a str) {
        let Some(of) = self.invocations.get_mut(&invocation) else { return };
        of.outcomes += 1;
        if !of.is_ingest {
            return;
        }
        let own = of.claims.values().any(|own| *own == claim_id);
        let Some(QueuedMessage { meaning, .. }) = self.taken.get(message_id) else {
            return self
                .judgement
                .violated(Rule::Log, format!("#{invocation} logged {outcome} of {message_id}, which was never sent"));
        };
        let claim = self.claims.get(claim_id).map(|(_, claim)| *claim);
        let same = match (meaning, claim) {
            (Meaning::Event { content, .. }, Some(claim)) => self.content(claim) == Some(*content),
            _ => false,
        };
        let is_own_message = claim.is_some_and(|claim| claim.message_id == message_id);
        let true_ = match outcome {
            "won" => own && is_own_message && self.won.insert(claim_id),
            // Its own claim holds a message only if it came twice in the batch, and the other one has won.
            "duplicate" => same && (!(own && is_own_message) || self.won.contains(claim_id)),
            "conflict" => claim.is_some() && !same,
            "rejected" => matches!(meaning, Meaning::NoEvent),
            "failed" => true,
            _ => false,
        };
        if !true_ {
            self.judgement.violated(
                Rule::Log,
                format!("#{invocation} logged {outcome} of {message_id} by {claim_id}, which is not so"),
            );
        }
    }

    /// Each message was acknowledged or is a dead letter, and is a dead letter for a reason that lasts: everything else has
    /// been redriven when nothing went wrong any more.
    pub(super) fn check_messages(&mut self, final_state: &FinalState) {
        for id in final_state.dead_letters.iter().filter(|id| !self.taken.contains_key(id.as_str())) {
            self.judgement.violated(Rule::Message, format!("the dead letter {id} was never sent"));
        }
        for (id, taken) in &self.taken {
            let is_dead = final_state.dead_letters.contains(*id);
            if is_dead {
                let is_event = matches!(taken.meaning, Meaning::Event { .. });
                self.judgement.ended(if is_event { "dead letters: conflicts" } else { "dead letters: no events" });
            }
            if !is_dead && !taken.acknowledged && !taken.redriven {
                self.judgement.violated(Rule::Message, format!("message {id} vanished"));
            }
            if let Meaning::Event { id: event_id, content, .. } = taken.meaning
                && is_dead
            {
                let pk = format!("{KEY_PREFIX}{event_id}");
                let is_conflict = self.scenario.conflict_is_dead_letter
                    && self.claims.values().any(|(_, claim)| claim.pk == pk && self.content(claim) != Some(*content));
                if !is_conflict && !final_state.by_hand.contains_key(&pk) {
                    self.judgement
                        .violated(Rule::Message, format!("message {id} about {pk} is a dead letter without a reason"));
                }
            }
        }
    }
}
