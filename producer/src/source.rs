//! The sources of a verdict.

use serde::Serialize;

/// A place that the producer reads to reach its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The queue's approximate number of messages.
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
