//! The settings of a replay.

use std::num::NonZeroU32;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use claim::ObjectPrefix;

/// The table and the lake that a replay compares, and the options of the run.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// Name of the claim table.
    pub table: String,
    /// Name of the data lake's bucket.
    pub bucket: String,
    /// Prefix of the lake's objects in the bucket; the `OBJECT_PREFIX` of `archive-fn`.
    pub object_prefix: ObjectPrefix,
    /// Claims made before this time are ignored.
    pub since: Option<DateTime<Utc>>,
    /// Claims made at or after this time are ignored, because the stream may still deliver them. `None` means 15
    /// minutes before the replay starts.
    pub until: Option<DateTime<Utc>>,
    /// True to write the missing objects, false to only count them.
    pub write: bool,
    /// True if the lake may have no objects yet.
    pub new_lake: bool,
    /// Maximum number of objects to write per second.
    pub rate: NonZeroU32,
    /// Number of segments of the parallel scan.
    pub segments: NonZeroU32,
    /// Maximum number of table pages to read per second, over all segments. A page has 1 MB, which costs 256 read units.
    pub scan_rate: NonZeroU32,
    /// Folder in which the replay keeps its progress and the claims that it has found.
    pub checkpoint: PathBuf,
}

#[cfg(test)]
impl ReplaySettings {
    /// Returns the settings of a replay that writes, with its progress in the folder `checkpoint`.
    pub(super) fn for_test(checkpoint: PathBuf) -> Self {
        Self {
            table: "claims".to_owned(),
            bucket: "lake".to_owned(),
            object_prefix: ObjectPrefix::parse("events/").expect("the prefix is well formed"),
            since: None,
            until: None,
            write: true,
            new_lake: false,
            rate: NonZeroU32::MIN,
            segments: NonZeroU32::MIN,
            scan_rate: NonZeroU32::MIN,
            checkpoint,
        }
    }
}
