//! What came of a replay.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::worklist::WorklistError;

/// So many failures in a row, each after the SDK's own tries, are an outage: the rest would fail too, and take days to do so.
pub(super) const OUTAGE: u32 = 200;

/// What came of a replay. Each number is of this run, which may have gone on with an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayOutcome {
    /// Claims that were compared with the lake.
    pub compared: u64,
    /// Claims without an object, by partition (`dt=2026-11-23/hour=09`).
    pub missing: BTreeMap<String, u64>,
    /// Objects that were written.
    pub written: u64,
    /// Missing when the lake was listed, and there when it was to be written: the archive was faster.
    pub already_there: u64,
    /// Claims, by partition key, that were no longer in the table when they were to be written: deleted or replaced.
    pub gone: Vec<String>,
    /// Items that say they are claims and can never be archived, by partition key, with the reason. A writing replay has kept each
    /// whole under `<prefix>_unusable/`.
    pub unusable: Vec<(String, String)>,
    /// Claims, by partition key, whose object could not be written, and why. They stay in the checkpoint folder.
    pub failed: Vec<(String, String)>,
    /// Claims made at or after this moment were left to the stream.
    pub until: DateTime<Utc>,
}

impl ReplayOutcome {
    /// Adds the numbers of a partition.
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

/// Why a replay ended before its end. What it did stays done, and a next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The lake is empty. With a misspelt prefix, every claim would be written a second time.
    #[error(
        "s3://{bucket}/{prefix} has no objects: if that is right because the lake is new, say --new-lake; otherwise the bucket or \
         the prefix is not the one that archive-fn has"
    )]
    NewLake {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// No claim can be of that time, and that none lacks its object would say nothing.
    #[error(
        "no claim is looked at: those made before {since} are passed over, and those made from {until} on are left to the stream"
    )]
    NothingBetween {
        /// The `since` of the settings.
        since: DateTime<Utc>,
        /// The `until` of the settings.
        until: DateTime<Utc>,
    },
    /// The checkpoint folder cannot be used.
    #[error(transparent)]
    Worklist(#[from] WorklistError),
    /// The table cannot be read.
    #[error("the table {table} cannot be scanned")]
    Table {
        /// Its name.
        table: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing can be written.
    #[error("{OUTAGE} objects in a row could not be written, and the rest is not tried; the last: {0}")]
    Outage(String),
    /// The bucket cannot be listed.
    #[error("s3://{bucket} cannot be listed")]
    Bucket {
        /// Its name.
        bucket: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
