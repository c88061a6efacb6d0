//! The messages or records of one invocation, and what the function logged about them.

use std::collections::HashMap;

use claim::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

/// The batch of one invocation.
#[derive(Default)]
pub(crate) struct Batch {
    /// Digests of the message bodies, by message id. A body that is not valid JSON has no digest.
    digests: HashMap<String, Digest>,
    /// Message id of each event's leader, by event id. `ingest-fn` logs the leader before its followers, so the first
    /// log line about an event names the leader.
    leaders: HashMap<String, String>,
    /// Log lines that contain the outcome of a message or a record, in the order of the log.
    outcomes: Vec<LogLine>,
}

/// A log line about a message or a record.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogLine {
    pub(crate) outcome: String,
    pub(crate) event_id: Option<String>,
    message_id: Option<String>,
    sequence_number: Option<String>,
}

impl LogLine {
    /// Returns the identifier that a partial batch response uses for the line's message or record.
    pub(crate) fn identifier(&self) -> Option<&str> {
        self.sequence_number.as_deref().or(self.message_id.as_deref())
    }
}

impl Batch {
    pub(crate) fn from_payload(payload: &Value) -> Self {
        let records = payload["Records"].as_array().into_iter().flatten();
        let digest = |record: &Value| {
            let digest = Digest::of(record["body"].as_str()?).ok()?;
            Some((record["messageId"].as_str()?.to_owned(), digest))
        };
        Self { digests: records.filter_map(digest).collect(), ..Self::default() }
    }

    /// Adds a log line to the batch if the line has an outcome. If the line is the first one about an event, its
    /// message becomes the event's leader.
    pub(crate) fn add_log_line(&mut self, line: &Value) {
        let Ok(line) = LogLine::deserialize(line) else { return };
        if let (Some(event_id), Some(message_id)) = (&line.event_id, &line.message_id) {
            self.leaders.entry(event_id.clone()).or_insert_with(|| message_id.clone());
        }
        if !line.outcome.is_empty() {
            self.outcomes.push(line);
        }
    }

    /// Returns the log lines with this outcome.
    pub(crate) fn lines_with(&self, outcome: &'static str) -> impl Iterator<Item = &LogLine> {
        self.outcomes.iter().filter(move |line| line.outcome == outcome)
    }

    /// Returns true if a log line's message has the same content as the leader of the line's event. Returns `None` if
    /// the message is the leader itself, or if the line does not name both a message and an event.
    pub(crate) fn has_content_of_leader(&self, line: &LogLine) -> Option<bool> {
        let message_id = line.message_id.as_ref()?;
        let leader = self.leaders.get(line.event_id.as_ref()?)?;
        (leader != message_id).then(|| self.digests.get(message_id) == self.digests.get(leader))
    }

    /// Returns the log line that `ingest-fn` would have written instead of `line` if it compared followers with their
    /// leader. Returns `None` if `line` is about a leader, or has an outcome other than `duplicate` and `conflict`.
    pub(crate) fn judged_by_leader(&self, line: &Value) -> Option<Value> {
        let outcome = LogLine::deserialize(line).ok()?;
        if !["duplicate", "conflict"].contains(&outcome.outcome.as_str()) {
            return None;
        }
        let has_same_content = self.has_content_of_leader(&outcome)?;
        let mut judged = line.clone();
        let fields = judged.as_object_mut()?;
        if has_same_content {
            fields.insert("outcome".to_owned(), "duplicate".into());
            fields.remove("digest");
            fields.remove("held_digest");
        } else {
            let digest = |message_id: &str| self.digests.get(message_id).map(ToString::to_string);
            let leader = self.leaders.get(outcome.event_id.as_ref()?)?;
            fields.insert("outcome".to_owned(), "conflict".into());
            fields.insert("digest".to_owned(), json!(digest(outcome.message_id.as_ref()?)));
            fields.insert("held_digest".to_owned(), json!(digest(leader)));
        }
        Some(judged)
    }
}
