//! Measurements of a run, which do not affect its verdict: latency, the timeline, rates, and the events with the most
//! duplicates.

pub mod latency;
pub mod timeline;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::evidence::Evidence;
use crate::function_logs::IngestOutcome;

/// Maximum number of [`RepeatedEvent`]s that a report lists.
const MAX_EVENTS: usize = 20;

/// Maximum number of [`Difference`]s that a report lists.
const MAX_DIFFERENCES: usize = 20;

/// An event with duplicates or conflicts.
#[derive(Debug, Serialize)]
pub struct RepeatedEvent {
    pub event_id: String,
    /// Number of the event's messages that `ingest-fn` logged as duplicates. Does not include the message that won.
    pub duplicates: usize,
    /// Number of the event's messages that `ingest-fn` logged as conflicts.
    pub conflicts: usize,
    /// JSON Pointers to the places in which the conflicts differ from the event's claim, as `ingest-fn` logged them.
    pub differs: BTreeSet<String>,
}

impl RepeatedEvent {
    /// Returns the number of duplicates and conflicts together.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.duplicates + self.conflicts
    }
}

/// Returns at most [`MAX_EVENTS`] events, those with the most duplicates and conflicts first. Also returns the number
/// of all events that have duplicates or conflicts.
pub(crate) fn repeated_events(evidence: &Evidence<'_>) -> (Vec<RepeatedEvent>, usize) {
    let outcome =
        |index: &usize| evidence.sent.message_ids[*index].as_ref().and_then(|id| evidence.seen.logs.outcomes.get(id));
    let repeated = |(event, messages): (usize, &Vec<usize>)| {
        let count = |wanted| messages.iter().filter(|index| outcome(index) == Some(&wanted)).count();
        (event, count(IngestOutcome::Duplicate), count(IngestOutcome::Conflict))
    };
    let all = evidence.plan.messages_of.iter().enumerate().map(repeated);
    let mut all: Vec<_> = all.filter(|(_, duplicates, conflicts)| duplicates + conflicts > 0).collect();
    all.sort_by_key(|(event, duplicates, conflicts)| (std::cmp::Reverse(duplicates + conflicts), *event));
    let named = all.iter().take(MAX_EVENTS).map(|&(event, duplicates, conflicts)| {
        let event_id = evidence.plan.event_ids[event].clone();
        let ids =
            evidence.plan.messages_of[event].iter().filter_map(|&index| evidence.sent.message_ids[index].as_ref());
        let differs = ids.filter_map(|id| evidence.seen.logs.differs.get(id)).flatten().cloned().collect();
        RepeatedEvent { event_id, duplicates, conflicts, differs }
    });
    (named.collect(), all.len())
}

/// A place in which bodies differ from the claims of their events.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// JSON Pointer to the place, cut to its first 100 characters.
    pub pointer: String,
    /// Number of conflicts that differ at this place.
    pub conflicts: usize,
}

/// Returns the places in which this run's conflicts differ from their claims, as `ingest-fn` logged them: at most
/// [`MAX_DIFFERENCES`] places, those with the most conflicts first.
pub(crate) fn differences(evidence: &Evidence<'_>) -> Vec<Difference> {
    let mut conflicts: BTreeMap<&String, usize> = BTreeMap::new();
    for id in evidence.sent.confirmed.keys() {
        for pointer in evidence.seen.logs.differs.get(id).into_iter().flatten() {
            *conflicts.entry(pointer).or_default() += 1;
        }
    }
    let mut all: Vec<Difference> =
        conflicts.into_iter().map(|(pointer, conflicts)| Difference { pointer: pointer.clone(), conflicts }).collect();
    all.sort_by(|a, b| b.conflicts.cmp(&a.conflicts).then_with(|| a.pointer.cmp(&b.pointer)));
    all.truncate(MAX_DIFFERENCES);
    all
}

/// The times, in milliseconds since 1970, at which one event was sent, claimed and archived; `None` if unknown.
/// `sent_ms` is the send time of the message that won.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the suffix is the unit")]
pub(crate) struct Times {
    sent_ms: Option<i64>,
    claimed_ms: i64,
    pub(crate) archived_ms: Option<i64>,
}

/// Returns the times of each event that was claimed in this run.
pub(crate) fn times(evidence: &Evidence<'_>) -> Vec<Times> {
    let new = evidence.seen.claims.iter().filter(|(_, claim)| evidence.is_new(claim));
    let times = new.map(|(event, claim)| {
        let object = evidence.seen.objects.get(event);
        let archived_ms = object.and_then(|object| evidence.seen.logs.archived_ms(event, object.place));
        Times {
            sent_ms: claim.confirmed_winner().and_then(|index| *evidence.sent.sent_ms.get(index)?),
            claimed_ms: claim.claimed_at.timestamp_millis(),
            archived_ms: archived_ms.filter(|at_ms| *at_ms < i64::MAX),
        }
    });
    times.collect()
}

/// Computes the number of messages sent per second, rounded to a hundredth. Returns `None` if sending took less than a
/// second.
pub(crate) fn sent_per_second(sent_ms: &[i64]) -> Option<f64> {
    let span_ms = sent_ms.iter().max()?.abs_diff(*sent_ms.iter().min()?);
    #[expect(clippy::cast_precision_loss, reason = "the rate is rounded to a hundredth")]
    let rate = (sent_ms.len() - 1) as f64 * 1_000.0 / span_ms as f64;
    (span_ms >= 1_000).then_some((rate * 100.0).round() / 100.0)
}

/// Divides the objects, in order of time, into ten groups of equal size, and returns each group's rate in objects per
/// second. Returns `[]` if there are fewer than a thousand objects.
pub(crate) fn objects_per_second_by_tenth(mut written_ms: Vec<i64>) -> Vec<u64> {
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
