//! The Lambda function that writes new claims from the table's stream to S3.
//!
//! The function writes one object for each new claim, or for each new pack of claims. The object's key and content depend
//! only on the claim or the pack, and S3 rejects the write if the key already has an object. So a record may be delivered any number of times: only the first
//! write creates an object.
//!
//! These guarantees hold even if processes are killed, requests are throttled, or records are delivered twice:
//! - A claim or a pack has at most one object, with one version. A packed claim has no object of its own. Only a 412 from S3 means that the object already exists.
//! - A record that may succeed later is reported as failed, and Lambda retries it. A record that can never be archived
//!   is stored under `<prefix>_unusable/` instead, so that it does not block its shard. The same happens to a record
//!   that is over an hour old and makes our code panic twice in one invocation.
//!
//! The function never reads, lists or deletes objects, and never accesses the table.

mod archiver;
mod config;
mod data_lake;
mod handler;
mod pack_object;
mod record;
mod report;

pub use config::Config;
pub use data_lake::{DataLake, DataLakeError, PutOutcome};
pub use handler::Handler;
pub use pack_object::{LineIds, PackObject};
pub use record::{Record, RecordError};
