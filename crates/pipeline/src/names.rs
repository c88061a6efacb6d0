//! The names of the pipeline's resources on the emulator. With its default variables, Terraform gives the deployed
//! resources the same names, except that it adds the account and the region to the bucket's name.

/// The queue that producers send to.
pub const QUEUE: &str = "dynamo-locking-dev-ingestion-queue";
/// The queue that messages move to after three receives.
pub const DEAD_LETTER_QUEUE: &str = "dynamo-locking-dev-ingestion-dlq";
/// The on-failure queue of the stream mapping. Its messages name the stream records that the mapping discarded.
pub const ON_FAILURE_QUEUE: &str = "dynamo-locking-dev-archive-on-failure";
/// The table of claims.
pub const TABLE: &str = "dynamo-locking-dev-ingestion-state";
/// The bucket of the data lake.
pub const BUCKET: &str = "dynamo-locking-dev-ingestion-data";
/// The function `ingest-fn`, which reads SQS messages and writes claims.
pub const INGEST_FUNCTION: &str = "dynamo-locking-dev-ingest-fn";
/// The function `archive-fn`, which reads stream records and writes objects.
pub const ARCHIVE_FUNCTION: &str = "dynamo-locking-dev-archive-fn";

/// Returns the name of a function's log group.
#[must_use]
pub fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}
