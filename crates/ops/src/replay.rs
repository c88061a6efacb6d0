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
//! | `scan`, `claim_table` | the table, in parallel segments |
//! | `worklist`, `checkpoint` | claims by partition on disk, and how far the scan is |
//! | `listing` | a partition of the lake, held against its claims |
//! | `rewrite` | one claim, from the table to the lake |

mod checkpoint;
mod claim_table;
mod listing;
mod outcome;
mod pace;
mod rewrite;
mod scan;
mod settings;
mod worklist;

use std::cell::Cell;

use archive_fn::DataLake;
use aws_config::SdkConfig;
use chrono::Utc;
use claim::Claim;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_support::error_chain;
use lambda_support::panic_guard::catch_panic_async;

use claim_table::ClaimTable;
use listing::LakeListing;
use outcome::OUTAGE;
use pace::{Progress, RateLimiter};
use rewrite::RewriteOutcome;
use worklist::{ClaimRef, Worklist};

pub use outcome::{ReplayError, ReplayOutcome};
pub use settings::ReplaySettings;
pub use worklist::WorklistError;

/// Partitions listed at once: each is a sequence of requests, and its claims are in memory meanwhile.
const PARTITIONS_AT_ONCE: usize = 4;

/// Objects in flight at once, of each of those partitions. Each may hold a body of 1 MiB twice.
const OBJECTS_AT_ONCE: usize = 8;

/// What [`ReplaySettings::until`] is if nothing is said.
const ON_ITS_WAY: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// Finds claims without an object, and writes those objects if it is told to. `note` is told now and then how far it is.
///
/// # Errors
/// When the table or the bucket cannot be read, the lake is a new one, the checkpoint folder cannot be used, or there is no time
/// between [`ReplaySettings::since`] and [`ReplaySettings::until`]. A single object
/// that cannot be written is none: it is in the outcome. Some hundred in a row are.
pub async fn replay(
    sdk: &SdkConfig,
    settings: &ReplaySettings,
    note: &dyn Fn(&str),
) -> Result<ReplayOutcome, ReplayError> {
    let until = settings.until.unwrap_or_else(|| Utc::now() - ON_ITS_WAY);
    if let Some(since) = settings.since.filter(|since| *since >= until) {
        return Err(ReplayError::NothingBetween { since, until });
    }
    let lake = LakeListing::new(sdk, settings);
    if !settings.new_lake && lake.is_new().await? {
        let prefix = settings.object_prefix.to_string();
        return Err(ReplayError::NewLake { bucket: settings.bucket.clone(), prefix });
    }
    let mut worklist = Worklist::open(settings, until)?;
    if let Some(begun) = worklist.describe_resumed() {
        note(&format!("going on with {begun} in {}", settings.checkpoint.display()));
    }
    let table = ClaimTable::new(sdk, &settings.table);
    scan::scan(&table, settings, &mut worklist, note).await?;

    let replay = Replay {
        settings,
        lake,
        table,
        data_lake: DataLake::new(sdk.into(), &settings.bucket),
        limiter: RateLimiter::new(settings.rate),
        progress: Progress::new(note),
        written: Cell::new(0),
        failed_in_a_row: Cell::new(0),
    };
    let mut outcome = ReplayOutcome { until: worklist.until(), ..ReplayOutcome::default() };
    replay.compare_partitions(&worklist, &mut outcome).await?;
    let unusable_left = replay.quarantine_unusable(&worklist, &mut outcome).await?;
    worklist.finish(&unusable_left)?;
    Ok(outcome)
}

struct Replay<'a> {
    settings: &'a ReplaySettings,
    lake: LakeListing,
    table: ClaimTable,
    data_lake: DataLake,
    limiter: RateLimiter,
    progress: Progress<'a>,
    /// For progress alone.
    written: Cell<u64>,
    failed_in_a_row: Cell<u32>,
}

impl Replay<'_> {
    async fn compare_partitions(&self, worklist: &Worklist, outcome: &mut ReplayOutcome) -> Result<(), ReplayError> {
        let partitions = worklist.partitions()?;
        let total = partitions.len();
        let mut done = 0_usize;
        let mut at_work = stream::iter(partitions)
            .map(|partition| self.compare_partition(worklist, partition))
            .buffer_unordered(PARTITIONS_AT_ONCE);
        while let Some(of_partition) = at_work.try_next().await? {
            outcome.add(of_partition);
            done += 1;
            self.progress.report(|| {
                let missing: u64 = outcome.missing.values().sum();
                format!("{done} of {total} partitions: {missing} claims without an object, {} written", outcome.written)
            });
        }
        Ok(())
    }

    /// Compares a partition with its claims, and writes what is missing.
    async fn compare_partition(&self, worklist: &Worklist, partition: String) -> Result<ReplayOutcome, ReplayError> {
        let claims = worklist.read_claims(&partition)?;
        let mut outcome = ReplayOutcome { compared: claims.len() as u64, ..ReplayOutcome::default() };
        let missing = self.lake.claims_without_object(&partition, claims).await?;
        if !missing.is_empty() {
            outcome.missing.insert(partition.clone(), missing.len() as u64);
        }
        let left = if self.settings.write { self.write(&missing, &mut outcome).await? } else { missing };
        // What is left of the partition is what a next replay has to look at.
        worklist.replace(&partition, &left)?;
        Ok(outcome)
    }

    /// Writes the objects of claims, and gives back those that failed.
    async fn write(&self, missing: &[ClaimRef], outcome: &mut ReplayOutcome) -> Result<Vec<ClaimRef>, ReplayError> {
        let mut failed = Vec::new();
        let mut writing = stream::iter(missing)
            .map(|claim| async move {
                self.limiter.wait().await;
                let prefix = &self.settings.object_prefix;
                let rewriting = rewrite::rewrite(&self.table, &self.data_lake, prefix, claim);
                // A claim on which our own code panics costs itself alone.
                (claim, catch_panic_async(rewriting).await.unwrap_or_else(|panic| Err(panic.into())))
            })
            .buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((claim, rewritten)) = writing.next().await {
            self.failed_in_a_row.set(if rewritten.is_err() { self.failed_in_a_row.get() + 1 } else { 0 });
            let partition_key = || Claim::partition_key(&claim.event_id);
            match rewritten {
                Ok(RewriteOutcome::Written) => {
                    outcome.written += 1;
                    self.written.set(self.written.get() + 1);
                }
                Ok(RewriteOutcome::AlreadyThere) => outcome.already_there += 1,
                Ok(RewriteOutcome::Gone) => outcome.gone.push(partition_key()),
                Ok(RewriteOutcome::Unusable { reason }) => outcome.unusable.push((partition_key(), reason)),
                Err(error) if self.failed_in_a_row.get() >= OUTAGE => {
                    return Err(ReplayError::Outage(error_chain(&error)));
                }
                Err(error) => {
                    outcome.failed.push((partition_key(), error_chain(&error)));
                    failed.push(claim.clone());
                }
            }
            self.progress.report(|| format!("{} objects written", self.written.get()));
        }
        Ok(failed)
    }

    /// Keeps unusable items whole, and returns those that a next replay has to look at.
    async fn quarantine_unusable(
        &self,
        worklist: &Worklist,
        outcome: &mut ReplayOutcome,
    ) -> Result<Vec<(String, String)>, ReplayError> {
        let mut left = Vec::new();
        for (partition_key, reason) in worklist.read_unusable()? {
            if !self.settings.write {
                outcome.unusable.push((partition_key.clone(), reason.clone()));
                left.push((partition_key, reason));
                continue;
            }
            self.limiter.wait().await;
            let prefix = &self.settings.object_prefix;
            match rewrite::quarantine(&self.table, &self.data_lake, prefix, &partition_key).await {
                Ok(()) => outcome.unusable.push((partition_key, reason)),
                Err(error) => {
                    outcome.failed.push((partition_key.clone(), error_chain(&error)));
                    left.push((partition_key, reason));
                }
            }
        }
        Ok(left)
    }
}
