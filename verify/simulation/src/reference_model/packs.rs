//! Rules about packs: a pack lists only claims that the table has stored, and no claim is in two packs.

use super::model::Model;
use crate::history::{StoredClaim, StoredPack};
use crate::judgment::Rule;

impl<'a> Model<'a> {
    /// Checks a pack that the table has stored.
    pub(super) fn check_pack(&mut self, at_ms: u64, pack: &'a StoredPack) {
        let StoredPack { pack_id, claim_ids, ttl } = pack;
        if self.packs.insert(pack_id, pack).is_some() {
            self.judgment.add_violation(Rule::Pack, format!("the table stored pack {pack_id} twice"));
        }
        self.packs_in_table.insert(pack_id);
        self.stored_ms.insert(pack_id, at_ms);
        for claim_id in claim_ids {
            let Some(StoredClaim { pack_id: named, ttl: claim_ttl, .. }) = self.claims.get(claim_id.as_str()) else {
                let text = format!("pack {pack_id} lists claim {claim_id}, which the table has not stored");
                self.judgment.add_violation(Rule::Pack, text);
                continue;
            };
            if named.is_empty() {
                let text = format!("pack {pack_id} lists claim {claim_id}, which has an object of its own");
                self.judgment.add_violation(Rule::Pack, text);
            }
            if named != pack_id && claim_id != pack_id {
                let text = format!("pack {pack_id} lists claim {claim_id}, which names pack {named}");
                self.judgment.add_violation(Rule::Pack, text);
            }
            if *ttl < claim_ttl + 86_400 {
                let text = format!("pack {pack_id} does not outlive claim {claim_id} by a day");
                self.judgment.add_violation(Rule::Pack, text);
            }
            if let Some(other) = self.pack_of.insert(claim_id, pack_id) {
                let text = format!("claim {claim_id} is in the packs {other} and {pack_id}");
                self.judgment.add_violation(Rule::Pack, text);
            }
            let result = if claim_id == pack_id { "claims with packs of their own" } else { "claims in packs" };
            self.judgment.count_result(result);
        }
    }

    /// Returns true if the claim's line has a place: an object of its own, or a pack.
    pub(super) fn is_settled(&self, claim: &StoredClaim) -> bool {
        claim.pack_id.is_empty() || self.pack_of.contains_key(claim.claim_id.as_str())
    }
}
