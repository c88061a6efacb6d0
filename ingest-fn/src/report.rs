//! Decides and logs the outcome of each message, and builds the partial batch response.

use std::borrow::Cow;
use std::error::Error;

use claim::{Digest, TraceId};
use lambda_support::panic_guard::catch_panic;
use lambda_support::{BatchResponse, Deadline, logs};
use tracing::field::display;

use crate::claim_table::{ClaimOutcome, HeldClaim};
use crate::claimer::ClaimerError;
use crate::config::{Config, OnConflict};
use crate::plan::{Follower, Group, Leader, Message, Rejection};

/// Maximum size, in bytes, of all bodies that the function compares for one batch to log where conflicts differ. The
/// messages of a batch have at most 6 MB, so they reach the limit only if many small messages conflict with large
/// claims. Comparing thousands of them would take all of the function's time, and the other messages of the batch would
/// fail.
const MAX_COMPARED_BYTES: usize = 16 * 1_024 * 1_024;

/// The result of a batch: its response, and the number of messages with each outcome.
pub(crate) struct Report<'a> {
    pub(crate) response: BatchResponse,
    config: &'a Config,
    deadline: Deadline,
    /// Size of the bodies that may still be compared.
    comparable_bytes: usize,
    won: u64,
    duplicate: u64,
    conflict: u64,
    rejected: u64,
    failed: u64,
}

impl<'a> Report<'a> {
    pub(crate) fn new(config: &'a Config, deadline: Deadline) -> Self {
        let response = BatchResponse::default();
        Self {
            response,
            config,
            deadline,
            comparable_bytes: MAX_COMPARED_BYTES,
            won: 0,
            duplicate: 0,
            conflict: 0,
            rejected: 0,
            failed: 0,
        }
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

    /// Adds all messages of one event. `outcome` is the outcome of the leader's claim. The followers' bodies are
    /// compared with the claim that holds the event. If it is unknown which claim holds the event, none of the messages
    /// may be acknowledged.
    pub(crate) fn add_group(&mut self, group: &Group, outcome: &Result<ClaimOutcome, ClaimerError>) {
        let Group { leader, followers } = group;
        let event_id = leader.event.id.as_str();
        let (held, held_body) = match outcome {
            Err(error) => {
                self.add_failed(Some(&leader.message), Some(event_id), error);
                for follower in followers {
                    self.add_failed(Some(&follower.message), Some(event_id), error);
                }
                return;
            }
            Ok(ClaimOutcome::Won(held)) => {
                self.won += 1;
                if self.config.log_routine_outcomes {
                    let claim_id = display(held.claim_id);
                    let Message { id: message_id, sent_at, trace_id, .. } = &leader.message;
                    let trace_id = trace_id.as_ref().map(display);
                    tracing::info!(outcome = "won", event_id, claim_id, message_id, sent_at, trace_id);
                }
                (held, Some(Cow::Borrowed(leader.body.as_str())))
            }
            Ok(ClaimOutcome::Lost { held, body }) => {
                let is_conflict = leader.event.digest != held.digest
                    || followers.iter().any(|follower| follower.digest != held.digest);
                // A large body takes time to decompress, and only conflicts need it.
                let held_body = body.as_ref().filter(|_| is_conflict).and_then(|body| body.text().ok());
                self.judge(&leader.message, leader, leader.event.digest, &leader.body, *held, held_body.as_deref());
                (held, held_body)
            }
        };
        for Follower { message, digest, other_body } in followers {
            let body = other_body.as_ref().unwrap_or(&leader.body);
            self.judge(message, leader, *digest, body, *held, held_body.as_deref());
        }
    }

    /// Adds a message whose event was already claimed: a duplicate or a conflict. `held_body` is the body in the claim, if it
    /// is available.
    fn judge(
        &mut self,
        message: &Message,
        leader: &Leader,
        digest: Digest,
        body: &str,
        held: HeldClaim,
        held_body: Option<&str>,
    ) {
        let event_id = leader.event.id.as_str();
        let Message { id: message_id, sent_at, trace_id, .. } = message;
        let claim_id = display(held.claim_id);
        let trace_id = trace_id.as_ref().map(display);
        if digest == held.digest {
            self.duplicate += 1;
            if self.config.log_routine_outcomes {
                tracing::info!(outcome = "duplicate", event_id, claim_id, message_id, sent_at, trace_id);
            }
            return;
        }
        self.conflict += 1;
        let differs = held_body.and_then(|held_body| self.differences(held_body, body));
        let digest = display(digest);
        let held_digest = display(held.digest);
        tracing::info!(
            outcome = "conflict",
            event_id,
            claim_id,
            message_id,
            sent_at,
            trace_id,
            digest,
            held_digest,
            differs
        );
        if self.config.on_conflict == OnConflict::DeadLetter {
            self.response.add_failure(message_id.as_str());
        }
    }

    /// Returns the places in which a body differs from the body in the claim, as a JSON array of JSON Pointers. Returns
    /// `None` if the comparison would take too much time, or if it fails. The outcome of the message does not depend on
    /// it.
    fn differences(&mut self, held_body: &str, body: &str) -> Option<String> {
        if self.deadline.is_reached() {
            return None;
        }
        self.comparable_bytes = self.comparable_bytes.checked_sub(held_body.len() + body.len())?;
        let pointers = catch_panic(|| self.config.rules.differences(held_body, body)).ok()?.ok()?;
        serde_json::to_string(&pointers).ok()
    }

    pub(crate) fn add_rejected(&mut self, rejection: &Rejection) {
        self.rejected += 1;
        let Rejection { message, event_id, error } = rejection;
        let LogFields { message_id, sent_at, trace_id } = LogFields::of(message.as_ref());
        tracing::info!(outcome = "rejected", event_id, message_id, sent_at, trace_id, error = logs::error_text(error));
        self.fail_message(message_id);
    }

    pub(crate) fn add_failed(
        &mut self,
        message: Option<&Message>,
        event_id: Option<&str>,
        error: &(dyn Error + 'static),
    ) {
        self.failed += 1;
        let LogFields { message_id, sent_at, trace_id } = LogFields::of(message);
        tracing::info!(outcome = "failed", event_id, message_id, sent_at, trace_id, error = logs::error_text(error));
        self.fail_message(message_id);
    }

    /// Reports a message as failed. The response cannot name a record without a message id, and the record must not be
    /// acknowledged. So it is reported with an empty identifier, which makes Lambda retry the whole batch.
    fn fail_message(&mut self, message_id: Option<&str>) {
        self.response.add_failure(message_id.unwrap_or_default());
    }
}

/// The fields of a log line about a message that may be unreadable.
struct LogFields<'a> {
    message_id: Option<&'a str>,
    sent_at: Option<&'a str>,
    trace_id: Option<&'a str>,
}

impl<'a> LogFields<'a> {
    fn of(message: Option<&'a Message>) -> Self {
        Self {
            message_id: message.map(|message| message.id.as_str()),
            sent_at: message.and_then(|message| message.sent_at.as_deref()),
            trace_id: message.and_then(|message| message.trace_id.as_ref()).map(TraceId::as_str),
        }
    }
}
