//! SQS batch in, claims out, partial batch response.
//!
//! Each event in a batch is claimed by a conditional write, with the event itself inside the claim. Whoever wins that write has archived the event as good as done, because the table's stream carries the claim on to
//! `archive-fn`. There is no moment at which an event is claimed and not stored.
//!
//! What holds, whatever is killed, throttled or answered twice:
//! - A message is acknowledged only if its event's claim is confirmed: won by this message, or read back from the table.
//! - Messages of one event in a batch are claimed together, by the first of them, and share its fate.
//! - A message that can never be claimed is reported alone, so that it ends in the dead-letter queue.
//!
//! It never reads the table, never deletes from it, and never writes to S3.

mod bulk_insert;
mod claim_table;
mod claimer;
mod config;
mod handler;
mod plan;
mod random;
mod report;
mod warm_cache;

pub use bulk_insert::{InsertError, InsertOutcome, InsertRefusal, MAX_STATEMENTS};
pub use claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, HeldClaim};
pub use config::{ClaimWrites, Config, OnConflict};
pub use handler::Handler;
pub use random::{Random, os_random};
pub use warm_cache::CachedClaim;
