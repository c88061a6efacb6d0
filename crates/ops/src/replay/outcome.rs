//! The outcome of a replay, and the errors that end one early.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::worklist::WorklistError;

/// Number of failed writes in a row after which a replay ends. The SDK has already retried each of them, so S3 is probably
/// down. Trying the remaining writes could take days, and they would fail too.
pub(super) const MAX_CONSECUTIVE_FAILURES: u32 = 200;

/// The outcome of a replay. The numbers cover only this run, not the earlier run that it may have continued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Number of claims that were compared with the lake.
    pub compared: u64,
    /// Number of claims that had no object when the lake was listed, by partition (`dt=2026-11-23/hour=09`).
    pub missing: BTreeMap<String, u64>,
    /// Number of objects that this run wrote.
    pub written: u64,
    /// Number of objects that were missing from the listing, but existed when this run tried to write them.
    pub already_there: u64,
    /// Keys of claims and unusable items that were deleted or replaced before they could be archived. Each
    /// later run with [`ReplaySettings::write`] set reports them again, until a dry run starts over.
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub gone: Vec<String>,
    /// Items that have a claim's sort key but cannot be archived as they are: key and reason. With
    /// [`ReplaySettings::write`] set, the replay copied each of them to the quarantine under `<prefix>_unusable/`. Each
    /// later run with `write` set reports them again, unless someone has repaired them. A run reports deleted items in
    /// [`gone`](Self::gone). A dry run does not read bodies: it counts an item whose body is unusable in
    /// [`missing`](Self::missing).
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub unusable: Vec<(String, String)>,
    /// Claims and unusable items that could not be read from the table or written to the lake: key and error.
    /// The next run with [`ReplaySettings::write`] set tries them again.
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub failed: Vec<(String, String)>,
    /// Claims made at or after this time were left to the stream.
    pub until: DateTime<Utc>,
}

impl ReplayOutcome {
    /// Adds the outcome of a partition.
    pub(super) fn add(&mut self, partition: Self) {
        self.compared += partition.compared;
        self.missing.extend(partition.missing);
        self.written += partition.written;
        self.already_there += partition.already_there;
        self.gone.extend(partition.gone);
        self.unusable.extend(partition.unusable);
        self.failed.extend(partition.failed);
    }
}

/// An error that ended a replay early. The objects that the replay wrote stay written, and the next run continues from the
/// checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The lake has no objects. If the prefix is misspelled, a replay would write every event a second time.
    #[error(
        "s3://{bucket}/{prefix} has no objects: pass --new-lake if the lake is new, otherwise set --bucket and --object-prefix as \
         archive-fn has them"
    )]
    NewLake {
        /// Name of the bucket.
        bucket: String,
        /// Prefix of the lake's objects.
        prefix: String,
    },
    /// No claim can match the time range. Reporting zero missing objects would be misleading.
    #[error("--since must be before --until (default: 15 minutes ago), but {since} is not before {until}")]
    EmptyTimeRange {
        /// Start of the range.
        since: DateTime<Utc>,
        /// End of the range.
        until: DateTime<Utc>,
    },
    /// The checkpoint folder cannot be used.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// The table cannot be described, for example because it does not exist.
    #[error("failed to describe the table {table}")]
    Describe {
        /// Name of the table.
        table: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table cannot be scanned.
    #[error("failed to scan the table {table}")]
    Table {
        /// Name of the table.
        table: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table has a packed claim. This version of `replay` would write a second copy of it.
    #[error("cannot replay the table {table}: the claim {claim} is packed, which this version does not support")]
    Packed {
        /// Name of the table.
        table: String,
        /// Key of the claim.
        claim: String,
    },
    /// Too many writes in a row failed. Carries the last error.
    #[error(
        "failed to write {MAX_CONSECUTIVE_FAILURES} objects in a row, so the remaining ones were not tried; the last error: {0}"
    )]
    Outage(String),
    /// The bucket cannot be listed.
    #[error("failed to list s3://{bucket}")]
    Bucket {
        /// Name of the bucket.
        bucket: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
