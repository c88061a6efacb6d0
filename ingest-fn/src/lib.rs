//! SQS batch in, claims out, partial batch response.
//!
//! The function claims each event of a batch with one conditional write. The claim contains the event itself, and the table's
//! stream delivers the claim to `archive-fn`. So an event is never claimed without being stored.
//!
//! These guarantees hold even if processes are killed, requests are throttled, or messages are delivered twice:
//! - A message is acknowledged only if the claim of its event is confirmed: this message won it, or the table returned it.
//! - The messages of one event in a batch cost one claim. If that claim fails, all of them fail.
//! - A message that can never be claimed is reported alone, so that it ends in the dead-letter queue.
//!
//! The function never reads or deletes items of the table, and never writes to S3.

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
