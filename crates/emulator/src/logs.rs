//! The part of CloudWatch Logs that a reader of the functions' logs needs: log groups in memory, `DescribeLogGroups`,
//! and `FilterLogEvents`. The emulator supports only filter patterns that compare one JSON field with a text. Such
//! patterns can find the lines of one event or of one outcome.

mod embedded_metrics;
mod pattern;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use lambda_support::LogWriter;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::logs::embedded_metrics::metric_names;
use crate::logs::pattern::Pattern;
use crate::region::{ACCOUNT, REGION};

/// The maximum number of events in one `FilterLogEvents` answer and their maximum size in bytes, from the API
/// reference.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 1024 * 1024;

type Groups = Arc<Mutex<HashMap<String, Group>>>;

/// All log groups of a region.
#[derive(Clone)]
pub struct Logs {
    clock: Clock,
    groups: Groups,
}

#[derive(Default)]
struct Group {
    events: Vec<Event>,
    /// The totals of the lines that [`Logs::take_lines`] has removed.
    taken: Billed,
}

/// Number of lines, their size in bytes, and the custom metrics in them.
#[derive(Default)]
struct Billed {
    lines: u64,
    bytes: u64,
    metrics: BTreeSet<String>,
}

impl Billed {
    fn add(&mut self, event: &Event) {
        self.lines += 1;
        self.bytes += event.message.len() as u64;
        if event.message.contains("\"_aws\"") {
            self.metrics.extend(metric_names(&event.message));
        }
    }
}

struct Event {
    at_ms: u64,
    message: String,
}

/// An error with which CloudWatch Logs answers a request.
#[derive(Debug, thiserror::Error)]
enum LogsError {
    #[error("no log group {0}")]
    NoSuchGroup(String),
    #[error("{0}")]
    InvalidParameter(String),
    #[error("the emulator does not support {0}")]
    UnknownOperation(String),
}

impl LogsError {
    /// Returns the error code, as in the API reference.
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchGroup(_) => "ResourceNotFoundException",
            Self::InvalidParameter(_) => "InvalidParameterException",
            Self::UnknownOperation(_) => "UnknownOperationException",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterLogEvents {
    log_group_name: String,
    start_time: Option<u64>,
    end_time: Option<u64>,
    next_token: Option<String>,
    limit: Option<usize>,
    filter_pattern: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogGroups {
    #[serde(default)]
    log_group_name_prefix: String,
}

impl Logs {
    /// Creates the service without log groups.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, groups: Groups::default() }
    }

    /// Creates a log group if it does not exist yet, and returns a writer that adds lines to it.
    #[must_use]
    pub fn writer(&self, group: &str) -> LogWriter {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).entry(group.to_owned()).or_default();
        let clock = self.clock;
        let groups = Arc::clone(&self.groups);
        let group = group.to_owned();
        LogWriter::new(move |line| {
            let message = String::from_utf8_lossy(line).trim_end().to_owned();
            let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.entry(group.clone()).or_default().events.push(Event { at_ms: clock.now_ms(), message });
            Ok(())
        })
    }

    /// Returns all lines of a log group.
    #[must_use]
    pub fn lines(&self, group: &str) -> Vec<String> {
        self.lines_after(group, 0)
    }

    /// Returns the lines of a log group without the first `skipped` ones.
    #[must_use]
    pub fn lines_after(&self, group: &str, skipped: usize) -> Vec<String> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let new = groups.get(group).and_then(|group| group.events.get(skipped..)).unwrap_or_default();
        new.iter().map(|event| event.message.clone()).collect()
    }

    /// Removes all lines from a log group and returns them, so that the emulator does not keep the lines of a long run
    /// in memory.
    #[must_use]
    pub fn take_lines(&self, group: &str) -> Vec<String> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Group { events, taken }) = groups.get_mut(group) else { return Vec::new() };
        for event in &*events {
            taken.add(event);
        }
        events.drain(..).map(|event| event.message).collect()
    }

    /// Returns the number of lines in all log groups, their size in bytes, and the custom metrics that CloudWatch
    /// extracts from lines in embedded metric format.
    pub(crate) fn billable(&self) -> (u64, u64, BTreeSet<String>) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Billed::default();
        for Group { events, taken } in groups.values() {
            all.lines += taken.lines;
            all.bytes += taken.bytes;
            all.metrics.extend(taken.metrics.iter().cloned());
            for event in events {
                all.add(event);
            }
        }
        (all.lines, all.bytes, all.metrics)
    }

    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let answer = match operation {
            "FilterLogEvents" => parse(body).and_then(|request| self.filter(&request)),
            "DescribeLogGroups" => parse(body).map(|request| self.describe(&request)),
            _ => Err(LogsError::UnknownOperation(operation.to_owned())),
        };
        match answer {
            Ok(answer) => (200, answer.to_string().into_bytes()),
            Err(error) => {
                let body = json!({ "__type": error.code(), "message": error.to_string() });
                (400, body.to_string().into_bytes())
            }
        }
    }

    fn describe(&self, request: &DescribeLogGroups) -> Value {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&String> =
            groups.keys().filter(|name| name.starts_with(&request.log_group_name_prefix)).collect();
        names.sort();
        let groups = names.into_iter().map(|name| {
            let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}");
            json!({ "logGroupName": name, "arn": format!("{arn}:*"), "logGroupArn": arn })
        });
        json!({ "logGroups": groups.collect::<Vec<_>>() })
    }

    fn filter(&self, request: &FilterLogEvents) -> Result<Value, LogsError> {
        let pattern = request.filter_pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(Pattern::parse).transpose().map_err(LogsError::InvalidParameter)?;
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || LogsError::NoSuchGroup(request.log_group_name.clone());
        let group = &groups.get(&request.log_group_name).ok_or_else(missing)?.events;
        let malformed = |token: &str| LogsError::InvalidParameter(format!("{token:?} is not a valid token"));
        let from: usize = match &request.next_token {
            Some(token) => token.parse().map_err(|_| malformed(token))?,
            None => 0,
        };
        // Events are in time order, so a binary search skips those before the start time. A scan would hold the lock
        // for longer, and functions that log a line wait for this lock.
        let position = |time: u64| group.partition_point(|event| event.at_ms < time);
        let from = from.max(position(request.start_time.unwrap_or(0)));
        let end = position(request.end_time.unwrap_or(u64::MAX));
        let limit = request.limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS);
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        for event in group.get(from..end).unwrap_or_default() {
            if events.len() == limit || bytes > MAX_BYTES {
                break;
            }
            next += 1;
            if pattern.as_ref().is_none_or(|pattern| pattern.matches(&event.message)) {
                bytes += event.message.len();
                events.push(json!({
                    "eventId": next.to_string(),
                    "logStreamName": "embedded",
                    "timestamp": event.at_ms,
                    "ingestionTime": event.at_ms,
                    "message": event.message,
                }));
            }
        }
        let mut answer = json!({ "events": events });
        if next < end {
            answer["nextToken"] = next.to_string().into();
        }
        Ok(answer)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, LogsError> {
    serde_json::from_slice(body).map_err(|error| LogsError::InvalidParameter(error.to_string()))
}
