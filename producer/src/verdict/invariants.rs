//! Checks each invariant against the evidence of a run.

use std::collections::{BTreeSet, HashMap};

use super::{Invariant, MAX_EXAMPLES, NEED_ROUTINE_LINES};
use crate::evidence::Evidence;
use crate::function_logs::IngestOutcome;
use crate::lake::Object;
use crate::message_id::MessageId;
use crate::scenario::Content;
use crate::source::Source;

pub(super) const EVERY_MESSAGE_ENDED: &str = "each message ended as won, duplicate, conflict or dead letter";
pub(super) const NOT_WON_TWICE: &str = "no event was won twice";
pub(super) const NO_OTHER_OBJECT: &str = "no event has an object other than its claim's";

impl Evidence<'_> {
    /// Checks the invariants that every run has, then those that the scenario adds. Leaves out the invariants in
    /// [`not_checked`](Self::not_checked).
    pub(crate) fn invariants(&self) -> Vec<Invariant> {
        let mut invariants = self.common_invariants();
        invariants.extend(self.scenario_invariants());
        invariants.retain(|invariant| !self.not_checked().contains(&invariant.name));
        invariants
    }

    /// Returns the names of the invariants that cannot be checked, because the functions do not log routine outcomes.
    pub(crate) fn not_checked(&self) -> &'static [&'static str] {
        if self.log_routine_outcomes { &[] } else { &NEED_ROUTINE_LINES }
    }

    fn common_invariants(&self) -> Vec<Invariant> {
        let Self { sent, seen, .. } = *self;
        let logs = &seen.logs;
        let claims = &seen.claims;
        let objects = &seen.objects;
        let in_lake = [Source::Table, Source::Bucket];
        let id = |event: usize| self.plan.event_ids[event].clone();

        let outcome = |id: &MessageId| logs.outcomes.get(id);
        let unaccounted = sent.confirmed.keys().filter(|id| {
            outcome(id).is_none_or(|outcome| *outcome < IngestOutcome::Duplicate) && !seen.dead_letters.contains(*id)
        });
        let mut wins: HashMap<usize, usize> = HashMap::new();
        let won = sent.confirmed.iter().filter(|(id, _)| outcome(id) == Some(&IngestOutcome::Won));
        for event in won.filter_map(|(_, &index)| self.plan.messages[index].event) {
            *wins.entry(event).or_default() += 1;
        }
        let keys_where = |test: fn(&Object) -> bool| {
            let objects = objects.iter().filter(move |(_, object)| test(object));
            objects.map(|(_, object)| (true, object.place.key(self.prefix)))
        };
        vec![
            // If a message has no outcome and is not a dead letter, it is lost once the queue has been empty for long
            // enough.
            judge(
                EVERY_MESSAGE_ENDED,
                self.knows(&[Source::Queue, Source::IngestLog, Source::DeadLetterQueue]),
                unaccounted.map(|id| (seen.queue_settled, id.to_string())),
            ),
            judge(
                "no valid event was rejected",
                self.knows(&[Source::IngestLog]),
                sent.confirmed
                    .iter()
                    .filter(|(_, index)| self.plan.messages[**index].event.is_some())
                    .filter(|(id, _)| outcome(id) == Some(&IngestOutcome::Rejected))
                    .map(|(id, _)| (true, id.to_string())),
            ),
            judge(
                NOT_WON_TWICE,
                self.knows(&[Source::IngestLog]),
                wins.into_iter().filter(|(_, wins)| *wins > 1).map(|(event, _)| (true, id(event))),
            ),
            judge(
                "each duplicate matches its event's claim, and each conflict differs from it",
                self.knows(&[Source::IngestLog, Source::Table]),
                self.misjudged(),
            ),
            judge(
                "each event has a claim",
                self.knows(&[Source::Table]),
                self.unarchived()
                    .filter(|event| !claims.contains(*event))
                    .map(|event| (seen.missing_claims.contains(&event), id(event))),
            ),
            judge(
                "each claim has its object",
                self.knows(&in_lake),
                claims
                    .iter()
                    .map(|(event, _)| event)
                    .filter(|event| !objects.contains(*event))
                    .map(|event| (seen.missing_objects.contains(&event), id(event))),
            ),
            judge(
                "each object has exactly one version",
                self.knows(&in_lake),
                keys_where(|object| object.versions != 1),
            ),
            judge("each object holds its event as sent", self.knows(&in_lake), keys_where(|object| !object.is_as_sent)),
            judge(
                NO_OTHER_OBJECT,
                self.knows(&[Source::Table, Source::ArchiveLog]),
                self.extra().into_iter().map(|key| (true, key)),
            ),
        ]
    }

    fn scenario_invariants(&self) -> Vec<Invariant> {
        let Self { scenario, plan, sent, seen, .. } = *self;
        let mut invariants = Vec::new();
        if ![Content::File, Content::Conflicting].contains(&scenario.content) {
            // The scenario expects no conflicts. But a conflict with a claim that this run did not write is not the
            // pipeline's fault, so the invariant is undecided instead of violated.
            let conflicting =
                self.conflicts_with_others().into_iter().map(|event| (false, plan.event_ids[event].clone()));
            let name = "no event had already been claimed with different content";
            invariants.push(judge(name, self.knows(&[Source::IngestLog]), conflicting));
        }
        let knows_dead_letters = self.knows(&[Source::Queue, Source::IngestLog, Source::DeadLetterQueue]);
        if plan.messages.iter().any(|message| message.event.is_none()) {
            // A message that was acknowledged by mistake, or that is gone from both queues, can no longer become a dead
            // letter.
            let offenders = self.to_be_rejected().filter_map(|id| {
                let outcome = seen.logs.outcomes.get(id);
                let was_acknowledged = outcome.is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate);
                let is_dead = seen.dead_letters.contains(id);
                (was_acknowledged || !is_dead).then(|| (was_acknowledged || seen.queue_settled, id.to_string()))
            });
            invariants.push(judge(
                "each message that cannot be claimed is a dead letter and was not acknowledged",
                knows_dead_letters,
                offenders,
            ));
        }
        if scenario.only_rejected_die {
            let is_event = |id: &&MessageId| {
                let index = sent.confirmed.get(*id);
                index.is_some_and(|&index| plan.messages[index].event.is_some())
            };
            let offenders = seen.dead_letters.iter().filter(is_event).map(|id| (true, id.to_string()));
            invariants.push(judge("no message that can be claimed is a dead letter", knows_dead_letters, offenders));
        }
        if scenario.faults.is_some() {
            let name = "each of the scenario's faults occurred";
            let missing = (!self.faults_occurred).then(|| (false, "at least one fault did not occur".to_owned()));
            invariants.push(judge(name, true, missing.into_iter()));
        }
        invariants
    }

    /// Returns the events that have conflicts although all of their messages in this run have the same content.
    /// Something else claimed these events with different content, for example an earlier run with another seed.
    fn conflicts_with_others(&self) -> BTreeSet<usize> {
        let Self { plan, sent, seen, .. } = *self;
        let is_claimed_by_others = |event: &usize| {
            let mut digests = plan.messages_of[*event].iter().map(|&index| plan.messages[index].digest);
            let first = digests.next().flatten();
            // If the claim has the same content as the messages, `ingest-fn` misjudged them. Another invariant reports
            // that.
            let claimed = seen.claims.get(*event).and_then(|claim| claim.digest);
            digests.all(|digest| digest == first) && claimed != first
        };
        let is_conflict = |id: &MessageId| seen.logs.outcomes.get(id) == Some(&IngestOutcome::Conflict);
        let conflicts = sent.confirmed.iter().filter(|(id, _)| is_conflict(id));
        let events: BTreeSet<usize> = conflicts.filter_map(|(_, &index)| plan.messages[index].event).collect();
        events.into_iter().filter(is_claimed_by_others).collect()
    }

    /// Returns the ids of messages that `ingest-fn` judged wrongly: as won or duplicate although they differ from their
    /// event's claim, or as a conflict although they match the claim. Skips events whose messages were checked against
    /// a claim other than the one in the table, which happens at the end of a dedup window.
    ///
    /// If the functions do not log routine outcomes, a message may be neither a dead letter nor logged as a conflict or
    /// rejection. Then either `ingest-fn` acknowledged it as won or duplicate, or the message is lost. If its content
    /// differs from the claim, each of the two is a violation. The violation is certain once the queue is settled and
    /// the dead-letter queue was read.
    fn misjudged(&self) -> impl Iterator<Item = (bool, String)> {
        let Self { plan, sent, seen, .. } = *self;
        let misjudged = move |(id, index): (&MessageId, &usize)| -> Option<(bool, String)> {
            let message = &plan.messages[*index];
            let event = message.event?;
            let claim = seen.claims.get(event)?;
            let judging_claim_id = seen.logs.claim_ids.get(event);
            let is_judged_by_claim = match judging_claim_id {
                Some(only) => *only == Some(claim.claim_id),
                None => !self.log_routine_outcomes,
            };
            if !is_judged_by_claim {
                return None;
            }
            let matches_claim = message.digest? == claim.digest?;
            match seen.logs.outcomes.get(id) {
                Some(IngestOutcome::Duplicate | IngestOutcome::Won) => !matches_claim,
                Some(IngestOutcome::Conflict) => matches_claim,
                Some(IngestOutcome::Rejected) => false,
                Some(IngestOutcome::Failed) | None => {
                    let is_silent = !self.log_routine_outcomes && !seen.dead_letters.contains(id);
                    let is_certain = seen.queue_settled && self.knows(&[Source::DeadLetterQueue]);
                    return (is_silent && !matches_claim).then(|| (is_certain, id.to_string()));
                }
            }
            .then(|| (true, id.to_string()))
        };
        sent.confirmed.iter().filter_map(misjudged)
    }
}

/// Judges an invariant by its offenders. An offender is an id and a flag: `true` if the id certainly violates the
/// invariant, `false` if that is undecided. One certain offender makes the invariant violated. If `sources_known` is
/// false, the invariant is undecided.
fn judge(name: &'static str, sources_known: bool, offenders: impl Iterator<Item = (bool, String)>) -> Invariant {
    let mut certain = Vec::new();
    let mut undecided = Vec::new();
    for (is_certain, id) in offenders {
        if is_certain { certain.push(id) } else { undecided.push(id) }
    }
    let (held, mut examples) = match (sources_known, certain.is_empty(), undecided.is_empty()) {
        (false, ..) => (None, Vec::new()),
        (true, false, _) => (Some(false), certain),
        (true, true, false) => (None, undecided),
        (true, true, true) => (Some(true), Vec::new()),
    };
    let offenders = examples.len();
    examples.sort();
    examples.truncate(MAX_EXAMPLES);
    Invariant { name, held, examples, offenders }
}
