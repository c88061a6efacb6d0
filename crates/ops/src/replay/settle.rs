//! Settles packed claims with `ingest-fn`'s code. A claim is settled when a pack lists it: the pack that it names, or a pack
//! of its own. `verify/model/src/packs` describes the protocol.
//!
//! The replay closes a missing pack only if the lake has no object of it. Otherwise, it first rebuilds the pack from the
//! object: the table was restored to a time before the pack was closed.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_smithy_async::time::SharedTimeSource;
use claim::{EventRules, ObjectPrefix, PackRef};
use ingest_fn::{CloseOutcome, PackTableError, Settler};
use lambda_support::error_chain;
use lambda_support::panic_guard::catch_panic_async;
use uuid::Uuid;

use super::claim_table::ItemKey;
use super::outcome::{ReplayError, ReplayOutcome};
use super::worklist::PackedRef;
use super::{Replay, rebuild, rewrite};

/// Returns true if the invocation that made a packed claim may still close the pack.
pub(super) fn is_open(pack: PackRef, now: SystemTime) -> bool {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() <= u128::from(pack.close_by_ms)
}

/// The state of a packed claim.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClaimState {
    /// This pack lists the claim.
    ListedIn(Uuid),
    /// No pack lists the claim.
    Unsettled,
    /// No pack lists the claim, and it expired so long ago that DynamoDB may have deleted the pack. No one may settle it. No
    /// message was acknowledged for it unless it was settled before.
    TooOld,
}

/// The packs in the table.
pub(super) struct Packs {
    table: ingest_fn::ClaimTable,
    settler: Settler,
}

impl ClaimState {
    /// Returns the pack that lists the claim.
    fn pack(&self) -> Option<Uuid> {
        match self {
            Self::ListedIn(pack_id) => Some(*pack_id),
            Self::Unsettled | Self::TooOld => None,
        }
    }
}

impl Packs {
    pub(super) fn new(sdk: &SdkConfig, table: &str, clock: SharedTimeSource) -> Self {
        // The rules matter only for new claims.
        let table = ingest_fn::ClaimTable::new(Client::new(sdk), table, EventRules::default());
        Self { table, settler: Settler::for_tool(clock) }
    }

    /// Reads the states of claims that name the same pack. Also returns true if this pack exists.
    async fn read_states(
        &self,
        pack_id: Uuid,
        claims: &[PackedRef],
    ) -> Result<(Vec<ClaimState>, bool), PackTableError> {
        let listed = Box::pin(self.table.listed_claims(pack_id)).await?;
        let mut states = Vec::with_capacity(claims.len());
        for claim in claims {
            let claim_id = claim.claim_id;
            states.push(match &listed {
                Some(listed) if listed.contains(claim_id) => ClaimState::ListedIn(pack_id),
                // Even if the pack is missing: somebody may have deleted it.
                _ if self.has_own_pack(claim_id).await? => ClaimState::ListedIn(claim_id),
                _ if !self.settler.may_settle(claim.ttl) => ClaimState::TooOld,
                _ => ClaimState::Unsettled,
            });
        }
        Ok((states, listed.is_some()))
    }

    async fn has_own_pack(&self, claim_id: Uuid) -> Result<bool, PackTableError> {
        let listed = Box::pin(self.table.listed_claims(claim_id)).await?;
        Ok(listed.is_some_and(|listed| listed.contains(claim_id)))
    }
}

/// The reason why a claim is still unsettled.
enum Problem {
    Gone,
    Unusable(String),
    Failed(String),
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Replay<'_> {
    /// Settles claims that name the same pack and that no scanned pack lists, and writes the objects of the packs that then
    /// list them. A dry run only counts them. Returns the outcome, and the claims that the next run has to settle.
    pub(super) async fn settle_pack(
        &self,
        pack_id: Uuid,
        claims: Vec<PackedRef>,
    ) -> Result<(ReplayOutcome, Vec<PackedRef>), ReplayError> {
        let mut outcome = ReplayOutcome::default();
        let settling = self.try_settle_pack(pack_id, &claims, &mut outcome);
        let settled = catch_panic_async(settling).await.unwrap_or_else(|panic| Err(panic.into()));
        let is_remaining = match settled {
            Ok(is_remaining) => is_remaining,
            Err(error) => {
                let error = match error.downcast::<ReplayError>() {
                    Ok(ends_the_run) => return Err(*ends_the_run),
                    Err(error) => error,
                };
                let reason = self.add_failure(&*error)?;
                outcome.failed = claims.iter().map(|claim| (claim.item.to_string(), reason.clone())).collect();
                return Ok((outcome, claims));
            }
        };
        let remaining = claims.into_iter().zip(is_remaining).filter_map(|(claim, remains)| remains.then_some(claim));
        Ok((outcome, remaining.collect()))
    }

    /// Returns, for each claim, whether the next run has to settle it.
    async fn try_settle_pack(
        &self,
        pack_id: Uuid,
        claims: &[PackedRef],
        outcome: &mut ReplayOutcome,
    ) -> Result<Vec<bool>, BoxError> {
        let (before, exists) = self.packs.read_states(pack_id, claims).await?;
        let was_unsettled = before.iter().map(|state| *state == ClaimState::Unsettled);
        let unsettled: Vec<&PackedRef> =
            claims.iter().zip(was_unsettled).filter_map(|(claim, is)| is.then_some(claim)).collect();
        let mut states = before.clone();
        let mut problems = BTreeMap::new();
        if !unsettled.is_empty() {
            outcome.unsettled.insert(ObjectPrefix::partition(pack_id).to_string(), unsettled.len() as u64);
            if self.settings.write {
                self.limiter.wait().await;
                outcome.rebuilt += u64::from(!exists && self.rebuild_pack(pack_id, claims).await?);
                problems = self.settle_claims(pack_id, &unsettled).await?;
                // Only the packs in the table decide which claims are settled now.
                states = self.packs.read_states(pack_id, claims).await?.0;
            }
        }
        let holders: BTreeSet<Uuid> = states.iter().filter_map(ClaimState::pack).collect();
        let mut holders_without_object = BTreeSet::new();
        for pack_id in holders {
            if !self.complete_pack(pack_id, outcome).await? {
                holders_without_object.insert(pack_id);
            }
        }
        let mut is_remaining = Vec::with_capacity(claims.len());
        for ((claim, before), state) in claims.iter().zip(before).zip(states) {
            let key = || claim.item.to_string();
            is_remaining.push(match state {
                ClaimState::ListedIn(pack_id) => {
                    outcome.settled += u64::from(before == ClaimState::Unsettled);
                    holders_without_object.contains(&pack_id)
                }
                ClaimState::TooOld => {
                    outcome.too_old += 1;
                    false
                }
                ClaimState::Unsettled => {
                    match problems.remove(&claim.claim_id) {
                        Some(Problem::Gone) => outcome.gone.push(key()),
                        Some(Problem::Unusable(reason)) => outcome.unusable.push((key(), reason)),
                        Some(Problem::Failed(reason)) => outcome.failed.push((key(), reason)),
                        None => {}
                    }
                    true
                }
            });
        }
        Ok(is_remaining)
    }

    /// Puts a missing pack into the table if the lake has its object. Returns true if this run has put it.
    async fn rebuild_pack(&self, pack_id: Uuid, claims: &[PackedRef]) -> Result<bool, BoxError> {
        let key = self.settings.object_prefix.pack_key(pack_id);
        let Some(object) = self.lake.get(&key).await? else { return Ok(false) };
        let claims_ttl = claims.iter().map(|claim| claim.ttl).max().unwrap_or_default();
        let pack = rebuild::rebuild_pack(pack_id, &object, claims_ttl)?;
        Ok(Box::pin(self.packs.table.close_pack(pack)).await? == CloseOutcome::Written)
    }

    /// Settles the claims of one pack. Returns the reasons why some of them could not be settled, by claim id.
    async fn settle_claims(
        &self,
        pack_id: Uuid,
        unsettled: &[&PackedRef],
    ) -> Result<BTreeMap<Uuid, Problem>, BoxError> {
        let prefix = &self.settings.object_prefix;
        let mut problems = BTreeMap::new();
        let mut claims = Vec::new();
        for PackedRef { claim_id, item, .. } in unsettled {
            let Some(item) = rewrite::get_claim(&self.table, *claim_id, item).await? else {
                problems.insert(*claim_id, Problem::Gone);
                continue;
            };
            match rewrite::read_claim(item.clone()) {
                Ok((claim, _)) => claims.push(claim),
                Err(error) => {
                    let reason = error_chain(&error);
                    rewrite::quarantine(&self.data_lake, prefix, item, reason.clone()).await?;
                    problems.insert(*claim_id, Problem::Unusable(reason));
                }
            }
        }
        if !claims.is_empty() {
            let results = Box::pin(self.packs.settler.settle_claims(&self.packs.table, pack_id, &claims)).await;
            // The claims of a pack share its requests, so they count as one failure.
            match results.iter().find_map(|result| result.as_ref().err()) {
                Some(error) => drop(self.add_failure(error)?),
                None => self.consecutive_failures.set(0),
            }
            for (claim, result) in claims.iter().zip(results) {
                if let Err(error) = result {
                    problems.insert(claim.claim_id, Problem::Failed(error_chain(&error)));
                }
            }
        }
        Ok(problems)
    }

    /// Writes the object of a pack if the lake does not have it. A dry run only counts it. Returns true if the object exists.
    async fn complete_pack(&self, pack_id: Uuid, outcome: &mut ReplayOutcome) -> Result<bool, BoxError> {
        let prefix = &self.settings.object_prefix;
        if self.lake.has(&prefix.pack_key(pack_id)).await? {
            return Ok(true);
        }
        *outcome.missing_packs.entry(ObjectPrefix::partition(pack_id).to_string()).or_default() += 1;
        if !self.settings.write {
            return Ok(false);
        }
        self.limiter.wait().await;
        let rewritten = rewrite::rewrite_pack(&self.table, &self.data_lake, prefix, pack_id).await;
        Ok(self.record(&ItemKey::of_pack(pack_id), rewritten, outcome)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// `close_by` is the last millisecond in which the invocation may close the pack.
    #[test]
    fn pack_is_open_until_close_by() {
        let pack = PackRef { pack_id: Uuid::nil(), close_by_ms: 5_000 };
        for (now_ms, expected) in [(4_999, true), (5_000, true), (5_001, false)] {
            assert_eq!(is_open(pack, UNIX_EPOCH + Duration::from_millis(now_ms)), expected, "{now_ms}");
        }
    }
}
