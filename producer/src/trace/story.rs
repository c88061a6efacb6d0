//! One event's story, as data.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use claim::Claim;
use serde::{Deserialize, Serialize};

/// Where an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It has its object, with one version.
    Archived,
    /// Its object has more versions than one: something has written to the lake that is not this system.
    Overwritten,
    /// It has a claim, and the stream still carries that to `archive-fn`.
    InStream,
    /// It has a claim and no object, and the stream's mapping has given up on it.
    GivenUp,
    /// Its stream record can never be archived, and is kept whole.
    Quarantined,
    /// The table has an item for it that is no claim.
    UnusableClaim,
    /// `ingest-fn` has refused or failed it, and it will be received again.
    InQueue,
    /// It is a dead letter.
    DeadLetter,
    /// There is no trace of it.
    NotSeen,
    /// It cannot be told, because something could not be read.
    Unknown,
}

/// One event's story. Times are RFC 3339, UTC.
#[derive(Debug, Serialize)]
pub struct Story {
    /// Whose.
    pub event_id: String,
    /// Where it is.
    pub place: Place,
    /// The same in words, with what to do about it.
    pub explanation: String,
    /// Its claim, if the table has one.
    pub claim: Option<ClaimStory>,
    /// What `ingest-fn` said of its messages, in order.
    pub ingest: Vec<IngestLine>,
    /// What `archive-fn` said of its claims, in order.
    pub archive: Vec<ArchiveLine>,
    /// Its object, if there is one.
    pub object: Option<ObjectStory>,
    /// Its messages in the dead-letter queue, as far as that was searched.
    pub dead_letters: Vec<DeadLetter>,
    /// Messages in the ingestion queue, of whatever events.
    pub queue_depth: Option<u64>,
    /// Pointers in the on-failure queue, to whatever claims.
    pub on_failure_depth: Option<u64>,
    /// The logs were searched from here on.
    pub logs_since: String,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<&'static str, String>,
}

/// Who holds the event.
#[derive(Debug, Serialize)]
pub struct ClaimStory {
    /// Names the object too.
    pub claim_id: String,
    /// When.
    pub claimed_at: String,
    /// Of the SQS message that won.
    pub message_id: String,
    /// When that was sent, by SQS's clock; `None` if no line of the log that was found says so.
    pub sent_at: Option<String>,
    /// Up to and including this second.
    pub holds_until: String,
    /// The window is over, and the item is not deleted yet.
    pub expired: bool,
    /// Of the content, as in the logs.
    pub digest: String,
}

/// A line of `ingest-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestLine {
    pub(super) timestamp: String,
    pub(super) event_id: Option<String>,
    /// `won`, `duplicate`, `conflict`, `rejected` or `failed`.
    pub outcome: String,
    /// Of the SQS message.
    pub message_id: Option<String>,
    /// When that was sent, by SQS's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    pub(super) claim_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A line of `archive-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveLine {
    pub(super) timestamp: String,
    pub(super) event_id: Option<String>,
    /// `written`, `already_there`, `quarantined` or `failed`.
    pub outcome: String,
    pub(super) claim_id: Option<String>,
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lag_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// What is in the lake.
#[derive(Debug, Serialize)]
pub struct ObjectStory {
    /// Its key.
    pub key: String,
    /// How many versions the key has.
    pub versions: usize,
    /// Of the latest.
    pub bytes: usize,
    /// It is byte for byte what the claim in the table becomes; `None` if that claim is gone.
    pub as_claimed: Option<bool>,
}

/// A message in the dead-letter queue.
#[derive(Debug, Serialize)]
pub struct DeadLetter {
    /// Of the SQS message.
    pub message_id: String,
    /// When it was first enqueued.
    pub sent_at: Option<String>,
    /// It is an event of this id; otherwise it is no event, and its text names the id.
    pub is_event: bool,
}

impl Story {
    /// Nothing that could not be read would put the event elsewhere.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.unreadable.is_empty()
    }
}

impl ClaimStory {
    pub(super) fn new(claim: &Claim, ingest: &[IngestLine], now: DateTime<Utc>) -> Self {
        let mut winners = ingest.iter().filter(|line| line.message_id.as_ref() == Some(&claim.message_id));
        let holds_until = i64::try_from(claim.ttl).ok().and_then(|ttl| DateTime::from_timestamp(ttl, 0));
        Self {
            claim_id: claim.claim_id.to_string(),
            claimed_at: claim.claimed_at_text(),
            message_id: claim.message_id.clone(),
            sent_at: winners.find_map(|line| line.sent_at.clone()),
            holds_until: holds_until.map_or_else(|| claim.ttl.to_string(), rfc3339),
            expired: holds_until.is_some_and(|until| until.timestamp() < now.timestamp()),
            digest: claim.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
