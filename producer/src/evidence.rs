//! Everything that the producer observed in a run: the input of the verdict and of the measurements.

use std::collections::HashSet;
use std::time::SystemTime;

use claim::ObjectPrefix;

use crate::events::Plan;
use crate::function_logs::LoggedKey;
use crate::message_id::MessageId;
use crate::observed_claim::ObservedClaim;
use crate::place::Place;
use crate::scenario::Scenario;
use crate::send::SendResults;
use crate::source::Source;
use crate::watch::Observation;

/// The plan of a run, and everything that the producer observed in the run.
pub struct Evidence<'a> {
    pub scenario: &'a Scenario,
    /// The messages that the run planned to send.
    pub plan: &'a Plan,
    pub sent: &'a SendResults,
    /// The logs, claims, objects and dead letters that were read.
    pub seen: &'a Observation,
    /// Key prefix of the data lake's objects.
    pub prefix: &'a ObjectPrefix,
    /// The time at which sending began.
    pub started: SystemTime,
    /// True if the scenario's faults occurred, as [`FaultCounts::occurred`](crate::embedded::FaultCounts::occurred)
    /// defines.
    pub faults_occurred: bool,
    /// True if the functions log routine outcomes.
    pub log_routine_outcomes: bool,
    /// True if Ctrl-C ended the run early.
    pub is_partial: bool,
}

impl Evidence<'_> {
    /// Returns true if this run wrote the claim, or may have written it. A claim made after the start of the run counts
    /// even if it does not name a confirmed message, because an unconfirmed message of this run may have won the claim.
    pub(crate) fn is_new(&self, claim: &ObservedClaim) -> bool {
        claim.confirmed_winner().is_some() || SystemTime::from(claim.claimed_at) >= self.started
    }

    /// Returns the number of events that were sent or may have been sent.
    pub(crate) fn events_sent(&self) -> usize {
        let Self { plan, sent, .. } = *self;
        let unconfirmed: HashSet<usize> = sent.unconfirmed.iter().map(|(index, _)| *index).collect();
        let may_be_sent = |index: &usize| sent.message_ids[*index].is_some() || unconfirmed.contains(index);
        plan.messages_of.iter().filter(|messages| messages.iter().any(may_be_sent)).count()
    }

    /// Returns the ids of the confirmed messages that `ingest-fn` must reject.
    pub(crate) fn to_be_rejected(&self) -> impl Iterator<Item = &MessageId> {
        let confirmed = self.sent.confirmed.iter();
        confirmed.filter(|(_, index)| self.plan.messages[**index].event.is_none()).map(|(id, _)| id)
    }

    /// Returns true if all of `sources` could be read.
    pub(crate) fn knows(&self, sources: &[Source]) -> bool {
        sources.iter().all(|source| !self.seen.unreadable.contains_key(source))
    }

    /// Returns the events that have a confirmed message but no object, except events whose confirmed messages are all
    /// dead letters.
    pub(crate) fn unarchived(&self) -> impl Iterator<Item = usize> {
        let Self { plan, sent, seen, .. } = *self;
        (0..plan.event_ids.len()).filter(move |&event| {
            plan.messages_of[event].iter().any(|&index| sent.message_ids[index].is_some())
                && !seen.objects.contains(event)
                && !seen.is_dead(event, plan, sent)
        })
    }

    /// Returns true if waiting longer for the event would not help, because its claim or object is known to be missing.
    pub(crate) fn is_done_with(&self, event: usize) -> bool {
        self.seen.missing_claims.contains(&event) || self.seen.missing_objects.contains(&event)
    }

    /// Returns the keys of extra objects. A key is extra if `archive-fn` logged that it archived an event of this run
    /// under this key, but the key is not one of the claim's, or the claim is known to be missing.
    pub(crate) fn extra(&self) -> Vec<String> {
        let keys = self.seen.logs.keys.iter().filter_map(|(event, logged)| {
            let claim = self.seen.claims.get(event);
            let is_expected = move |key: &&LoggedKey| {
                let mut places = claim.into_iter().flat_map(|claim| Place::of_claim(claim.claim_id, claim.layout));
                places.any(|place| **key == LoggedKey::At(place))
            };
            // If the claim has not been read, the right key is unknown, so no key counts as extra. If the claim is
            // known to be missing, every key is extra.
            let is_known = claim.is_some() || self.seen.missing_claims.contains(&event);
            let keys = logged.iter().map(|(key, _)| key);
            is_known.then(|| keys.filter(move |key| !is_expected(key)))
        });
        keys.flatten().map(|key| key.text(self.prefix)).collect()
    }
}
