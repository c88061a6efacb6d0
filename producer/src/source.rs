//! The places that the producer reads to reach its verdict.

use serde::Serialize;

/// A queue, table, bucket or log that the producer reads to reach its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The ingestion queue, from which only the approximate number of messages is read.
    Queue,
    /// The claim table.
    Table,
    /// The data lake's bucket.
    Bucket,
    DeadLetterQueue,
    /// The log group of `ingest-fn`.
    IngestLog,
    /// The log group of `archive-fn`.
    ArchiveLog,
}
