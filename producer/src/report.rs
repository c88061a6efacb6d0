//! All that is said of a run: as JSON, and shown as text and as a page.

pub mod page;
pub mod text;

mod charts;
mod cost;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::bill::Bill;
use crate::evidence::Evidence;
use crate::function_logs::IngestOutcome;
use crate::measures::latency::Latency;
use crate::measures::timeline::Timeline;
use crate::measures::{self, RepeatedEvent};
use crate::source::Source;
use crate::verdict::{Invariant, Verdict};
use crate::watch::Observation;

/// All that is said of a run. A number that could not be read is `None`.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// The verdict.
    pub verdict: Verdict,
    /// Ctrl-C ended the run before it was done. Then the verdict is never `held`.
    pub partial: bool,
    /// What was run.
    pub scenario: &'static str,
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
    pub bill: Option<Bill>,
}

impl RunReport {
    /// Judges and measures a run that took so long. Its seed, target and bill are the caller's to fill in.
    #[must_use]
    pub fn new(evidence: &Evidence<'_>, took: Duration) -> Self {
        let Evidence { scenario, sent, seen, .. } = *evidence;
        let Observation { logs, claims, objects, dead_letters, .. } = seen;
        let when = |sources: &[Source], number: usize| evidence.knows(sources).then_some(number);
        let count = |wanted| sent.confirmed.keys().filter(|id| logs.outcomes.get(*id) == Some(&wanted)).count();
        let invariants = evidence.invariants();
        let is_complete = !sent.confirmed.is_empty() && sent.unsent == 0 && !evidence.is_partial;
        let verdict = Verdict::new(&invariants, is_complete);
        let in_lake = [Source::Table, Source::Bucket];
        let times = measures::times(evidence);
        let confirmed_ms = sent.confirmed.values().filter_map(|&index| *sent.sent_ms.get(index)?);
        let confirmed_ms: Vec<i64> = confirmed_ms.collect();
        let started_ms = DateTime::<Utc>::from(evidence.started).timestamp_millis();
        let (repeated_events, events_repeated) = measures::repeated_events(evidence);
        Self {
            verdict,
            partial: evidence.is_partial,
            scenario: scenario.name,
            about: scenario.about,
            sends: scenario.sends,
            expects: scenario.expects,
            seed: 0,
            target: String::new(),
            started_at: DateTime::<Utc>::from(evidence.started).to_rfc3339_opts(SecondsFormat::Millis, true),
            sent: sent.confirmed.len(),
            unconfirmed: sent.unconfirmed.len(),
            refused: sent.refused.len(),
            unsent: sent.unsent,
            to_be_rejected: evidence.to_be_rejected().count(),
            events: evidence.events_sent(),
            claims: when(&[Source::Table], claims.len()),
            new_claims: when(&[Source::Table], claims.values().filter(|claim| evidence.is_new(claim)).count()),
            duplicates: when(&[Source::IngestLog], count(IngestOutcome::Duplicate)),
            conflicts: when(&[Source::IngestLog], count(IngestOutcome::Conflict)),
            rejected: when(&[Source::IngestLog], count(IngestOutcome::Rejected)),
            objects: when(&in_lake, objects.len()),
            object_versions: when(&in_lake, objects.values().map(|object| object.versions).sum()),
            dead_letters: when(&[Source::DeadLetterQueue], dead_letters.len()),
            lost: when(&in_lake, evidence.unarchived().filter(|event| evidence.is_done_with(*event)).count()),
            pending: evidence.unarchived().filter(|event| !evidence.is_done_with(*event)).count(),
            extra: when(&[Source::Table, Source::ArchiveLog], evidence.extra().len()),
            sent_per_second: measures::sent_per_second(&confirmed_ms),
            time: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            invariants,
            unreadable: seen.unreadable.clone(),
            latency: Latency::from_times(&times),
            timeline: Timeline::new(started_ms, &confirmed_ms, &times),
            repeated_events,
            events_repeated,
            objects_per_second_by_tenth: measures::objects_per_second_by_tenth(
                times.iter().filter_map(|of| of.archived_ms).collect(),
            ),
            bill: None,
        }
    }
}
