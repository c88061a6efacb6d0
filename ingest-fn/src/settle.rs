//! Settles packed claims: finds the pack that contains a claim's line, or writes it.
//!
//! Anyone may close a pack with those of its claims that they know, but only the first close counts. Everyone else follows
//! the existing item: the claims that it lists are archived in this pack, and each other one in a pack of its own.
//! `verify/model` checks this protocol.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::time::SharedTimeSource;
use claim::pack::SETTLE_EXTRA_SECONDS;
use claim::record::MAX_ITEM_BYTES;
use claim::{Claim, ClaimError, ClaimIds, Pack, PackBuilder, PackTooLarge};
use futures_util::StreamExt as _;
use futures_util::stream;
use lambda_support::panic_guard::{Panicked, catch_panic_async};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::claim_table::ClaimTable;
use crate::claimer::MAX_IN_FLIGHT_KIB;
use crate::pack_table::{CloseOutcome, PackTableError};

/// Maximum number of requests about packs in flight.
const MAX_IN_FLIGHT: usize = 4;

/// Memory that the compression of a pack needs, in KiB of a body in flight: each of these stands for 5 KiB of memory.
const COMPRESSION_KIB: usize = 256;

/// Maximum time to wait for the winners of a chunk, which may be about to close their pack.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Time between two reads of a pack that does not exist yet.
const READ_INTERVAL: Duration = Duration::from_millis(250);

/// The permission to close a pack that other invocations may still want to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    /// Close the pack at once: no one else will.
    AtOnce,
    /// Close the pack after waiting for it.
    AfterWaiting,
    /// Wait for the pack, but leave it to others.
    Never,
}

/// Settles claims. A settler lives as long as its Lambda sandbox, or as long as a run of an operator's tool.
pub struct Settler {
    clock: SharedTimeSource,
    requests: Semaphore,
    /// The memory for bodies in flight, in KiB, which packs and claims share.
    memory: Arc<Semaphore>,
}

/// A claim that is not settled: it is unknown which pack contains its line, if any. So no message of the event may be
/// acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SettleError {
    /// The pack could not be read or closed.
    #[error(transparent)]
    Table(Arc<PackTableError>),
    /// The pack does not exist, and this caller may not close it.
    #[error("pack {0} is not closed yet, and the invocation that made the claim may still close it")]
    NotClosed(Uuid),
    /// A pack has the claim's id, but belongs to other claims.
    #[error("pack {0} exists, but does not list the claim with this id")]
    NotListed(Uuid),
    /// The claim needs a pack of its own, but the caller did not keep the claim.
    #[error("pack {0} does not list the claim, and the batch has too many such claims")]
    NoBody(Uuid),
    /// The claim has no line.
    #[error(transparent)]
    NoLine(Arc<ClaimError>),
    /// Even a pack of this claim alone is too large.
    #[error(transparent)]
    TooLarge(Arc<PackTooLarge>),
    /// Our own code panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl From<PackTableError> for SettleError {
    fn from(error: PackTableError) -> Self {
        Self::Table(Arc::new(error))
    }
}

impl From<ClaimError> for SettleError {
    fn from(error: ClaimError) -> Self {
        Self::NoLine(Arc::new(error))
    }
}

impl From<PackTooLarge> for SettleError {
    fn from(error: PackTooLarge) -> Self {
        Self::TooLarge(Arc::new(error))
    }
}

/// A claim to settle.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) claim_id: Uuid,
    /// `None` if the batch has too many claims to keep this one.
    pub(crate) line: Option<Line<'a>>,
}

/// The content of a line.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) claim: &'a Claim,
    /// The claim's body, if the claim itself does not contain it.
    pub(crate) body: Option<&'a str>,
}

impl Line<'_> {
    fn add_to(self, builder: &mut PackBuilder) -> Result<(), ClaimError> {
        match self.body {
            Some(body) => builder.push_text(self.claim, body),
            None => builder.push(self.claim),
        }
    }

    fn bytes(self) -> usize {
        self.claim.pack_bytes() + self.body.map_or(0, str::len)
    }
}

impl Settler {
    pub(crate) fn new(clock: SharedTimeSource, memory: Arc<Semaphore>) -> Self {
        Self { clock, requests: Semaphore::new(MAX_IN_FLIGHT), memory }
    }

    /// Returns the settler of an operator's tool, which does not share its memory limit.
    #[must_use]
    pub fn for_tool(clock: SharedTimeSource) -> Self {
        Self::new(clock, Arc::new(Semaphore::new(MAX_IN_FLIGHT_KIB as usize)))
    }

    /// Settles claims that name the pack, which no one else will close any more: their `close_by` must have passed. Each
    /// must also be young enough for [`Settler::may_settle`], right before the call. Returns one result for each claim.
    pub async fn settle_claims(
        &self,
        table: &ClaimTable,
        pack_id: Uuid,
        claims: &[Claim],
    ) -> Vec<Result<(), SettleError>> {
        let lines = claims.iter().map(|claim| Line { claim, body: None });
        let candidates: Vec<Candidate<'_>> =
            lines.map(|line| Candidate { claim_id: line.claim.claim_id, line: Some(line) }).collect();
        self.settle(table, pack_id, &candidates, Closing::AtOnce).await
    }

    /// Waits until the requests in flight leave enough memory for a pack with these lines.
    async fn acquire_memory(&self, lines: impl Iterator<Item = Line<'_>>) -> SemaphorePermit<'_> {
        let bytes = lines.map(Line::bytes).sum::<usize>().min(MAX_ITEM_BYTES);
        let kib = u32::try_from(bytes.div_ceil(1_024) + COMPRESSION_KIB).unwrap_or(u32::MAX).min(MAX_IN_FLIGHT_KIB);
        self.memory.acquire_many(kib).await.expect("the semaphore is never closed")
    }

    /// Returns true unless a claim with this `ttl` expired so long ago that DynamoDB may have deleted its pack. Closing that
    /// pack a second time could archive its other claims twice.
    #[must_use]
    pub fn may_settle(&self, claim_ttl: u64) -> bool {
        let now = self.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        now <= claim_ttl.saturating_add(SETTLE_EXTRA_SECONDS)
    }

    /// Settles claims that name the pack, which this batch has not made. Returns one result for each claim.
    pub(crate) async fn settle(
        &self,
        table: &ClaimTable,
        pack_id: Uuid,
        candidates: &[Candidate<'_>],
        closing: Closing,
    ) -> Vec<Result<(), SettleError>> {
        let settling = async {
            match self.wait_for_pack(table, pack_id, closing).await {
                Ok(Some(listed)) => self.follow(table, pack_id, &listed, candidates).await,
                Ok(None) if closing != Closing::Never => self.close(table, pack_id, candidates).await,
                Ok(None) => vec![Err(SettleError::NotClosed(pack_id)); candidates.len()],
                Err(error) => vec![Err(error.into()); candidates.len()],
            }
        };
        let settled = catch_panic_async(settling).await;
        settled.unwrap_or_else(|panic| vec![Err(panic.into()); candidates.len()])
    }

    /// Closes the pack with these claims, which are certainly in the table, or follows the existing pack. Returns one result
    /// for each claim.
    pub(crate) async fn close(
        &self,
        table: &ClaimTable,
        pack_id: Uuid,
        candidates: &[Candidate<'_>],
    ) -> Vec<Result<(), SettleError>> {
        let listed = async {
            let _permit = self.requests.acquire().await.expect("the semaphore is never closed");
            let _memory = self.acquire_memory(candidates.iter().filter_map(|candidate| candidate.line)).await;
            let pack = build_pack(pack_id, candidates)?;
            // A put that is retried inside the SDK finds its own item, and so settles what it lists.
            let claim_ids = pack.claim_ids.clone();
            match table.close_pack(pack).await? {
                CloseOutcome::Written => Ok(claim_ids),
                CloseOutcome::Exists(listed) => Ok(listed),
            }
        };
        match listed.await {
            Ok(listed) => self.follow(table, pack_id, &listed, candidates).await,
            Err(error) => vec![Err(error); candidates.len()],
        }
    }

    /// Puts each claim that an existing pack does not list into a pack of its own.
    async fn follow(
        &self,
        table: &ClaimTable,
        pack_id: Uuid,
        listed: &ClaimIds,
        candidates: &[Candidate<'_>],
    ) -> Vec<Result<(), SettleError>> {
        let listed: std::collections::HashSet<Uuid> = listed.iter().collect();
        let listed = &listed;
        let settled = stream::iter(0..candidates.len()).map(|index| async move {
            let Candidate { claim_id, line } = candidates[index];
            match line {
                _ if listed.contains(&claim_id) => Ok(()),
                Some(line) => self.put_own_pack(table, line).await,
                None => Err(SettleError::NoBody(pack_id)),
            }
        });
        settled.buffered(MAX_IN_FLIGHT).collect().await
    }

    async fn put_own_pack(&self, table: &ClaimTable, line: Line<'_>) -> Result<(), SettleError> {
        let _permit = self.requests.acquire().await.expect("the semaphore is never closed");
        let _memory = self.acquire_memory(std::iter::once(line)).await;
        let claim_id = line.claim.claim_id;
        let mut builder = PackBuilder::new();
        line.add_to(&mut builder)?;
        match table.close_pack(builder.finish(claim_id)?).await? {
            CloseOutcome::Written => Ok(()),
            CloseOutcome::Exists(listed) if listed.contains(claim_id) => Ok(()),
            CloseOutcome::Exists(_) => Err(SettleError::NotListed(claim_id)),
        }
    }

    /// Reads which claims the pack lists. If it does not exist, waits for it, unless no one else will close it.
    async fn wait_for_pack(
        &self,
        table: &ClaimTable,
        pack_id: Uuid,
        closing: Closing,
    ) -> Result<Option<ClaimIds>, PackTableError> {
        let wait_until = Instant::now() + MAX_WAIT;
        loop {
            let permit = self.requests.acquire().await.expect("the semaphore is never closed");
            let listed = table.listed_claims(pack_id).await?;
            drop(permit);
            if listed.is_some() || closing == Closing::AtOnce || Instant::now() >= wait_until {
                return Ok(listed);
            }
            sleep(READ_INTERVAL).await;
        }
    }
}

/// Builds a pack of as many of these claims as possible. The others then get packs of their own, as the pack does not list
/// them.
fn build_pack(pack_id: Uuid, candidates: &[Candidate<'_>]) -> Result<Pack, SettleError> {
    let mut lines: Vec<Line<'_>> = candidates.iter().filter_map(|candidate| candidate.line).collect();
    loop {
        let mut builder = PackBuilder::new();
        let mut no_line = None;
        for line in &lines {
            no_line = line.add_to(&mut builder).err().or(no_line);
        }
        if builder.is_empty() {
            return Err(no_line.map_or(SettleError::NoBody(pack_id), SettleError::from));
        }
        match builder.finish(pack_id) {
            Ok(pack) => return Ok(pack),
            Err(_) if lines.len() > 1 => lines.truncate(lines.len() / 2),
            Err(error) => return Err(error.into()),
        }
    }
}
