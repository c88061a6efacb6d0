//! Rules about claims: each is of one message, one event and one reading of a clock, and no other holds its event.

use std::time::{Duration, SystemTime};

use claim::key::KEY_PREFIX;
use ingest_fn::ClaimWrites;
use lambda_support::logs::rfc3339;

use super::model::Model;
use crate::history::StoredClaim;
use crate::judgement::Rule;
use crate::workload::Meaning;

/// A claim's write may arrive this much later than the clock was read for it: four attempts of up to four seconds, the
/// back-offs between them, and a minute on the way. What was inserted first may be put until the deadline, of thirty seconds at
/// the most.
const fn latest_arrival_ms(writes: ClaimWrites) -> u64 {
    match writes {
        ClaimWrites::Single => 80_000,
        ClaimWrites::Batch => 90_000,
    }
}

impl<'a> Model<'a> {
    /// An invocation tries to write a claim: the same one for the same event, however often it tries.
    pub(super) fn claim_requested(&mut self, invocation: u64, operation: &str, subject: &'a str) {
        let (claim_id, pk) = subject.split_once(' ').unwrap_or_default();
        if operation == "BatchExecuteStatement" {
            self.inserts.insert(claim_id);
        } else if self.inserts.contains(claim_id) && self.puts_after_inserts.insert(claim_id) {
            self.judgement.ended("claims put after their insert");
        }
        let Some(of) = self.invocations.get_mut(&invocation) else { return };
        let first = *of.claims.entry(pk).or_insert(claim_id);
        if first != claim_id {
            self.judgement.violated(
                Rule::Claim,
                format!("#{invocation} tries to claim {pk} by two claims, {first} and {claim_id}"),
            );
        }
    }

    /// A claim is of a message that the queue took, and no other claim holds its event.
    pub(super) fn claimed(&mut self, at_ms: u64, claimed: &'a StoredClaim) {
        let StoredClaim { pk, claim_id, claimed_at, ttl, message_id, .. } = claimed;
        self.table.insert(pk, Some(claimed));
        // The same write may arrive twice, the second time after its claim has run out and was deleted.
        if self.claims.contains_key(claim_id.as_str()) {
            return;
        }
        let wall_ms = self.wall_ms(at_ms);
        let skew_ms = self.scenario.skew_ms;
        let latest_expiry = (wall_ms + skew_ms) / 1_000;
        let rival = self.claims.values().find(|(_, rival)| rival.pk == *pk && rival.ttl >= latest_expiry);
        if let Some((_, rival)) = rival {
            let (rival, until) = (&rival.claim_id, rival.ttl);
            self.judgement.violated(Rule::Claim, format!("{claim_id} claims {pk}, which {rival} holds until {until}"));
        }
        let is_of_message = match self.taken.get(message_id.as_str()).map(|taken| taken.meaning) {
            Some(Meaning::Event { id, .. }) => *pk == format!("{KEY_PREFIX}{id}"),
            Some(Meaning::NoEvent) | None => false,
        };
        if !is_of_message {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} claims {pk} for message {message_id}, which says nothing of it"),
            );
        }
        // The first 48 bits of a UUIDv7.
        let read_ms = u64::from_str_radix(&claim_id.replace('-', "")[..12], 16).unwrap_or_default();
        let read_at = SystemTime::UNIX_EPOCH + Duration::from_millis(read_ms);
        if *ttl != read_ms / 1_000 + self.scenario.window_seconds || *claimed_at != rfc3339(read_at) {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} holds from {claimed_at} until {ttl}, which is not one reading of a clock"),
            );
        }
        let latest_ms = latest_arrival_ms(self.scenario.claim_writes);
        if !(wall_ms.saturating_sub(latest_ms + skew_ms)..=wall_ms + skew_ms).contains(&read_ms) {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} was claimed at {claimed_at}, and the table took it at {wall_ms}"),
            );
        }
        let is_again = self.claims.values().any(|(_, earlier)| earlier.pk == *pk);
        self.judgement.ended(if is_again { "events won again after their window" } else { "events won" });
        self.claims.insert(claim_id, (at_ms, claimed));
        if self.inserts.contains(claim_id.as_str()) && !self.puts_after_inserts.contains(claim_id.as_str()) {
            self.judgement.ended("claims inserted in a batch");
        }
    }
}
