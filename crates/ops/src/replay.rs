//! Finds claims in the table that have no object in the lake, and writes the missing objects with `archive-fn`'s code.
//! An operator runs a replay after an outage. This code is not part of the deployed functions.
//!
//! A lake may hold years of objects, and a table tens of millions of claims. A replay must not assume that the lake or
//! the table fits into memory. The lake is sorted by time, but the table is not. A replay therefore has two steps:
//!
//! 1. It scans the table once, in parallel segments and without the bodies. It writes the claims to disk, in one file for
//!    each partition (one hour) of the lake.
//! 2. It lists each partition that has claims, and compares the sorted listing with the sorted claims. One request lists
//!    a thousand keys; looking up the same keys one by one would need a thousand requests.
//!
//! For the comparison, the replay holds only claim ids and item keys in memory, for a few partitions at a time. It
//! reads a claim's whole item only if the claim's object is missing.
//!
//! A replay can safely repeat every step. A claim determines the key and the content of its object, and the write is
//! conditional. If a running `archive-fn` wrote the object first, the replay counts it as already there. So the
//! checkpoint needs no transactions: the next run repeats the steps that the checkpoint does not record.
//!
//! | module | task |
//! | --- | --- |
//! | `scan`, `claim_table` | read the table in parallel segments |
//! | `worklist`, `checkpoint` | keep the claims of each partition and the scan's progress on disk |
//! | `listing` | compare a partition of the lake with its claims |
//! | `rewrite` | write the object of one claim |

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
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_support::error_chain;
use lambda_support::panic_guard::catch_panic_async;

use claim_table::{ClaimTable, ItemKey};
use listing::LakeListing;
use outcome::MAX_CONSECUTIVE_FAILURES;
use pace::{Progress, RateLimiter};
use rewrite::RewriteOutcome;
use worklist::{ClaimRef, Worklist};

pub use outcome::{ReplayError, ReplayOutcome};
pub use settings::ReplaySettings;
pub use worklist::WorklistError;

/// Number of partitions compared in parallel. S3 lists a partition page by page, so one partition at a time would be
/// slow. More partitions would need more memory, because each keeps its claims in memory until it is compared.
const PARTITIONS_AT_ONCE: usize = 4;

/// Number of objects written in parallel for each partition. Each write may hold two copies of a 1 MiB body.
const OBJECTS_AT_ONCE: usize = 8;

/// Minimum age of the claims that a replay handles if [`ReplaySettings::until`] is `None`. The replay leaves younger
/// claims to the stream.
const IN_FLIGHT_AGE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// Finds claims without an object, and writes the missing objects if [`ReplaySettings::write`] is set. Calls `note`
/// with progress messages.
///
/// # Errors
/// Fails if the table or the bucket cannot be read, if the lake is unexpectedly empty, if the checkpoint folder cannot be
/// used, if [`ReplaySettings::since`] is not before [`ReplaySettings::until`], or if 200 writes in a row fail. A single
/// failed write is not an error; [`ReplayOutcome::failed`] lists it.
pub async fn replay(
    sdk: &SdkConfig,
    settings: &ReplaySettings,
    note: &dyn Fn(&str),
) -> Result<ReplayOutcome, ReplayError> {
    let until = settings.until.unwrap_or_else(|| Utc::now() - IN_FLIGHT_AGE);
    if let Some(since) = settings.since.filter(|since| *since >= until) {
        return Err(ReplayError::EmptyTimeRange { since, until });
    }
    let lake = LakeListing::new(sdk, settings);
    if !settings.new_lake && lake.is_new().await? {
        let prefix = settings.object_prefix.to_string();
        return Err(ReplayError::NewLake { bucket: settings.bucket.clone(), prefix });
    }
    let table = ClaimTable::new(sdk, &settings.table);
    let describe_error = |source| ReplayError::Describe { table: settings.table.clone(), source };
    let identity = table.identity().await.map_err(|error| describe_error(Box::new(error)))?;
    let identity = identity.ok_or_else(|| describe_error("the answer has no ARN".into()))?;
    let mut worklist = Worklist::open(identity, settings, until)?;
    if let Some(resumed) = worklist.describe_resumed() {
        note(&format!("resuming {resumed} from the checkpoint folder {}", settings.checkpoint.display()));
    }
    scan::scan(&table, settings, &mut worklist, note).await?;

    let replay = Replay {
        settings,
        lake,
        table,
        data_lake: DataLake::new(sdk.into(), &settings.bucket),
        limiter: RateLimiter::new(settings.rate),
        progress: Progress::new(note),
        written: Cell::new(0),
        consecutive_failures: Cell::new(0),
    };
    let mut outcome = ReplayOutcome { until: worklist.until(), ..ReplayOutcome::default() };
    replay.compare_partitions(&worklist, &mut outcome).await?;
    let unusable_left = replay.rewrite_unusable(&worklist, &mut outcome).await?;
    worklist.finish(&unusable_left, settings.write)?;
    Ok(outcome)
}

struct Replay<'a> {
    settings: &'a ReplaySettings,
    lake: LakeListing,
    table: ClaimTable,
    data_lake: DataLake,
    limiter: RateLimiter,
    progress: Progress<'a>,
    /// Number of objects written so far, for the progress lines.
    written: Cell<u64>,
    consecutive_failures: Cell<u32>,
}

impl Replay<'_> {
    async fn compare_partitions(&self, worklist: &Worklist, outcome: &mut ReplayOutcome) -> Result<(), ReplayError> {
        let partitions = worklist.partitions()?;
        let total = partitions.len();
        let mut done = 0_usize;
        let mut comparisons = stream::iter(partitions)
            .map(|partition| self.compare_partition(worklist, partition))
            .buffer_unordered(PARTITIONS_AT_ONCE);
        while let Some(partition_outcome) = comparisons.try_next().await? {
            outcome.add(partition_outcome);
            done += 1;
            self.progress.report(|| {
                let missing: u64 = outcome.missing.values().sum();
                format!(
                    "compared {done} of {total} partitions: {missing} claims without an object, {} objects written",
                    outcome.written
                )
            });
        }
        Ok(())
    }

    /// Compares a partition of the lake with its claims, and writes the missing objects if [`ReplaySettings::write`] is
    /// set.
    async fn compare_partition(&self, worklist: &Worklist, partition: String) -> Result<ReplayOutcome, ReplayError> {
        let claims = worklist.read_claims(&partition)?;
        let mut outcome = ReplayOutcome { compared: claims.len() as u64, ..ReplayOutcome::default() };
        let missing = self.lake.claims_without_object(&partition, claims).await?;
        if !missing.is_empty() {
            outcome.missing.insert(partition.clone(), missing.len() as u64);
        }
        let remaining = if self.settings.write { self.write(&missing, &mut outcome).await? } else { missing };
        // The next run compares only these claims.
        worklist.replace(&partition, &remaining)?;
        Ok(outcome)
    }

    /// Writes the objects of `missing`, and returns the claims that still have no object. It also returns gone and
    /// unusable claims, although no later run can write them. Otherwise, if this run were killed, the next run would
    /// report that every claim has its object.
    async fn write(&self, missing: &[ClaimRef], outcome: &mut ReplayOutcome) -> Result<Vec<ClaimRef>, ReplayError> {
        let mut remaining = Vec::new();
        let mut writing = stream::iter(missing)
            .map(|claim| async move {
                self.limiter.wait().await;
                let prefix = &self.settings.object_prefix;
                let rewriting = rewrite::rewrite(&self.table, &self.data_lake, prefix, claim);
                // If our own code panics on a claim, only that claim fails.
                (claim, catch_panic_async(rewriting).await.unwrap_or_else(|panic| Err(panic.into())))
            })
            .buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((claim, rewritten)) = writing.next().await {
            self.consecutive_failures.set(if rewritten.is_err() { self.consecutive_failures.get() + 1 } else { 0 });
            let key = || claim.item.to_string();
            match rewritten {
                Ok(RewriteOutcome::Written) => {
                    outcome.written += 1;
                    self.written.set(self.written.get() + 1);
                }
                Ok(RewriteOutcome::AlreadyThere) => outcome.already_there += 1,
                Ok(RewriteOutcome::Gone) => {
                    outcome.gone.push(key());
                    remaining.push(claim.clone());
                }
                Ok(RewriteOutcome::Unusable { reason }) => {
                    outcome.unusable.push((key(), reason));
                    remaining.push(claim.clone());
                }
                Err(error) if self.consecutive_failures.get() >= MAX_CONSECUTIVE_FAILURES => {
                    return Err(ReplayError::Outage(error_chain(&error)));
                }
                Err(error) => {
                    outcome.failed.push((key(), error_chain(&error)));
                    remaining.push(claim.clone());
                }
            }
            self.progress.report(|| format!("{} objects written so far", self.written.get()));
        }
        Ok(remaining)
    }

    /// Writes the objects of unusable items that have been repaired, and copies the other unusable items to the
    /// quarantine. A dry run only lists the unusable items. Returns the key of each item that the next run must read
    /// again, and the reason why the item is unusable.
    async fn rewrite_unusable(
        &self,
        worklist: &Worklist,
        outcome: &mut ReplayOutcome,
    ) -> Result<Vec<(ItemKey, String)>, ReplayError> {
        let mut remaining = Vec::new();
        for (item, reason) in worklist.read_unusable()? {
            if !self.settings.write {
                outcome.unusable.push((item.to_string(), reason.clone()));
                remaining.push((item, reason));
                continue;
            }
            self.limiter.wait().await;
            let prefix = &self.settings.object_prefix;
            match rewrite::rewrite_unusable(&self.table, &self.data_lake, prefix, &item).await {
                Ok(RewriteOutcome::Written) => outcome.written += 1,
                Ok(RewriteOutcome::AlreadyThere) => outcome.already_there += 1,
                // TTL may have deleted the item, and then nothing else would report that its event has no object.
                Ok(RewriteOutcome::Gone) => {
                    outcome.gone.push(item.to_string());
                    remaining.push((item, reason));
                }
                Ok(RewriteOutcome::Unusable { reason }) => {
                    outcome.unusable.push((item.to_string(), reason.clone()));
                    remaining.push((item, reason));
                }
                Err(error) => {
                    outcome.failed.push((item.to_string(), error_chain(&error)));
                    remaining.push((item, reason));
                }
            }
        }
        Ok(remaining)
    }
}
