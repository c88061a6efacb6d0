//! What was measured of a run, apart from whether it held: how long events took, when things happened, and which events were sent
//! most.

pub mod latency;
pub mod timeline;

use serde::Serialize;

use crate::function_logs::IngestOutcome;
use crate::verdict::Evidence;

/// As many events are named.
const MOST_EVENTS: usize = 20;

/// An event of which `ingest-fn` acknowledged more than one message.
#[derive(Debug, Serialize)]
pub struct RepeatedEvent {
    /// Which.
    pub event_id: String,
    /// Messages that said what its claim says.
    pub duplicates: usize,
    /// Messages that said something else.
    pub conflicts: usize,
}

impl RepeatedEvent {
    /// Both together.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.duplicates + self.conflicts
    }
}

/// The events with the most duplicates and conflicts, the first first, and how many events have any.
pub(crate) fn repeated_events(run: &Evidence<'_>) -> (Vec<RepeatedEvent>, usize) {
    let outcome = |index: &usize| run.sent.message_ids[*index].as_ref().and_then(|id| run.seen.logs.outcomes.get(id));
    let repeated = |(event, messages): (usize, &Vec<usize>)| {
        let count = |wanted| messages.iter().filter(|index| outcome(index) == Some(&wanted)).count();
        (event, count(IngestOutcome::Duplicate), count(IngestOutcome::Conflict))
    };
    let all = run.plan.messages_of.iter().enumerate().map(repeated);
    let mut all: Vec<_> = all.filter(|(_, duplicates, conflicts)| duplicates + conflicts > 0).collect();
    all.sort_by_key(|(event, duplicates, conflicts)| (std::cmp::Reverse(duplicates + conflicts), *event));
    let named = all.iter().take(MOST_EVENTS).map(|&(event, duplicates, conflicts)| {
        let event_id = run.plan.event_ids[event].clone();
        RepeatedEvent { event_id, duplicates, conflicts }
    });
    (named.collect(), all.len())
}

/// When the message of this run that won an event was sent, when the event was claimed, and when it was archived, in
/// milliseconds since 1970, as far as that is known.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "each says its unit")]
pub(crate) struct Times {
    sent_ms: Option<i64>,
    claimed_ms: i64,
    pub(crate) archived_ms: Option<i64>,
}

/// Of the claims that are of this run.
pub(crate) fn times(run: &Evidence<'_>) -> Vec<Times> {
    let new = run.seen.claims.iter().filter(|(_, claim)| run.is_new(claim));
    let times = new.map(|(event, claim)| {
        let winner = run.sent.confirmed.get(&claim.message_id);
        let object = run.seen.objects.get(event);
        let archived_ms = object.and_then(|object| run.seen.logs.keys.get(&claim.event_id)?.get(&object.key).copied());
        Times {
            sent_ms: winner.and_then(|index| *run.sent.sent_ms.get(*index)?),
            claimed_ms: claim.claimed_at.timestamp_millis(),
            archived_ms: archived_ms.filter(|at_ms| *at_ms < i64::MAX),
        }
    });
    times.collect()
}
