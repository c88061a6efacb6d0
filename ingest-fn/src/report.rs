//! Decides and logs the outcome of each message, and builds the partial batch response.

use std::error::Error;

use claim::Digest;
use lambda_support::{BatchResponse, logs};

use crate::claim_table::{ClaimOutcome, HeldClaim};
use crate::claimer::ClaimerError;
use crate::config::OnConflict;
use crate::plan::{Group, Leader, Message, Rejection};

/// The result of a batch: its response, and the number of messages with each outcome.
pub(crate) struct Report {
    pub(crate) response: BatchResponse,
    on_conflict: OnConflict,
    won: u64,
    duplicate: u64,
    conflict: u64,
    rejected: u64,
    failed: u64,
}

impl Report {
    pub(crate) fn new(on_conflict: OnConflict) -> Self {
        let response = BatchResponse::default();
        Self { response, on_conflict, won: 0, duplicate: 0, conflict: 0, rejected: 0, failed: 0 }
    }

    /// Returns the name and the count of each metric.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("Won", self.won),
            ("Duplicate", self.duplicate),
            ("Conflict", self.conflict),
            ("Rejected", self.rejected),
            ("Failed", self.failed),
        ]
    }

    /// Adds all messages of one event. `outcome` is the outcome of the leader's claim. The followers' bodies are compared
    /// with the claim that holds the event. If that claim is unknown, none of the messages may be acknowledged.
    pub(crate) fn add_group(&mut self, group: &Group, outcome: &Result<ClaimOutcome, ClaimerError>) {
        let Leader { message, event, .. } = &group.leader;
        let held = match outcome {
            Err(error) => {
                self.add_failed(Some(message), Some(&event.id), error);
                for follower in &group.followers {
                    self.add_failed(Some(&follower.message), Some(&event.id), error);
                }
                return;
            }
            Ok(ClaimOutcome::Won(held)) => {
                self.won += 1;
                let claim_id = tracing::field::display(held.claim_id);
                let Message { id: message_id, sent_at } = message;
                tracing::info!(outcome = "won", event_id = event.id, claim_id, message_id, sent_at);
                held
            }
            Ok(ClaimOutcome::Lost(held)) => {
                self.judge(message, &event.id, event.digest, held);
                held
            }
        };
        for follower in &group.followers {
            self.judge(&follower.message, &event.id, follower.digest, held);
        }
    }

    /// Adds a message whose event was already claimed: a duplicate or a conflict.
    fn judge(&mut self, message: &Message, event_id: &str, digest: Digest, held: &HeldClaim) {
        let Message { id: message_id, sent_at } = message;
        let claim_id = tracing::field::display(held.claim_id);
        if digest == held.digest {
            self.duplicate += 1;
            tracing::info!(outcome = "duplicate", event_id, claim_id, message_id, sent_at);
            return;
        }
        self.conflict += 1;
        let digest = tracing::field::display(digest);
        let held_digest = tracing::field::display(held.digest);
        tracing::info!(outcome = "conflict", event_id, claim_id, message_id, sent_at, digest, held_digest);
        if self.on_conflict == OnConflict::DeadLetter {
            self.response.add_failure(message_id.as_str());
        }
    }

    pub(crate) fn add_rejected(&mut self, rejection: &Rejection) {
        self.rejected += 1;
        let Rejection { message, event_id, error } = rejection;
        let (message_id, sent_at) = log_fields(message.as_ref());
        tracing::info!(outcome = "rejected", event_id, message_id, sent_at, error = logs::error_text(error));
        self.fail_message(message_id);
    }

    pub(crate) fn add_failed(
        &mut self,
        message: Option<&Message>,
        event_id: Option<&str>,
        error: &(dyn Error + 'static),
    ) {
        self.failed += 1;
        let (message_id, sent_at) = log_fields(message);
        tracing::info!(outcome = "failed", event_id, message_id, sent_at, error = logs::error_text(error));
        self.fail_message(message_id);
    }

    /// Reports a message as failed. The response cannot name a record without a message id, and the record must not be
    /// acknowledged. So it is reported with an empty identifier, which makes Lambda retry the whole batch.
    fn fail_message(&mut self, message_id: Option<&str>) {
        self.response.add_failure(message_id.unwrap_or_default());
    }
}

/// Returns the id of a message and the time at which it was sent, as far as the record states them.
fn log_fields(message: Option<&Message>) -> (Option<&str>, Option<&str>) {
    (message.map(|message| message.id.as_str()), message.and_then(|message| message.sent_at.as_deref()))
}
