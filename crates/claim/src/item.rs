//! The encoding of a claim as a DynamoDB item. The module [`record`](crate::record) lists the attributes.

use std::borrow::Cow;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::body::Body;
use crate::excerpt::Excerpt;
use crate::key::{KEY_PREFIX, is_claim_sort_key};
use crate::layout::Layout;
use crate::record::{Claim, ClaimError, rfc3339};
use crate::trace_id::TraceId;

#[derive(Serialize, Deserialize)]
struct Item<'a> {
    pk: String,
    sk: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<Cow<'a, str>>,
    claim_id: String,
    claimed_at: String,
    ttl: u64,
    digest: serde_bytes::ByteBuf,
    message_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_zstd: Option<serde_bytes::ByteBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_by: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_body_zstd: Option<serde_bytes::ByteBuf>,
}

impl Claim {
    /// Encodes the claim as the item in the table.
    #[must_use]
    pub fn to_item(&self) -> serde_dynamo::Item {
        let (plain, zstd) = match &self.body {
            Body::Plain(body) => (Some(Cow::Borrowed(body.as_str())), None),
            Body::Zstd(frame) => (None, Some(serde_bytes::ByteBuf::from(frame.as_slice()))),
        };
        let pack = self.layout.pack();
        let (body, body_zstd, packed_body, packed_body_zstd) = match pack {
            None => (plain, zstd, None, None),
            Some(_) => (None, None, plain, zstd),
        };
        serde_dynamo::to_item(Item {
            pk: Self::partition_key(&self.event_id),
            sk: Cow::Borrowed(&self.sort_key),
            layout: Some(Cow::Borrowed(self.layout.name())),
            claim_id: self.claim_id.to_string(),
            claimed_at: self.claimed_at_text(),
            ttl: self.ttl,
            digest: serde_bytes::ByteBuf::from(self.digest.as_slice()),
            message_id: Cow::Borrowed(&self.message_id),
            trace_id: self.trace_id.as_ref().map(|id| Cow::Borrowed(id.as_str())),
            body,
            body_zstd,
            pack_id: pack.map(|pack| pack.pack_id.to_string()),
            close_by: pack.map(|pack| pack.close_by_ms),
            packed_body,
            packed_body_zstd,
        })
        .expect("strings, bytes and a number can be encoded")
    }

    /// Decodes an item from the table or its stream. Does not decompress the body.
    ///
    /// # Errors
    /// Fails if an attribute is missing or has the wrong type, or if a key, the `claim_id` or `claimed_at` has a value
    /// that `ingest-fn` never writes. Also fails unless the item has one of `body` and `body_zstd`, or one of
    /// `packed_body` and `packed_body_zstd` if its layout is `pack`.
    pub fn from_item(item: impl Into<serde_dynamo::Item>) -> Result<Self, ClaimError> {
        let item: Item<'static> = serde_dynamo::from_item(item.into()).map_err(ClaimError::Attributes)?;
        if !is_claim_sort_key(&item.sk) {
            let expected = "CLAIM or CLAIM#<tag>";
            return Err(ClaimError::Value { attribute: "sk", value: Excerpt::of(&item.sk), expected });
        }
        let layout = Layout::from_attributes(item.layout.as_deref(), item.pack_id.as_deref(), item.close_by)?;
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
        let claim_id = parse_id("claim_id", &item.claim_id)?;
        let claimed_at = match DateTime::parse_from_rfc3339(&item.claimed_at).map(|time| time.to_utc()) {
            // Another spelling of the same time would result in another line in the object.
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
        let (plain, zstd, bodies): (_, _, fn(&'static str) -> ClaimError) = match layout {
            Layout::Object => (item.body, item.body_zstd, ClaimError::Bodies),
            Layout::Pack(_) => (item.packed_body, item.packed_body_zstd, ClaimError::PackedBodies),
        };
        let body = match (plain, zstd) {
            (Some(body), None) => Body::Plain(body.into_owned()),
            (None, Some(frame)) => Body::Zstd(frame.into_vec()),
            (Some(_), Some(_)) => return Err(bodies("both")),
            (None, None) => return Err(bodies("neither")),
        };
        Ok(Self {
            event_id,
            sort_key: item.sk.into(),
            claim_id,
            claimed_at,
            ttl: item.ttl,
            digest: item.digest.into_vec(),
            message_id: item.message_id.into_owned(),
            // A malformed id could break a log line or an S3 header. Leaving it out is better than refusing the event.
            trace_id: item.trace_id.and_then(|id| TraceId::parse(&id)),
            layout,
            body,
        })
    }
}

/// Parses the id of a claim or a pack.
pub(crate) fn parse_id(attribute: &'static str, text: &str) -> Result<Uuid, ClaimError> {
    match Uuid::try_parse(text) {
        // Another spelling of the same UUID would result in another object key.
        Ok(id) if is_version_7(id) && id.to_string() == text => Ok(id),
        _ => {
            let expected = "a UUIDv7 in its hyphenated form";
            Err(ClaimError::Value { attribute, value: Excerpt::of(text), expected })
        }
    }
}

/// Returns true for a UUIDv7, which contains the time that the object's key needs.
fn is_version_7(id: Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122
}
