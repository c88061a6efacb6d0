//! What is to be replayed, and how.

use std::num::NonZeroU32;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use claim::ObjectPrefix;

/// What is to be replayed, and how.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// The claims.
    pub table: String,
    /// The data lake.
    pub bucket: String,
    /// Where the lake begins in its bucket: as `archive-fn` has it.
    pub object_prefix: ObjectPrefix,
    /// Claims made before this moment are passed over.
    pub since: Option<DateTime<Utc>>,
    /// Claims made at or after this moment are left to the stream. `None` is 15 minutes before the replay begins: younger ones are
    /// on their way, which takes seconds, and after an outage as long as the backlog.
    pub until: Option<DateTime<Utc>>,
    /// Write the missing objects. Otherwise they are only counted.
    pub write: bool,
    /// There may be nothing under the prefix yet.
    pub new_lake: bool,
    /// The largest number of objects that are written in a second.
    pub rate: NonZeroU32,
    /// Segments of the parallel scan.
    pub segments: NonZeroU32,
    /// The largest number of pages of the table that are read in a second, in all segments. Each is of 1 MB, which is 256 read units.
    pub scan_rate: NonZeroU32,
    /// Folder that keeps what was found and how far it is.
    pub checkpoint: PathBuf,
}
