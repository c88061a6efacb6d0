//! The story of one event as data: its claim, log lines, object and dead letters.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use claim::Claim;
use serde::{Deserialize, Deserializer, Serialize};

use super::search::ClaimItem;
use crate::function_logs::parse_differs;

/// The place of an event in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The event has an object with one version, not counting [`deleted_versions`](ObjectStory::deleted_versions).
    Archived,
    /// The event's object has several versions, so something other than `archive-fn` and `replay` has written to the
    /// lake.
    Overwritten,
    /// The event has a claim but no object yet, and the stream mapping has not discarded the claim's record.
    InStream,
    /// The event was claimed but has no object. The stream mapping has discarded its record, or the claim was deleted
    /// from the table.
    GivenUp,
    /// The event's claim is valid, but the code of `archive-fn` panicked on the claim's stream record, so `archive-fn`
    /// stored the record in quarantine. `replay` can write the object once the code is fixed.
    Quarantined,
    /// The event's item in the table is not a valid claim.
    UnusableClaim,
    /// `ingest-fn` rejected the event's message or failed on it, and SQS will redeliver the message.
    InQueue,
    /// Either the event's message is a dead letter, or the event's id appears in a dead letter that is not a valid
    /// event.
    DeadLetter,
    /// The search found no trace of the event.
    NotSeen,
    /// The place is unknown, because a source could not be read.
    Unknown,
}

/// The story of one event. Times are RFC 3339, UTC.
#[derive(Debug, Serialize)]
pub struct Story {
    pub event_id: String,
    pub place: Place,
    /// A text that explains the place and may say what to do.
    pub explanation: String,
    /// The event's claim under the stack's dedup key; `None` if the table has no valid claim of the event or cannot be
    /// read.
    pub claim: Option<ClaimStory>,
    /// Claims of the same event id that were made under other dedup keys. These are claims of other events.
    pub other_claims: Vec<OtherClaim>,
    /// The log lines of `ingest-fn` about the event's messages, in order.
    pub ingest: Vec<IngestLine>,
    /// The log lines of `archive-fn` about the event's claims, in order.
    pub archive: Vec<ArchiveLine>,
    /// The event's object, if there is one.
    pub object: Option<ObjectStory>,
    /// The event's dead letters, and dead letters that are not valid events but contain the event's id. Empty if the
    /// event has a claim and all log lines in `ingest` say `won` or `duplicate`, because `trace` then skips the
    /// dead-letter queue.
    pub dead_letters: Vec<DeadLetter>,
    /// Number of messages in the ingestion queue, including those of other events.
    pub queue_depth: Option<u64>,
    /// Number of messages in the on-failure queue. Each of them points to discarded records, which may belong to other
    /// events.
    pub on_failure_depth: Option<u64>,
    /// Start of the period for which the logs were searched.
    pub logs_since: String,
    /// True if the functions log the outcomes `won`, `duplicate`, `written` and `already_there`.
    pub log_routine_outcomes: bool,
    /// The sources that could not be read, each with the error.
    pub unreadable: BTreeMap<&'static str, String>,
}

/// The claim of an event.
#[derive(Debug, Serialize)]
pub struct ClaimStory {
    /// Sort key of the claim's item. The sort key depends on the dedup key.
    pub sort_key: String,
    /// The claim's id, which is also part of the object's key.
    pub claim_id: String,
    pub claimed_at: String,
    /// Id of the SQS message that won the event.
    pub message_id: String,
    /// Id of the trace that the winning message belongs to, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Send time of the winning message by SQS's clock; `None` if the search found no log line with this time.
    pub sent_at: Option<String>,
    /// The last second in which the claim is valid.
    pub holds_until: String,
    /// True if the claim's dedup window has ended. DynamoDB may delete the item later.
    pub expired: bool,
    /// Digest of the event's content in hexadecimal, as in the logs.
    pub digest: String,
}

/// An item with the same event id, but with the sort key of another dedup key.
#[derive(Debug, Serialize)]
pub struct OtherClaim {
    pub sort_key: String,
    /// The claim; `None` if the item is not a valid claim.
    pub claim: Option<ClaimStory>,
    /// The reason why the item is not a valid claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A log line of `ingest-fn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestLine {
    pub(super) timestamp: String,
    pub(super) event_id: Option<String>,
    /// `won`, `duplicate`, `conflict`, `rejected` or `failed`.
    pub outcome: String,
    pub message_id: Option<String>,
    /// Send time of the message by SQS's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    pub(super) claim_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held_digest: Option<String>,
    /// JSON Pointers to the places in which a conflict's body differs from the body in the claim.
    #[serde(default, deserialize_with = "differs", skip_serializing_if = "Option::is_none")]
    pub differs: Option<Vec<String>>,
    /// Id of the trace that the message belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A log line of `archive-fn`.
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
    /// Id of the trace in the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// The object of an event.
#[derive(Debug, Serialize)]
pub struct ObjectStory {
    pub key: String,
    /// Position of the event's line in a pack, counted from 1; `None` for a single object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Number of versions of the key, not counting `deleted_versions`.
    pub versions: usize,
    /// Number of older versions, if all of them are identical to the latest version and each was deleted before the
    /// next was written; otherwise 0. Such versions exist after `replay` has restored a deleted object.
    pub deleted_versions: usize,
    /// Size of the latest version.
    pub bytes: usize,
    /// Trace id in the metadata of the latest version, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// True if the latest version, or the event's line in it, has exactly the bytes that `archive-fn` writes for the claim
    /// in the table; `None` if the table has no claim of the event.
    pub as_claimed: Option<bool>,
}

/// A message in the dead-letter queue.
#[derive(Debug, Serialize)]
pub struct DeadLetter {
    pub message_id: String,
    /// Time at which the message was sent to the ingestion queue, by SQS's clock.
    pub sent_at: Option<String>,
    /// True if the message is a valid event with this id. If false, the message is not a valid event, but its body or
    /// an attribute contains the id.
    pub is_event: bool,
}

impl Story {
    /// Returns true if every source could be read.
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
            sort_key: claim.sort_key.to_string(),
            claim_id: claim.claim_id.to_string(),
            claimed_at: claim.claimed_at_text(),
            message_id: claim.message_id.clone(),
            trace_id: claim.trace_id.as_ref().map(ToString::to_string),
            sent_at: winners.find_map(|line| line.sent_at.clone()),
            holds_until: holds_until.map_or_else(|| claim.ttl.to_string(), rfc3339),
            expired: holds_until.is_some_and(|until| until.timestamp() < now.timestamp()),
            digest: claim.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl OtherClaim {
    pub(super) fn new(item: ClaimItem, ingest: &[IngestLine], now: DateTime<Utc>) -> Self {
        let ClaimItem { sort_key, claim } = item;
        match claim {
            Ok(claim) => Self { sort_key, claim: Some(ClaimStory::new(&claim, ingest, now)), problem: None },
            Err(problem) => Self { sort_key, claim: None, problem: Some(problem) },
        }
    }
}

/// Reads the field `differs` of a log line. The field contains the text of a JSON array; a malformed text counts as
/// absent.
fn differs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(parse_differs))
}

pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
