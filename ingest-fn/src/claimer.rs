//! From an event to the claim that holds it: the cache knows it, or a conditional write decides.

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

/// Claims in flight at once: the default batch. More would open more connections in a cold function, each a TLS handshake on
/// a fraction of a core, to save milliseconds.
pub(crate) const MAX_IN_FLIGHT: usize = 10;

/// Bodies in flight at once, in KiB. A claim in flight holds its body about five times over, as text, item, request and,
/// when it lost, the old item: two of the largest, or ten of the usual small ones, are what a function of 128 MB has room
/// for.
const MAX_IN_FLIGHT_KIB: u32 = 2 * 1_024;

/// Claims one event at a time. Lives as long as its Lambda sandbox.
pub(crate) struct Claimer {
    pub(crate) table: ClaimTable,
    pub(crate) cache: WarmCache,
    pub(crate) clock: SharedTimeSource,
    pub(crate) window: Duration,
    pub(crate) random: Random,
    memory: Semaphore,
}

/// Why it is not known which claim holds an event. All its messages must come again.
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

    /// Claims the leader's event, unless the cache has a claim that holds it. Only a claim that the table has confirmed, by
    /// its answer, is remembered.
    pub(crate) async fn claim(&self, leader: &Leader, deadline: Deadline) -> Result<ClaimOutcome, ClaimerError> {
        let _memory = self.acquire_memory(leader, deadline).await?;
        catch_panic_async(async {
            let now = self.clock.now();
            let Leader { message, event, body } = leader;
            if let Some(held) = self.cache.get(&event.id, now) {
                return Ok(ClaimOutcome::Lost(held));
            }
            let claim = Claim::new(event, &message.id, body, now, self.window, &(self.random)())?;
            let outcome = self.table.put(&claim).await?;
            self.cache.remember(&event.id, outcome.held_claim());
            Ok(outcome)
        })
        .await?
    }

    /// Waits for the memory that the leader's claim takes. It is given back when the permit is dropped: when it is known who
    /// holds the event, or at the deadline.
    pub(crate) async fn acquire_memory(
        &self,
        leader: &Leader,
        deadline: Deadline,
    ) -> Result<SemaphorePermit<'_>, DeadlineReached> {
        let kib = u32::try_from(leader.body.len().div_ceil(1_024)).unwrap_or(u32::MAX).min(MAX_IN_FLIGHT_KIB);
        let permit = self.memory.acquire_many(kib).await.expect("the semaphore is never closed");
        // What the cache knows is ready at once, and the handler looks at the time only when it has to wait.
        if deadline.is_reached() { Err(DeadlineReached) } else { Ok(permit) }
    }
}
