//! The data formats that `ingest-fn` and `archive-fn` share: valid message bodies, the claim record in DynamoDB, and
//! the S3 object that archives a claim.
//!
//! This crate calls no service and reads no clock. Time and randomness are arguments, so equal inputs give equal bytes.
//!
//! | module | content |
//! | --- | --- |
//! | [`rules`] | the rules that determine a message's event id and digest: the dedup key and the ignored members |
//! | [`event`] | the strict parser for message bodies |
//! | [`record`] | the claim as a DynamoDB item: its attributes, encoding and size |
//! | [`key`] | the key of that item |
//! | [`body`] | the event's body in that item, compressed if that saves write units |
//! | [`object`] | the S3 object: its key and its one line of JSON |
//! | [`pack`] | the pack: many lines in one DynamoDB item, which become one S3 object |

#![warn(missing_docs)]

pub mod body;
mod canonical;
mod conflict_ignore;
mod dedup_key;
mod differences;
mod digest;
pub mod event;
mod excerpt;
mod item;
pub mod key;
mod layout;
pub mod object;
pub mod pack;
mod pointer;
pub mod record;
pub mod rules;
mod trace_id;

pub use body::Body;
pub use conflict_ignore::{ConflictIgnore, ConflictIgnoreError};
pub use dedup_key::{DEFAULT_DEDUP_KEY, DedupKey, DedupKeyError};
pub use differences::{MAX_DIFFERENCE_CHARS, MAX_DIFFERENCES};
pub use digest::Digest;
pub use event::{Event, EventError};
pub use excerpt::Excerpt;
pub use layout::{Layout, PACK_LAYOUT, PackRef};
pub use object::{ObjectPrefix, ObjectPrefixError};
pub use pack::{ClaimIds, Pack, PackBuilder, PackError, PackTooLarge};
pub use pointer::PointerError;
pub use record::{BodyTooLarge, Claim, ClaimError, DigestError, SourceMessage};
pub use rules::{EventRules, MessageAttribute};
pub use trace_id::TraceId;
