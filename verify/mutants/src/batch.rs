//! What one invocation was given, and what it logged of it.

use std::collections::HashMap;

use claim::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

/// One invocation's batch.
#[derive(Default)]
pub(crate) struct Batch {
    /// The digest of each message of the queue whose body has one.
    digests: HashMap<String, Digest>,
    /// For each event, the first message that the log named.
    leaders: HashMap<String, String>,
    /// What became of each message or record, in the order of the log.
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
    /// The identifier by which the function reports it.
    pub(crate) fn identifier(&self) -> Option<&str> {
        self.sequence_number.as_deref().or(self.message_id.as_deref())
    }
}

impl Batch {
    pub(crate) fn of(payload: &Value) -> Self {
        let records = payload["Records"].as_array().into_iter().flatten();
        let digest = |record: &Value| {
            let digest = Digest::of(record["body"].as_str()?).ok()?;
            Some((record["messageId"].as_str()?.to_owned(), digest))
        };
        Self { digests: records.filter_map(digest).collect(), ..Self::default() }
    }

    /// Notes what a log line says.
    pub(crate) fn note(&mut self, line: &Value) {
        let Ok(outcome) = LogLine::deserialize(line) else { return };
        if let (Some(event_id), Some(message_id)) = (&outcome.event_id, &outcome.message_id) {
            self.leaders.entry(event_id.clone()).or_insert_with(|| message_id.clone());
        }
        if !outcome.outcome.is_empty() {
            self.outcomes.push(outcome);
        }
    }

    /// What became of everything in the batch that the log names by this outcome.
    pub(crate) fn ended_as(&self, outcome: &'static str) -> impl Iterator<Item = &LogLine> {
        self.outcomes.iter().filter(move |ended| ended.outcome == outcome)
    }

    /// Compares a message with another one that leads its event; `None` if it leads itself, or is no event.
    pub(crate) fn says_the_same_as_its_leader(&self, outcome: &LogLine) -> Option<bool> {
        let message_id = outcome.message_id.as_ref()?;
        let leader = self.leaders.get(outcome.event_id.as_ref()?)?;
        (leader != message_id).then(|| self.digests.get(message_id) == self.digests.get(leader))
    }

    /// The line that a function would write which compares followers with their leader.
    pub(crate) fn judged_by_leader(&self, line: &Value) -> Option<Value> {
        let outcome = LogLine::deserialize(line).ok()?;
        if !["duplicate", "conflict"].contains(&outcome.outcome.as_str()) {
            return None;
        }
        let same = self.says_the_same_as_its_leader(&outcome)?;
        let mut judged = line.clone();
        let fields = judged.as_object_mut()?;
        if same {
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
