//! The day after: finds claims in the table that have no object in the lake, and writes those objects with the function's own
//! code. It is run by an operator, and is no part of the deployed function.
//!
//! The table is in no order and the lake is in the order of time, so one of the two must be sorted to hold it against the
//! other. A lake may hold years and a table tens of millions of claims, and neither fits into memory for certain. So the table
//! is scanned once, in parallel segments and without the bodies, and what it takes to find an object again is noted on disk, by
//! the lake's partition (an hour). Then each partition that has claims is listed once and held against its claims, in order: a
//! thousand keys a request, where asking for each key would be a thousand requests. In memory are a few hours of claim and event
//! ids. Only of claims whose object is missing the whole item is read, and written.
//!
//! Everything may be done again: key and content follow from the claim, the write is conditional, and a claim that a running
//! archive writes first is found there. So a checkpoint needs no transaction: what it misses is done again.
//!
//! | module | what it does |
//! | --- | --- |
//! | `scan` | the table, in parallel segments |
//! | `worklist` | claims by partition on disk, and how far the scan is |
//! | `listing` | a partition of the lake, held against its claims |
//! | `rewrite` | one claim, from the table to the lake |

mod listing;
mod rewrite;
mod scan;
mod worklist;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::SdkConfig;
use chrono::{DateTime, Utc};
use claim::ObjectPrefix;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_support::error_chain;
use lambda_support::panic_guard::catch_panic_async;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use archive_fn::DataLake;
use listing::Lake;
use rewrite::{Rewritten, Table};
use worklist::Worklist;

pub use worklist::WorklistError;

/// Partitions listed at once: each is a sequence of requests, and its claims are in memory meanwhile.
const PARTITIONS_AT_ONCE: usize = 4;

/// Objects in flight at once, of each of those partitions. Each may hold a body of 1 MiB twice.
const OBJECTS_AT_ONCE: usize = 8;

/// So many failures in a row, each after the SDK's own tries, are an outage: the rest would fail too, and take days to do so.
const OUTAGE: u32 = 200;

/// What [`Settings::until`] is if nothing is said.
const ON_ITS_WAY: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// How often to say how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// What is to be replayed, and how.
#[derive(Clone, Debug)]
pub struct Settings {
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
    /// Objects written in a second at the most.
    pub rate: NonZeroU32,
    /// Segments of the parallel scan.
    pub segments: NonZeroU32,
    /// Pages of the table read in a second at the most, in all segments. Each is of 1 MB, which is 256 read units.
    pub scan_rate: NonZeroU32,
    /// Folder that keeps what was found and how far it is.
    pub checkpoint: PathBuf,
}

/// What came of a replay. Each number is of this run, which may have gone on with an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Claims that were held against the lake.
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
        /// [`Settings::since`].
        since: DateTime<Utc>,
        /// [`Settings::until`].
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

/// Finds claims without an object, and writes those objects if it is told to. `note` is told now and then how far it is.
///
/// # Errors
/// When the table or the bucket cannot be read, the lake is a new one, the checkpoint folder cannot be used, or there is no time
/// between [`Settings::since`] and [`Settings::until`]. A single object
/// that cannot be written is none: it is in the outcome. Some hundred in a row are.
pub async fn replay(sdk: &SdkConfig, settings: &Settings, note: &dyn Fn(&str)) -> Result<Outcome, ReplayError> {
    let until = settings.until.unwrap_or_else(|| Utc::now() - ON_ITS_WAY);
    if let Some(since) = settings.since.filter(|since| *since >= until) {
        return Err(ReplayError::NothingBetween { since, until });
    }
    let lake = Lake::new(sdk, settings);
    if !settings.new_lake && lake.is_new().await? {
        let (bucket, prefix) = (settings.bucket.clone(), settings.object_prefix.to_string());
        return Err(ReplayError::NewLake { bucket, prefix });
    }
    let mut worklist = Worklist::open(settings, until)?;
    if let Some(begun) = worklist.resumed() {
        note(&format!("going on with {begun} in {}", settings.checkpoint.display()));
    }
    let until = worklist.until();
    let table = Table::new(sdk, settings);
    scan::scan(&table, settings, &mut worklist, note).await?;

    let limiter = Limiter::new(settings.rate);
    let data_lake = DataLake::new(sdk.into(), &settings.bucket);
    let progress = Progress::new(note);
    let replay = Replay {
        settings,
        lake,
        table,
        data_lake,
        limiter,
        progress,
        written: Cell::new(0),
        failed_in_a_row: Cell::new(0),
    };
    let mut outcome = Outcome { until, ..Outcome::default() };
    let partitions = worklist.partitions()?;
    let (mut done, total) = (0_usize, partitions.len());
    let mut at_work = stream::iter(partitions)
        .map(|partition| replay.partition(&worklist, partition))
        .buffer_unordered(PARTITIONS_AT_ONCE);
    while let Some(of_partition) = at_work.try_next().await? {
        outcome.add(of_partition);
        done += 1;
        replay.progress.say(|| {
            let missing: u64 = outcome.missing.values().sum();
            format!("{done} of {total} partitions: {missing} claims without an object, {} written", outcome.written)
        });
    }
    drop(at_work);

    let mut unusable_left = Vec::new();
    for (partition_key, reason) in worklist.unusable()? {
        if settings.write {
            match replay.quarantine(&partition_key).await {
                Ok(()) => outcome.unusable.push((partition_key, reason)),
                Err(problem) => {
                    outcome.failed.push((partition_key.clone(), problem));
                    unusable_left.push((partition_key, reason));
                }
            }
        } else {
            outcome.unusable.push((partition_key.clone(), reason.clone()));
            unusable_left.push((partition_key, reason));
        }
    }
    worklist.finish(&unusable_left)?;
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.missing.extend(other.missing);
        self.written += other.written;
        self.already_there += other.already_there;
        self.gone.extend(other.gone);
        self.unusable.extend(other.unusable);
        self.failed.extend(other.failed);
    }
}

struct Replay<'a> {
    settings: &'a Settings,
    lake: Lake,
    table: Table,
    data_lake: DataLake,
    limiter: Limiter,
    progress: Progress<'a>,
    /// For progress alone.
    written: Cell<u64>,
    failed_in_a_row: Cell<u32>,
}

impl Replay<'_> {
    /// Holds a partition against its claims, and writes what is missing.
    async fn partition(&self, worklist: &Worklist, partition: String) -> Result<Outcome, ReplayError> {
        let claims = worklist.claims(&partition)?;
        let mut outcome = Outcome { compared: claims.len() as u64, ..Outcome::default() };
        let missing = self.lake.without_object(&partition, claims).await?;
        if !missing.is_empty() {
            outcome.missing.insert(partition.clone(), missing.len() as u64);
        }
        let left = if self.settings.write { self.write(&missing, &mut outcome).await? } else { missing };
        // What is left of the partition is what a next replay has to look at.
        worklist.replace(&partition, &left)?;
        Ok(outcome)
    }

    /// Writes the objects of claims, and gives back those that failed.
    async fn write(&self, missing: &[Claimed], outcome: &mut Outcome) -> Result<Vec<Claimed>, ReplayError> {
        let mut failed = Vec::new();
        let mut writing = stream::iter(missing)
            .map(|claimed| async move {
                self.limiter.wait().await;
                let prefix = &self.settings.object_prefix;
                let rewriting = rewrite::rewrite(&self.table, &self.data_lake, prefix, claimed);
                // A claim on which our own code panics costs itself alone.
                (claimed, catch_panic_async(rewriting).await.unwrap_or_else(|panic| Err(panic.into())))
            })
            .buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((claimed, rewritten)) = writing.next().await {
            self.failed_in_a_row.set(if rewritten.is_err() { self.failed_in_a_row.get() + 1 } else { 0 });
            match rewritten {
                Ok(Rewritten::Written) => {
                    outcome.written += 1;
                    self.written.set(self.written.get() + 1);
                }
                Ok(Rewritten::AlreadyThere) => outcome.already_there += 1,
                Ok(Rewritten::Gone) => outcome.gone.push(claim::Claim::partition_key(&claimed.event_id)),
                Ok(Rewritten::Unusable { reason }) => {
                    outcome.unusable.push((claim::Claim::partition_key(&claimed.event_id), reason));
                }
                Err(error) if self.failed_in_a_row.get() >= OUTAGE => {
                    return Err(ReplayError::Outage(error_chain(&error)));
                }
                Err(error) => {
                    outcome.failed.push((claim::Claim::partition_key(&claimed.event_id), error_chain(&error)));
                    failed.push(claimed.clone());
                }
            }
            self.progress.say(|| format!("{} objects written", self.written.get()));
        }
        Ok(failed)
    }

    async fn quarantine(&self, partition_key: &str) -> Result<(), String> {
        self.limiter.wait().await;
        let prefix = &self.settings.object_prefix;
        let kept = rewrite::quarantine(&self.table, &self.data_lake, prefix, partition_key).await;
        kept.map_err(|error| error_chain(&error))
    }
}

/// What it takes to find a claim's object in its partition, and the claim again in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claimed {
    claim_id: uuid::Uuid,
    event_id: Box<str>,
}

/// At most so many a second, evenly.
struct Limiter(tokio::sync::Mutex<Interval>);

impl Limiter {
    fn new(rate: NonZeroU32) -> Self {
        let mut interval = interval(Duration::from_secs(1) / rate.get());
        // After a pause, no burst.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(tokio::sync::Mutex::new(interval))
    }

    async fn wait(&self) {
        self.0.lock().await.tick().await;
    }
}

/// Says now and then how far it is.
struct Progress<'a> {
    note: &'a dyn Fn(&str),
    next: Cell<Instant>,
}

impl<'a> Progress<'a> {
    fn new(note: &'a dyn Fn(&str)) -> Self {
        Self { note, next: Cell::new(Instant::now() + PROGRESS_INTERVAL) }
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if Instant::now() >= self.next.get() {
            self.next.set(Instant::now() + PROGRESS_INTERVAL);
            (self.note)(&text());
        }
    }
}
