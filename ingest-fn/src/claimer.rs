//! From an event to the claim that holds it: by the cache, or by a write.
//!
//! With `CLAIM_WRITES=batch` there are two steps. The first tries to insert many claims in one request, and believes one answer
//! alone: that this insert was done. The second is the conditional put that `single` makes at once; it settles whatever the
//! first has left open, by the same claim. So window, conflict and the recognition of our own write are the put's in both.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
use batch::deadline::DeadlineReached;
use batch::deliberate_fault::{self, DeliberateFault};
use batch::fence::{Panicked, fenced, fenced_async};
use batch::{Deadline, error_chain};
use claim::{BodyTooLarge, Claim};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Random;
use crate::claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, HeldClaim, MAX_STATEMENTS};
use crate::config::{ClaimWrites, Config};
use crate::plan::{Group, Leader};
use crate::warm_cache::WarmCache;

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

/// Settles events. Lives as long as its Lambda environment.
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

/// Where an event is after the first step.
enum FirstStep {
    Settled(Settled),
    /// By this claim, of which it is not known whether it is in the table. None if nothing was tried.
    Open(Option<Claim>),
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

    /// Settles the leader of each group, and gives the group's index with what became of it, as soon as it is known.
    pub(crate) fn settle<'a>(
        &'a self,
        groups: &'a [Group],
        deadline: Deadline,
    ) -> impl Stream<Item = (usize, Result<Settled, Unsettled>)> + 'a {
        // A first step is not polled while ten second steps are under way. None of them waits for it: it holds no room.
        stream::iter(self.requests(groups))
            .map(move |request| self.first_step(groups, request, deadline))
            .buffer_unordered(MAX_INSERTS_IN_FLIGHT)
            .flat_map(stream::iter)
            .map(move |(index, step)| async move {
                let settled = match step {
                    Ok(FirstStep::Settled(settled)) => Ok(settled),
                    Ok(FirstStep::Open(claim)) => self.second_step(&groups[index].leader, claim, deadline).await,
                    Err(unsettled) => Err(unsettled),
                };
                (index, settled)
            })
            .buffer_unordered(MAX_IN_FLIGHT)
    }

    #[cfg(feature = "deliberate-faults")]
    pub(crate) fn remembered(&self) -> Vec<([u8; 16], HeldClaim)> {
        self.cache.entries()
    }

    /// Which groups go into one request of the first step. One that is alone, as all are with single writes, has no first step.
    fn requests(&self, groups: &[Group]) -> Vec<Vec<usize>> {
        let now = Now(self.clock.now());
        let (mut alone, mut requests) = (Vec::new(), Vec::new());
        let (mut request, mut bytes) = (Vec::new(), 0);
        for (index, Group { leader, .. }) in groups.iter().enumerate() {
            if self.writes == ClaimWrites::Single || self.known(leader, now).is_some() {
                alone.push(vec![index]);
                continue;
            }
            if request.len() == MAX_STATEMENTS || bytes + leader.body.len() > MAX_INSERT_BYTES {
                requests.push(std::mem::take(&mut request));
                bytes = 0;
            }
            request.push(index);
            bytes += leader.body.len();
        }
        requests.push(request);
        requests.append(&mut alone);
        requests
    }

    /// Tries to insert a claim for each group of a request.
    async fn first_step(
        &self,
        groups: &[Group],
        request: Vec<usize>,
        deadline: Deadline,
    ) -> Vec<(usize, Result<FirstStep, Unsettled>)> {
        if request.len() < 2 || deadline.is_reached() {
            return request.into_iter().map(|index| (index, Ok(FirstStep::Open(None)))).collect();
        }
        let now = Now(self.clock.now());
        let (mut steps, mut indices, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        for index in request {
            match fenced(|| self.new_claim(&groups[index].leader, now)) {
                Ok(Ok(claim)) => {
                    indices.push(index);
                    claims.push(claim);
                }
                Ok(Err(too_large)) => steps.push((index, Err(too_large.into()))),
                Err(panicked) => steps.push((index, Err(panicked.into()))),
            }
        }
        let inserted = match fenced_async(self.table.insert(&claims)).await {
            Ok(Ok(inserted)) => inserted,
            Ok(Err(error)) => none_inserted(&error, claims.len()),
            Err(panicked) => none_inserted(&panicked, claims.len()),
        };
        for ((index, claim), inserted) in indices.into_iter().zip(claims).zip(inserted) {
            let leader = &groups[index].leader;
            let step = if inserted {
                FirstStep::Settled(self.confirmed(leader, Settled::Won(held_by(leader, &claim))))
            } else {
                FirstStep::Open(Some(claim))
            };
            steps.push((index, Ok(step)));
        }
        steps
    }

    /// Settles an event for good. What is still under way at the deadline is dropped by the caller.
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
        fenced_async(self.claim(leader, claim)).await?
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
            Some(_) if DeliberateFault::FreshClaimIdAfterInsert.is_planted() => self.new_claim(leader, now)?,
            Some(claim) => claim,
            None => match self.known(leader, now) {
                Some(held) => return Ok(Settled::Held(held)),
                None => self.new_claim(leader, now)?,
            },
        };
        let outcome = match self.table.claim(&claim).await {
            Err(_) if DeliberateFault::AcknowledgedBeforeWrite.is_planted() => ClaimOutcome::Won,
            Err(_) if DeliberateFault::FreshClaimIdOnRetry.is_planted() => {
                self.table.claim(&self.new_claim(leader, now)?).await?
            }
            outcome => outcome?,
        };
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
        let Leader { message_id, event, body } = leader;
        deliberate_fault::trap("claim", &event.id);
        let claim = Claim::new(event, message_id, body, now.0, self.window, &(self.random)())?;
        if DeliberateFault::CachedBeforeConfirmation.is_planted() {
            self.cache.confirm(&event.id, held_by(leader, &claim));
        }
        Ok(claim)
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

/// A request of many claims that fails costs none of them anything: each goes on by itself. A role without
/// `dynamodb:PartiQLInsert` shows here, again and again.
fn none_inserted(error: &(dyn std::error::Error + 'static), claims: usize) -> Vec<bool> {
    let error = batch::logs::cut(error_chain(error));
    tracing::warn!(error, claims, "batched claims are tried one by one");
    vec![false; claims]
}
