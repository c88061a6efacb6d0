//! Stream batch in, S3 objects out, partial batch response.
//!
//! Each record of the table's stream that carries a new claim becomes one object. Key and content follow from the claim
//! alone and the write is conditional, so a record may come as often as it likes: only the first write creates anything.
//!
//! What holds, whatever is killed, throttled or answered twice:
//! - A claim has at most one object, with one version. Only S3's own 412 is taken for "already there".
//! - What may succeed later is reported, and comes again. What can never be written is kept whole under
//!   `<prefix>_unusable/` and not reported, so that it holds up nobody.
//!
//! It never reads or lists the bucket, never deletes from it, and never touches the table.

mod archiver;
mod config;
mod data_lake;
mod handler;
mod record;
mod report;

pub use config::Config;
pub use data_lake::{DataLake, DataLakeError, PutOutcome};
pub use handler::Handler;
pub use record::{Record, RecordError};
