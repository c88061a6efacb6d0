//! Claims an event. Looks in the cache for the claim that holds the event, and writes a claim to the table only if the
//! cache has none.

use std::time::Duration;

use aws_smithy_async::time::SharedTimeSource;
use claim::{BodyTooLarge, Claim};
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic_async};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::claim_table::{ClaimOutcome, ClaimTable, ClaimTableError};
use crate::config::Config;
use crate::plan::Leader;
use crate::random::Random;
use crate::warm_cache::WarmCache;

/// Maximum number of puts in flight: the default size of a batch. A higher limit would only save milliseconds, but a
/// cold function would open more connections. Each connection needs a TLS handshake, which runs on a fraction of a
/// core.
pub(crate) const MAX_IN_FLIGHT: usize = 10;

/// Maximum size of the bodies of all puts in flight, in KiB: twice the largest body. Each put needs memory for about
/// five bodies. Three are copies of its own body: in the message, the item and the request. If the event is already
/// claimed, the other two are copies of the body that DynamoDB returns: in the response and in the returned item.
const MAX_IN_FLIGHT_KIB: u32 = 2 * 1_024;

/// Claims one event per call. A claimer lives as long as its Lambda sandbox.
pub(crate) struct Claimer {
    pub(crate) table: ClaimTable,
    pub(crate) cache: WarmCache,
    pub(crate) clock: SharedTimeSource,
    pub(crate) window: Duration,
    pub(crate) random: Random,
    memory: Semaphore,
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
    Late(#[from] DeadlineReached),
}

impl Claimer {
    pub(crate) fn new(config: &Config, table: ClaimTable, clock: SharedTimeSource, random: Random) -> Self {
        let cache = WarmCache::new(config.claim_cache_entries);
        let memory = Semaphore::new(MAX_IN_FLIGHT_KIB as usize);
        Self { table, cache, clock, window: config.window, random, memory }
    }

    /// Claims the leader's event, unless the cache has a claim that holds this event. Adds a claim to the cache only after
    /// the table has confirmed it.
    pub(crate) async fn claim(&self, leader: &Leader, deadline: Deadline) -> Result<ClaimOutcome, ClaimerError> {
        let _memory = self.acquire_memory(leader, deadline).await?;
        catch_panic_async(async {
            let now = self.clock.now();
            let event = &leader.event;
            if let Some(held) = self.cache.get(&event.id, now) {
                return Ok(ClaimOutcome::Lost { held, body: None });
            }
            let claim = Claim::new(event, &leader.source(), now, self.window, &(self.random)())?;
            let outcome = self.table.put(&claim).await?;
            self.cache.remember(&event.id, outcome.held_claim());
            Ok(outcome)
        })
        .await?
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
