//! CloudWatch Logs, as far as a reader of the functions' logs needs it: log groups in memory, and `FilterLogEvents`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use batch::LogWriter;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;

/// Most events and bytes in one answer, by the API reference.
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 1024 * 1024;

type Groups = Arc<Mutex<HashMap<String, Vec<Event>>>>;

/// All log groups of a region.
#[derive(Clone)]
pub struct Logs {
    clock: Clock,
    groups: Groups,
}

struct Event {
    at_ms: u64,
    message: String,
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

impl Logs {
    /// Without any group.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, groups: Groups::default() }
    }

    /// Creates a group, and gives a function's way into it.
    #[must_use]
    pub fn writer(&self, group: &str) -> LogWriter {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).entry(group.to_owned()).or_default();
        let (clock, groups, group) = (self.clock, Arc::clone(&self.groups), group.to_owned());
        LogWriter::new(move |line| {
            let message = String::from_utf8_lossy(line).trim_end().to_owned();
            let mut groups = groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.entry(group.clone()).or_default().push(Event { at_ms: clock.now_ms(), message });
            Ok(())
        })
    }

    /// All lines of a group.
    #[must_use]
    pub fn lines(&self, group: &str) -> Vec<String> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(group).map(|events| events.iter().map(|event| event.message.clone()).collect()).unwrap_or_default()
    }

    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let error =
            |code: &str, message: String| (400, json!({ "__type": code, "message": message }).to_string().into_bytes());
        if operation != "FilterLogEvents" {
            return error("UnknownOperationException", format!("{operation} is not embedded"));
        }
        match serde_json::from_slice(body).map_err(|error| error.to_string()).and_then(|request| self.filter(&request))
        {
            Ok(answer) => (200, answer.to_string().into_bytes()),
            Err(message) if message.starts_with("no log group") => error("ResourceNotFoundException", message),
            Err(message) => error("InvalidParameterException", message),
        }
    }

    fn filter(&self, request: &FilterLogEvents) -> Result<Value, String> {
        if request.filter_pattern.as_ref().is_some_and(|pattern| !pattern.is_empty()) {
            return Err("filter patterns are not embedded".to_owned());
        }
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group =
            groups.get(&request.log_group_name).ok_or_else(|| format!("no log group {}", request.log_group_name))?;
        let from: usize = match &request.next_token {
            Some(token) => token.parse().map_err(|_| format!("the token {token:?} is none of ours"))?,
            None => 0,
        };
        // Events are in the order of their time: what a poll has seen before is not looked at again, under the lock that
        // the functions' next lines wait for.
        let position = |time: u64| group.partition_point(|event| event.at_ms < time);
        let from = from.max(position(request.start_time.unwrap_or(0)));
        let end = position(request.end_time.unwrap_or(u64::MAX));
        let limit = request.limit.unwrap_or(MAX_EVENTS).min(MAX_EVENTS);
        let (mut events, mut bytes, mut next) = (Vec::new(), 0, from);
        for event in group.get(from..end).unwrap_or_default() {
            if events.len() == limit || bytes > MAX_BYTES {
                break;
            }
            next += 1;
            bytes += event.message.len();
            events.push(json!({
                "eventId": next.to_string(),
                "timestamp": event.at_ms,
                "ingestionTime": event.at_ms,
                "message": event.message,
            }));
        }
        let mut answer = json!({ "events": events });
        if next < end {
            answer["nextToken"] = next.to_string().into();
        }
        Ok(answer)
    }
}
