//! Each of the things that must hold.

use std::collections::{BTreeSet, HashMap};

use claim::Digest;

use super::{Invariant, MOST_EXAMPLES};
use crate::evidence::Evidence;
use crate::function_logs::IngestOutcome;
use crate::read_back::Object;
use crate::scenario::Content;
use crate::source::Source;

impl Evidence<'_> {
    /// What must hold of every run, and then what this scenario adds.
    pub(crate) fn invariants(&self) -> Vec<Invariant> {
        let mut invariants = self.general();
        invariants.extend(self.of_scenario());
        invariants
    }

    fn general(&self) -> Vec<Invariant> {
        let Self { sent, seen, .. } = *self;
        let logs = &seen.logs;
        let claims = &seen.claims;
        let objects = &seen.objects;
        let in_lake = [Source::Table, Source::Bucket];
        let id = |event: usize| self.plan.event_ids[event].clone();

        let outcome = |id: &String| logs.outcomes.get(id);
        let unaccounted = sent.confirmed.keys().filter(|id| {
            outcome(id).is_none_or(|outcome| *outcome < IngestOutcome::Duplicate) && !seen.dead_letters.contains(*id)
        });
        let mut wins: HashMap<usize, usize> = HashMap::new();
        let won = sent.confirmed.iter().filter(|(id, _)| outcome(id) == Some(&IngestOutcome::Won));
        for event in won.filter_map(|(_, &index)| self.plan.messages[index].event) {
            *wins.entry(event).or_default() += 1;
        }
        let keys_where = |test: fn(&Object) -> bool| objects.values().filter(move |object| test(object));
        vec![
            // A message that is neither here nor there is lost once the queue has been empty for long enough.
            judge(
                "each message was won, a duplicate or a conflict, or is a dead letter",
                self.knows(&[Source::Queue, Source::IngestLog, Source::DeadLetterQueue]),
                unaccounted.map(|id| (seen.queue_settled, id.clone())),
            ),
            judge(
                "no event was rejected",
                self.knows(&[Source::IngestLog]),
                sent.confirmed
                    .iter()
                    .filter(|(_, index)| self.plan.messages[**index].event.is_some())
                    .filter(|(id, _)| outcome(id) == Some(&IngestOutcome::Rejected))
                    .map(|(id, _)| (true, id.clone())),
            ),
            judge(
                "no event was won twice",
                self.knows(&[Source::IngestLog]),
                wins.into_iter().filter(|(_, wins)| *wins > 1).map(|(event, _)| (true, id(event))),
            ),
            judge(
                "duplicates say what their claim says, and conflicts do not",
                self.knows(&[Source::IngestLog, Source::Table]),
                self.misjudged().map(|id| (true, id.clone())),
            ),
            judge(
                "each event has a claim",
                self.knows(&[Source::Table]),
                self.unarchived()
                    .filter(|event| !claims.contains_key(event))
                    .map(|event| (seen.missing_claims.contains(&event), id(event))),
            ),
            judge(
                "each claim has its object",
                self.knows(&in_lake),
                claims
                    .keys()
                    .filter(|event| !objects.contains_key(event))
                    .map(|event| (seen.missing_objects.contains(event), id(*event))),
            ),
            judge(
                "each object has one version",
                self.knows(&in_lake),
                keys_where(|object| object.versions != 1).map(|object| (true, object.key.clone())),
            ),
            judge(
                "each object holds its event as sent",
                self.knows(&in_lake),
                keys_where(|object| !object.is_as_sent).map(|object| (true, object.key.clone())),
            ),
            judge(
                "there is no other object of these events",
                self.knows(&[Source::Table, Source::ArchiveLog]),
                self.extra().into_iter().map(|key| (true, key)),
            ),
        ]
    }

    fn of_scenario(&self) -> Vec<Invariant> {
        let Self { scenario, plan, sent, seen, .. } = *self;
        let mut invariants = Vec::new();
        if ![Content::File, Content::Conflicting].contains(&scenario.content) {
            // Such messages are no duplicates, as the scenario has it, and it is not the pipeline's fault.
            let of_others =
                self.conflicts_with_others().into_iter().map(|event| (false, plan.event_ids[event].clone()));
            let name = "no event was claimed before with other content";
            invariants.push(judge(name, self.knows(&[Source::IngestLog]), of_others));
        }
        let dead_letters = self.knows(&[Source::Queue, Source::IngestLog, Source::DeadLetterQueue]);
        if plan.messages.iter().any(|message| message.event.is_none()) {
            // Acknowledged by mistake, or gone from both queues: that does not mend itself.
            let offenders = self.to_be_rejected().filter_map(|id| {
                let outcome = seen.logs.outcomes.get(id);
                let was_acknowledged = outcome.is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate);
                let is_dead = seen.dead_letters.contains(id);
                (was_acknowledged || !is_dead).then(|| (was_acknowledged || seen.queue_settled, id.clone()))
            });
            invariants.push(judge(
                "what cannot be claimed is a dead letter, and is not acknowledged",
                dead_letters,
                offenders,
            ));
        }
        if scenario.only_rejected_die {
            let is_event = |id: &&String| {
                let index = sent.confirmed.get(*id);
                index.is_some_and(|&index| plan.messages[index].event.is_some())
            };
            let offenders = seen.dead_letters.iter().filter(is_event).map(|id| (true, id.clone()));
            invariants.push(judge("no message that can be claimed is a dead letter", dead_letters, offenders));
        }
        if scenario.faults.is_some() {
            let name = "what the scenario does to the pipeline took place";
            let missing = (!self.faults_occurred).then(|| (false, "not all of it".to_owned()));
            invariants.push(judge(name, true, missing.into_iter()));
        }
        invariants
    }

    /// Events whose messages all say the same, and of which some are conflicts: somebody else has claimed them, such as an earlier run
    /// with another seed.
    fn conflicts_with_others(&self) -> BTreeSet<usize> {
        let Self { plan, sent, seen, .. } = *self;
        let says_one_thing = |event: &usize| {
            let mut digests = plan.messages_of[*event].iter().map(|&index| plan.messages[index].digest);
            let first = digests.next().flatten();
            // Where the claim says that too, they were misjudged.
            let claimed = seen.claims.get(event).and_then(|claim| Digest::from_stored(&claim.digest));
            digests.all(|digest| digest == first) && claimed != first
        };
        let is_conflict = |id: &String| seen.logs.outcomes.get(id) == Some(&IngestOutcome::Conflict);
        let conflicts = sent.confirmed.iter().filter(|(id, _)| is_conflict(id));
        let events: BTreeSet<usize> = conflicts.filter_map(|(_, &index)| plan.messages[index].event).collect();
        events.into_iter().filter(says_one_thing).collect()
    }

    /// Messages that were called duplicates though they say something else than their event's claim, or the other way round. Only
    /// where all of the event's messages were held against that one claim: there is another at the end of a dedup window.
    fn misjudged(&self) -> impl Iterator<Item = &String> {
        let Self { plan, sent, seen, .. } = *self;
        let is_misjudged = move |(id, index): &(&String, &usize)| -> Option<bool> {
            let message = &plan.messages[**index];
            let claim = seen.claims.get(&message.event?)?;
            let held_against = seen.logs.claim_ids.get(&claim.event_id)?.as_ref()?;
            if *held_against != claim.claim_id.to_string() {
                return Some(false);
            }
            let says_the_same = message.digest? == Digest::from_stored(&claim.digest)?;
            Some(match seen.logs.outcomes.get(*id)? {
                IngestOutcome::Duplicate | IngestOutcome::Won => !says_the_same,
                IngestOutcome::Conflict => says_the_same,
                IngestOutcome::Failed | IngestOutcome::Rejected => false,
            })
        };
        sent.confirmed.iter().filter(move |confirmed| is_misjudged(confirmed) == Some(true)).map(|(id, _)| id)
    }
}

/// `offenders` come with whether it is certain that they are ones. One that is certain is enough to know.
fn judge(name: &'static str, known: bool, offenders: impl Iterator<Item = (bool, String)>) -> Invariant {
    let mut certain = Vec::new();
    let mut open = Vec::new();
    for (is_certain, id) in offenders {
        if is_certain { certain.push(id) } else { open.push(id) }
    }
    let (held, mut examples) = match (known, certain.is_empty(), open.is_empty()) {
        (false, ..) => (None, Vec::new()),
        (true, false, _) => (Some(false), certain),
        (true, true, false) => (None, open),
        (true, true, true) => (Some(true), Vec::new()),
    };
    let offenders = examples.len();
    examples.sort();
    examples.truncate(MOST_EXAMPLES);
    Invariant { name, held, examples, offenders }
}
