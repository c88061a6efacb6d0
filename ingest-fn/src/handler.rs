//! The one loop: event in, partial batch response out.

use std::convert::Infallible;
use std::time::SystemTime;

use aws_lambda_events::sqs::SqsBatchResponse;
use aws_smithy_async::time::SharedTimeSource;
use batch::deadline::DeadlineReached;
use batch::deliberate_fault::{self, DeliberateFault};
use batch::fence::{Panicked, fenced_async};
use batch::{Deadline, Envelope, LogWriter, Summary, error_chain, metrics};
use claim::{BodyTooLarge, Claim, Digest};
use futures_util::StreamExt as _;
use futures_util::stream;
use lambda_runtime::LambdaEvent;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::Random;
use crate::claim_table::{ClaimOutcome, ClaimTable, ClaimTableError, HeldClaim};
use crate::config::{Config, OnConflict};
use crate::plan::{Group, Leader, Plan, Rejected};
use crate::warm_cache::WarmCache;

/// Claims in flight at once: the default batch. More would open more connections in a cold function, each a TLS handshake on
/// a fraction of a core, to save milliseconds.
const MAX_IN_FLIGHT: usize = 10;

/// Bodies in flight at once, in KiB. A claim in flight holds its body about five times over, as text, item, request and,
/// when it lost, the old item: two of the largest, or ten of the usual small ones, are what a function of 128 MB has room
/// for.
const MAX_IN_FLIGHT_KIB: u32 = 2 * 1_024;

/// What a Lambda environment keeps between batches.
pub struct Handler {
    config: Config,
    table: ClaimTable,
    cache: WarmCache,
    room: Semaphore,
    summary: Summary,
    clock: SharedTimeSource,
    random: Random,
}

/// What is known of an event after its leader was settled.
enum Settled {
    /// The leader's claim won.
    Won(HeldClaim),
    /// Another claim holds the event: the table or the cache said so.
    Held(HeldClaim),
}

/// Why an event could not be settled. Nothing is known of it, and all its messages must come again.
#[derive(Debug, thiserror::Error)]
enum Unsettled {
    #[error(transparent)]
    Table(#[from] ClaimTableError),
    #[error(transparent)]
    TooLarge(#[from] BodyTooLarge),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    Late(#[from] DeadlineReached),
}

impl Handler {
    /// `log` takes the summary lines; the others go through `tracing`. `clock` is the wall clock, and `random` gives the
    /// random part of each claim id.
    #[must_use]
    pub fn new(config: Config, table: ClaimTable, log: LogWriter, clock: SharedTimeSource, random: Random) -> Self {
        let cache = WarmCache::new(config.claim_cache_entries);
        let summary = Summary::new(log, &config.function_name);
        let room = Semaphore::new(MAX_IN_FLIGHT_KIB as usize);
        Self { config, table, cache, room, summary, clock, random }
    }

    /// Claims each event of a batch once. The response names the messages that must come again: those that can never be
    /// claimed, so that they reach the dead-letter queue, and those of which it is not known whether they are.
    ///
    /// # Errors
    /// Never: a batch does not fail as a whole.
    pub async fn handle(&self, event: LambdaEvent<Envelope>) -> Result<SqsBatchResponse, Infallible> {
        let deadline = Deadline::before(event.context.deadline(), self.clock.now());
        let mut report = Report { on_conflict: Some(self.config.on_conflict), ..Report::default() };

        let plan = Plan::of(event.payload.records, &self.config.event_id_pointer, deadline);
        for rejected in plan.rejected {
            report.rejected(rejected);
        }
        for message_id in plan.unread {
            report.failed(message_id.as_deref(), None, &DeadlineReached);
        }

        let groups = &plan.groups;
        let mut done = vec![false; groups.len()];
        let mut settling = stream::iter(0..groups.len())
            .map(|index| async move {
                let leader = &groups[index].leader;
                let _room = self.room_for(leader).await;
                // What the cache settles is ready at once, and `limit` looks at the time only when it has to wait.
                let late = deadline.is_reached();
                (index, if late { Err(DeadlineReached.into()) } else { self.settle(leader).await })
            })
            .buffer_unordered(MAX_IN_FLIGHT);
        while let Ok(Some((index, settled))) = deadline.limit(settling.next()).await {
            done[index] = true;
            report.group(&groups[index], settled.as_ref().map_err(|error| error as _));
        }
        drop(settling);
        for (group, _) in groups.iter().zip(done).filter(|(_, done)| !done) {
            report.group(group, Err(&DeadlineReached));
        }

        self.summary.write(&metrics::Batch {
            request_id: &event.context.request_id,
            ended_at: self.clock.now(),
            counts: &[
                ("Won", report.won),
                ("Duplicate", report.duplicate),
                ("Conflict", report.conflict),
                ("Rejected", report.rejected),
                ("Failed", report.failed),
            ],
            lag_max_ms: None,
        });
        Ok(report.response)
    }

    /// What this environment remembers: for each event, by the first half of the SHA-256 of its id, a claim. For the
    /// simulation to look into.
    #[cfg(feature = "deliberate-faults")]
    #[must_use]
    pub fn remembered(&self) -> Vec<([u8; 16], HeldClaim)> {
        self.cache.entries()
    }

    async fn settle(&self, leader: &Leader) -> Result<Settled, Unsettled> {
        fenced_async(self.claim(leader)).await?
    }

    /// Given back when the claim is settled, or dropped at the deadline.
    async fn room_for(&self, leader: &Leader) -> SemaphorePermit<'_> {
        let kib = u32::try_from(leader.body.len().div_ceil(1_024)).unwrap_or(u32::MAX).min(MAX_IN_FLIGHT_KIB);
        self.room.acquire_many(kib).await.expect("the semaphore is never closed")
    }

    async fn claim(&self, leader: &Leader) -> Result<Settled, Unsettled> {
        let now = self.clock.now();
        let now_seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(held) = self.cache.get(&leader.event.id, now_seconds) {
            return Ok(Settled::Held(held));
        }
        let Leader { message_id, event, body } = leader;
        deliberate_fault::trap("claim", &event.id);
        let claim = Claim::new(event, message_id, body, now, self.config.window, &(self.random)())?;
        let won = HeldClaim { claim_id: claim.claim_id, digest: event.digest, ttl: claim.ttl };
        if DeliberateFault::CachedBeforeConfirmation.is_planted() {
            self.cache.confirm(&event.id, won);
        }
        let outcome = match self.table.claim(&claim).await {
            Err(_) if DeliberateFault::AcknowledgedBeforeWrite.is_planted() => ClaimOutcome::Won,
            Err(_) if DeliberateFault::FreshClaimIdOnRetry.is_planted() => {
                let fresh = Claim::new(event, message_id, body, now, self.config.window, &(self.random)())?;
                self.table.claim(&fresh).await?
            }
            outcome => outcome?,
        };
        let settled = match outcome {
            ClaimOutcome::Won => Settled::Won(won),
            ClaimOutcome::Lost(held) => Settled::Held(held),
        };
        // Only here, where the table has confirmed it.
        let (Settled::Won(held) | Settled::Held(held)) = settled;
        self.cache.confirm(&event.id, held);
        Ok(settled)
    }
}

/// Judges messages, writes their log lines, and gathers the response.
#[derive(Default)]
struct Report {
    response: SqsBatchResponse,
    on_conflict: Option<OnConflict>,
    won: u64,
    duplicate: u64,
    conflict: u64,
    rejected: u64,
    failed: u64,
}

impl Report {
    /// All messages of one event: the leader by how it was settled, each follower by the claim that is confirmed. If
    /// nothing is, none of them may be acknowledged.
    fn group(&mut self, group: &Group, settled: Result<&Settled, &(dyn std::error::Error + 'static)>) {
        let Leader { message_id, event, .. } = &group.leader;
        let held = match settled {
            Err(error) => {
                self.failed(Some(message_id), Some(&event.id), error);
                for follower in &group.followers {
                    let fault = if follower.digest == event.digest {
                        DeliberateFault::SameFollowersAcknowledged
                    } else {
                        DeliberateFault::OtherFollowersAcknowledged
                    };
                    self.failed(Some(&follower.message_id), Some(&event.id), error);
                    if fault.is_planted() {
                        self.response.batch_item_failures.pop();
                    }
                }
                return;
            }
            Ok(Settled::Won(held)) => {
                self.won += 1;
                let claim_id = tracing::field::display(held.claim_id);
                tracing::info!(outcome = "won", event_id = event.id, claim_id, message_id);
                held
            }
            Ok(Settled::Held(held)) => {
                self.judge(message_id, &event.id, event.digest, held);
                held
            }
        };
        let by_leader = HeldClaim { digest: event.digest, ..*held };
        let held = if DeliberateFault::FollowerJudgedByLeader.is_planted() { &by_leader } else { held };
        for follower in &group.followers {
            self.judge(&follower.message_id, &event.id, follower.digest, held);
        }
    }

    fn judge(&mut self, message_id: &str, event_id: &str, digest: Digest, held: &HeldClaim) {
        let claim_id = tracing::field::display(held.claim_id);
        if digest == held.digest {
            self.duplicate += 1;
            tracing::info!(outcome = "duplicate", event_id, claim_id, message_id);
            return;
        }
        self.conflict += 1;
        let (digest, held_digest) = (tracing::field::display(digest), tracing::field::display(held.digest));
        tracing::info!(outcome = "conflict", event_id, claim_id, message_id, digest, held_digest);
        if self.on_conflict == Some(OnConflict::DeadLetter) {
            self.response.add_failure(message_id);
        }
    }

    fn rejected(&mut self, rejected: Rejected) {
        self.rejected += 1;
        let Rejected { message_id, event_id, reason } = rejected;
        tracing::info!(outcome = "rejected", event_id, message_id, error = batch::logs::cut(reason));
        self.report(message_id.as_deref());
    }

    fn failed(&mut self, message_id: Option<&str>, event_id: Option<&str>, error: &(dyn std::error::Error + 'static)) {
        self.failed += 1;
        let error = batch::logs::cut(error_chain(error));
        tracing::info!(outcome = "failed", event_id, message_id, error);
        self.report(message_id);
    }

    /// A record that does not say which message it is cannot be reported by itself, and must not be acknowledged: an empty
    /// identifier makes Lambda deliver the whole batch again.
    fn report(&mut self, message_id: Option<&str>) {
        self.response.add_failure(message_id.unwrap_or_default());
    }
}
