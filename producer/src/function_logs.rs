//! Reads the logs of `ingest-fn` and `archive-fn`, and collects what they say about this run's messages and events.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use claim::ObjectPrefix;
use emulator::logs::Logs;
use ops::command_line::error_line;
use ops::logs::{FilterLogEvents, LogEvent, LogsClient};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::by_event::ByEvent;
use crate::events::{NamedEvent, Plan};
use crate::message_id::MessageId;
use crate::pipeline_client::PipelineClient;
use crate::place::Place;
use crate::progress::Progress;
use crate::source::Source;

/// Reads the new lines of a log group.
pub struct LogTail {
    group: String,
    /// The time, in milliseconds since 1970, before which all lines have been read.
    from_ms: i64,
    delay_ms: i64,
    /// The log events read so far, except those before `from_ms`. Maps the id of each one to its timestamp, in
    /// milliseconds since 1970.
    seen: HashMap<String, i64>,
}

impl LogTail {
    /// Starts reading at `from_ms`, in milliseconds since 1970. A line may become readable after lines that are up to
    /// `delay` newer have been read.
    #[must_use]
    pub fn new(group: &str, from_ms: i64, delay: Duration) -> Self {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self { group: group.to_owned(), from_ms, delay_ms, seen: HashMap::new() }
    }

    /// Returns the lines that are new since the last call. If a page cannot be read, no line counts as read, and the
    /// next call returns the lines of all pages.
    pub async fn poll(&mut self, client: &LogsClient) -> anyhow::Result<Vec<String>> {
        let mut read = Vec::new();
        let mut token = None::<String>;
        loop {
            let search = FilterLogEvents {
                log_group_name: &self.group,
                start_time: Some(self.from_ms),
                next_token: token.as_deref(),
                ..FilterLogEvents::default()
            };
            let page = client.filter_log_events(&search).await;
            let page = page.with_context(|| format!("failed to read the log group {}", self.group))?;
            read.extend(page.events);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        Ok(self.take_new(read))
    }

    /// Returns the lines of log events that are new. The next search starts `delay` before the latest event.
    fn take_new(&mut self, read: Vec<LogEvent>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut latest_ms = self.from_ms;
        for event in read {
            latest_ms = latest_ms.max(event.timestamp.unwrap_or_default());
            lines.extend(self.unseen(event));
        }
        self.from_ms = self.from_ms.max(latest_ms.saturating_sub(self.delay_ms));
        self.seen.retain(|_, at_ms| *at_ms >= self.from_ms);
        lines
    }

    /// Returns the log event's line, unless an earlier call returned it. In some emulators, log events have no id. The
    /// line itself then serves as the id, because it contains a timestamp and names a message or an event.
    fn unseen(&mut self, event: LogEvent) -> Option<String> {
        let line = event.message?;
        let id = event.event_id.unwrap_or_else(|| line.clone());
        self.seen.insert(id, event.timestamp.unwrap_or(self.from_ms)).is_none().then_some(line)
    }
}

/// Reads the new lines of one of the functions' logs.
enum Tail {
    CloudWatch(LogTail),
    /// The log of the embedded pipeline is in this process, so its lines need no request.
    Embedded {
        logs: Logs,
        group: String,
    },
}

impl Tail {
    async fn poll(&mut self, client: &LogsClient) -> anyhow::Result<Vec<String>> {
        match self {
            Self::CloudWatch(tail) => tail.poll(client).await,
            Self::Embedded { logs, group } => Ok(logs.take_lines(group)),
        }
    }
}

/// The outcome that `ingest-fn` logged for a message. If a message is delivered several times and has several outcomes,
/// the one that comes last in this enum counts. So a message that won once stays won.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestOutcome {
    /// `ingest-fn` failed on the message, so SQS redelivers it.
    Failed,
    /// The message is not a valid event, or it is too large to be claimed. SQS redelivers it until it becomes a dead
    /// letter.
    Rejected,
    /// The event was already claimed with the same content. The message is acknowledged.
    Duplicate,
    /// The event was already claimed with different content. Depending on the configuration, the message is
    /// acknowledged, or is redelivered until it becomes a dead letter.
    Conflict,
    /// The message claimed its event. The message is acknowledged.
    Won,
}

/// A log line of `ingest-fn` about a message.
#[derive(Deserialize)]
struct IngestLine {
    outcome: IngestOutcome,
    message_id: String,
    event_id: Option<String>,
    claim_id: Option<String>,
    /// The text of a JSON array of JSON Pointers.
    differs: Option<String>,
}

/// Parses the field `differs` in the log line of a conflict: the text of a JSON array of JSON Pointers.
pub(crate) fn parse_differs(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// A log line of `archive-fn` about an object.
#[derive(Deserialize)]
struct ArchiveLine {
    event_id: String,
    key: String,
    outcome: String,
    timestamp: String,
    lag_ms: Option<u64>,
}

/// A key under which `archive-fn` logged an event as archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedKey {
    /// The key of a single object or a pack. Nearly all keys have this form, which needs a quarter of the memory of the
    /// text.
    At(Place),
    Other(Box<str>),
}

impl LoggedKey {
    #[must_use]
    pub fn new(key: &str, prefix: &ObjectPrefix) -> Self {
        Place::from_key(prefix, key).map_or_else(|| Self::Other(key.into()), Self::At)
    }

    /// Returns the key as `archive-fn` logged it.
    #[must_use]
    pub fn text(&self, prefix: &ObjectPrefix) -> String {
        match self {
            Self::At(place) => place.key(prefix),
            Self::Other(key) => key.to_string(),
        }
    }
}

/// The information about this run in both functions' logs.
#[derive(Default)]
pub struct FunctionLogs {
    /// Maps each message id to the message's outcome. Includes messages of other senders if their log line names an
    /// event of this run or no event at all.
    pub outcomes: HashMap<MessageId, IngestOutcome>,
    /// For each message whose outcome is a conflict, the time at which its last log line was read.
    pub conflicts: HashMap<MessageId, Instant>,
    /// For each message whose outcome is a conflict, JSON Pointers to the places in which its body differs from the
    /// body in the claim. Messages whose log lines do not state these places are absent.
    pub differs: HashMap<MessageId, Vec<String>>,
    /// Number of messages whose outcome is `Duplicate`, `Conflict` or `Won`. `ingest-fn` acknowledged these messages,
    /// except conflicts if it is configured to fail them.
    pub acknowledged: usize,
    /// Number of messages in `outcomes` that won their event.
    pub won: usize,
    /// Maps each event to the id of the claim that the event's messages were checked against. The value is `None` if
    /// there were several such claims, which happens around the end of a dedup window, or if the id is not a UUID.
    pub claim_ids: ByEvent<Option<Uuid>>,
    /// Maps each event to the keys under which `archive-fn` logged the event as archived. Each key has the time of its
    /// first log line, in milliseconds since 1970, by the clock of `archive-fn`. Nearly all events have one key.
    pub keys: ByEvent<Vec<(LoggedKey, i64)>>,
    /// Time from the claim to the object, in milliseconds, in the last log line that states this time.
    pub lag_ms: Option<u64>,
}

impl FunctionLogs {
    /// Returns the time at which `archive-fn` first logged the event as archived in this place.
    pub(crate) fn archived_ms(&self, event: usize, place: Place) -> Option<i64> {
        let key = LoggedKey::At(place);
        self.keys.get(event)?.iter().find(|(known, _)| *known == key).map(|(_, at_ms)| *at_ms)
    }

    /// Records a log line of `ingest-fn`. Ignores lines about events that are not of this run, and lines that are not
    /// about a message. `find` looks up an event id in the plan.
    pub fn ingest(&mut self, line: &str, find: impl Fn(&str) -> NamedEvent) {
        let Ok(IngestLine { outcome, message_id, event_id, claim_id, differs }) = serde_json::from_str(line) else {
            return;
        };
        let event = event_id.as_deref().map(find);
        if event == Some(NamedEvent::Unknown) {
            return;
        }
        let message_id = MessageId::from(message_id.as_str());
        let before = self.outcomes.get(&message_id).copied();
        let best = before.map_or(outcome, |before| outcome.max(before));
        let counts = |is: fn(IngestOutcome) -> bool| usize::from(is(best) && !before.is_some_and(is));
        self.acknowledged += counts(|outcome| outcome >= IngestOutcome::Duplicate);
        self.won += counts(|outcome| outcome == IngestOutcome::Won);
        if best == IngestOutcome::Conflict {
            self.conflicts.insert(message_id.clone(), Instant::now());
            if let Some(differs) = differs.as_deref().and_then(parse_differs) {
                self.differs.insert(message_id.clone(), differs);
            }
        } else {
            self.conflicts.remove(&message_id);
            self.differs.remove(&message_id);
        }
        self.outcomes.insert(message_id, best);
        if let (Some(NamedEvent::Planned(event)), Some(claim_id)) = (event, claim_id) {
            let claim_id = parse_claim_id(&claim_id);
            match self.claim_ids.get_mut(event) {
                Some(only) if *only != claim_id => *only = None,
                Some(_) => {}
                None => self.claim_ids.insert(event, claim_id),
            }
        }
    }

    /// Records a log line of `archive-fn`. Ignores all lines except those about archived objects of this run's events.
    /// `find` looks up an event id in the plan.
    pub fn archive(&mut self, line: &str, prefix: &ObjectPrefix, find: impl Fn(&str) -> NamedEvent) {
        if let Ok(ArchiveLine { event_id, key, outcome, timestamp, lag_ms }) = serde_json::from_str(line)
            && ["written", "already_there"].contains(&outcome.as_str())
            && let NamedEvent::Planned(event) = find(&event_id)
        {
            self.lag_ms = lag_ms.or(self.lag_ms);
            let at_ms = chrono::DateTime::parse_from_rfc3339(&timestamp).map_or(i64::MAX, |at| at.timestamp_millis());
            let key = LoggedKey::new(&key, prefix);
            match self.keys.get_mut(event) {
                // Not `push`, which would allocate space for four keys.
                None => self.keys.insert(event, vec![(key, at_ms)]),
                Some(keys) => match keys.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, first)) => *first = at_ms.min(*first),
                    None => keys.push((key, at_ms)),
                },
            }
        }
    }
}

/// Parses the id of a claim in the only form that `ingest-fn` writes.
fn parse_claim_id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|claim_id| claim_id.to_string() == text)
}

/// Reads the logs of both functions during a run.
pub struct LogReader<'a> {
    client: &'a PipelineClient,
    plan: &'a Plan,
    prefix: &'a ObjectPrefix,
    tails: Vec<(Source, Tail)>,
    pub logs: FunctionLogs,
    /// The error for each log that cannot be read.
    pub unreadable: BTreeMap<Source, String>,
    pub(crate) progress: &'a Progress,
    /// True if each line is printed as it arrives.
    show: bool,
}

impl<'a> LogReader<'a> {
    /// Creates a reader that starts at the time `from_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn new(
        client: &'a PipelineClient,
        plan: &'a Plan,
        prefix: &'a ObjectPrefix,
        from_ms: i64,
        progress: &'a Progress,
        show: bool,
    ) -> Self {
        let stack = &client.stack;
        let groups = [(Source::IngestLog, &stack.ingest_log_group), (Source::ArchiveLog, &stack.archive_log_group)];
        let tail = |group: &String| match &client.embedded {
            Some(services) => Tail::Embedded { logs: services.logs.clone(), group: group.clone() },
            None => Tail::CloudWatch(LogTail::new(group, from_ms, client.log_delay)),
        };
        Self {
            client,
            plan,
            prefix,
            tails: groups.into_iter().filter_map(|(source, group)| Some((source, group.as_ref().map(tail)?))).collect(),
            logs: FunctionLogs {
                claim_ids: ByEvent::with_capacity(plan.event_ids.len()),
                keys: ByEvent::with_capacity(plan.event_ids.len()),
                ..FunctionLogs::default()
            },
            unreadable: BTreeMap::new(),
            progress,
            show,
        }
    }

    /// Returns the logs that this reader reads: those whose log group is known.
    #[must_use]
    pub fn tails(&self) -> Vec<Source> {
        self.tails.iter().map(|(source, _)| *source).collect()
    }

    /// Reads and records the lines that are new since the last call.
    pub async fn poll(&mut self) {
        for (source, tail) in &mut self.tails {
            let lines = match tail.poll(&self.client.logs).await {
                Ok(lines) => lines,
                Err(problem) => {
                    self.unreadable.insert(*source, error_line(problem.as_ref()));
                    continue;
                }
            };
            self.unreadable.remove(source);
            for line in lines {
                if self.show {
                    self.progress.print(line.trim_end());
                }
                let find = |event_id: &str| self.plan.find_event(event_id);
                match source {
                    Source::IngestLog => self.logs.ingest(&line, find),
                    _ => self.logs.archive(&line, self.prefix, find),
                }
            }
        }
        let counts = &self.progress.counts;
        // The log may lack lines, and the watch knows more then.
        let raise = |count: &Cell<usize>, least: usize| count.set(count.get().max(least));
        raise(&counts.acknowledged, self.logs.acknowledged);
        raise(&counts.claimed, self.logs.won);
        raise(&counts.archived, self.logs.keys.len());
        counts.lag_ms.set(self.logs.lag_ms);
    }

    /// Polls the logs until `done` is notified.
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

    /// A line that becomes readable late, but within the delay, is still found. No line is returned twice.
    #[test]
    fn late_line_is_returned() {
        let mut tail = LogTail::new("group", 0, Duration::from_secs(30));
        let event = |timestamp: i64| LogEvent {
            event_id: Some(timestamp.to_string()),
            message: Some(timestamp.to_string()),
            timestamp: Some(timestamp),
        };
        assert_eq!(tail.take_new(vec![event(100_000)]), ["100000"]);
        assert_eq!(tail.from_ms, 70_000, "the next search starts 30 s before the latest line");
        assert_eq!(tail.take_new(vec![event(70_000), event(100_000)]), ["70000"]);
        assert_eq!(tail.take_new(vec![event(130_000), event(70_000), event(100_000)]), ["130000"]);
        assert_eq!(tail.from_ms, 100_000);
        assert_eq!(tail.seen.len(), 2, "lines before the search are forgotten");
    }

    /// A line is returned only once, even if its log event has no id.
    #[test]
    fn line_is_returned_once() {
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
