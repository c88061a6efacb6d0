//! The report of a run, which is written as JSON, as text and as an HTML page.

pub mod page;
pub mod text;

mod charts;
mod cost;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::bill::Bill;
use crate::cpu::CpuByPart;
use crate::evidence::Evidence;
use crate::function_logs::IngestOutcome;
use crate::lake::LakeRequests;
use crate::measures::latency::Latency;
use crate::measures::timeline::Timeline;
use crate::measures::{self, Difference, RepeatedEvent};
use crate::place::Place;
use crate::source::Source;
use crate::verdict::{Invariant, Verdict};
use crate::watch::Observation;

/// The report of a run. A number is `None` if its source could not be read. A number that needs log lines about routine
/// outcomes is also `None` if the functions do not write them.
#[derive(Debug, Serialize)]
pub struct RunReport {
    pub verdict: Verdict,
    /// True if Ctrl-C interrupted the run. The verdict is then never `held`.
    pub partial: bool,
    /// The scenario's name.
    pub scenario: &'static str,
    /// One line that describes the scenario.
    pub about: &'static str,
    /// One line that describes what the scenario sends.
    pub sends: &'static str,
    /// One line that describes the result that the scenario expects.
    pub expects: &'static str,
    pub seed: u64,
    /// The target pipeline, and why the producer chose it.
    pub target: String,
    /// Time at which sending began, by the producer's clock, in RFC 3339, UTC.
    pub started_at: String,
    /// Number of messages that SQS confirmed.
    pub sent: usize,
    /// Number of messages that SQS neither confirmed nor refused. Each of them may or may not be in the queue.
    pub unconfirmed: usize,
    /// Number of messages that SQS refused. If there are any, the verdict is never `held`.
    pub refused: usize,
    /// Number of messages that were not sent before the timeout or Ctrl-C. If there are any, the verdict is never
    /// `held`.
    pub unsent: usize,
    /// Number of confirmed messages that cannot be claimed. `ingest-fn` must reject each of them until it becomes a
    /// dead letter.
    pub to_be_rejected: usize,
    /// Number of distinct events that can be claimed and that were sent, or may have been sent.
    pub events: usize,
    /// Number of events that have a claim.
    pub claims: Option<usize>,
    /// Number of claims that this run wrote, or may have written.
    pub new_claims: Option<usize>,
    /// Number of messages that `ingest-fn` acknowledged as duplicates.
    pub duplicates: Option<usize>,
    /// Number of messages whose event was claimed with different content.
    pub conflicts: Option<usize>,
    /// Number of messages that `ingest-fn` rejected.
    pub rejected: Option<usize>,
    /// Number of claims that have an object or a line in a pack.
    pub archived: Option<usize>,
    /// Number of claims that have an object of their own.
    pub objects: Option<usize>,
    /// Number of packs that contain lines of the claims.
    pub packs: Option<usize>,
    /// Total number of versions that contain the claims: at least one for each archived claim.
    pub object_versions: Option<usize>,
    /// Number of this run's messages in the dead-letter queue.
    pub dead_letters: Option<usize>,
    /// Number of events that have no object, and whose claim or object is known to be missing. Events whose confirmed
    /// messages are all dead letters do not count.
    pub lost: Option<usize>,
    /// Number of events that were not archived when the run ended, but still may be.
    pub pending: usize,
    /// Number of objects of this run's events beyond one object per claim.
    pub extra: Option<usize>,
    /// Rate at which the messages were sent; `None` if sending took less than a second.
    pub sent_per_second: Option<f64>,
    /// Seconds from the first send until the pipeline was drained, or until the run stopped waiting.
    pub time: f64,
    pub invariants: Vec<Invariant>,
    /// Names of the invariants that were not checked, because the functions do not log routine outcomes. They do not
    /// count for the verdict.
    pub not_checked: &'static [&'static str],
    /// The sources that could not be read, each with the error.
    pub unreadable: BTreeMap<Source, String>,
    pub latency: Latency,
    pub timeline: Timeline,
    /// The events with the most duplicates and conflicts: at most 20.
    pub repeated_events: Vec<RepeatedEvent>,
    /// The places in which this run's conflicts differ from their claims: at most 20.
    pub differs: Vec<Difference>,
    /// Number of events with at least one duplicate or conflict.
    pub events_repeated: usize,
    /// Objects written per second in each tenth of the objects, in the order in which they were written. `[]` if there
    /// are fewer than a thousand objects.
    pub objects_per_second_by_tenth: Vec<u64>,
    /// Numbers of list and read requests that this run sent to the lake.
    pub lake_requests: Arc<LakeRequests>,
    /// Number of `PutObject` requests that the lake received, including refused ones; `None` for a deployed stack.
    pub put_requests: Option<u64>,
    /// CPU time in milliseconds by part of the embedded pipeline; `None` for a deployed stack.
    pub cpu_ms: Option<CpuByPart>,
    /// The estimated cost of the run on AWS; `None` for a deployed stack, because only the embedded pipeline meters its
    /// usage.
    pub bill: Option<Bill>,
}

impl RunReport {
    /// Judges and measures a run from its evidence and its duration. The caller fills in the seed, the target, the
    /// requests to the lake, the CPU times and the bill.
    #[must_use]
    pub fn new(evidence: &Evidence<'_>, took: Duration) -> Self {
        let Evidence { scenario, sent, seen, .. } = *evidence;
        let Observation { logs, claims, objects, dead_letters, .. } = seen;
        let if_known = |sources: &[Source], number: usize| evidence.knows(sources).then_some(number);
        // These numbers need log lines about routine outcomes.
        let if_logged =
            |sources: &[Source], number: usize| if_known(sources, number).filter(|_| evidence.log_routine_outcomes);
        let count = |wanted| sent.confirmed.keys().filter(|id| logs.outcomes.get(*id) == Some(&wanted)).count();
        let invariants = evidence.invariants();
        // No scenario expects SQS to refuse a message. The pipeline never receives a refused message, so the run proves
        // nothing about that message.
        let is_complete =
            !sent.confirmed.is_empty() && sent.unsent == 0 && sent.refused.is_empty() && !evidence.is_partial;
        let verdict = Verdict::new(&invariants, is_complete);
        let in_lake = [Source::Table, Source::Bucket];
        let packs: HashSet<Place> =
            objects.iter().map(|(_, object)| object.place).filter(|place| place.is_pack()).collect();
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
            claims: if_known(&[Source::Table], claims.len()),
            new_claims: if_known(&[Source::Table], claims.iter().filter(|(_, claim)| evidence.is_new(claim)).count()),
            duplicates: if_logged(&[Source::IngestLog], count(IngestOutcome::Duplicate)),
            conflicts: if_known(&[Source::IngestLog], count(IngestOutcome::Conflict)),
            rejected: if_known(&[Source::IngestLog], count(IngestOutcome::Rejected)),
            archived: if_known(&in_lake, objects.len()),
            objects: if_known(&in_lake, objects.iter().filter(|(_, object)| !object.place.is_pack()).count()),
            packs: if_known(&in_lake, packs.len()),
            object_versions: if_known(&in_lake, objects.iter().map(|(_, object)| object.versions).sum()),
            dead_letters: if_known(&[Source::DeadLetterQueue], dead_letters.len()),
            lost: if_known(&in_lake, evidence.unarchived().filter(|event| evidence.is_done_with(*event)).count()),
            pending: evidence.unarchived().filter(|event| !evidence.is_done_with(*event)).count(),
            extra: if_logged(&[Source::Table, Source::ArchiveLog], evidence.extra().len()),
            sent_per_second: measures::sent_per_second(&confirmed_ms),
            time: (took.as_secs_f64() * 1_000.0).round() / 1_000.0,
            invariants,
            not_checked: evidence.not_checked(),
            differs: measures::differences(evidence),
            unreadable: seen.unreadable.clone(),
            latency: Latency::from_times(&times),
            timeline: Timeline::new(started_ms, &confirmed_ms, &times),
            repeated_events,
            events_repeated,
            objects_per_second_by_tenth: measures::objects_per_second_by_tenth(
                times.iter().filter_map(|of| of.archived_ms).collect(),
            ),
            lake_requests: Arc::default(),
            put_requests: None,
            cpu_ms: None,
            bill: None,
        }
    }
}
