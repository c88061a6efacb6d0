//! A claim, and the size of the DynamoDB item that stores it.
//!
//! All times in a claim are derived from one clock reading, the time of the claim.
//!
//! | attribute | type | content |
//! | --- | --- | --- |
//! | `pk` | S | `EVENT#<event id>` |
//! | `sk` | S | `CLAIM`, or `CLAIM#<tag>` if the dedup key is not the default one |
//! | `layout` | S | `object`: the claim is archived as an object of its own. An absent attribute means the same. `pack`: the claim's line is in a pack |
//! | `claim_id` | S | hyphenated UUIDv7; it begins with the time of the claim |
//! | `claimed_at` | S | time of the claim in RFC 3339, UTC, with milliseconds |
//! | `ttl` | N | time of the claim in epoch seconds, plus the dedup window |
//! | `digest` | B | digest of the body, see [`Digest`] |
//! | `message_id` | S | id of the SQS message that won the event |
//! | `trace_id` | S | id of the trace of that message, see [`TraceId`]; absent if the message has none |
//! | `body` or `body_zstd` | S or B | the body as received, compressed if that saves write units |
//!
//! With the layout `pack`, the item has these attributes instead of `body` or `body_zstd`. A version that does not know
//! packs finds no body, so it does not archive the claim.
//!
//! | attribute | type | content |
//! | --- | --- | --- |
//! | `pack_id` | S | hyphenated UUIDv7; the id of the [pack](crate::pack) |
//! | `close_by` | N | epoch milliseconds; the deadline of the invocation that made the claim |
//! | `packed_body` or `packed_body_zstd` | S or B | the body as received, compressed if that saves write units |

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::body::{Body, MAX_BODY_BYTES, plain_attribute_bytes};
use crate::digest::Digest;
use crate::event::{Event, EventError};
use crate::excerpt::Excerpt;
use crate::key::KEY_PREFIX;
use crate::layout::Layout;
use crate::rules::EventRules;
use crate::trace_id::TraceId;

/// Largest item that DynamoDB stores, in bytes, including the attributes' names: 400 KB (developer guide, "Service,
/// account, and table quotas").
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

/// A body that is too large to be claimed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyTooLarge {
    /// The item does not fit into DynamoDB, even with a compressed body.
    #[error("the claim item has {item_bytes} bytes, more than the {MAX_ITEM_BYTES} that DynamoDB stores")]
    Item {
        /// Size of the item in bytes, by DynamoDB's rules.
        item_bytes: usize,
    },
    /// The body is longer than SQS allows. A claim could store such a body only compressed, and `archive-fn` would
    /// refuse to decompress it.
    #[error("the body has {body_bytes} bytes, more than the {MAX_BODY_BYTES} that SQS allows")]
    Body {
        /// Length of the body in bytes.
        body_bytes: usize,
    },
}

/// An item that cannot be read as a claim, or a claim that cannot be archived.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// An attribute is missing or has the wrong type.
    #[error("the item does not have a claim's attributes")]
    Attributes(#[source] serde_dynamo::Error),
    /// An attribute has a value that `ingest-fn` never writes.
    #[error("the item's `{attribute}` is {value:?}, not {expected}")]
    Value {
        /// Name of the attribute.
        attribute: &'static str,
        /// Value of the attribute.
        value: Excerpt,
        /// Description of a valid value.
        expected: &'static str,
    },
    /// The item has both `body` and `body_zstd`, or neither.
    #[error("the item must have one of `body` and `body_zstd`, but has {0}")]
    Bodies(&'static str),
    /// The item has the layout `pack`, and both `packed_body` and `packed_body_zstd`, or neither.
    #[error("the item must have one of `packed_body` and `packed_body_zstd`, but has {0}")]
    PackedBodies(&'static str),
    /// The item has the layout `pack`, but does not name its pack.
    #[error("the item has the layout `pack`, but no `{0}`")]
    NoPack(&'static str),
    /// `body_zstd` is not a zstd frame, or its content is longer than [`MAX_BODY_BYTES`].
    #[error("`body_zstd` does not decompress")]
    Decompress(#[source] std::io::Error),
    /// The decompressed `body_zstd` is not text.
    #[error("`body_zstd` is not UTF-8")]
    NotText(#[source] std::string::FromUtf8Error),
    /// The body is not JSON, so it cannot be part of the line in the S3 object.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
}

/// The reason why a stored claim's content cannot be compared with the body of another message.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The claim's body cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ClaimError),
    /// The claim's body is not a valid event.
    #[error(transparent)]
    NotAnEvent(#[from] EventError),
}

/// The message that claims an event.
#[derive(Clone, Copy, Debug)]
pub struct SourceMessage<'a> {
    /// Id of the SQS message.
    pub id: &'a str,
    /// Id of the trace that the message belongs to.
    pub trace_id: Option<&'a TraceId>,
    /// Body of the message.
    pub body: &'a str,
}

impl<'a> SourceMessage<'a> {
    /// Returns a message without a trace.
    #[must_use]
    pub fn new(id: &'a str, body: &'a str) -> Self {
        Self { id, trace_id: None, body }
    }
}

/// A claim: the event, the message that won it, the time of the claim and the time at which the claim expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Event id, without [`KEY_PREFIX`].
    pub event_id: String,
    /// Sort key of the claim's item: `CLAIM` or `CLAIM#<tag>`.
    pub sort_key: Arc<str>,
    /// Id of the claim. The key of the claim's S3 object ends with `<claim_id>.json`.
    pub claim_id: Uuid,
    /// Time of the claim, with a precision of milliseconds.
    pub claimed_at: DateTime<Utc>,
    /// Last second in which the claim is valid, in epoch seconds.
    pub ttl: u64,
    /// The stored digest of the body. It can be compared with the digest of a message only if both have the same
    /// version and the same list of ignored members.
    pub digest: Vec<u8>,
    /// Id of the SQS message that won the event.
    pub message_id: String,
    /// Id of the trace that the message belongs to, if it has one.
    pub trace_id: Option<TraceId>,
    /// Place of the claim's line in the data lake.
    pub layout: Layout,
    /// The body as received, possibly compressed.
    pub body: Body,
}

impl Claim {
    /// Creates a claim with an object of its own. The claim is valid for `window`, starting at `now`. All its times are
    /// derived from `now`, and `random` is the random part of its id.
    ///
    /// # Errors
    /// Fails if the item is too large for DynamoDB even with a compressed body, or if the body exceeds
    /// [`MAX_BODY_BYTES`].
    ///
    /// # Panics
    /// Panics if `now` is before 1970.
    pub fn new(
        event: &Event,
        message: &SourceMessage<'_>,
        now: SystemTime,
        window: Duration,
        random: &[u8; 10],
    ) -> Result<Self, BodyTooLarge> {
        Self::with_layout(event, message, now, window, random, Layout::Object)
    }

    /// Creates a claim as [`Claim::new`] does, but with the given layout.
    ///
    /// # Errors
    /// Fails if the item is too large for DynamoDB even with a compressed body, or if the body exceeds [`MAX_BODY_BYTES`].
    ///
    /// # Panics
    /// Panics if `now` is before 1970.
    pub fn with_layout(
        event: &Event,
        message: &SourceMessage<'_>,
        now: SystemTime,
        window: Duration,
        random: &[u8; 10],
        layout: Layout,
    ) -> Result<Self, BodyTooLarge> {
        let body = message.body;
        if body.len() > MAX_BODY_BYTES {
            return Err(BodyTooLarge::Body { body_bytes: body.len() });
        }
        let claim_id = Self::id_at(now, random);
        let claim = Self {
            event_id: event.id.clone(),
            sort_key: Arc::clone(&event.sort_key),
            claim_id,
            claimed_at: id_time(claim_id),
            ttl: since_1970(now).as_secs() + window.as_secs(),
            digest: event.digest.to_bytes(),
            message_id: message.id.to_owned(),
            trace_id: message.trace_id.cloned(),
            layout,
            body: Body::cheapest(body, item_bytes_without_body(event, message, layout)),
        };
        let item_bytes = claim.item_bytes();
        if item_bytes > MAX_ITEM_BYTES {
            return Err(BodyTooLarge::Item { item_bytes });
        }
        Ok(claim)
    }

    /// Returns the id of a claim or a pack that is made at `now`. `random` is the random part of the id.
    ///
    /// # Panics
    /// Panics if `now` is before 1970.
    #[must_use]
    pub fn id_at(now: SystemTime, random: &[u8; 10]) -> Uuid {
        let now_ms = u64::try_from(since_1970(now).as_millis()).expect("the wall clock is before the year 500,000,000");
        uuid::Builder::from_unix_timestamp_millis(now_ms, random).into_uuid()
    }

    /// Checks that a claim with this body fits into DynamoDB. Builds and measures the claim only if its body would have
    /// to be compressed to fit.
    ///
    /// # Errors
    /// Fails if [`Claim::new`] would fail.
    pub fn check_size(event: &Event, message: &SourceMessage<'_>) -> Result<(), BodyTooLarge> {
        let plain = item_bytes_without_body(event, message, Layout::Object) + plain_attribute_bytes(message.body);
        if plain <= MAX_ITEM_BYTES {
            return Ok(());
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SAMPLE_TIME_SECONDS);
        Self::new(event, message, now, Duration::ZERO, &[0; 10]).map(drop)
    }

    /// Returns `EVENT#<event id>`.
    #[must_use]
    pub fn partition_key(event_id: &str) -> String {
        format!("{KEY_PREFIX}{event_id}")
    }

    /// Returns the item's size in bytes by DynamoDB's rules (developer guide, "DynamoDB item sizes and formats"). Each
    /// name, string and binary value counts its bytes (strings in UTF-8). A number counts one byte for every two
    /// digits, plus one byte.
    #[must_use]
    pub fn item_bytes(&self) -> usize {
        let trace_id = self.trace_id.as_ref();
        other_bytes(&self.event_id, &self.sort_key, self.digest.len(), &self.message_id, trace_id, self.layout)
            + self.body.attribute_bytes()
    }

    /// Returns the body as received.
    ///
    /// # Errors
    /// Fails if `body_zstd` does not decompress to text of at most [`MAX_BODY_BYTES`].
    pub fn body_text(&self) -> Result<Cow<'_, str>, ClaimError> {
        self.body.text()
    }

    /// Returns the claim's digest in the form that can be compared with the digest of a message under `rules`. Returns
    /// the stored digest if it has this form, and otherwise computes the digest from the body.
    ///
    /// # Errors
    /// Fails if the digest must be computed, but the stored body cannot be read or is not a valid event.
    pub fn comparable_digest(&self, rules: &EventRules) -> Result<Digest, DigestError> {
        match Digest::from_stored(&self.digest).filter(|digest| rules.can_compare(digest)) {
            Some(digest) => Ok(digest),
            None => Ok(rules.digest(&self.body_text()?)?),
        }
    }

    /// Returns the time in the claim id. This time equals `claimed_at`, unless someone edited the item by hand.
    #[must_use]
    pub fn id_time(&self) -> DateTime<Utc> {
        id_time(self.claim_id)
    }

    /// Returns `claimed_at` as the item stores it: `2026-11-23T09:41:07.123Z`.
    #[must_use]
    pub fn claimed_at_text(&self) -> String {
        rfc3339(self.claimed_at)
    }
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(SystemTime::UNIX_EPOCH).expect("the wall clock is past 1970")
}

/// Returns the time in the id of a claim or a pack, which is a UUIDv7.
#[must_use]
pub fn id_time(id: Uuid) -> DateTime<Utc> {
    // A UUIDv7 begins with 48 bits of milliseconds.
    let milliseconds = i64::try_from(id.as_u128() >> 80).expect("48 of 128 bits are left");
    DateTime::from_timestamp_millis(milliseconds).expect("48 bits of milliseconds end in the year 10889")
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An arbitrary time for a claim that is built only to compute its size. The size does not depend on the time, because
/// `ttl` has ten digits until 2286.
const SAMPLE_TIME_SECONDS: u64 = 1_800_000_000;

fn item_bytes_without_body(event: &Event, message: &SourceMessage<'_>, layout: Layout) -> usize {
    other_bytes(&event.id, &event.sort_key, event.digest.stored_bytes(), message.id, message.trace_id, layout)
}

fn other_bytes(
    event_id: &str,
    sort_key: &str,
    digest_bytes: usize,
    message_id: &str,
    trace_id: Option<&TraceId>,
    layout: Layout,
) -> usize {
    const PK: usize = "pk".len() + KEY_PREFIX.len();
    const CLAIM_ID: usize = "claim_id".len() + 36;
    const CLAIMED_AT: usize = "claimed_at".len() + "2026-11-23T09:41:07.123Z".len();
    const TTL: usize = "ttl".len() + 10 / 2 + 1;
    let pk = PK + event_id.len();
    let sk = "sk".len() + sort_key.len();
    let digest = "digest".len() + digest_bytes;
    let message_id = "message_id".len() + message_id.len();
    let trace_id = trace_id.map_or(0, |id| "trace_id".len() + id.as_str().len());
    pk + sk + layout.bytes() + CLAIM_ID + CLAIMED_AT + TTL + digest + message_id + trace_id
}
