//! What the embedded pipeline's resources are called: as Terraform calls the deployed ones.

/// Producers send here.
pub const QUEUE: &str = "dynamo-locking-dev-ingestion-queue";
/// Messages go here after three receives.
pub const DEAD_LETTER_QUEUE: &str = "dynamo-locking-dev-ingestion-dlq";
/// Stream records that were given up are named here.
pub const ON_FAILURE_QUEUE: &str = "dynamo-locking-dev-archive-on-failure";
/// The claims.
pub const TABLE: &str = "dynamo-locking-dev-ingestion-state";
/// The data lake.
pub const BUCKET: &str = "dynamo-locking-dev-ingestion-data";
/// SQS batch in, claims out.
pub const INGEST_FUNCTION: &str = "dynamo-locking-dev-ingest-fn";
/// Stream batch in, objects out.
pub const ARCHIVE_FUNCTION: &str = "dynamo-locking-dev-archive-fn";

/// Where a function's log lines go.
#[must_use]
pub fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}
