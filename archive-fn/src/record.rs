//! A stream record, decoded: is it a claim, and what object does it become?

use claim::key::SORT_KEY;
use claim::{Claim, ClaimError, object};
use lambda_support::panic_guard::Panicked;
use serde::Deserialize;
use serde_dynamo::{AttributeValue, Item};
use serde_json::Value;
use serde_json::value::RawValue;

/// A stream record, decoded.
pub enum Record {
    /// Not a new claim: a deletion, another kind of item, or an event name that nobody knows.
    Other,
    /// A new claim, and the object's content.
    Claim {
        /// As the new image has it.
        claim: Box<Claim>,
        /// One line of JSON and a newline.
        line: Vec<u8>,
    },
}

/// Why a record that says that it is a claim can never be archived.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It does not deserialize.
    #[error("the record is no DynamoDB stream record")]
    NotStreamRecord(#[source] serde_json::Error),
    /// Its image is not a claim, or the claim has no object.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Our own code panicked on it.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// What is read of a record. Its other fields are not looked at, so that none of them can make it unusable.
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
    /// INSERT and MODIFY count: a claim that replaces an expired one, which DynamoDB has not deleted yet, is a MODIFY.
    ///
    /// # Errors
    /// Fails if the record says that it is a claim, and can never be archived.
    pub fn decode(record: &RawValue) -> Result<Self, RecordError> {
        let typed: StreamRecord = match serde_json::from_str(record.get()) {
            Ok(typed) => typed,
            Err(error) if says_that_it_is_a_claim(record) => return Err(RecordError::NotStreamRecord(error)),
            Err(_) => return Ok(Self::Other),
        };
        let is_claim = |image: &Item| matches!(image.inner().get("sk"), Some(AttributeValue::S(sk)) if sk == SORT_KEY);
        let Some(image) = typed.dynamodb.new_image.filter(is_claim) else { return Ok(Self::Other) };
        if !is_new(&typed.event_name) {
            return Ok(Self::Other);
        }
        let claim = Claim::from_item(image)?;
        let line = object::object_line(&claim)?;
        Ok(Self::Claim { claim: Box::new(claim), line })
    }
}

fn is_new(event_name: &str) -> bool {
    event_name == "INSERT" || event_name == "MODIFY"
}

/// Of a record that does not deserialise: as much as can be told without its types. One that cannot be told at all is
/// kept.
fn says_that_it_is_a_claim(record: &RawValue) -> bool {
    let Ok(record) = serde_json::from_str::<Value>(record.get()) else { return true };
    let is_claim = record.pointer("/dynamodb/NewImage/sk/S").and_then(Value::as_str) == Some(SORT_KEY);
    // A name that is missing or no text is one of the things that can be wrong with a claim's record.
    is_claim && record.get("eventName").and_then(Value::as_str).is_none_or(is_new)
}

/// By which the record is reported, and its quarantined copy named. Read apart from the rest, which may not deserialise.
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
