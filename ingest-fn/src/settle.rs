//! Settles packed claims: finds the pack that contains a claim's line, or writes it.
//!
//! Anyone may close a pack with those of its claims that they know, but only the first close counts. Everyone else follows
//! the existing item: the claims that it lists are archived in this pack, and each other one in a pack of its own.
//! `verify/model` checks this protocol.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_async::time::SharedTimeSource;
use claim::pack::{OwnPackError, SETTLE_EXTRA_SECONDS};
use claim::{Claim, ClaimError, ClaimIds, Pack, PackBuilder, PackTooLarge};
use futures_util::StreamExt as _;
use futures_util::stream;
use lambda_support::panic_guard::{Panicked, catch_panic_async};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::claim_table::ClaimTable;
use crate::pack_table::{CloseOutcome, PackTableError};

/// Maximum number of requests about packs in flight. Each may hold four copies of a pack of 400 KB, in addition to the memory
/// of the claims in flight.
const MAX_IN_FLIGHT: usize = 2;

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

/// Settles claims. A settler lives as long as its Lambda sandbox.
pub(crate) struct Settler {
    clock: SharedTimeSource,
    requests: Semaphore,
}

/// A claim that is not settled: it is unknown which pack contains its line, if any. So no message of the event may be
/// acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SettleError {
    #[error(transparent)]
    Table(Arc<PackTableError>),
    #[error("pack {0} is not closed yet, and the invocation that made the claim may still close it")]
    NotClosed(Uuid),
    #[error("pack {0} exists, but does not list the claim with this id")]
    NotListed(Uuid),
    #[error("pack {0} does not list the claim, and the batch has too many such claims")]
    NoBody(Uuid),
    #[error(transparent)]
    NoLine(Arc<ClaimError>),
    #[error(transparent)]
    TooLarge(Arc<PackTooLarge>),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl From<PackTableError> for SettleError {
    fn from(error: PackTableError) -> Self {
        Self::Table(Arc::new(error))
    }
}

impl From<OwnPackError> for SettleError {
    fn from(error: OwnPackError) -> Self {
        match error {
            OwnPackError::Claim(error) => Self::NoLine(Arc::new(error)),
            OwnPackError::TooLarge(error) => Self::TooLarge(Arc::new(error)),
        }
    }
}

/// A claim to settle. The claim is `None` if the batch has too many claims to keep this one.
pub(crate) type Candidate<'a> = (Uuid, Option<&'a Claim>);

impl Settler {
    pub(crate) fn new(clock: SharedTimeSource) -> Self {
        Self { clock, requests: Semaphore::new(MAX_IN_FLIGHT) }
    }

    /// Returns true unless the claim expired so long ago that DynamoDB may have deleted its pack. Closing that pack a second
    /// time could archive its other claims twice.
    pub(crate) fn may_settle(&self, claim: &Claim) -> bool {
        let now = self.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        now <= claim.ttl.saturating_add(SETTLE_EXTRA_SECONDS)
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
            let pack = build_pack(pack_id, candidates)?;
            // A put that is retried inside the SDK finds its own item, and so settles what it lists.
            match table.close_pack(&pack).await? {
                CloseOutcome::Written => Ok(pack.claim_ids),
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
            let (claim_id, claim) = candidates[index];
            match claim {
                _ if listed.contains(&claim_id) => Ok(()),
                Some(claim) => self.put_own_pack(table, claim).await,
                None => Err(SettleError::NoBody(pack_id)),
            }
        });
        settled.buffered(MAX_IN_FLIGHT).collect().await
    }

    async fn put_own_pack(&self, table: &ClaimTable, claim: &Claim) -> Result<(), SettleError> {
        let _permit = self.requests.acquire().await.expect("the semaphore is never closed");
        let pack = claim.own_pack()?;
        match table.close_pack(&pack).await? {
            CloseOutcome::Written => Ok(()),
            CloseOutcome::Exists(listed) if listed.contains(claim.claim_id) => Ok(()),
            CloseOutcome::Exists(_) => Err(SettleError::NotListed(claim.claim_id)),
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
    let mut claims: Vec<&Claim> = candidates.iter().filter_map(|(_, claim)| *claim).collect();
    loop {
        let mut builder = PackBuilder::new();
        let mut no_line = None;
        for claim in &claims {
            no_line = builder.push(claim).err().or(no_line);
        }
        if builder.is_empty() {
            return Err(no_line.map_or(SettleError::NoBody(pack_id), |error| SettleError::NoLine(Arc::new(error))));
        }
        match builder.finish(pack_id) {
            Ok(pack) => return Ok(pack),
            Err(_) if claims.len() > 1 => claims.truncate(claims.len() / 2),
            Err(error) => return Err(SettleError::TooLarge(Arc::new(error))),
        }
    }
}
