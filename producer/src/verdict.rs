//! What a run showed: the numbers, each invariant, and the verdict.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use claim::{Claim, ObjectPrefix};
use serde::Serialize;

use crate::events::Plan;
use crate::function_logs::IngestOutcome;
use crate::read_back::Object;
use crate::send::Sent;
use crate::watch::{Observation, Source};

/// As many offending ids are named.
const MOST_EXAMPLES: usize = 5;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every invariant held.
    Held,
    /// One did not.
    Violated,
    /// None is known to be violated, and not all are known to hold.
    Inconclusive,
}

/// One of the things that must hold.
#[derive(Debug, Serialize)]
pub struct Invariant {
    /// In words.
    pub name: &'static str,
    /// `None` if it cannot be told.
    pub held: Option<bool>,
    /// Ids that violate it, or, if it cannot be told, of which it cannot be; `[]` if it held.
    pub examples: Vec<String>,
}

/// All that is said of a run. A number that could not be read is `None`.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// The verdict.
    pub verdict: Verdict,
    /// Messages that SQS confirmed.
    pub sent: usize,
    /// Messages that SQS did not confirm: they may be in the queue or not.
    pub unconfirmed: usize,
    /// Distinct event ids among all messages.
    pub events: usize,
    /// Events that have a claim.
    pub claims: Option<usize>,
    /// Those of them that were not there before this run.
    pub new_claims: Option<usize>,
    /// Messages acknowledged as duplicates.
    pub duplicates: Option<usize>,
    /// Messages whose event was claimed with other content.
    pub conflicts: Option<usize>,
    /// Messages that `ingest-fn` took for no events.
    pub rejected: Option<usize>,
    /// Claims that have an object.
    pub objects: Option<usize>,
    /// Versions of all those objects.
    pub object_versions: Option<usize>,
    /// Messages of this run in the dead-letter queue.
    pub dead_letters: Option<usize>,
    /// Events of which nothing came, neither an object nor a dead letter, though all was done with them.
    pub lost: Option<usize>,
    /// Events that were not done with when the time was up.
    pub pending: usize,
    /// Objects beyond one for each claim.
    pub extra: Option<usize>,
    /// From the first send until the pipeline was drained, in seconds.
    pub time: f64,
    /// Each of the things that must hold.
    pub invariants: Vec<Invariant>,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<Source, String>,
    /// Objects written in a second, for each tenth of them; `[]` if there are fewer than a thousand.
    pub objects_per_second_by_tenth: Vec<u64>,
}

/// A run, and what was seen of it.
pub struct Run<'a> {
    /// What was to be sent.
    pub plan: &'a Plan,
    /// What was.
    pub sent: &'a Sent,
    /// What came of it.
    pub seen: &'a Observation,
    /// Where the lake begins in its bucket.
    pub prefix: &'a ObjectPrefix,
    /// When the first message was sent.
    pub started: SystemTime,
}

impl Run<'_> {
    /// Judges the run, which took so long.
    #[must_use]
    pub fn reading(&self, took: Duration) -> Reading {
        let Self { plan, sent, seen, .. } = *self;
        let Observation { logs, claims, objects, dead_letters, .. } = seen;
        let when = |sources: &[Source], number: usize| self.knows(sources).then_some(number);
        let count = |wanted| sent.confirmed.keys().filter(|id| logs.outcomes.get(*id) == Some(&wanted)).count();
        // A send of this run that was not confirmed, or whose answer was lost and that was sent again, may have won.
        let is_new = |claim: &&Claim| {
            sent.confirmed.contains_key(&claim.message_id) || SystemTime::from(claim.claimed_at) >= self.started
        };
        let invariants = self.invariants();
        let verdict = if invariants.iter().any(|invariant| invariant.held == Some(false)) {
            Verdict::Violated
        } else if invariants.iter().all(|invariant| invariant.held == Some(true)) && !sent.confirmed.is_empty() {
            Verdict::Held
        } else {
            Verdict::Inconclusive
        };
        let in_lake = [Source::Table, Source::Bucket];
        Reading {
            verdict,
            sent: sent.confirmed.len(),
            unconfirmed: sent.unconfirmed.len(),
            events: plan.event_ids.len(),
            claims: when(&[Source::Table], claims.len()),
            new_claims: when(&[Source::Table], claims.values().filter(is_new).count()),
            duplicates: when(&[Source::IngestLog], count(IngestOutcome::Duplicate)),
            conflicts: when(&[Source::IngestLog], count(IngestOutcome::Conflict)),
            rejected: when(&[Source::IngestLog], count(IngestOutcome::Rejected)),
            objects: when(&in_lake, objects.len()),
            object_versions: when(&in_lake, objects.values().map(|object| object.versions).sum()),
            dead_letters: when(&[Source::DeadLetterQueue], dead_letters.len()),
            lost: when(&in_lake, self.unarchived().filter(|event| self.is_done_with(*event)).count()),
            pending: self.unarchived().filter(|event| !self.is_done_with(*event)).count(),
            extra: when(&[Source::Table, Source::ArchiveLog], self.extra().len()),
            time: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            invariants,
            unreadable: seen.unreadable.clone(),
            objects_per_second_by_tenth: rates(&logs.written_ms),
        }
    }

    fn invariants(&self) -> Vec<Invariant> {
        let Self { sent, seen, .. } = *self;
        let (logs, claims, objects) = (&seen.logs, &seen.claims, &seen.objects);
        let (in_lake, id) = ([Source::Table, Source::Bucket], |event: usize| self.plan.event_ids[event].clone());

        let outcome = |id: &String| logs.outcomes.get(id);
        let unaccounted = sent.confirmed.keys().filter(|id| {
            outcome(id).is_none_or(|outcome| *outcome < IngestOutcome::Duplicate) && !seen.dead_letters.contains(*id)
        });
        let mut wins: HashMap<usize, usize> = HashMap::new();
        for (_, &index) in sent.confirmed.iter().filter(|(id, _)| outcome(id) == Some(&IngestOutcome::Won)) {
            *wins.entry(self.plan.messages[index].event).or_default() += 1;
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
                    .keys()
                    .filter(|id| outcome(id) == Some(&IngestOutcome::Rejected))
                    .map(|id| (true, id.clone())),
            ),
            judge(
                "no event was won twice",
                self.knows(&[Source::IngestLog]),
                wins.into_iter().filter(|(_, wins)| *wins > 1).map(|(event, _)| (true, id(event))),
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

    fn knows(&self, sources: &[Source]) -> bool {
        sources.iter().all(|source| !self.seen.unreadable.contains_key(source))
    }

    /// Events that were sent for certain, and have neither an object nor only dead letters.
    fn unarchived(&self) -> impl Iterator<Item = usize> {
        let Self { plan, sent, seen, .. } = *self;
        (0..plan.event_ids.len()).filter(move |&event| {
            plan.messages_of[event].iter().any(|&index| sent.message_ids[index].is_some())
                && !seen.objects.contains_key(&event)
                && !seen.is_dead(event, plan, sent)
        })
    }

    /// Waiting would not help.
    fn is_done_with(&self, event: usize) -> bool {
        self.seen.missing_claims.contains(&event) || self.seen.missing_objects.contains(&event)
    }

    /// Keys of objects that the archive's log names for an event of ours, and that are not its claim's.
    fn extra(&self) -> Vec<String> {
        let ids = self.plan.event_ids.iter().enumerate();
        let keys = ids.filter_map(|(event, id)| {
            let expected = self.seen.claims.get(&event).map(|claim| self.prefix.object_key(claim));
            // Without a claim, nothing is known of what the keys should be, unless it is known that there is none.
            let is_known = expected.is_some() || self.seen.missing_claims.contains(&event);
            Some(self.seen.logs.keys.get(id)?.iter().filter(move |key| is_known && Some(*key) != expected.as_ref()))
        });
        keys.flatten().cloned().collect()
    }
}

/// `offenders` come with whether it is certain that they are ones. One that is certain is enough to know.
fn judge(name: &'static str, known: bool, offenders: impl Iterator<Item = (bool, String)>) -> Invariant {
    let (mut certain, mut open) = (Vec::new(), Vec::new());
    for (is_certain, id) in offenders {
        if is_certain { certain.push(id) } else { open.push(id) }
    }
    let (held, mut examples) = match (known, certain.is_empty(), open.is_empty()) {
        (false, ..) => (None, Vec::new()),
        (true, false, _) => (Some(false), certain),
        (true, true, false) => (None, open),
        (true, true, true) => (Some(true), Vec::new()),
    };
    examples.sort();
    examples.truncate(MOST_EXAMPLES);
    Invariant { name, held, examples }
}

fn rates(written_ms: &[i64]) -> Vec<u64> {
    if written_ms.len() < 1_000 {
        return Vec::new();
    }
    let mut written_ms = written_ms.to_vec();
    written_ms.sort_unstable();
    let tenth = written_ms.len() / 10;
    let rate = |objects: &[i64]| {
        let milliseconds = objects[objects.len() - 1].abs_diff(objects[0]).max(1);
        objects.len() as u64 * 1_000 / milliseconds
    };
    written_ms.chunks_exact(tenth).take(10).map(rate).collect()
}
