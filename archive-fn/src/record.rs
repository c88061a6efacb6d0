//! Decodes stream records into claims, the content of the claims' objects, and packs.

use std::time::{Duration, SystemTime};

use claim::key::{KEY_PREFIX, is_claim_sort_key};
use claim::{Claim, ClaimError, Pack, PackError, TraceId, object, pack};
use lambda_support::panic_guard::Panicked;
use serde::Deserialize;
use serde_dynamo::{AttributeValue, Item};
use serde_json::Value;
use serde_json::value::RawValue;

/// A decoded stream record.
pub enum Record {
    /// The record is not a new claim with an object of its own: it is a deletion, it belongs to a packed claim or to an
    /// item that is not a claim, or its event name is unknown.
    Other,
    /// The record is a new claim.
    Claim {
        /// Claim in the record's new image.
        claim: Box<Claim>,
        /// Content of the claim's object: one line of JSON and a newline.
        line: Vec<u8>,
    },
    /// The record is a new pack.
    Pack(Box<Pack>),
}

/// The reason why the record of a claim or a pack is quarantined.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record cannot be deserialized.
    #[error("the record is not a DynamoDB stream record")]
    NotStreamRecord(#[source] serde_json::Error),
    /// The new image is not a valid claim, or the claim's body is not valid.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The new image is not a valid pack, or the pack's lines are not valid.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The record is over an hour old, and our code panicked on it twice in one invocation. The claim in the table is
    /// valid and may be the only copy of its event.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// The fields that [`Record::decode`] reads. All other fields are ignored, so they cannot make a record unusable.
#[derive(Deserialize)]
struct StreamRecord {
    #[serde(rename = "eventName")]
    event_name: String,
    dynamodb: Change,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "NewImage")]
    new_image: Option<Item>,
}

impl Record {
    /// Decodes a record. A new claim appears as an INSERT, or as a MODIFY if it replaces an expired claim that DynamoDB has
    /// not deleted yet. Does not read the lines of a pack.
    ///
    /// # Errors
    /// Fails if the record belongs to a claim or a pack but can never be archived.
    pub fn decode(record: &RawValue) -> Result<Self, RecordError> {
        let typed: StreamRecord = match serde_json::from_str(record.get()) {
            Ok(typed) => typed,
            Err(error) if looks_archivable(record) => return Err(RecordError::NotStreamRecord(error)),
            Err(_) => return Ok(Self::Other),
        };
        let Some(image) = typed.dynamodb.new_image.filter(|_| is_new(&typed.event_name)) else {
            return Ok(Self::Other);
        };
        match image.inner().get("sk") {
            Some(AttributeValue::S(sk)) if is_claim_sort_key(sk) => Self::decode_claim(image),
            Some(AttributeValue::S(sk)) if sk == pack::SORT_KEY => Ok(Self::Pack(Box::new(Pack::from_item(image)?))),
            _ => Ok(Self::Other),
        }
    }

    fn decode_claim(image: Item) -> Result<Self, RecordError> {
        let claim = Claim::from_item(image)?;
        // The claim's line is in a pack. With an object of its own, the event would be archived twice.
        if claim.layout.pack().is_some() {
            return Ok(Self::Other);
        }
        let line = object::object_line(&claim)?;
        Ok(Self::Claim { claim: Box::new(claim), line })
    }
}

fn is_new(event_name: &str) -> bool {
    event_name == "INSERT" || event_name == "MODIFY"
}

/// Returns true if a record that cannot be deserialized may be a new claim or a new pack. Also returns true if the record
/// is not valid JSON at all, so that the record is quarantined and not skipped.
fn looks_archivable(record: &RawValue) -> bool {
    let Ok(record) = serde_json::from_str::<Value>(record.get()) else { return true };
    let sort_key = record.pointer("/dynamodb/NewImage/sk/S").and_then(Value::as_str);
    let is_archivable = sort_key.is_some_and(|sk| is_claim_sort_key(sk) || sk == pack::SORT_KEY);
    // A missing or malformed event name may be the reason why a record cannot be deserialized.
    is_archivable && record.get("eventName").and_then(Value::as_str).is_none_or(is_new)
}

/// The ids that a record contains, for the log. Each is `None` if the record does not have it.
#[derive(Default)]
pub(crate) struct RecordIds {
    pub(crate) event_id: Option<String>,
    pub(crate) claim_id: Option<String>,
    pub(crate) trace_id: Option<String>,
}

impl RecordIds {
    pub(crate) fn of_claim(claim: &Claim) -> Self {
        Self {
            event_id: Some(claim.event_id.clone()),
            claim_id: Some(claim.claim_id.to_string()),
            trace_id: claim.trace_id.as_ref().map(TraceId::to_string),
        }
    }

    /// Reads the ids of a record that could not be decoded. Ignores the rest of the record, which may be malformed.
    pub(crate) fn read(record: &RawValue) -> Self {
        let Ok(record) = serde_json::from_str::<Value>(record.get()) else { return Self::default() };
        let text = |path| record.pointer(path).and_then(Value::as_str);
        let event_id = text("/dynamodb/Keys/pk/S").and_then(|pk| pk.strip_prefix(KEY_PREFIX));
        // A claim id that is not a UUID could be so long that Lambda splits the log line.
        let claim_id = text("/dynamodb/NewImage/claim_id/S").filter(|id| id.len() == UUID_CHARS);
        let trace_id = text("/dynamodb/NewImage/trace_id/S").and_then(TraceId::parse);
        Self {
            event_id: event_id.map(str::to_owned),
            claim_id: claim_id.map(str::to_owned),
            trace_id: trace_id.map(|id| id.to_string()),
        }
    }
}

/// Length of a UUID in its hyphenated form.
const UUID_CHARS: usize = 36;

/// Returns the record's creation time, or `None` if it is missing or malformed. Ignores the rest of the record, which
/// may be malformed.
pub(crate) fn created_at(record: &RawValue) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Outer {
        dynamodb: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "ApproximateCreationDateTime")]
        epoch_seconds: f64,
    }
    let record: Outer = serde_json::from_str(record.get()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(record.dynamodb.epoch_seconds).ok()?)
}

/// Returns the record's sequence number, which identifies the record in the response and names its quarantined copy. Ignores
/// the rest of the record, which may be malformed.
pub(crate) fn sequence_number(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Outer {
        dynamodb: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "SequenceNumber")]
        sequence_number: String,
    }
    let record: Outer = serde_json::from_str(record.get()).ok()?;
    Some(record.dynamodb.sequence_number).filter(|number| !number.is_empty())
}
