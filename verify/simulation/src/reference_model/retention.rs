//! Rules about losses at the end of a retention period. SQS deletes old messages and old dead letters, and old records
//! leave the stream. The model accepts the losses that no guarantee covers, and rejects all others.

use std::collections::BTreeSet;

use super::model::{Model, QueuedMessage};
use crate::judgment::Rule;
use crate::world::STREAM_RETENTION;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Age at which the queue deletes a message.
const QUEUE_RETENTION_MS: u64 = DAY_MS;

/// Age at which the dead-letter queue deletes a message. The age counts from the time at which the queue accepted the
/// message.
const DEAD_LETTER_RETENTION_MS: u64 = 14 * DAY_MS;

/// Number of receives after which a message becomes a dead letter.
const MAX_RECEIVE_COUNT: u64 = 3;

/// Maximum difference between the model's and the emulator's time for the end of a retention period. The stream rounds
/// a record's time down to a second, and a disabled mapping checks only once a second whether it has been enabled.
const TOLERANCE_MS: u64 = 3_000;

/// Maximum time that a visible message waits for its next receive while the queue mapping runs. It waits while
/// invocations that run into their timeouts use up the maximum concurrency.
const MAX_RECEIVE_DELAY_MS: u64 = 5 * 60 * 1_000;

/// Maximum time for which a record is retried after the stream mapping was enabled.
const MAX_RETRY_MS: u64 = 20 * 60 * 1_000;

impl<'a> Model<'a> {
    /// Notes that `ingest-fn` was invoked with these messages.
    pub(super) fn note_receives(&mut self, at_ms: u64, items: &'a [String]) {
        for id in items {
            if let Some(accepted) = self.accepted.get_mut(id.as_str()) {
                accepted.first_invoked_ms.get_or_insert(at_ms);
            }
        }
    }

    pub(super) fn note_enabled(&mut self, at_ms: u64) {
        if let Some(last) = self.disabled.last_mut() {
            last.until_ms = at_ms;
        }
    }

    /// Checks the number of messages in the queue before the queue mapping is enabled. The queue was empty when the
    /// mapping was disabled. It must now contain exactly the messages that were accepted since then and whose retention
    /// has not ended.
    pub(super) fn check_queue_count(&mut self, at_ms: u64, messages: usize) {
        let from_ms = self.disabled.last().map_or(at_ms, |disabled| disabled.from_ms);
        let mut oldest = 0;
        let mut kept = 0;
        for accepted in self.accepted.values_mut().filter(|accepted| accepted.accepted_ms >= from_ms) {
            // The message was received by a poll that began before the mapping was disabled.
            if accepted.first_invoked_ms.is_some() {
                continue;
            }
            let age_ms = at_ms - accepted.accepted_ms;
            if age_ms <= QUEUE_RETENTION_MS {
                kept += 1;
            } else {
                accepted.expired = true;
                self.judgment.count_result("messages expired in the queue");
            }
            oldest = oldest.max(age_ms);
        }
        if messages != kept {
            self.judgment.add_violation(
                Rule::Message,
                format!(
                    "the queue holds {messages} messages, but should hold {kept}; the oldest was sent {oldest} ms ago"
                ),
            );
        }
    }

    /// Checks the contents of the dead-letter queue. A letter of the previous listing must still be there until its
    /// retention ends, unless it was redriven. After its retention, it must be gone.
    pub(super) fn check_dead_letters(&mut self, at_ms: u64, ids: &'a BTreeSet<String>) {
        for id in std::mem::take(&mut self.listed_letters) {
            let Some(accepted) = self.accepted.get_mut(id) else { continue };
            let age_ms = at_ms - accepted.accepted_ms;
            match (ids.contains(id), accepted.redriven) {
                (true, _) if age_ms > DEAD_LETTER_RETENTION_MS + TOLERANCE_MS => self.judgment.add_violation(
                    Rule::Message,
                    format!("dead letter {id} is still there {age_ms} ms after it was sent"),
                ),
                (false, false) if age_ms + TOLERANCE_MS < DEAD_LETTER_RETENTION_MS => {
                    self.judgment.add_violation(
                        Rule::Message,
                        format!("dead letter {id} was deleted {age_ms} ms after it was sent"),
                    );
                }
                (false, false) => {
                    accepted.expired = true;
                    self.judgment.count_result("dead letters expired");
                }
                _ => {}
            }
        }
        self.listed_letters = ids.iter().map(String::as_str).collect();
    }

    /// Returns true if no guarantee covers the loss of this message, which was not acknowledged and is not a dead
    /// letter. This is the case if the queue mapping was disabled for so long that the message's retention could end
    /// before its last receive.
    pub(super) fn may_expire_between_receives(&self, accepted: &QueuedMessage<'_>) -> bool {
        let visibility_ms = (self.scenario.timeout_seconds * 6 + self.scenario.batching_window_seconds) * 1_000;
        let expires_ms = accepted.accepted_ms + QUEUE_RETENTION_MS;
        let is_too_late =
            |received_ms: u64| received_ms + MAX_RECEIVE_COUNT * visibility_ms + TOLERANCE_MS > expires_ms;
        let was_disabled = self.disabled.iter().any(|disabled| {
            disabled.function == "ingest"
                && (disabled.from_ms..disabled.until_ms).contains(&accepted.accepted_ms)
                && accepted.first_invoked_ms.is_none_or(|first_ms| disabled.until_ms <= first_ms)
        });
        let enabled_ms = self.disabled.iter().map(|disabled| disabled.until_ms).max().unwrap_or_default();
        was_disabled && is_too_late(accepted.first_invoked_ms.unwrap_or(enabled_ms + MAX_RECEIVE_DELAY_MS))
    }

    /// Returns true if the record of this item left the stream while the stream mapping was disabled.
    pub(super) fn has_left_stream(&self, name: &str) -> bool {
        let retention_ms = u64::try_from(STREAM_RETENTION.as_millis()).unwrap_or(u64::MAX);
        self.was_disabled_for(name, retention_ms, TOLERANCE_MS)
    }

    /// Returns true if the record of this item exceeded the record age while the stream mapping was disabled, or soon after.
    pub(super) fn may_exceed_record_age(&self, name: &str) -> bool {
        self.was_disabled_for(name, self.scenario.record_age_seconds * 1_000, MAX_RETRY_MS)
    }

    fn was_disabled_for(&self, name: &str, age_ms: u64, tolerance_ms: u64) -> bool {
        let Some(&stored_ms) = self.stored_ms.get(name) else { return false };
        self.disabled.iter().any(|disabled| {
            disabled.function == "archive"
                && (disabled.from_ms..disabled.until_ms).contains(&stored_ms)
                && stored_ms + age_ms <= disabled.until_ms + tolerance_ms
        })
    }
}
