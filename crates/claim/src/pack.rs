//! A pack: the lines of many claims in one DynamoDB item, which `archive-fn` turns into one S3 object.
//!
//! The item is written once and never changes. It says which claims are archived in this pack.
//!
//! | attribute | type | content |
//! | --- | --- | --- |
//! | `pk` | S | `PACK#<pack id>`; the id is a hyphenated UUIDv7 |
//! | `sk` | S | `PACK` |
//! | `claim_ids` | B | the ids of the claims, 16 bytes each |
//! | `lines_zstd` | B | the [lines](crate::object::object_line) of these claims in the same order, as one zstd frame |
//! | `ttl` | N | the latest `ttl` of these claims plus [`PACK_EXTRA_SECONDS`] |

mod builder;
mod lines;

use std::collections::HashMap;

use serde::Deserialize;
use serde_dynamo::AttributeValue;
use uuid::Uuid;

pub use self::builder::{PackBuilder, PackTooLarge};
pub use self::lines::{PackLine, PackLines};
use crate::excerpt::Excerpt;
use crate::item::parse_id;
use crate::record::Claim;

/// Prefix of a pack's partition key.
pub const KEY_PREFIX: &str = "PACK#";

/// Sort key of every pack.
pub const SORT_KEY: &str = "PACK";

/// Maximum number of claims in a chunk, which is the set of claims that name the same pack.
pub const MAX_CHUNK_CLAIMS: usize = 1_000;

/// Maximum size of a chunk's lines in bytes, as [`Claim::pack_bytes`] estimates it. A claim that is larger than this
/// gets an object of its own. The limit leaves a third of the largest item for wrong estimates.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// Maximum size of a pack's decompressed lines in bytes. A batch of SQS has at most 6 MB of messages, and its lines are
/// shorter than this even if the ids of the events are as long as their bodies.
pub const MAX_LINES_BYTES: usize = 16 * 1024 * 1024;

/// Number of seconds by which a pack outlives its claims. If DynamoDB deleted the pack first, someone could close it a
/// second time, and the other claims of the pack would be archived twice.
pub const PACK_EXTRA_SECONDS: u64 = 24 * 60 * 60;

/// Number of seconds after a claim's `ttl` in which the claim may still be settled. The difference to
/// [`PACK_EXTRA_SECONDS`] is for skewed clocks and late writes.
pub const SETTLE_EXTRA_SECONDS: u64 = 12 * 60 * 60;

/// Bytes of a line in addition to its event id, its message id and its body, and of the claim's id in `claim_ids`.
const LINE_BYTES: usize = 190;

/// The ids of the claims in a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimIds(Vec<u8>);

/// A pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// Id of the pack. A pack with only one claim can have the id of this claim.
    pub pack_id: Uuid,
    /// Ids of the claims, in the order of their lines.
    pub claim_ids: ClaimIds,
    /// Lines of the claims, as one zstd frame.
    pub lines_zstd: Vec<u8>,
    /// Last second in which the pack is valid, in epoch seconds.
    pub ttl: u64,
}

/// An item that cannot be read as a pack, or a pack that cannot be archived.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// An attribute is missing or has the wrong type.
    #[error("the item does not have a pack's attributes")]
    Attributes(#[source] serde_dynamo::Error),
    /// A key has a value that `ingest-fn` never writes.
    #[error("the item's `{attribute}` is {value:?}, not {expected}")]
    Key {
        /// Name of the attribute.
        attribute: &'static str,
        /// Value of the attribute.
        value: Excerpt,
        /// Description of a valid value.
        expected: &'static str,
    },
    /// `claim_ids` is not a list of ids.
    #[error("`claim_ids` has {0} bytes, not 16 for each of at least one claim")]
    ClaimIds(usize),
    /// `lines_zstd` is not a zstd frame.
    #[error("`lines_zstd` does not decompress")]
    Decompress(#[source] std::io::Error),
    /// `lines_zstd` decompresses to more than [`MAX_LINES_BYTES`].
    #[error("`lines_zstd` decompresses to more than {MAX_LINES_BYTES} bytes")]
    TooLong,
    /// The number of lines differs from the number of claims, or the last line does not end with a newline.
    #[error("the pack has {claims} claims, but {lines} complete lines")]
    Lines {
        /// Number of claims.
        claims: usize,
        /// Number of complete lines, counted up to one more than `claims`.
        lines: usize,
    },
    /// A line is not the line of a claim.
    #[error("line {line} is not the line of a claim")]
    Line {
        /// Position of the line, counted from 1.
        line: usize,
        /// Reason why the line cannot be read.
        source: serde_json::Error,
    },
    /// A line belongs to another claim than the id at its position.
    #[error("line {line} does not belong to the claim at its position")]
    OtherClaim {
        /// Position of the line, counted from 1.
        line: usize,
    },
}

impl ClaimIds {
    /// Returns true if the pack lists this claim.
    #[must_use]
    pub fn contains(&self, claim_id: Uuid) -> bool {
        self.iter().any(|id| id == claim_id)
    }

    /// Returns the ids in the order of the pack's lines.
    pub fn iter(&self) -> impl Iterator<Item = Uuid> {
        self.0.as_chunks().0.iter().map(|bytes| Uuid::from_bytes(*bytes))
    }

    fn get(&self, index: usize) -> Option<Uuid> {
        self.0.as_chunks().0.get(index).map(|bytes| Uuid::from_bytes(*bytes))
    }

    /// Returns the number of claims.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / 16
    }

    /// Returns true if there is no claim. A pack that was read has at least one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, claim_id: Uuid) {
        self.0.extend_from_slice(claim_id.as_bytes());
    }

    /// Reads the ids from a pack's item. Ignores all other attributes, which may be missing.
    ///
    /// # Errors
    /// Fails if `claim_ids` is missing or is not a list of ids.
    pub fn from_item(item: impl Into<serde_dynamo::Item>) -> Result<Self, PackError> {
        #[derive(Deserialize)]
        struct OnlyIds {
            claim_ids: serde_bytes::ByteBuf,
        }
        let OnlyIds { claim_ids } = serde_dynamo::from_item(item.into()).map_err(PackError::Attributes)?;
        Self::from_bytes(claim_ids.into_vec())
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, PackError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(16) {
            return Err(PackError::ClaimIds(bytes.len()));
        }
        Ok(Self(bytes))
    }
}

impl Pack {
    /// Returns `PACK#<pack id>`.
    #[must_use]
    pub fn partition_key(pack_id: Uuid) -> String {
        format!("{KEY_PREFIX}{pack_id}")
    }

    /// Encodes the pack as the item in the table, without copying its lines.
    #[must_use]
    pub fn into_item(self) -> serde_dynamo::Item {
        let attributes = [
            ("pk", AttributeValue::S(Self::partition_key(self.pack_id))),
            ("sk", AttributeValue::S(SORT_KEY.to_owned())),
            ("claim_ids", AttributeValue::B(self.claim_ids.0)),
            ("lines_zstd", AttributeValue::B(self.lines_zstd)),
            ("ttl", AttributeValue::N(self.ttl.to_string())),
        ];
        HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))).into()
    }

    /// Decodes an item from the table or its stream. Does not decompress the lines.
    ///
    /// # Errors
    /// Fails if an attribute is missing or has the wrong type, or if a key or `claim_ids` has a value that `ingest-fn`
    /// never writes.
    pub fn from_item(item: impl Into<serde_dynamo::Item>) -> Result<Self, PackError> {
        let Item { pk, sk, claim_ids, lines_zstd, ttl } =
            serde_dynamo::from_item(item.into()).map_err(PackError::Attributes)?;
        if sk != SORT_KEY {
            return Err(PackError::Key { attribute: "sk", value: Excerpt::of(&sk), expected: SORT_KEY });
        }
        let pack_id = pk.strip_prefix(KEY_PREFIX).and_then(|id| parse_id("pk", id).ok());
        let pack_id = pack_id.ok_or_else(|| PackError::Key {
            attribute: "pk",
            value: Excerpt::of(&pk),
            expected: "PACK# and a UUIDv7 in its hyphenated form",
        })?;
        let claim_ids = ClaimIds::from_bytes(claim_ids.into_vec())?;
        Ok(Self { pack_id, claim_ids, lines_zstd: lines_zstd.into_vec(), ttl })
    }

    /// Returns the item's size in bytes by DynamoDB's rules, as [`Claim::item_bytes`] does.
    #[must_use]
    pub fn item_bytes(&self) -> usize {
        builder::item_bytes(self.claim_ids.len(), self.lines_zstd.len())
    }

    /// Returns the claims and lines of the pack, one at a time.
    #[must_use]
    pub fn lines(&self) -> PackLines<'_> {
        PackLines::new(self)
    }
}

impl Claim {
    /// Estimates the number of bytes that this claim adds to the item of a pack. The estimate is an upper limit in
    /// practice, because a pack compresses plain bodies too.
    #[must_use]
    pub fn pack_bytes(&self) -> usize {
        self.body.stored_bytes() + self.event_id.len() + self.message_id.len() + LINE_BYTES
    }
}

#[derive(Deserialize)]
struct Item {
    pk: String,
    sk: String,
    claim_ids: serde_bytes::ByteBuf,
    lines_zstd: serde_bytes::ByteBuf,
    ttl: u64,
}
