//! Judges messages, writes their log lines, and gathers the partial batch response.

use aws_lambda_events::sqs::SqsBatchResponse;
use claim::Digest;
use lambda_support::error_chain;

use crate::claim_table::HeldClaim;
use crate::claimer::Settled;
use crate::config::OnConflict;
use crate::plan::{Group, Leader, Message, Rejected};

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) response: SqsBatchResponse,
    pub(crate) on_conflict: Option<OnConflict>,
    pub(crate) won: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
}

impl Report {
    /// All messages of one event: the leader by how it was settled, each follower by the claim that is confirmed. If
    /// nothing is, none of them may be acknowledged.
    pub(crate) fn group(&mut self, group: &Group, settled: Result<&Settled, &(dyn std::error::Error + 'static)>) {
        let Leader { message, event, .. } = &group.leader;
        let held = match settled {
            Err(error) => {
                self.failed(Some(message), Some(&event.id), error);
                for follower in &group.followers {
                    self.failed(Some(&follower.message), Some(&event.id), error);
                }
                return;
            }
            Ok(Settled::Won(held)) => {
                self.won += 1;
                let claim_id = tracing::field::display(held.claim_id);
                let Message { id: message_id, sent_at } = message;
                tracing::info!(outcome = "won", event_id = event.id, claim_id, message_id, sent_at);
                held
            }
            Ok(Settled::Held(held)) => {
                self.judge(message, &event.id, event.digest, held);
                held
            }
        };
        for follower in &group.followers {
            self.judge(&follower.message, &event.id, follower.digest, held);
        }
    }

    fn judge(&mut self, message: &Message, event_id: &str, digest: Digest, held: &HeldClaim) {
        let Message { id: message_id, sent_at } = message;
        let claim_id = tracing::field::display(held.claim_id);
        if digest == held.digest {
            self.duplicate += 1;
            tracing::info!(outcome = "duplicate", event_id, claim_id, message_id, sent_at);
            return;
        }
        self.conflict += 1;
        let (digest, held_digest) = (tracing::field::display(digest), tracing::field::display(held.digest));
        tracing::info!(outcome = "conflict", event_id, claim_id, message_id, sent_at, digest, held_digest);
        if self.on_conflict == Some(OnConflict::DeadLetter) {
            self.response.add_failure(message_id);
        }
    }

    pub(crate) fn rejected(&mut self, rejected: Rejected) {
        self.rejected += 1;
        let Rejected { message, event_id, reason } = rejected;
        let (message_id, sent_at) = told(message.as_ref());
        tracing::info!(
            outcome = "rejected",
            event_id,
            message_id,
            sent_at,
            error = lambda_support::logs::truncate(reason)
        );
        self.report(message_id);
    }

    pub(crate) fn failed(
        &mut self,
        message: Option<&Message>,
        event_id: Option<&str>,
        error: &(dyn std::error::Error + 'static),
    ) {
        self.failed += 1;
        let (message_id, sent_at) = told(message);
        let error = lambda_support::logs::truncate(error_chain(error));
        tracing::info!(outcome = "failed", event_id, message_id, sent_at, error);
        self.report(message_id);
    }

    /// A record that does not say which message it is cannot be reported by itself, and must not be acknowledged: an empty
    /// identifier makes Lambda deliver the whole batch again.
    fn report(&mut self, message_id: Option<&str>) {
        self.response.add_failure(message_id.unwrap_or_default());
    }
}

/// The id of a message, and when it was sent, as far as it is known.
fn told(message: Option<&Message>) -> (Option<&str>, Option<&str>) {
    (message.map(|message| message.id.as_str()), message.and_then(|message| message.sent_at.as_deref()))
}
