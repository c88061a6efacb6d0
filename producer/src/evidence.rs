//! What a run left behind, for those who judge and measure it.

use std::collections::HashSet;
use std::time::SystemTime;

use claim::{Claim, ObjectPrefix};

use crate::events::Plan;
use crate::scenario::Scenario;
use crate::send::SendResults;
use crate::source::Source;
use crate::watch::Observation;

/// A run, and what was seen of it.
pub struct Evidence<'a> {
    /// Of what kind.
    pub scenario: &'a Scenario,
    /// What was to be sent.
    pub plan: &'a Plan,
    /// What was.
    pub sent: &'a SendResults,
    /// What came of it.
    pub seen: &'a Observation,
    /// Where the lake begins in its bucket.
    pub prefix: &'a ObjectPrefix,
    /// When the first message was sent.
    pub started: SystemTime,
    /// What the scenario does to the embedded pipeline took place.
    pub faults_occurred: bool,
    /// Ctrl-C ended it.
    pub is_partial: bool,
}

impl Evidence<'_> {
    /// A send of this run that was not confirmed, or whose answer was lost and that was sent again, may have won.
    pub(crate) fn is_new(&self, claim: &Claim) -> bool {
        self.sent.confirmed.contains_key(&claim.message_id) || SystemTime::from(claim.claimed_at) >= self.started
    }

    /// How many events were sent, or may have been.
    pub(crate) fn events_sent(&self) -> usize {
        let Self { plan, sent, .. } = *self;
        let unconfirmed: HashSet<usize> = sent.unconfirmed.iter().map(|(index, _)| *index).collect();
        let may_be_sent = |index: &usize| sent.message_ids[*index].is_some() || unconfirmed.contains(index);
        plan.messages_of.iter().filter(|messages| messages.iter().any(may_be_sent)).count()
    }

    /// Confirmed messages that cannot be claimed.
    pub(crate) fn to_be_rejected(&self) -> impl Iterator<Item = &String> {
        let confirmed = self.sent.confirmed.iter();
        confirmed.filter(|(_, index)| self.plan.messages[**index].event.is_none()).map(|(id, _)| id)
    }

    pub(crate) fn knows(&self, sources: &[Source]) -> bool {
        sources.iter().all(|source| !self.seen.unreadable.contains_key(source))
    }

    /// Events that were sent for certain, and have neither an object nor only dead letters.
    pub(crate) fn unarchived(&self) -> impl Iterator<Item = usize> {
        let Self { plan, sent, seen, .. } = *self;
        (0..plan.event_ids.len()).filter(move |&event| {
            plan.messages_of[event].iter().any(|&index| sent.message_ids[index].is_some())
                && !seen.objects.contains_key(&event)
                && !seen.is_dead(event, plan, sent)
        })
    }

    /// Waiting would not help.
    pub(crate) fn is_done_with(&self, event: usize) -> bool {
        self.seen.missing_claims.contains(&event) || self.seen.missing_objects.contains(&event)
    }

    /// Keys of objects that the archive's log names for an event of ours, and that are not its claim's.
    pub(crate) fn extra(&self) -> Vec<String> {
        let ids = self.plan.event_ids.iter().enumerate();
        let keys = ids.filter_map(|(event, id)| {
            let expected = self.seen.claims.get(&event).map(|claim| self.prefix.object_key(claim));
            // Without a claim, nothing is known of what the keys should be, unless it is known that there is none.
            let is_known = expected.is_some() || self.seen.missing_claims.contains(&event);
            Some(self.seen.logs.keys.get(id)?.keys().filter(move |key| is_known && Some(*key) != expected.as_ref()))
        });
        keys.flatten().cloned().collect()
    }
}
