//! From an event to the claim that holds it: by the cache, or by a write.
//!
//! With `CLAIM_WRITES=batch` there are two steps. The first tries to insert many claims in one request, and believes one answer
//! alone: that this insert was done. The second is the conditional put that `single` makes at once; it settles whatever the
//! first has left open, by the same claim. So window, conflict and the recognition of our own write are the put's in both.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
use claim::{BodyTooLarge, Claim};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use lambda_support::{Deadline, error_chain};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::Random;
use crate::claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, HeldClaim, Inserts, MAX_STATEMENTS};
use crate::config::{ClaimWrites, Config};
use crate::plan::{Group, Leader};
use crate::warm_cache::{CachedClaim, WarmCache};

/// Claims in flight at once: the default batch. More would open more connections in a cold function, each a TLS handshake on
/// a fraction of a core, to save milliseconds.
const MAX_IN_FLIGHT: usize = 10;

/// Bodies in flight at once, in KiB. A claim in flight holds its body about five times over, as text, item, request and,
/// when it lost, the old item: two of the largest, or ten of the usual small ones, are what a function of 128 MB has room
/// for.
const MAX_IN_FLIGHT_KIB: u32 = 2 * 1_024;

/// Requests of many claims in flight at once, beside those of one claim.
const MAX_INSERTS_IN_FLIGHT: usize = 4;

/// Bodies in one request of many claims, in bytes: all requests in flight have as much as one of the largest bodies.
/// A larger body costs so much by itself that a request of its own does not show.
const MAX_INSERT_BYTES: usize = 256 * 1_024;

/// Longest that a request of many claims may take, all its attempts together: as long as one attempt. What is open then has
/// the rest of the time for its put.
const MAX_INSERT_TIME: Duration = Duration::from_secs(4);

/// Settles events. Lives as long as its Lambda sandbox.
pub(crate) struct Claimer {
    window: Duration,
    writes: ClaimWrites,
    table: ClaimTable,
    cache: WarmCache,
    room: Semaphore,
    clock: SharedTimeSource,
    random: Random,
}

/// What is known of an event after its leader was settled.
pub(crate) enum Settled {
    /// The leader's claim won.
    Won(HeldClaim),
    /// Another claim holds the event: the table or the cache said so.
    Held(HeldClaim),
}

/// Groups, by index.
struct Requests {
    /// Those whose claims are tried in one request.
    together: VecDeque<Vec<usize>>,
    /// Those that have no first step.
    alone: Vec<usize>,
}

/// Why an event could not be settled. Nothing is known of it, and all its messages must come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsettled {
    #[error(transparent)]
    Table(#[from] ClaimTableError),
    #[error(transparent)]
    TooLarge(#[from] BodyTooLarge),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    Late(#[from] DeadlineReached),
}

/// What a request of many claims came to, by the groups' indices.
#[derive(Default)]
struct FirstStep {
    settled: Vec<(usize, Result<Settled, Unsettled>)>,
    /// With the claim of which it is not known whether it is in the table.
    open: Vec<(usize, Claim)>,
}

/// A reading of the wall clock.
#[derive(Clone, Copy)]
struct Now(SystemTime);

impl Now {
    fn seconds(self) -> u64 {
        self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

impl Claimer {
    pub(crate) fn new(config: &Config, table: ClaimTable, clock: SharedTimeSource, random: Random) -> Self {
        let room = Semaphore::new(MAX_IN_FLIGHT_KIB as usize);
        let (window, writes) = (config.window, config.claim_writes);
        let cache = WarmCache::new(config.claim_cache_entries);
        Self { window, writes, table, cache, room, clock, random }
    }

    /// Settles the leader of each group, and tells the group's index with what became of it as soon as that is known. What is
    /// still under way at the deadline is for the caller to drop.
    pub(crate) async fn settle(
        &self,
        groups: &[Group],
        deadline: Deadline,
        mut tell: impl FnMut(usize, Result<Settled, Unsettled>),
    ) {
        let Requests { mut together, alone } = self.requests(groups);
        let mut open: VecDeque<(usize, Option<Claim>)> = alone.into_iter().map(|index| (index, None)).collect();
        let (mut first_steps, mut second_steps) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            while first_steps.len() < MAX_INSERTS_IN_FLIGHT
                && let Some(request) = together.pop_front()
            {
                first_steps.push(self.first_step(groups, request, deadline));
            }
            while second_steps.len() < MAX_IN_FLIGHT
                && let Some((index, claim)) = open.pop_front()
            {
                let leader = &groups[index].leader;
                second_steps.push(async move { (index, self.second_step(leader, claim, deadline).await) });
            }
            tokio::select! {
                biased;
                Some(step) = first_steps.next() => {
                    step.settled.into_iter().for_each(|(index, settled)| tell(index, settled));
                    open.extend(step.open.into_iter().map(|(index, claim)| (index, Some(claim))));
                }
                Some((index, settled)) = second_steps.next() => tell(index, settled),
                else => return,
            }
        }
    }

    pub(crate) fn cached_claims(&self) -> Vec<CachedClaim> {
        self.cache.claims()
    }

    fn requests(&self, groups: &[Group]) -> Requests {
        let now = Now(self.clock.now());
        let (mut alone, mut last, mut together) = (Vec::new(), Vec::new(), VecDeque::new());
        let (mut request, mut bytes) = (Vec::new(), 0);
        for (index, Group { leader, .. }) in groups.iter().enumerate() {
            let body_bytes = leader.body.len();
            if self.writes == ClaimWrites::Single || self.known(leader, now).is_some() {
                alone.push(index);
                continue;
            }
            if body_bytes > MAX_INSERT_BYTES {
                last.push(index);
                continue;
            }
            if request.len() == MAX_STATEMENTS || bytes + body_bytes > MAX_INSERT_BYTES {
                together.push_back(std::mem::take(&mut request));
                bytes = 0;
            }
            request.push(index);
            bytes += body_bytes;
        }
        // One by itself is better put at once.
        if request.len() > 1 {
            together.push_back(request);
        } else {
            last.append(&mut request);
        }
        // What the cache settles takes no time.
        alone.append(&mut last);
        Requests { together, alone }
    }

    /// Tries to insert a claim for each group of a request.
    async fn first_step(&self, groups: &[Group], request: Vec<usize>, deadline: Deadline) -> FirstStep {
        let now = Now(self.clock.now());
        let (mut step, mut indices, mut claims) = (FirstStep::default(), Vec::new(), Vec::new());
        for index in request {
            match catch_panic(|| self.new_claim(&groups[index].leader, now)) {
                Ok(Ok(claim)) => {
                    indices.push(index);
                    claims.push(claim);
                }
                Ok(Err(too_large)) => step.settled.push((index, Err(too_large.into()))),
                Err(panicked) => step.settled.push((index, Err(panicked.into()))),
            }
        }
        let inserted = self.insert(&claims, deadline).await;
        for ((index, claim), inserted) in indices.into_iter().zip(claims).zip(inserted) {
            if inserted {
                let leader = &groups[index].leader;
                let won = self.confirmed(leader, Settled::Won(held_by(leader, &claim)));
                step.settled.push((index, Ok(won)));
            } else {
                step.open.push((index, claim));
            }
        }
        step
    }

    /// Whether each claim is in the table by this request for certain. Why others are not is told in a warning, unless it is that
    /// there is an item: a role without `dynamodb:PartiQLInsert` shows here, again and again.
    async fn insert(&self, claims: &[Claim], deadline: Deadline) -> Vec<bool> {
        if claims.is_empty() || deadline.is_reached() {
            return vec![false; claims.len()];
        }
        let request = timeout(MAX_INSERT_TIME.min(deadline.left() / 2), catch_panic_async(self.table.insert(claims)));
        let (inserted, error) = match request.await {
            Ok(Ok(Ok(Inserts { done, refused }))) => (done, refused.map(|refused| refused.to_string())),
            Ok(Ok(Err(error))) => (vec![false; claims.len()], Some(error_chain(&error))),
            Ok(Err(panicked)) => (vec![false; claims.len()], Some(panicked.to_string())),
            Err(elapsed) => (vec![false; claims.len()], Some(format!("there was no answer in time: {elapsed}"))),
        };
        if let Some(error) = error {
            let open = inserted.iter().filter(|inserted| !**inserted).count();
            tracing::warn!(
                error = lambda_support::logs::truncate(error),
                claims = claims.len(),
                open,
                "batched claims are left open"
            );
        }
        inserted
    }

    /// Settles an event for good.
    async fn second_step(
        &self,
        leader: &Leader,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<Settled, Unsettled> {
        let _room = self.room_for(leader).await;
        // What the cache settles is ready at once, and the caller looks at the time only when it has to wait.
        if deadline.is_reached() {
            return Err(DeadlineReached.into());
        }
        catch_panic_async(self.claim(leader, claim)).await?
    }

    /// Given back when the claim is settled, or dropped at the deadline.
    async fn room_for(&self, leader: &Leader) -> SemaphorePermit<'_> {
        let kib = u32::try_from(leader.body.len().div_ceil(1_024)).unwrap_or(u32::MAX).min(MAX_IN_FLIGHT_KIB);
        self.room.acquire_many(kib).await.expect("the semaphore is never closed")
    }

    /// `tried` is a claim that may be in the table already.
    async fn claim(&self, leader: &Leader, tried: Option<Claim>) -> Result<Settled, Unsettled> {
        let now = Now(self.clock.now());
        let claim = match tried {
            Some(claim) => claim,
            None => match self.known(leader, now) {
                Some(held) => return Ok(Settled::Held(held)),
                None => self.new_claim(leader, now)?,
            },
        };
        let outcome = self.table.claim(&claim).await?;
        Ok(self.confirmed(
            leader,
            match outcome {
                ClaimOutcome::Won => Settled::Won(held_by(leader, &claim)),
                ClaimOutcome::Lost(held) => Settled::Held(held),
            },
        ))
    }

    fn known(&self, leader: &Leader, now: Now) -> Option<HeldClaim> {
        self.cache.get(&leader.event.id, now.seconds())
    }

    fn new_claim(&self, leader: &Leader, now: Now) -> Result<Claim, BodyTooLarge> {
        let Leader { message, event, body } = leader;
        Claim::new(event, &message.id, body, now.0, self.window, &(self.random)())
    }

    /// Only here, where the table has confirmed it, is a claim remembered.
    fn confirmed(&self, leader: &Leader, settled: Settled) -> Settled {
        let (Settled::Won(held) | Settled::Held(held)) = settled;
        self.cache.confirm(&leader.event.id, held);
        settled
    }
}

fn held_by(leader: &Leader, claim: &Claim) -> HeldClaim {
    HeldClaim { claim_id: claim.claim_id, digest: leader.event.digest, ttl: claim.ttl }
}
