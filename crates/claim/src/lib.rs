//! What `ingest-fn` and `archive-fn` agree on: which message bodies are events, the claim record that both read and
//! write, and the S3 object that a won claim becomes.
//!
//! Nothing here talks to a service or reads a clock: time and randomness come in as arguments, so that the same inputs
//! give the same bytes.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`event`] | a message body read strictly: its event id and its digest |
//! | [`record`] | the claim item: its attributes, codec, compression and size |
//! | [`object`] | the object's key and its one line of JSON |

pub mod event;
mod excerpt;
pub mod object;
pub mod record;

pub use event::{Digest, Event, EventError, EventIdPointer};
pub use excerpt::Excerpt;
pub use object::{ObjectPrefix, ObjectPrefixError};
pub use record::{Body, BodyTooLarge, Claim, ClaimError};
