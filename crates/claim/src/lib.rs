//! What `ingest-fn` and `archive-fn` agree on: which message bodies are events, the claim record that both read and
//! write, and the S3 object that a won claim becomes.
//!
//! Nothing here talks to a service or reads a clock: time and randomness come in as arguments, so that the same inputs
//! give the same bytes.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`event`] | a message body read strictly: its event id and its digest |
//! | [`record`] | the claim item: its attributes, codec and size |
//! | [`key`] | the item's key |
//! | [`body`] | the body in the item, compressed where that pays |
//! | [`object`] | the object's key and its one line of JSON |

pub mod body;
mod canonical;
mod digest;
pub mod event;
mod excerpt;
pub mod key;
pub mod object;
mod pointer;
pub mod record;

pub use body::Body;
pub use digest::Digest;
pub use event::{Event, EventError};
pub use excerpt::Excerpt;
pub use object::{ObjectPrefix, ObjectPrefixError};
pub use pointer::EventIdPointer;
pub use record::{BodyTooLarge, Claim, ClaimError, DigestError};
