//! Acknowledges packed claims only when they are settled. With `LAKE_LAYOUT=packs`, closes the pack of each chunk. With
//! either layout, settles the packed claims that duplicates, conflicts and replaced claims refer to.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use claim::{Body, Claim, PackRef};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::catch_panic_async;
use uuid::Uuid;

use crate::chunk::{Chunk, Chunks, WonClaim};
use crate::claim_table::ClaimOutcome;
use crate::claimer::{Claimed, Claimer, ClaimerError};
use crate::plan::Group;
use crate::settle::{Candidate, Closing, Line};

/// Time reserved for closing packs and settling, after the last claim. It is enough for one slow attempt of a put.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// Maximum size of the bodies of all claims to settle, in bytes. The messages of a batch have at most 6 MB, so the limit
/// concerns only small messages that conflict with large claims or replace them.
const MAX_UNSETTLED_BYTES: usize = 8 * 1_024 * 1_024;

/// Receives the outcome of each group, with the index of the group in the batch.
pub(crate) type OnOutcome<'a> = dyn FnMut(usize, Result<ClaimOutcome, ClaimerError>) + Send + 'a;

/// The claims of a batch that are not settled yet.
pub(crate) struct PackWork<'a> {
    claimer: &'a Claimer,
    groups: &'a [Group],
    deadline: Deadline,
    max_receive_count: u32,
    unsettled: Vec<Unsettled>,
    unsettled_bytes: usize,
}

/// A claim that this batch has not made and that must be settled before the group is acknowledged.
struct Unsettled {
    /// Index of the group in the batch.
    index: usize,
    /// The outcome of the leader's claim, if this claim is settled.
    outcome: Result<ClaimOutcome, ClaimerError>,
    pack: PackRef,
    claim_id: Uuid,
    /// `None` if the batch has too many claims to settle.
    claim: Option<Box<Claim>>,
    closing: Closing,
}

impl Unsettled {
    fn candidate(&self) -> Candidate<'_> {
        let line = self.claim.as_deref().map(|claim| Line { claim, body: None });
        Candidate { claim_id: self.claim_id, line }
    }
}

impl<'a> PackWork<'a> {
    pub(crate) fn new(claimer: &'a Claimer, groups: &'a [Group], deadline: Deadline, max_receive_count: u32) -> Self {
        Self { claimer, groups, deadline, max_receive_count, unsettled: Vec::new(), unsettled_bytes: 0 }
    }

    /// Claims the events of all groups with packed claims, and closes the pack of each chunk as soon as the outcome of each
    /// of its claims is known. `close_by_ms` is the time at which Lambda ends this invocation.
    ///
    /// # Errors
    /// Fails if claims were unfinished when the time for closing began. Their groups have no outcome.
    pub(crate) async fn claim_groups(
        &mut self,
        close_by_ms: u64,
        on_outcome: &mut OnOutcome<'_>,
    ) -> Result<(), DeadlineReached> {
        let Self { claimer, groups, deadline, .. } = *self;
        let (chunks, mut started) = Chunks::new(close_by_ms);
        // An outcome is added as soon as it is known, because it can contain a large body.
        let state = Mutex::new((self, on_outcome));
        let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
        let claiming = async move {
            let deadline = deadline.earlier(CLOSE_TIME);
            let mut on_claimed = |index, claimed| {
                let (work, on_outcome) = &mut *lock();
                work.add(index, claimed, *on_outcome);
            };
            // Claims in flight at the deadline have an unknown outcome, so their packs are closed without them.
            deadline.limit(claimer.claim_groups(groups, Some(&chunks), deadline, &mut on_claimed)).await
        };
        let mut claiming = pin!(claiming);
        let mut in_time = None;
        let mut closing = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(chunk) = started.recv() => closing.push(close(claimer, groups, chunk)),
                Some(closed) = closing.next() => {
                    let (work, on_outcome) = &mut *lock();
                    for (won, result) in closed {
                        work.add_closed(won, result, *on_outcome);
                    }
                }
                result = &mut claiming, if in_time.is_none() => in_time = Some(result),
                else => return in_time.unwrap_or(Ok(())),
            }
        }
    }

    /// Adds the claim of a group. Calls `on_outcome` unless the outcome depends on a pack.
    pub(crate) fn add(&mut self, index: usize, claimed: Result<Claimed, ClaimerError>, on_outcome: &mut OnOutcome<'_>) {
        match claimed {
            Err(error) => on_outcome(index, Err(error)),
            Ok(Claimed { outcome, new: Some((claim, slot)), unsettled: replaced }) => {
                let held = outcome.held_claim();
                // The leader contains the body, too.
                let claim = Claim { body: Body::Plain(String::new()), ..claim };
                slot.fill(WonClaim { index, claim, held, replaced });
            }
            Ok(Claimed { outcome, new: None, unsettled: Some(claim) }) => {
                self.add_unsettled(index, Ok(outcome), claim, on_outcome);
            }
            Ok(Claimed { outcome, new: None, unsettled: None }) => on_outcome(index, Ok(outcome)),
        }
    }

    fn add_closed(&mut self, won: WonClaim, result: Result<(), ClaimerError>, on_outcome: &mut OnOutcome<'_>) {
        let WonClaim { index, held, replaced, .. } = won;
        let outcome = result.map(|()| ClaimOutcome::Won(held));
        match replaced {
            // No one else knows the replaced claim, so it is settled even if closing failed.
            Some(replaced) => self.add_unsettled(index, outcome, replaced, on_outcome),
            None => self.settled(index, outcome, on_outcome),
        }
    }

    fn add_unsettled(
        &mut self,
        index: usize,
        outcome: Result<ClaimOutcome, ClaimerError>,
        claim: Box<Claim>,
        on_outcome: &mut OnOutcome<'_>,
    ) {
        let is_replaced = !matches!(outcome, Ok(ClaimOutcome::Lost { .. }));
        let Some(pack) = claim.layout.pack().filter(|_| self.claimer.settler.may_settle(claim.ttl)) else {
            return self.settled(index, outcome, on_outcome);
        };
        let closing = if is_replaced { Closing::AtOnce } else { self.closing(index, &claim, pack) };
        let claim_id = claim.claim_id;
        let body_bytes = claim.pack_bytes();
        let fits = self.unsettled_bytes + body_bytes <= MAX_UNSETTLED_BYTES;
        if fits {
            self.unsettled_bytes += body_bytes;
        }
        let claim = fits.then_some(claim);
        self.unsettled.push(Unsettled { index, outcome, pack, claim_id, claim, closing });
    }

    /// Decides whether this batch may close the pack of a duplicate's claim. The winner may be about to close it, and would
    /// then list more claims.
    fn closing(&self, index: usize, claim: &Claim, pack: PackRef) -> Closing {
        let now_ms = self.claimer.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        if now_ms > u128::from(pack.close_by_ms) {
            return Closing::AtOnce;
        }
        let is_last = |receives: Option<u32>| receives.is_some_and(|receives| receives >= self.max_receive_count);
        let may_close = self.groups[index].messages().any(|message| {
            // A message that won its event before was redelivered, so its first invocation has probably ended.
            message.id == claim.message_id || is_last(message.receive_count)
        });
        if may_close { Closing::AfterWaiting } else { Closing::Never }
    }

    /// Settles all claims that were added. Calls `on_outcome` for their groups.
    pub(crate) async fn settle(mut self, on_outcome: &mut OnOutcome<'_>) {
        // Sorted, so that a simulated world depends on its seed alone.
        let mut packs: BTreeMap<Uuid, Vec<Unsettled>> = BTreeMap::new();
        for unsettled in std::mem::take(&mut self.unsettled) {
            packs.entry(unsettled.pack.pack_id).or_default().push(unsettled);
        }
        let mut settling: FuturesUnordered<_> =
            packs.into_iter().map(|(pack_id, unsettled)| settle_pack(self.claimer, pack_id, unsettled)).collect();
        while let Some(settled) = settling.next().await {
            for (index, outcome) in settled {
                self.settled(index, outcome, on_outcome);
            }
        }
    }

    /// Reports the outcome of a group. Only here do packed claims enter the cache.
    fn settled(&self, index: usize, outcome: Result<ClaimOutcome, ClaimerError>, on_outcome: &mut OnOutcome<'_>) {
        if let Ok(outcome) = &outcome {
            self.claimer.cache.remember(&self.groups[index].leader.event.id, outcome.held_claim());
        }
        on_outcome(index, outcome);
    }
}

/// Waits until the outcome of each claim in the chunk is known, and closes the chunk's pack with the won claims.
async fn close(claimer: &Claimer, groups: &[Group], mut chunk: Chunk) -> Vec<(WonClaim, Result<(), ClaimerError>)> {
    let mut won = Vec::new();
    while let Some(claim) = chunk.won.recv().await {
        won.push(claim);
    }
    if won.is_empty() {
        return Vec::new();
    }
    let candidate = |won| {
        let WonClaim { index, claim, .. }: &WonClaim = won;
        let line = Line { claim, body: Some(&groups[*index].leader.body) };
        Candidate { claim_id: claim.claim_id, line: Some(line) }
    };
    let candidates: Vec<Candidate<'_>> = won.iter().map(candidate).collect();
    let closing = claimer.settler.close(&claimer.table, chunk.pack_id, &candidates);
    let results: Vec<Result<(), ClaimerError>> = match catch_panic_async(closing).await {
        Ok(results) => results.into_iter().map(|result| result.map_err(ClaimerError::from)).collect(),
        Err(panic) => won.iter().map(|_| Err(panic.clone().into())).collect(),
    };
    won.into_iter().zip(results).collect()
}

/// Settles claims that name the same pack. If one of them may close the pack, the pack lists all of them.
async fn settle_pack(
    claimer: &Claimer,
    pack_id: Uuid,
    unsettled: Vec<Unsettled>,
) -> Vec<(usize, Result<ClaimOutcome, ClaimerError>)> {
    let closing = unsettled.iter().map(|unsettled| unsettled.closing).min().unwrap_or(Closing::Never);
    let candidates: Vec<Candidate<'_>> = unsettled.iter().map(Unsettled::candidate).collect();
    let results = claimer.settler.settle(&claimer.table, pack_id, &candidates, closing).await;
    let outcome = |(unsettled, result): (Unsettled, Result<(), _>)| {
        let Unsettled { index, outcome, claim, .. } = unsettled;
        let outcome = match (result, outcome) {
            (Err(error), _) => Err(ClaimerError::from(error)),
            // The body tells where a conflict differs.
            (Ok(()), Ok(ClaimOutcome::Lost { held, .. })) => {
                Ok(ClaimOutcome::Lost { held, body: claim.map(|claim| claim.body) })
            }
            (Ok(()), outcome) => outcome,
        };
        (index, outcome)
    };
    unsettled.into_iter().zip(results).map(outcome).collect()
}
