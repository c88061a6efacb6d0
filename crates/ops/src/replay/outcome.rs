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
    /// Number of these claims that are packed.
    pub packed: u64,
    /// Number of packs that were compared with the lake.
    pub packs: u64,
    /// Number of claims that had no object of their own when the lake was listed, by partition (`dt=2026-11-23/hour=09`).
    pub missing: BTreeMap<String, u64>,
    /// Number of packs that had no object when the lake was listed, by partition.
    pub missing_packs: BTreeMap<String, u64>,
    /// Number of packed claims that no pack listed, by partition of the pack that they name.
    pub unsettled: BTreeMap<String, u64>,
    /// Number of these claims that were settled: a pack now lists them.
    pub settled: u64,
    /// Number of packs that were in the lake but not in the table, and that this run put into the table.
    pub rebuilt: u64,
    /// Number of packed claims that no pack lists, and that expired so long ago that no one may settle them: DynamoDB may
    /// have deleted their pack.
    pub too_old: u64,
    /// Number of objects that this run wrote.
    pub written: u64,
    /// Number of objects that were missing from the listing, but existed when this run tried to write them.
    pub already_there: u64,
    /// Keys of claims, packs and unusable items that were deleted or replaced before they could be archived. Each
    /// later run with [`ReplaySettings::write`] set reports them again, until a dry run starts over.
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub gone: Vec<String>,
    /// Items that have the sort key of a claim or a pack but cannot be archived as they are: key and reason. With
    /// [`ReplaySettings::write`] set, the replay copied each of them to the quarantine under `<prefix>_unusable/`. Each
    /// later run with `write` set reports them again, unless someone has repaired them. A run reports deleted items in
    /// [`gone`](Self::gone). A dry run does not read bodies: it counts an item whose body is unusable in
    /// [`missing`](Self::missing).
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub unusable: Vec<(String, String)>,
    /// Claims, packs and unusable items that could not be read from the table, settled or written to the lake: key and error.
    /// The next run with [`ReplaySettings::write`] set tries them again.
    ///
    /// [`ReplaySettings::write`]: super::ReplaySettings::write
    pub failed: Vec<(String, String)>,
    /// Claims made at or after this time were left to the stream.
    pub until: DateTime<Utc>,
}

impl ReplayOutcome {
    /// Adds the outcome of a part of the replay.
    pub(super) fn add(&mut self, part: Self) {
        self.compared += part.compared;
        self.packed += part.packed;
        self.packs += part.packs;
        for (total, numbers) in [
            (&mut self.missing, part.missing),
            (&mut self.missing_packs, part.missing_packs),
            (&mut self.unsettled, part.unsettled),
        ] {
            for (partition, number) in numbers {
                *total.entry(partition).or_default() += number;
            }
        }
        self.settled += part.settled;
        self.rebuilt += part.rebuilt;
        self.too_old += part.too_old;
        self.written += part.written;
        self.already_there += part.already_there;
        self.gone.extend(part.gone);
        self.unusable.extend(part.unusable);
        self.failed.extend(part.failed);
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
    /// The lake has a layout that this version does not know. This version could write the events a second time.
    #[error(
        "s3://{bucket}/{marker} says that the lake has a layout that this version does not know: use a later version"
    )]
    UnknownLayout {
        /// Name of the bucket.
        bucket: String,
        /// Key of the object that says so.
        marker: String,
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
