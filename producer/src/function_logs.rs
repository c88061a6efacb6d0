//! What the functions' logs say of this run's messages.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde::Deserialize;

/// Reads a log group as it grows.
pub struct LogTail {
    group: String,
    /// Milliseconds since 1970: earlier lines have been read.
    from_ms: i64,
    delay_ms: i64,
    /// Ids of the events that were read from `from_ms` on.
    seen: HashSet<String>,
}

impl LogTail {
    /// From a moment on. A line may turn up as much as `delay` after one with a later timestamp.
    #[must_use]
    pub fn new(group: &str, from_ms: i64, delay: Duration) -> Self {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self { group: group.to_owned(), from_ms, delay_ms, seen: HashSet::new() }
    }

    /// The lines that have come since the last time.
    ///
    /// # Errors
    /// When the group cannot be read.
    pub async fn poll(&mut self, client: &Client) -> anyhow::Result<Vec<String>> {
        let (mut lines, mut latest_ms, mut token) = (Vec::new(), self.from_ms, None);
        loop {
            let request = client.filter_log_events().log_group_name(&self.group).start_time(self.from_ms);
            let answer = request.set_next_token(token).send().await;
            let answer = answer.with_context(|| format!("the log group {} cannot be read", self.group))?;
            for event in answer.events.unwrap_or_default() {
                latest_ms = latest_ms.max(event.timestamp.unwrap_or_default());
                lines.extend(self.unseen(event));
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
        self.from_ms = self.from_ms.max(latest_ms - self.delay_ms);
        Ok(lines)
    }

    /// An event's line, unless it was read before. An emulator may give its events no id; then the line, which has a time and
    /// names a message, stands for it.
    fn unseen(&mut self, event: FilteredLogEvent) -> Option<String> {
        let line = event.message?;
        self.seen.insert(event.event_id.unwrap_or_else(|| line.clone())).then_some(line)
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
}

/// A line of `archive-fn` about an object.
#[derive(Deserialize)]
struct ArchiveLine {
    event_id: String,
    key: String,
    outcome: String,
    timestamp: String,
}

/// What was read so far of the logs of both functions, as far as it is of this run.
#[derive(Default)]
pub struct FunctionLogs {
    /// By message id.
    pub outcomes: HashMap<String, IngestOutcome>,
    /// By event id: the keys that an object was found or written under.
    pub keys: HashMap<String, HashSet<String>>,
    /// When each object of this run was written, in milliseconds since 1970.
    pub written_ms: Vec<i64>,
}

impl FunctionLogs {
    /// Takes in a line of `ingest-fn`; lines of other messages, and others than those about messages, are passed over.
    pub fn ingest(&mut self, line: &str, is_ours: impl Fn(&str) -> bool) {
        if let Ok(IngestLine { outcome, message_id }) = serde_json::from_str(line)
            && is_ours(&message_id)
        {
            let best = self.outcomes.entry(message_id).or_insert(outcome);
            *best = outcome.max(*best);
        }
    }

    /// Takes in a line of `archive-fn`.
    pub fn archive(&mut self, line: &str, is_ours: impl Fn(&str) -> bool) {
        if let Ok(ArchiveLine { event_id, key, outcome, timestamp }) = serde_json::from_str(line)
            && ["written", "already_there"].contains(&outcome.as_str())
            && is_ours(&event_id)
        {
            if let Ok(at) = chrono::DateTime::parse_from_rfc3339(&timestamp)
                && outcome == "written"
            {
                self.written_ms.push(at.timestamp_millis());
            }
            self.keys.entry(event_id).or_default().insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_once_whether_its_event_has_an_id_or_not() {
        let mut tail = LogTail::new("group", 0, Duration::ZERO);
        let event = |id: Option<&str>, line: &str| {
            FilteredLogEvent::builder().set_event_id(id.map(str::to_owned)).message(line).build()
        };
        for (id, line) in [(Some("1"), "same"), (Some("2"), "same"), (None, "a"), (None, "b")] {
            assert_eq!(tail.unseen(event(id, line)), Some(line.to_owned()));
            assert_eq!(tail.unseen(event(id, line)), None);
        }
    }
}
