//! What a run showed: the numbers, each invariant, and the verdict.

mod invariants;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use claim::{Claim, ObjectPrefix};
use serde::Serialize;

use crate::events::Plan;
use crate::function_logs::IngestOutcome;
use crate::measures::latency::Latency;
use crate::measures::timeline::Timeline;
use crate::measures::{self, RepeatedEvent};
use crate::scenario::{Name, Scenario};
use crate::send::SendResults;
use crate::watch::{Observation, Source};

/// As many offending ids are named.
const MOST_EXAMPLES: usize = 100;

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
    /// Ids that violate it, or, if it cannot be told, of which it cannot be; `[]` if it held. No more than a hundred.
    pub examples: Vec<String>,
    /// How many of them there are.
    pub offenders: usize,
}

/// All that is said of a run. A number that could not be read is `None`.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// The verdict.
    pub verdict: Verdict,
    /// Ctrl-C ended the run before it was done. Then the verdict is never `held`.
    pub partial: bool,
    /// What was run.
    pub scenario: Name,
    /// What that is, in a line.
    pub about: &'static str,
    /// What it sends, in a line.
    pub sends: &'static str,
    /// What must come of it, in a line.
    pub expects: &'static str,
    /// `--seed`.
    pub seed: u64,
    /// Where it was sent, and why there.
    pub target: String,
    /// When the first message was sent: RFC 3339, UTC, by the producer's clock.
    pub started_at: String,
    /// Messages that SQS confirmed.
    pub sent: usize,
    /// Messages that SQS did not confirm: they may be in the queue or not.
    pub unconfirmed: usize,
    /// Messages that SQS said it does not take.
    pub refused: usize,
    /// Messages that were not sent, because the time was up or Ctrl-C came first. Where there are any, the verdict is never `held`.
    pub unsent: usize,
    /// Messages that cannot be claimed, and so must be rejected and become dead letters, of those that SQS confirmed.
    pub to_be_rejected: usize,
    /// Distinct event ids among the messages that can be claimed and that were sent, or may have been.
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
    /// Messages a second, as they were sent; `None` if that took less than a second.
    pub sent_per_second: Option<f64>,
    /// From the first send until the pipeline was drained, in seconds.
    pub time: f64,
    /// Each of the things that must hold.
    pub invariants: Vec<Invariant>,
    /// What could not be read, and why.
    pub unreadable: BTreeMap<Source, String>,
    /// How long events took.
    pub latency: Latency,
    /// When what happened.
    pub timeline: Timeline,
    /// The events with the most duplicates and conflicts: no more than 20.
    pub repeated_events: Vec<RepeatedEvent>,
    /// How many events have any.
    pub events_repeated: usize,
    /// Objects written in a second, for each tenth of them; `[]` if there are fewer than a thousand.
    pub objects_per_second_by_tenth: Vec<u64>,
    /// What the run would have cost on AWS; of the embedded pipeline alone, which counts it.
    pub bill: Option<crate::bill::Bill>,
}

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
    /// Judges the run, which took so long.
    #[must_use]
    pub fn report(&self, took: Duration) -> RunReport {
        let Self { scenario, sent, seen, .. } = *self;
        let Observation { logs, claims, objects, dead_letters, .. } = seen;
        let when = |sources: &[Source], number: usize| self.knows(sources).then_some(number);
        let count = |wanted| sent.confirmed.keys().filter(|id| logs.outcomes.get(*id) == Some(&wanted)).count();
        let invariants = self.invariants();
        let verdict = if invariants.iter().any(|invariant| invariant.held == Some(false)) {
            Verdict::Violated
        } else if invariants.iter().all(|invariant| invariant.held == Some(true))
            && !sent.confirmed.is_empty()
            && sent.unsent == 0
            && !self.is_partial
        {
            Verdict::Held
        } else {
            Verdict::Inconclusive
        };
        let in_lake = [Source::Table, Source::Bucket];
        let times = measures::times(self);
        let confirmed_ms = sent.confirmed.values().filter_map(|&index| *sent.sent_ms.get(index)?);
        let confirmed_ms: Vec<i64> = confirmed_ms.collect();
        let started_ms = DateTime::<Utc>::from(self.started).timestamp_millis();
        let (repeated_events, events_repeated) = measures::repeated_events(self);
        RunReport {
            verdict,
            partial: self.is_partial,
            scenario: scenario.name,
            about: scenario.about,
            sends: scenario.sends,
            expects: scenario.expects,
            seed: 0,
            target: String::new(),
            started_at: DateTime::<Utc>::from(self.started).to_rfc3339_opts(SecondsFormat::Millis, true),
            sent: sent.confirmed.len(),
            unconfirmed: sent.unconfirmed.len(),
            refused: sent.refused.len(),
            unsent: sent.unsent,
            to_be_rejected: self.to_be_rejected().count(),
            events: self.events_sent(),
            claims: when(&[Source::Table], claims.len()),
            new_claims: when(&[Source::Table], claims.values().filter(|claim| self.is_new(claim)).count()),
            duplicates: when(&[Source::IngestLog], count(IngestOutcome::Duplicate)),
            conflicts: when(&[Source::IngestLog], count(IngestOutcome::Conflict)),
            rejected: when(&[Source::IngestLog], count(IngestOutcome::Rejected)),
            objects: when(&in_lake, objects.len()),
            object_versions: when(&in_lake, objects.values().map(|object| object.versions).sum()),
            dead_letters: when(&[Source::DeadLetterQueue], dead_letters.len()),
            lost: when(&in_lake, self.unarchived().filter(|event| self.is_done_with(*event)).count()),
            pending: self.unarchived().filter(|event| !self.is_done_with(*event)).count(),
            extra: when(&[Source::Table, Source::ArchiveLog], self.extra().len()),
            sent_per_second: per_second(&confirmed_ms),
            time: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            invariants,
            unreadable: seen.unreadable.clone(),
            latency: Latency::from_times(&times),
            timeline: Timeline::new(started_ms, &confirmed_ms, &times),
            repeated_events,
            events_repeated,
            objects_per_second_by_tenth: rates(times.iter().filter_map(|of| of.archived_ms).collect()),
            bill: None,
        }
    }

    /// A send of this run that was not confirmed, or whose answer was lost and that was sent again, may have won.
    pub(crate) fn is_new(&self, claim: &Claim) -> bool {
        self.sent.confirmed.contains_key(&claim.message_id) || SystemTime::from(claim.claimed_at) >= self.started
    }

    /// How many events were sent, or may have been.
    fn events_sent(&self) -> usize {
        let Self { plan, sent, .. } = *self;
        let unconfirmed: HashSet<usize> = sent.unconfirmed.iter().map(|(index, _)| *index).collect();
        let may_be_sent = |index: &usize| sent.message_ids[*index].is_some() || unconfirmed.contains(index);
        plan.messages_of.iter().filter(|messages| messages.iter().any(may_be_sent)).count()
    }

    /// Confirmed messages that cannot be claimed.
    fn to_be_rejected(&self) -> impl Iterator<Item = &String> {
        let confirmed = self.sent.confirmed.iter();
        confirmed.filter(|(_, index)| self.plan.messages[**index].event.is_none()).map(|(id, _)| id)
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
            Some(self.seen.logs.keys.get(id)?.keys().filter(move |key| is_known && Some(*key) != expected.as_ref()))
        });
        keys.flatten().cloned().collect()
    }
}

fn per_second(sent_ms: &[i64]) -> Option<f64> {
    let span_ms = sent_ms.iter().max()?.abs_diff(*sent_ms.iter().min()?);
    #[expect(clippy::cast_precision_loss, reason = "a rate is told to a hundredth")]
    let rate = (sent_ms.len() - 1) as f64 * 1_000.0 / span_ms as f64;
    (span_ms >= 1_000).then_some((rate * 100.0).round() / 100.0)
}

fn rates(mut written_ms: Vec<i64>) -> Vec<u64> {
    if written_ms.len() < 1_000 {
        return Vec::new();
    }
    written_ms.sort_unstable();
    let tenth = written_ms.len() / 10;
    let rate = |objects: &[i64]| {
        let milliseconds = objects[objects.len() - 1].abs_diff(objects[0]).max(1);
        objects.len() as u64 * 1_000 / milliseconds
    };
    written_ms.chunks_exact(tenth).take(10).map(rate).collect()
}
