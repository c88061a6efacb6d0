//! Claims an event. Looks in the cache for the claim that holds the event, and writes a claim to the table only if the
//! cache has none.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
use claim::{BodyTooLarge, Claim};
use futures_util::{StreamExt as _, stream};
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic_async};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bulk_insert::BulkInserter;
use crate::chunk::{Chunks, NewClaim, Slot};
use crate::claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, PutAnswer};
use crate::config::{ClaimWrites, Config};
use crate::plan::{Group, Leader};
use crate::random::Random;
use crate::settle::{SettleError, Settler};
use crate::warm_cache::WarmCache;

/// Maximum number of puts in flight: the default size of a batch. A higher limit would only save milliseconds, but a
/// cold function would open more connections. Each connection needs a TLS handshake, which runs on a fraction of a
/// core.
pub(crate) const MAX_IN_FLIGHT: usize = 10;

/// Maximum size of the bodies of all puts in flight, in KiB: twice the largest body. Each put needs memory for about
/// five bodies. Three are copies of its own body: in the message, the item and the request. If the event is already
/// claimed, the other two are copies of the body that DynamoDB returns: in the response and in the returned item.
pub(crate) const MAX_IN_FLIGHT_KIB: u32 = 2 * 1_024;

/// Claims one event per call. A claimer lives as long as its Lambda sandbox.
pub(crate) struct Claimer {
    pub(crate) table: ClaimTable,
    pub(crate) cache: WarmCache,
    pub(crate) clock: SharedTimeSource,
    pub(crate) window: Duration,
    pub(crate) random: Random,
    pub(crate) settler: Settler,
    claim_writes: ClaimWrites,
    memory: Arc<Semaphore>,
}

/// A claim that holds a leader's event. Its messages can be acknowledged if both other fields are `None`.
pub(crate) struct Claimed {
    pub(crate) outcome: ClaimOutcome,
    /// The new claim if it was won and is packed. The pack of its chunk must be closed first.
    pub(crate) new: Option<(Claim, Slot)>,
    /// An older packed claim that must be settled first.
    pub(crate) unsettled: Option<Box<Claim>>,
}

/// A failed attempt to claim an event. It is unknown which claim holds the event, so all messages of the event must be
/// redelivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimerError {
    #[error(transparent)]
    Table(#[from] ClaimTableError),
    #[error(transparent)]
    TooLarge(#[from] BodyTooLarge),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    Settle(#[from] SettleError),
    #[error(transparent)]
    Late(#[from] DeadlineReached),
}

/// Receives the answer about each leader's claim, with the index of its group in the batch.
pub(crate) type OnClaimed<'a> = dyn FnMut(usize, Result<Claimed, ClaimerError>) + Send + 'a;

impl Claimed {
    fn settled(outcome: ClaimOutcome) -> Self {
        Self { outcome, new: None, unsettled: None }
    }
}

impl Claimer {
    pub(crate) fn new(config: &Config, table: ClaimTable, clock: SharedTimeSource, random: Random) -> Self {
        let cache = WarmCache::new(config.claim_cache_entries);
        let memory = Arc::new(Semaphore::new(MAX_IN_FLIGHT_KIB as usize));
        let settler = Settler::new(clock.clone(), Arc::clone(&memory));
        let claim_writes = config.claim_writes;
        Self { table, cache, clock, window: config.window, random, settler, claim_writes, memory }
    }

    /// Claims the events of all groups. Calls `on_claimed` with the index of each group, as soon as the answer about its
    /// leader's claim is known. The new claims are packed if there are `chunks`. At the deadline, the caller drops this
    /// future, which cancels its requests.
    pub(crate) async fn claim_groups(
        &self,
        groups: &[Group],
        chunks: Option<&Chunks>,
        deadline: Deadline,
        on_claimed: &mut OnClaimed<'_>,
    ) {
        match self.claim_writes {
            ClaimWrites::Single => {
                let mut outcomes = stream::iter(0..groups.len())
                    .map(|index| async move { (index, self.claim(&groups[index].leader, chunks, deadline).await) })
                    .buffer_unordered(MAX_IN_FLIGHT);
                while let Some((index, claimed)) = outcomes.next().await {
                    on_claimed(index, claimed);
                }
            }
            ClaimWrites::Batch => {
                BulkInserter::new(self, groups, chunks, deadline).claim_groups(on_claimed).await;
            }
        }
    }

    /// Claims the leader's event, unless the cache has a claim that holds this event. Adds a claim to the cache only after
    /// the table has confirmed it.
    pub(crate) async fn claim(
        &self,
        leader: &Leader,
        chunks: Option<&Chunks>,
        deadline: Deadline,
    ) -> Result<Claimed, ClaimerError> {
        let _memory = self.acquire_memory(leader, deadline).await?;
        catch_panic_async(async {
            let now = self.clock.now();
            if let Some(held) = self.cache.get(&leader.event.id, now) {
                return Ok(Claimed::settled(ClaimOutcome::Lost { held, body: None }));
            }
            self.put(leader, self.new_claim(leader, chunks, now)?).await
        })
        .await?
    }

    /// Creates the claim of the leader's event.
    pub(crate) fn new_claim(
        &self,
        leader: &Leader,
        chunks: Option<&Chunks>,
        now: SystemTime,
    ) -> Result<NewClaim, BodyTooLarge> {
        match chunks {
            Some(chunks) => chunks.new_claim(leader, now, self.window, &self.random),
            None => {
                let claim = Claim::new(&leader.event, &leader.source(), now, self.window, &(self.random)())?;
                Ok(NewClaim { claim, slot: None })
            }
        }
    }

    /// Puts a claim.
    pub(crate) async fn put(&self, leader: &Leader, new: NewClaim) -> Result<Claimed, ClaimerError> {
        let PutAnswer { outcome, unsettled } = self.table.put(&new.claim).await?;
        Ok(self.claimed(leader, new, outcome, unsettled))
    }

    /// Returns the claim that holds the leader's event. Adds it to the cache, unless a packed claim must be settled first.
    pub(crate) fn claimed(
        &self,
        leader: &Leader,
        new: NewClaim,
        outcome: ClaimOutcome,
        unsettled: Option<Box<Claim>>,
    ) -> Claimed {
        let NewClaim { claim, slot } = new;
        let is_won = matches!(outcome, ClaimOutcome::Won(_));
        let new = slot.filter(|_| is_won).map(|slot| (claim, slot));
        if new.is_none() && unsettled.is_none() {
            self.cache.remember(&leader.event.id, outcome.held_claim());
        }
        Claimed { outcome, new, unsettled }
    }

    /// Waits until the claims in flight leave enough memory for the leader's claim. Dropping the permit releases the memory.
    pub(crate) async fn acquire_memory(
        &self,
        leader: &Leader,
        deadline: Deadline,
    ) -> Result<SemaphorePermit<'_>, DeadlineReached> {
        let kib = u32::try_from(leader.body.len().div_ceil(1_024)).unwrap_or(u32::MAX).min(MAX_IN_FLIGHT_KIB);
        let permit = self.memory.acquire_many(kib).await.expect("the semaphore is never closed");
        // The handler's time limit takes effect only while a future is pending. A batch of cached claims never waits, so
        // it needs this check.
        if deadline.is_reached() { Err(DeadlineReached) } else { Ok(permit) }
    }
}
