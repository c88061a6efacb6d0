//! The sources of a verdict.

use serde::Serialize;

/// Something that the verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The queue's depth.
    Queue,
    /// The table of claims.
    Table,
    /// The data lake.
    Bucket,
    /// The dead-letter queue.
    DeadLetterQueue,
    /// The log group of `ingest-fn`.
    IngestLog,
    /// The log group of `archive-fn`.
    ArchiveLog,
}
