//! The claim item, as it stands in the table.
//!
//! | attribute | type | what it is |
//! | --- | --- | --- |
//! | `pk` | S | `EVENT#<event id>` |
//! | `sk` | S | `CLAIM` |
//! | `claim_id` | S | UUIDv7, hyphenated, of the claim's one reading of the clock |
//! | `claimed_at` | S | the same reading, RFC 3339, UTC, milliseconds |
//! | `ttl` | N | the same reading in whole seconds, plus the dedup window |
//! | `digest` | B | see [`Digest`](crate::Digest) |
//! | `message_id` | S | of the SQS message that won |
//! | `body` or `body_zstd` | S or B | the body as received; compressed where that saves write units |

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::body::{Body, MAX_BODY_BYTES, decompress, plain_attribute_bytes};
use crate::digest::Digest;
use crate::event::{Event, EventError};
use crate::excerpt::Excerpt;
use crate::key::{KEY_PREFIX, SORT_KEY};

/// Largest item that DynamoDB stores, in bytes, attribute names included: 400 KB ("Service, account, and table quotas").
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// The body cannot be claimed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyTooLarge {
    /// The item does not fit into DynamoDB, even compressed.
    #[error("the claim of this body takes {item_bytes} bytes, more than the {MAX_ITEM_BYTES} that DynamoDB stores")]
    Item {
        /// Size of the item, counted as DynamoDB counts it.
        item_bytes: usize,
    },
    /// It is longer than any that SQS lets through, and would not be decompressed again.
    #[error("the body takes {body_bytes} bytes, more than the {MAX_BODY_BYTES} of the largest message")]
    Body {
        /// Its length.
        body_bytes: usize,
    },
}

/// Why an item is not a claim, or not one that can be archived.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// An attribute is missing or of another type.
    #[error("the item does not have a claim's attributes")]
    Attributes(#[source] serde_dynamo::Error),
    /// An attribute is there, and its value is none that `ingest-fn` writes.
    #[error("the item's `{attribute}` is {value:?}, not {expected}")]
    Value {
        /// Its name.
        attribute: &'static str,
        /// Its value.
        value: Excerpt,
        /// What would be right.
        expected: &'static str,
    },
    /// `body` and `body_zstd` are both there, or neither is.
    #[error("the item has {0} of `body` and `body_zstd`, not one of the two")]
    Bodies(&'static str),
    /// `body_zstd` is no zstd frame of at most [`MAX_BODY_BYTES`] of content.
    #[error("`body_zstd` does not decompress")]
    Decompress(#[source] std::io::Error),
    /// What `body_zstd` decompresses to is not text.
    #[error("`body_zstd` is not UTF-8")]
    NotText(#[source] std::string::FromUtf8Error),
    /// The body is not JSON, so that it cannot stand in the object's line.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
}

/// Why the content of a claim cannot be compared with a duplicate's.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The body cannot be read at all.
    #[error(transparent)]
    Unreadable(#[from] ClaimError),
    /// The body is text, and breaks the rules for an event.
    #[error(transparent)]
    NotAnEvent(#[from] EventError),
}

/// A claim: who won an event, when, for how long, and the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Without [`KEY_PREFIX`].
    pub event_id: String,
    /// Names the object too.
    pub claim_id: Uuid,
    /// To the millisecond.
    pub claimed_at: DateTime<Utc>,
    /// Epoch seconds. The claim holds up to and including this second.
    pub ttl: u64,
    /// As stored: another version than [`Digest::VERSION`] is possible in an old claim.
    pub digest: Vec<u8>,
    /// Of the SQS message that won.
    pub message_id: String,
    /// The event.
    pub body: Body,
}

impl Claim {
    /// A new claim. `now` is the claim's one reading of the wall clock, and everything in it follows from that reading:
    /// the SDK's retries resend the same bytes.
    ///
    /// # Errors
    /// When the item would be larger than DynamoDB stores, even compressed, or the body is over [`MAX_BODY_BYTES`].
    ///
    /// # Panics
    /// If `now` is before 1970.
    pub fn new(
        event: &Event,
        message_id: &str,
        body: &str,
        now: SystemTime,
        window: Duration,
        random: &[u8; 10],
    ) -> Result<Self, BodyTooLarge> {
        if body.len() > MAX_BODY_BYTES {
            return Err(BodyTooLarge::Body { body_bytes: body.len() });
        }
        let now = now.duration_since(SystemTime::UNIX_EPOCH).expect("the wall clock is past 1970");
        let now_ms = u64::try_from(now.as_millis()).expect("the wall clock is before the year 500,000,000");
        let other_bytes = item_bytes_without_body(&event.id, message_id);
        let claim = Self {
            event_id: event.id.clone(),
            claim_id: uuid::Builder::from_unix_timestamp_millis(now_ms, random).into_uuid(),
            claimed_at: DateTime::from_timestamp_millis(now_ms.cast_signed()).expect("as above"),
            ttl: now.as_secs() + window.as_secs(),
            digest: event.digest.as_bytes().to_vec(),
            message_id: message_id.to_owned(),
            body: Body::cheapest(body, other_bytes),
        };
        let item_bytes = claim.item_bytes();
        if item_bytes > MAX_ITEM_BYTES {
            return Err(BodyTooLarge::Item { item_bytes });
        }
        Ok(claim)
    }

    /// Whether a claim of this body would fit, without building it: most do uncompressed.
    ///
    /// # Errors
    /// As [`Claim::new`].
    pub fn check_size(event: &Event, message_id: &str, body: &str) -> Result<(), BodyTooLarge> {
        let plain = item_bytes_without_body(&event.id, message_id) + plain_attribute_bytes(body);
        if plain <= MAX_ITEM_BYTES {
            return Ok(());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SIZED_AS_OF);
        Self::new(event, message_id, body, now, Duration::ZERO, &[0; 10]).map(drop)
    }

    /// `EVENT#<event id>`.
    #[must_use]
    pub fn partition_key(event_id: &str) -> String {
        format!("{KEY_PREFIX}{event_id}")
    }

    /// Size of the item as DynamoDB counts it: names and text by their UTF-8, binary by its bytes, a number by half its
    /// digits plus one ("DynamoDB item sizes and formats").
    #[must_use]
    pub fn item_bytes(&self) -> usize {
        item_bytes_without_body(&self.event_id, &self.message_id) + self.body.attribute_bytes()
    }

    /// What is written to the table.
    ///
    /// # Panics
    /// Never: an item of strings, bytes and a number can always be encoded.
    #[must_use]
    pub fn to_item(&self) -> serde_dynamo::Item {
        let (body, body_zstd) = match &self.body {
            Body::Plain(body) => (Some(Cow::Borrowed(body.as_str())), None),
            Body::Zstd(frame) => (None, Some(serde_bytes::ByteBuf::from(frame.as_slice()))),
        };
        serde_dynamo::to_item(Item {
            pk: Self::partition_key(&self.event_id),
            sk: Cow::Borrowed(SORT_KEY),
            claim_id: self.claim_id.to_string(),
            claimed_at: self.claimed_at_text(),
            ttl: self.ttl,
            digest: serde_bytes::ByteBuf::from(self.digest.as_slice()),
            message_id: Cow::Borrowed(&self.message_id),
            body,
            body_zstd,
        })
        .expect("strings, bytes and a number can be encoded")
    }

    /// Reads what the table or its stream holds. The body is left compressed.
    ///
    /// # Errors
    /// When it is not a claim that `ingest-fn` could have written.
    pub fn from_item(item: impl Into<serde_dynamo::Item>) -> Result<Self, ClaimError> {
        let item: Item<'static> = serde_dynamo::from_item(item.into()).map_err(ClaimError::Attributes)?;
        if item.sk != SORT_KEY {
            return Err(ClaimError::Value { attribute: "sk", value: Excerpt::of(&item.sk), expected: SORT_KEY });
        }
        let event_id = match item.pk.strip_prefix(KEY_PREFIX) {
            Some(event_id) if !event_id.is_empty() => event_id.to_owned(),
            _ => {
                return Err(ClaimError::Value {
                    attribute: "pk",
                    value: Excerpt::of(&item.pk),
                    expected: "EVENT#<event id>",
                });
            }
        };
        let claim_id = match Uuid::try_parse(&item.claim_id) {
            // Other spellings of a UUID would become other object keys.
            Ok(claim_id) if claim_id.to_string() == item.claim_id => claim_id,
            _ => {
                let expected = "a UUID in its hyphenated form";
                return Err(ClaimError::Value { attribute: "claim_id", value: Excerpt::of(&item.claim_id), expected });
            }
        };
        let claimed_at = match DateTime::parse_from_rfc3339(&item.claimed_at).map(|time| time.to_utc()) {
            // Other spellings of a time would become other lines.
            Ok(claimed_at) if rfc3339(claimed_at) == item.claimed_at => claimed_at,
            _ => {
                let expected = "a time in RFC 3339, UTC, with milliseconds";
                return Err(ClaimError::Value {
                    attribute: "claimed_at",
                    value: Excerpt::of(&item.claimed_at),
                    expected,
                });
            }
        };
        let body = match (item.body, item.body_zstd) {
            (Some(body), None) => Body::Plain(body.into_owned()),
            (None, Some(frame)) => Body::Zstd(frame.into_vec()),
            (Some(_), Some(_)) => return Err(ClaimError::Bodies("both")),
            (None, None) => return Err(ClaimError::Bodies("neither")),
        };
        Ok(Self {
            event_id,
            claim_id,
            claimed_at,
            ttl: item.ttl,
            digest: item.digest.into_vec(),
            message_id: item.message_id.into_owned(),
            body,
        })
    }

    /// The body as it was received.
    ///
    /// # Errors
    /// When `body_zstd` is not one zstd frame of text within [`MAX_BODY_BYTES`].
    pub fn body_text(&self) -> Result<Cow<'_, str>, ClaimError> {
        match &self.body {
            Body::Plain(body) => Ok(Cow::Borrowed(body)),
            Body::Zstd(frame) => {
                let body = decompress(frame).map_err(ClaimError::Decompress)?;
                String::from_utf8(body).map(Cow::Owned).map_err(ClaimError::NotText)
            }
        }
    }

    /// The digest to compare a duplicate's with: the stored one, or, if that is of another version, one computed from
    /// the body.
    ///
    /// # Errors
    /// Fails if the stored body is needed and cannot be read.
    pub fn comparable_digest(&self) -> Result<Digest, DigestError> {
        match Digest::from_stored(&self.digest) {
            Some(digest) => Ok(digest),
            None => Ok(Digest::of(&self.body_text()?)?),
        }
    }

    /// `claimed_at` as it is written: `2026-11-23T09:41:07.123Z`.
    #[must_use]
    pub fn claimed_at_text(&self) -> String {
        rfc3339(self.claimed_at)
    }
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Any moment whose `ttl` has ten digits, as all have until the year 2286: the size depends on no more of it.
const SIZED_AS_OF: u64 = 1_800_000_000;

fn item_bytes_without_body(event_id: &str, message_id: &str) -> usize {
    const PK: usize = "pk".len() + KEY_PREFIX.len();
    const SK: usize = "sk".len() + SORT_KEY.len();
    const CLAIM_ID: usize = "claim_id".len() + 36;
    const CLAIMED_AT: usize = "claimed_at".len() + "2026-11-23T09:41:07.123Z".len();
    const TTL: usize = "ttl".len() + 10 / 2 + 1;
    const DIGEST: usize = "digest".len() + 33;
    PK + event_id.len() + SK + CLAIM_ID + CLAIMED_AT + TTL + DIGEST + "message_id".len() + message_id.len()
}

#[derive(Serialize, Deserialize)]
struct Item<'a> {
    pk: String,
    sk: Cow<'a, str>,
    claim_id: String,
    claimed_at: String,
    ttl: u64,
    digest: serde_bytes::ByteBuf,
    message_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_zstd: Option<serde_bytes::ByteBuf>,
}
