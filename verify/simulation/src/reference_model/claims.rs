//! Rules about claims: a claim belongs to one message and one event, and all of its times are derived from one clock
//! reading. When the table stores a claim, no other claim holds the event.

use std::time::{Duration, SystemTime};

use claim::key::KEY_PREFIX;
use ingest_fn::ClaimWrites;
use lambda_support::logs::rfc3339;

use super::model::Model;
use crate::history::StoredClaim;
use crate::judgment::Rule;
use crate::workload::Meaning;

/// Returns the maximum age of a claim when its write arrives at the table. The age counts from the moment at which
/// `ingest-fn` read the clock for the claim.
///
/// For one write, the SDK makes up to four attempts of up to four seconds, with back-offs between them. With batched
/// claims, `ingest-fn` can write the claim until the invocation's deadline, because a put follows each unconfirmed
/// insert. The deadline is at most thirty seconds after the clock reading. The fault `RequestLate` adds at most a
/// minute.
const fn max_write_delay_ms(writes: ClaimWrites) -> u64 {
    match writes {
        ClaimWrites::Single => 80_000,
        ClaimWrites::Batch => 90_000,
    }
}

/// Returns the time in a claim id, in milliseconds since 1970. A claim id is a UUIDv7: its first 48 bits are this time.
fn id_ms(claim_id: &str) -> u64 {
    u64::from_str_radix(&claim_id.replace('-', "")[..12], 16).unwrap_or_default()
}

/// Returns the time in a claim id, in RFC 3339.
pub(super) fn id_time(claim_id: &str) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(id_ms(claim_id)))
}

impl<'a> Model<'a> {
    /// Checks that an invocation uses the same claim id in all its requests to claim one event.
    pub(super) fn check_claim_request(&mut self, invocation: u64, operation: &str, subject: &'a str) {
        let (claim_id, pk) = subject.split_once(' ').unwrap_or_default();
        if operation == "BatchExecuteStatement" {
            self.inserts.insert(claim_id);
        } else if self.inserts.contains(claim_id) && self.puts_after_inserts.insert(claim_id) {
            self.judgment.count_result("claims put after a batched insert");
        }
        let Some(state) = self.invocations.get_mut(&invocation) else { return };
        let first = *state.claims.entry(pk).or_insert(claim_id);
        if first != claim_id {
            self.judgment.add_violation(
                Rule::Claim,
                format!("#{invocation} tried to write two claims of {pk}: {first} and {claim_id}"),
            );
        }
    }

    /// Checks a claim that the table has stored. The queue must have accepted the claim's message, and this message
    /// must be about the claim's event. `claimed_at` and `ttl` must match the time in the claim id. The write must
    /// arrive within the maximum write delay after that time, give or take the clock skew. No other claim may hold the
    /// event.
    pub(super) fn check_claim(&mut self, at_ms: u64, claim: &'a StoredClaim) {
        let StoredClaim { pk, sk, claim_id, claimed_at, ttl, message_id, trace_id, .. } = claim;
        self.table.insert(pk, Some(claim));
        // A retry can store the same claim again if it arrives after TTL has deleted the claim.
        if self.claims.contains_key(claim_id.as_str()) {
            return;
        }
        let wall_ms = self.wall_ms(at_ms);
        let skew_ms = self.scenario.skew_ms;
        let latest_expiry = (wall_ms + skew_ms) / 1_000;
        if let Some(rival) = self.claims.values().find(|rival| rival.pk == *pk && rival.ttl >= latest_expiry) {
            self.judgment.add_violation(
                Rule::Claim,
                format!("{claim_id} claims {pk}, which claim {} holds until {}", rival.claim_id, rival.ttl),
            );
        }
        let is_of_message = match self.accepted.get(message_id.as_str()).map(|accepted| accepted.meaning) {
            Some(Meaning::Event { id, .. }) => *pk == format!("{KEY_PREFIX}{id}"),
            Some(Meaning::Invalid) | None => false,
        };
        if !is_of_message {
            self.judgment.add_violation(
                Rule::Claim,
                format!("{claim_id} claims {pk} for message {message_id}, which is not about that event"),
            );
        }
        let expected = self.scenario.rules.sort_key();
        if *sk != expected {
            self.judgment
                .add_violation(Rule::Claim, format!("{claim_id} has the sort key {sk}, but should have {expected}"));
        }
        let message = self.accepted.get(message_id.as_str()).map(|accepted| accepted.message);
        let expected =
            message.and_then(|message| self.scenario.messages[message].trace_id.as_deref()).unwrap_or_default();
        let is_of_old_version = self.scenario.rules.has_old_version && trace_id.is_empty();
        if trace_id != expected && !is_of_old_version {
            self.judgment.add_violation(
                Rule::Claim,
                format!("{claim_id} has the trace id {trace_id:?}, but its message has {expected:?}"),
            );
        }
        let read_ms = id_ms(claim_id);
        if *ttl != read_ms / 1_000 + self.scenario.window_seconds || *claimed_at != id_time(claim_id) {
            self.judgment.add_violation(
                Rule::Claim,
                format!("claimed_at {claimed_at} or ttl {ttl} of {claim_id} differs from the time in its id"),
            );
        }
        let max_delay_ms = max_write_delay_ms(self.scenario.claim_writes);
        if !(wall_ms.saturating_sub(max_delay_ms + skew_ms)..=wall_ms + skew_ms).contains(&read_ms) {
            self.judgment.add_violation(
                Rule::Claim,
                format!("{claim_id} was claimed at {claimed_at}, but the table stored it at {wall_ms} ms since 1970"),
            );
        }
        let is_won_again = self.claims.values().any(|earlier| earlier.pk == *pk);
        self.judgment.count_result(if is_won_again { "events won again after expiry" } else { "events won" });
        self.claims.insert(claim_id, claim);
        self.stored_ms.insert(claim_id, at_ms);
        if self.inserts.contains(claim_id.as_str()) && !self.puts_after_inserts.contains(claim_id.as_str()) {
            self.judgment.count_result("claims inserted in a batch");
        }
    }
}
