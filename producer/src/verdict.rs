//! What a run showed: the numbers, each invariant, and the verdict.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::events::Plan;
use crate::function_logs::IngestOutcome;
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
    /// Ids that violate it, or `[]`.
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
    /// Claims that were won by messages of this run.
    pub new_claims: Option<usize>,
    /// Messages acknowledged as duplicates.
    pub duplicates: Option<usize>,
    /// Messages whose event was claimed with other content.
    pub conflicts: Option<usize>,
    /// Messages that are no events.
    pub rejected: Option<usize>,
    /// Claims that have an object.
    pub objects: Option<usize>,
    /// Versions of all those objects.
    pub object_versions: Option<usize>,
    /// Messages of this run in the dead-letter queue.
    pub dead_letters: Option<usize>,
    /// Events of which nothing came, neither an object nor a dead letter.
    pub lost: Option<usize>,
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

impl Reading {
    /// Judges a run that took so long.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "each number and each invariant is one expression")]
    pub fn new(plan: &Plan, sent: &Sent, seen: &Observation, took: Duration) -> Self {
        let Observation { logs, claims, objects, dead_letters, unreadable, drained } = seen;
        let mut unreadable = unreadable.clone();
        if !drained {
            unreadable.insert(Source::Queue, format!("not drained within {} s", took.as_secs()));
        }
        let known = |sources: &[Source]| sources.iter().all(|source| !unreadable.contains_key(source));
        let when = |sources: &[Source], number: usize| known(sources).then_some(number);

        let outcome = |wanted| logs.outcomes.values().filter(|outcome| **outcome == wanted).count();
        let confirmed_events = || {
            let mut events: Vec<usize> = sent.confirmed.values().map(|&index| plan.messages[index].event).collect();
            events.sort_unstable();
            events.dedup();
            events
        };
        let event_id = |event: usize| plan.event_ids[event].clone();
        let dead = |event: usize| seen.is_dead(event, plan, sent);

        let mut unaccounted: Vec<String> = sent
            .confirmed
            .keys()
            .filter(|id| {
                let acknowledged = logs.outcomes.get(*id).is_some_and(|outcome| *outcome >= IngestOutcome::Duplicate);
                !acknowledged && !dead_letters.contains(*id)
            })
            .cloned()
            .collect();
        unaccounted.sort();
        let unclaimed: Vec<String> = confirmed_events()
            .into_iter()
            .filter(|event| !claims.contains_key(event) && !dead(*event))
            .map(event_id)
            .collect();
        let lost: Vec<String> = confirmed_events()
            .into_iter()
            .filter(|event| !objects.contains_key(event) && !dead(*event))
            .map(event_id)
            .collect();
        let mut wins: HashMap<usize, usize> = HashMap::new();
        for (id, _) in logs.outcomes.iter().filter(|(_, outcome)| **outcome == IngestOutcome::Won) {
            *wins.entry(plan.messages[sent.confirmed[id]].event).or_default() += 1;
        }
        let won_twice: Vec<String> =
            wins.into_iter().filter(|(_, wins)| *wins > 1).map(|(event, _)| event_id(event)).collect();
        let expected_keys: HashMap<&str, &str> =
            objects.iter().map(|(event, object)| (plan.event_ids[*event].as_str(), object.key.as_str())).collect();
        let extra: Vec<String> = logs
            .keys
            .iter()
            .flat_map(|(id, keys)| keys.iter().filter(|key| expected_keys.get(id.as_str()) != Some(&key.as_str())))
            .cloned()
            .collect();
        let keys_where = |test: fn(&crate::read_back::Object) -> bool| -> Vec<String> {
            objects.values().filter(|object| test(object)).map(|object| object.key.clone()).collect()
        };

        let in_lake = [Source::Table, Source::Bucket];
        let all_there = [Source::Queue, Source::Table, Source::Bucket, Source::DeadLetterQueue];
        let judged = |name, sources: &[Source], offending: &[String]| Invariant {
            name,
            // One offender is enough to know, where being incomplete cannot be why it is one.
            held: known(sources).then_some(offending.is_empty()),
            examples: if known(sources) { offending.iter().take(MOST_EXAMPLES).cloned().collect() } else { Vec::new() },
        };
        let invariants = vec![
            judged(
                "each message was won, a duplicate or a conflict, or is a dead letter",
                &[Source::Queue, Source::IngestLog, Source::DeadLetterQueue],
                &unaccounted,
            ),
            judged("no event was won twice", &[Source::IngestLog], &won_twice),
            judged("each event has a claim", &[Source::Queue, Source::Table, Source::DeadLetterQueue], &unclaimed),
            judged("each claim has its object", &all_there, &lost),
            judged("each object has one version", &in_lake, &keys_where(|object| object.versions != 1)),
            judged("each object holds its event as sent", &in_lake, &keys_where(|object| !object.is_as_sent)),
            judged(
                "there is no other object of these events",
                &[Source::Table, Source::Bucket, Source::ArchiveLog],
                &extra,
            ),
        ];
        let verdict = if invariants.iter().any(|invariant| invariant.held == Some(false)) {
            Verdict::Violated
        } else if invariants.iter().all(|invariant| invariant.held == Some(true)) && sent.unconfirmed.is_empty() {
            Verdict::Held
        } else {
            Verdict::Inconclusive
        };
        let ours = claims.values().filter(|claim| sent.confirmed.contains_key(&claim.message_id)).count();
        Self {
            verdict,
            sent: sent.confirmed.len(),
            unconfirmed: sent.unconfirmed.len(),
            events: plan.event_ids.len(),
            claims: when(&[Source::Table], claims.len()),
            new_claims: when(&[Source::Table], ours),
            duplicates: when(&[Source::IngestLog], outcome(IngestOutcome::Duplicate)),
            conflicts: when(&[Source::IngestLog], outcome(IngestOutcome::Conflict)),
            rejected: when(&[Source::IngestLog], outcome(IngestOutcome::Rejected)),
            objects: when(&in_lake, objects.len()),
            object_versions: when(&in_lake, objects.values().map(|object| object.versions).sum()),
            dead_letters: when(&[Source::DeadLetterQueue], dead_letters.len()),
            lost: when(&all_there, lost.len()),
            extra: when(&[Source::Table, Source::Bucket, Source::ArchiveLog], extra.len()),
            time: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            invariants,
            objects_per_second_by_tenth: rates(&logs.written_ms),
            unreadable,
        }
    }
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
