//! What the functions' logs say of this run's messages.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use ops::logs::{FilterLogEvents, LogEvent, LogsClient};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::events::Plan;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::source::Source;

/// Reads a log group as it grows.
pub struct LogTail {
    group: String,
    /// Milliseconds since 1970: earlier lines have been read.
    from_ms: i64,
    delay_ms: i64,
    /// The log events that were read from `from_ms` on: id, and milliseconds since 1970.
    seen: HashMap<String, i64>,
}

impl LogTail {
    /// From a moment on. A line may turn up as much as `delay` after one with a later timestamp.
    #[must_use]
    pub fn new(group: &str, from_ms: i64, delay: Duration) -> Self {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self { group: group.to_owned(), from_ms, delay_ms, seen: HashMap::new() }
    }

    /// The lines that have come since the last time.
    ///
    /// # Errors
    /// When the group cannot be read. Then nothing counts as read, and the next call gives it all.
    pub async fn poll(&mut self, client: &LogsClient) -> anyhow::Result<Vec<String>> {
        let (mut read, mut token) = (Vec::new(), None::<String>);
        loop {
            let search = FilterLogEvents {
                log_group_name: &self.group,
                start_time: Some(self.from_ms),
                next_token: token.as_deref(),
                ..FilterLogEvents::default()
            };
            let page = client.filter_log_events(&search).await;
            let page = page.with_context(|| format!("the log group {} cannot be read", self.group))?;
            read.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        let mut lines = Vec::new();
        let mut latest_ms = self.from_ms;
        for event in read {
            latest_ms = latest_ms.max(event.timestamp.unwrap_or_default());
            lines.extend(self.unseen(event));
        }
        self.from_ms = self.from_ms.max(latest_ms - self.delay_ms);
        self.seen.retain(|_, at_ms| *at_ms >= self.from_ms);
        Ok(lines)
    }

    /// An event's line, unless it was read before. An emulator may give its events no id; then the line, which has a time and
    /// names a message, stands for it.
    fn unseen(&mut self, event: LogEvent) -> Option<String> {
        let line = event.message?;
        let id = event.event_id.unwrap_or_else(|| line.clone());
        self.seen.insert(id, event.timestamp.unwrap_or(self.from_ms)).is_none().then_some(line)
    }
}

/// What `ingest-fn` said of a message, the last word first: of several deliveries, a claim that was won stays won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestOutcome {
    /// To come again.
    Failed,
    /// To come again, until it is a dead letter.
    Rejected,
    /// Acknowledged.
    Duplicate,
    /// Acknowledged, or to come again until it is a dead letter, by configuration.
    Conflict,
    /// Acknowledged.
    Won,
}

/// A line of `ingest-fn` about a message.
#[derive(Deserialize)]
struct IngestLine {
    outcome: IngestOutcome,
    message_id: String,
    event_id: Option<String>,
    claim_id: Option<String>,
}

/// A line of `archive-fn` about an object.
#[derive(Deserialize)]
struct ArchiveLine {
    event_id: String,
    key: String,
    outcome: String,
    timestamp: String,
    lag_ms: Option<u64>,
}

/// What was read so far of the logs of both functions, as far as it is of this run's events.
#[derive(Default)]
pub struct FunctionLogs {
    /// By message id; messages of others among them, if they carry one of this run's events, or none that can be told.
    pub outcomes: HashMap<String, IngestOutcome>,
    /// How many of those messages it has acknowledged.
    pub acknowledged: usize,
    /// How many it won.
    pub won: usize,
    /// By event id: the claim by which messages were judged, or `None` if that were several, as around the end of a dedup window.
    pub claim_ids: HashMap<String, Option<String>>,
    /// Ids of the events of which `archive-fn` says that they have an object; the keys of those, and when it first said so, in
    /// milliseconds since 1970 by its own clock.
    pub keys: HashMap<String, BTreeMap<String, i64>>,
    /// Ids of events of which it says so again: there may be a further version by now.
    pub written_again: HashSet<String>,
    /// From claim to object, of the last line about an object that was written, in milliseconds.
    pub lag_ms: Option<u64>,
}

impl FunctionLogs {
    /// Takes in a line of `ingest-fn`; lines of other events, and others than those about messages, are passed over.
    pub fn ingest(&mut self, line: &str, is_ours: impl Fn(&str) -> bool) {
        let Ok(IngestLine { outcome, message_id, event_id, claim_id }) = serde_json::from_str(line) else { return };
        if event_id.as_deref().is_some_and(|event_id| !is_ours(event_id)) {
            return;
        }
        let before = self.outcomes.get(&message_id).copied();
        let best = before.map_or(outcome, |before| outcome.max(before));
        let counts = |is: fn(IngestOutcome) -> bool| usize::from(is(best) && !before.is_some_and(is));
        self.acknowledged += counts(|outcome| outcome >= IngestOutcome::Duplicate);
        self.won += counts(|outcome| outcome == IngestOutcome::Won);
        self.outcomes.insert(message_id, best);
        if let (Some(event_id), Some(claim_id)) = (event_id, claim_id) {
            let only = self.claim_ids.entry(event_id).or_insert_with(|| Some(claim_id.clone()));
            if *only != Some(claim_id) {
                *only = None;
            }
        }
    }

    /// Takes in a line of `archive-fn`.
    pub fn archive(&mut self, line: &str, is_ours: impl Fn(&str) -> bool) {
        if let Ok(ArchiveLine { event_id, key, outcome, timestamp, lag_ms }) = serde_json::from_str(line)
            && ["written", "already_there"].contains(&outcome.as_str())
            && is_ours(&event_id)
        {
            self.lag_ms = lag_ms.or(self.lag_ms);
            let at_ms = chrono::DateTime::parse_from_rfc3339(&timestamp).map_or(i64::MAX, |at| at.timestamp_millis());
            let keys = self.keys.entry(event_id.clone()).or_default();
            if outcome == "written" && keys.contains_key(&key) {
                self.written_again.insert(event_id);
            }
            let first = keys.entry(key).or_insert(at_ms);
            *first = at_ms.min(*first);
        }
    }
}

/// Reads the logs of both functions while a run goes on.
pub struct LogReader<'a> {
    client: &'a PipelineClient,
    event_ids: HashSet<&'a str>,
    tails: Vec<(Source, LogTail)>,
    /// What was read so far.
    pub logs: FunctionLogs,
    /// Logs that cannot be read, and why.
    pub unreadable: BTreeMap<Source, String>,
    progress: &'a Progress,
    /// The lines are shown as they come.
    show: bool,
}

impl<'a> LogReader<'a> {
    /// From `from_ms` on, in milliseconds since 1970.
    #[must_use]
    pub fn new(client: &'a PipelineClient, plan: &'a Plan, from_ms: i64, progress: &'a Progress, show: bool) -> Self {
        let stack = &client.stack;
        let groups = [(Source::IngestLog, &stack.ingest_log_group), (Source::ArchiveLog, &stack.archive_log_group)];
        let tail = |group: &String| LogTail::new(group, from_ms, client.log_delay);
        Self {
            client,
            event_ids: plan.event_ids.iter().chain(&plan.rejected_ids).map(String::as_str).collect(),
            tails: groups.into_iter().filter_map(|(source, group)| Some((source, group.as_ref().map(tail)?))).collect(),
            logs: FunctionLogs::default(),
            unreadable: BTreeMap::new(),
            progress,
            show,
        }
    }

    /// The logs that are read.
    #[must_use]
    pub fn tails(&self) -> Vec<Source> {
        self.tails.iter().map(|(source, _)| *source).collect()
    }

    /// Reads what has come since the last time.
    pub async fn poll(&mut self) {
        for (source, tail) in &mut self.tails {
            let lines = match tail.poll(&self.client.logs).await {
                Ok(lines) => lines,
                Err(problem) => {
                    self.unreadable.insert(*source, format!("{problem:#}"));
                    continue;
                }
            };
            self.unreadable.remove(source);
            for line in lines {
                if self.show {
                    self.progress.print(line.trim_end());
                }
                let is_ours = |event_id: &str| self.event_ids.contains(event_id);
                match source {
                    Source::IngestLog => self.logs.ingest(&line, is_ours),
                    _ => self.logs.archive(&line, is_ours),
                }
            }
        }
        let counts = &self.progress.counts;
        counts.acknowledged.set(self.logs.acknowledged);
        counts.claimed.set(self.logs.won);
        counts.archived.set(self.logs.keys.len());
        counts.lag_ms.set(self.logs.lag_ms);
    }

    /// Reads until `done` is told.
    pub async fn follow(&mut self, done: &Notify) {
        loop {
            self.poll().await;
            tokio::select! {
                biased;
                () = done.notified() => return,
                () = tokio::time::sleep(self.client.poll_interval) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_once_whether_its_event_has_an_id_or_not() {
        let mut tail = LogTail::new("group", 0, Duration::ZERO);
        let event = |id: Option<&str>, line: &str| LogEvent {
            event_id: id.map(str::to_owned),
            message: Some(line.to_owned()),
            timestamp: None,
        };
        for (id, line) in [(Some("1"), "same"), (Some("2"), "same"), (None, "a"), (None, "b")] {
            assert_eq!(tail.unseen(event(id, line)), Some(line.to_owned()));
            assert_eq!(tail.unseen(event(id, line)), None);
        }
    }
}
