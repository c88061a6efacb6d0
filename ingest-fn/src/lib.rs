//! The Lambda function that claims the events of SQS batches in DynamoDB.
//!
//! The function claims each event of a batch with a conditional write. The claim contains the event itself, so an event
//! is never claimed without being stored. The table's stream delivers the claim to `archive-fn`.
//!
//! These guarantees hold even if processes are killed, requests are throttled, or messages are delivered twice:
//! - The function acknowledges a message only if it knows which claim holds the message's event: the table has accepted the
//!   function's own claim, or has returned an earlier one.
//! - The messages of one event in a batch share one claim. If that claim fails, all of them fail.
//! - If the claim is packed, the function acknowledges the message only if it also knows that a pack lists the claim.
//! - A message that the function rejects, for example because its body is not a valid event, fails alone on each
//!   receive, until SQS moves it to the dead-letter queue.
//!
//! The function never deletes items of the table and never accesses S3. It sends read requests only for packs. It sees
//! any other item only if DynamoDB returns the item with a write.

mod bulk_insert;
mod chunk;
mod claim_table;
mod claimer;
mod config;
mod handler;
mod pack_table;
mod packs;
mod plan;
mod random;
mod report;
mod settle;
mod warm_cache;

pub use bulk_insert::{InsertError, InsertOutcome, InsertRefusal, MAX_STATEMENTS};
pub use claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, HeldClaim, PutAnswer};
pub use config::{ClaimWrites, Config, LakeLayout, OnConflict};
pub use handler::Handler;
pub use pack_table::{CloseOutcome, PackTableError};
pub use random::{Random, os_random};
pub use settle::{SettleError, Settler};
pub use warm_cache::CachedClaim;
