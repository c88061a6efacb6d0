//! Finds claims and packs in the table that have no object in the lake, and writes the missing objects with `archive-fn`'s
//! code. An operator runs a replay after an outage. This code is not part of the deployed functions.
//!
//! A lake may hold years of objects, and a table tens of millions of claims. A replay must not assume that the lake or
//! the table fits into memory. The lake is sorted by time, but the table is not. A replay therefore has two steps:
//!
//! 1. It scans the table once, in parallel segments and without the bodies. It writes the claims and packs to disk, in one
//!    file for each partition (one hour) of the lake.
//! 2. It lists each partition that has claims or packs, and compares the sorted listing with them. One request lists a
//!    thousand keys; looking up the same keys one by one would need a thousand requests. It settles the packed claims of
//!    the partition that no scanned pack lists, and writes the objects of their packs.
//!
//! For the comparison, the replay holds only ids and item keys in memory, for a few partitions at a time. It reads a whole
//! item only if its object is missing, or if the claim must be settled.
//!
//! A replay can safely repeat every step. A claim or a pack determines the key and the content of its object, and the
//! writes are conditional. If a running `archive-fn` wrote the object first, the replay counts it as already there. So
//! the checkpoint needs no transactions: the next run repeats the steps that the checkpoint does not record.
//!
//! | module | task |
//! | --- | --- |
//! | `scan`, `claim_table` | read the table in parallel segments |
//! | `worklist`, `checkpoint` | keep the claims and packs of each partition and the scan's progress on disk |
//! | `listing` | compare a partition of the lake with its claims and packs |
//! | `rewrite` | write the object of one claim or pack |
//! | `settle`, `rebuild` | settle packed claims; rebuild a pack from its object |

mod checkpoint;
mod claim_table;
mod listing;
mod outcome;
mod pace;
mod rebuild;
mod rewrite;
mod scan;
mod settings;
mod settle;
mod worklist;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;

use archive_fn::DataLake;
use aws_config::SdkConfig;
use aws_smithy_async::time::SharedTimeSource;
use chrono::Utc;
use claim::Claim;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lambda_support::error_chain;
use lambda_support::panic_guard::catch_panic_async;
use uuid::Uuid;

use claim_table::{ClaimTable, ItemKey};
use listing::LakeListing;
use outcome::MAX_CONSECUTIVE_FAILURES;
use pace::{Progress, RateLimiter};
use rewrite::{RewriteError, RewriteOutcome};
use settle::Packs;
use worklist::{ClaimRef, Entry, PackItem, PackedRef, Worklist};

pub use outcome::{ReplayError, ReplayOutcome};
pub use settings::ReplaySettings;
pub use worklist::WorklistError;

/// Number of partitions compared in parallel. S3 lists a partition page by page, so one partition at a time would be
/// slow. More partitions would need more memory, because each keeps its claims in memory until it is compared.
const PARTITIONS_AT_ONCE: usize = 4;

/// Number of objects written in parallel for each partition. Each write may hold two copies of a 1 MiB body.
const OBJECTS_AT_ONCE: usize = 8;

/// Number of packs whose claims are settled in parallel for each partition. Each may hold the bodies of a pack's claims.
const PACKS_AT_ONCE: usize = 2;

/// Minimum age of the claims that a replay handles if [`ReplaySettings::until`] is `None`. The replay leaves younger
/// claims to the stream.
const IN_FLIGHT_AGE: chrono::TimeDelta = chrono::TimeDelta::minutes(15);

/// Finds claims without an object, and writes the missing objects if [`ReplaySettings::write`] is set. Calls `note`
/// with progress messages.
///
/// # Errors
/// Fails if the table or the bucket cannot be read, if the lake is unexpectedly empty or has a layout that this version
/// does not know, if the checkpoint folder cannot be used, if [`ReplaySettings::since`] is not before
/// [`ReplaySettings::until`], or if 200 writes in a row fail. A single failed write is not an error;
/// [`ReplayOutcome::failed`] lists it.
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
    if let Some(marker) = lake.layout_marker().await? {
        return Err(ReplayError::UnknownLayout { bucket: settings.bucket.clone(), marker });
    }
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
    let clock = sdk.time_source().unwrap_or_default();
    scan::scan(&table, settings, &clock, &mut worklist, note).await?;

    let replay = Replay {
        settings,
        lake,
        table,
        packs: Packs::new(sdk, &settings.table, clock.clone()),
        clock,
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
    packs: Packs,
    clock: SharedTimeSource,
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
                let ReplayOutcome { missing, missing_packs, written, .. } = outcome;
                let missing: u64 = missing.values().chain(missing_packs.values()).sum();
                format!("compared {done} of {total} partitions: {missing} objects missing, {written} objects written")
            });
        }
        Ok(())
    }

    /// Compares a partition of the lake with its claims and packs. If [`ReplaySettings::write`] is set, settles packed claims
    /// and writes the missing objects.
    async fn compare_partition(&self, worklist: &Worklist, partition: String) -> Result<ReplayOutcome, ReplayError> {
        let Entries { claims, packs, unlisted, packed } = Entries::new(worklist.read_entries(&partition)?);
        let compared = claims.len() as u64 + packed;
        let mut outcome = ReplayOutcome { compared, packed, packs: packs.len() as u64, ..ReplayOutcome::default() };
        let (claims, packs) = self.lake.without_object(&partition, claims, packs).await?;
        for (missing, number) in [(&mut outcome.missing, claims.len()), (&mut outcome.missing_packs, packs.len())] {
            if number > 0 {
                missing.insert(partition.clone(), number as u64);
            }
        }
        let missing = claims.into_iter().map(Entry::Claim).chain(packs.into_iter().map(Entry::Pack)).collect();
        let mut remaining = if self.settings.write { self.write(missing, &mut outcome).await? } else { missing };
        let mut settling = stream::iter(unlisted)
            .map(|(pack_id, claims)| self.settle_pack(pack_id, claims))
            .buffer_unordered(PACKS_AT_ONCE);
        while let Some((settled, claims)) = settling.try_next().await? {
            outcome.add(settled);
            remaining.extend(claims.into_iter().map(Entry::Packed));
        }
        // The next run compares only these entries.
        worklist.replace(&partition, &remaining)?;
        Ok(outcome)
    }

    /// Writes the objects of `missing`, and returns the entries that still have no object. It also returns gone and
    /// unusable ones, although no later run can write them. Otherwise, if this run were killed, the next run would
    /// report that every claim has its object.
    async fn write(&self, missing: Vec<Entry>, outcome: &mut ReplayOutcome) -> Result<Vec<Entry>, ReplayError> {
        let mut remaining = Vec::new();
        let mut writing = stream::iter(missing)
            .map(|entry| async move {
                self.limiter.wait().await;
                // If our own code panics on an entry, only that entry fails.
                let rewritten = catch_panic_async(self.rewrite(&entry)).await;
                (entry, rewritten.unwrap_or_else(|panic| Err(panic.into())))
            })
            .buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((entry, rewritten)) = writing.next().await {
            if !self.record(&entry.item(), rewritten, outcome)? {
                remaining.push(entry);
            }
            self.progress.report(|| format!("{} objects written so far", self.written.get()));
        }
        Ok(remaining)
    }

    async fn rewrite(&self, entry: &Entry) -> Result<RewriteOutcome, RewriteError> {
        let prefix = &self.settings.object_prefix;
        match entry {
            Entry::Packed(_) => unreachable!("packed claims have no object of their own, and are settled"),
            Entry::Claim(ClaimRef { claim_id, item }) => {
                rewrite::rewrite_claim(&self.table, &self.data_lake, prefix, *claim_id, item).await
            }
            Entry::Pack(PackItem { pack_id, .. }) => {
                rewrite::rewrite_pack(&self.table, &self.data_lake, prefix, *pack_id).await
            }
        }
    }

    /// Adds the result of a write to `outcome`. Returns true if the object exists.
    fn record(
        &self,
        item: &ItemKey,
        rewritten: Result<RewriteOutcome, RewriteError>,
        outcome: &mut ReplayOutcome,
    ) -> Result<bool, ReplayError> {
        let rewritten = match rewritten {
            Ok(rewritten) => rewritten,
            Err(error) => {
                outcome.failed.push((item.to_string(), self.add_failure(&error)?));
                return Ok(false);
            }
        };
        self.consecutive_failures.set(0);
        let exists = matches!(rewritten, RewriteOutcome::Written | RewriteOutcome::AlreadyThere);
        match rewritten {
            RewriteOutcome::Written => {
                outcome.written += 1;
                self.written.set(self.written.get() + 1);
            }
            RewriteOutcome::AlreadyThere => outcome.already_there += 1,
            RewriteOutcome::Gone | RewriteOutcome::Packed(_) => outcome.gone.push(item.to_string()),
            RewriteOutcome::Unusable { reason } => outcome.unusable.push((item.to_string(), reason)),
        }
        Ok(exists)
    }

    /// Counts a failure, and returns its text. Fails if too many writes in a row have failed.
    fn add_failure(&self, error: &dyn Error) -> Result<String, ReplayError> {
        self.consecutive_failures.set(self.consecutive_failures.get() + 1);
        let text = error_chain(error);
        if self.consecutive_failures.get() >= MAX_CONSECUTIVE_FAILURES {
            return Err(ReplayError::Outage(text));
        }
        Ok(text)
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
            let is_done = match rewrite::rewrite_item(&self.table, &self.data_lake, prefix, &item).await {
                Ok(RewriteOutcome::Packed(claim)) => self.settle_repaired(&claim, &item, outcome).await?,
                // If TTL has deleted the item, nothing else would report that its event has no object.
                rewritten => self.record(&item, rewritten, outcome)?,
            };
            if !is_done {
                // The next run reports the reason as it is then.
                remaining.push((item, reason));
            }
        }
        Ok(remaining)
    }

    /// Settles a packed claim whose item somebody has repaired since the scan, or which has replaced an unusable item.
    /// Returns true if nothing is left to do.
    async fn settle_repaired(
        &self,
        claim: &Claim,
        item: &ItemKey,
        outcome: &mut ReplayOutcome,
    ) -> Result<bool, ReplayError> {
        let Some(pack) = claim.layout.pack().filter(|pack| !settle::is_open(*pack, self.clock.now())) else {
            // The event has just been claimed again, and `ingest-fn` settles the new claim.
            outcome.gone.push(item.to_string());
            return Ok(false);
        };
        let packed = PackedRef { pack_id: pack.pack_id, claim_id: claim.claim_id, ttl: claim.ttl, item: item.clone() };
        let (settled, remaining) = self.settle_pack(pack.pack_id, vec![packed]).await?;
        outcome.add(settled);
        Ok(remaining.is_empty())
    }
}

/// The entries of a partition by kind.
struct Entries {
    claims: Vec<ClaimRef>,
    packs: Vec<PackItem>,
    /// The packed claims that no pack of the partition lists, by the pack that they name.
    unlisted: BTreeMap<Uuid, Vec<PackedRef>>,
    /// Number of all packed claims.
    packed: u64,
}

impl Entries {
    fn new(sorted: Vec<Entry>) -> Self {
        let mut entries = Self { claims: Vec::new(), packs: Vec::new(), unlisted: BTreeMap::new(), packed: 0 };
        let mut packed = Vec::new();
        for entry in sorted {
            match entry {
                Entry::Claim(claim) => entries.claims.push(claim),
                Entry::Packed(claim) => packed.push(claim),
                Entry::Pack(pack) => entries.packs.push(pack),
            }
        }
        entries.packed = packed.len() as u64;
        let lists =
            |pack: &PackItem| pack.claim_ids.iter().map(|claim_id| (pack.pack_id, *claim_id)).collect::<Vec<_>>();
        let listed: HashSet<(Uuid, Uuid)> = entries.packs.iter().flat_map(lists).collect();
        for claim in packed {
            let PackedRef { pack_id, claim_id, .. } = claim;
            if !listed.contains(&(pack_id, claim_id)) && !listed.contains(&(claim_id, claim_id)) {
                entries.unlisted.entry(pack_id).or_default().push(claim);
            }
        }
        entries
    }
}
