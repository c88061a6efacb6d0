//! The plan of a run, and the reasons why planning can fail.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use claim::{Digest, Event, EventError, EventRules, MessageAttribute};

use crate::cli::{MAX_BODY_BYTES, MAX_MESSAGES};

/// Placeholder for an SQS message id when the size of a claim is computed. All SQS message ids have this length.
pub(super) const ANY_MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// The messages that a run sends, in order, and the events that they carry.
pub struct Plan {
    /// The rules that determine the event id and the digest of each message.
    pub rules: EventRules,
    /// The messages in sending order. Copies share one body.
    pub messages: Vec<Message>,
    /// The distinct ids of the events that can be claimed.
    pub event_ids: Vec<String>,
    /// For each event in `event_ids`, the indices of its messages.
    pub messages_of: Vec<Vec<usize>>,
    /// Ids of the events that `ingest-fn` must reject because they are too large to be claimed.
    pub rejected_ids: Vec<String>,
    /// The indices into `event_ids`, in the order of the ids.
    pub(super) events_by_id: Vec<usize>,
    /// Maps each id in `event_ids` to its index. Empty once all messages are planned.
    pub(super) index_of_id: HashMap<String, usize>,
}

/// The event to which an event id belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedEvent {
    /// An event that can be claimed, by its index in [`Plan::event_ids`].
    Planned(usize),
    /// An event that `ingest-fn` must reject.
    Rejected,
    /// An event that is not in the plan.
    Unknown,
}

/// A message to send.
#[derive(Clone)]
pub struct Message {
    /// Index of the message's event in [`Plan::event_ids`]; `None` if `ingest-fn` must reject the message, which then
    /// becomes a dead letter.
    pub event: Option<usize>,
    /// Digest of the body; `None` if the body is not an event that can be claimed.
    pub digest: Option<Digest>,
    pub body: Arc<str>,
    pub attributes: Arc<[Attribute]>,
}

/// A message attribute of the type `String` or `Number`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    /// Type with its optional label, for example `Number.int`.
    pub data_type: String,
    pub value: String,
}

impl Attribute {
    fn bytes(&self) -> usize {
        self.name.len() + self.data_type.len() + self.value.len()
    }
}

impl Message {
    /// Returns the size of the message in bytes by the rules of SQS, which counts the body and the names, types and values
    /// of the attributes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        message_bytes(&self.body, &self.attributes)
    }
}

pub(super) fn message_bytes(body: &str, attributes: &[Attribute]) -> usize {
    body.len() + attributes.iter().map(Attribute::bytes).sum::<usize>()
}

/// The reason why the messages of a run cannot be planned. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("failed to read {file}")]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// Some lines of the file cannot be sent as events. `lines` lists the first of these lines, each with its line
    /// number and its problem.
    #[error("{file} has lines that are not valid events; nothing was sent: {lines}")]
    BadLines { file: PathBuf, lines: String },
    /// The file has a format other than one JSON value per line.
    #[error("cannot read {file} as one JSON value per line, because it is {format}; nothing was sent: {advice}")]
    OtherFormat { file: PathBuf, format: &'static str, advice: &'static str },
    #[error("{0} messages exceed the limit of {MAX_MESSAGES} per run")]
    TooMany(u64),
    /// The generated bodies, of up to `bytes` bytes each, would need too much memory.
    #[error(
        "{messages} bodies of up to {bytes} bytes exceed the limit of {MAX_BODY_BYTES} bytes per run: send at most {} messages",
        MAX_BODY_BYTES / bytes
    )]
    BodiesTooLarge { messages: u32, bytes: u64 },
    #[error("{file} has {bytes} bytes, which exceeds the limit of {MAX_BODY_BYTES} bytes per run")]
    FileTooLarge { file: PathBuf, bytes: u64 },
    /// `ingest-fn` would reject every generated body, because of the dedup key. Boxed because the error is large.
    #[error("cannot send generated events: {0}: use --file")]
    OtherKey(Box<EventError>),
    /// The event id cannot be sent as a message attribute.
    #[error("cannot send the event id as the message attribute `{0}`: --event-id must not have control characters")]
    IdInAttribute(String),
    #[error("--{0} applies only to mixed scenarios, not to {1}")]
    NotMixed(&'static str, &'static str),
    #[error("--duration requires --rate: {0} sends as fast as it can")]
    NoRate(&'static str),
    #[error("{0} contains no events")]
    Empty(PathBuf),
}

impl Plan {
    pub(super) fn repeat(&mut self, times: u32) {
        self.messages = self.messages.iter().flat_map(|message| (0..times).map(|_| message.clone())).collect();
    }

    /// Looks up an event id.
    #[must_use]
    pub fn find_event(&self, event_id: &str) -> NamedEvent {
        // A binary search is fast enough for log lines, and needs less memory than a map.
        match self.events_by_id.binary_search_by(|&event| self.event_ids[event].as_str().cmp(event_id)) {
            Ok(place) => NamedEvent::Planned(self.events_by_id[place]),
            Err(_) if self.rejected_ids.iter().any(|rejected| rejected == event_id) => NamedEvent::Rejected,
            Err(_) => NamedEvent::Unknown,
        }
    }

    /// Determines the event of a message under the rules of the run.
    pub(super) fn event(&self, body: &str, attributes: &[Attribute]) -> Result<Event, EventError> {
        let key = self.rules.dedup_key().attribute();
        let attribute = attributes.iter().find(|attribute| Some(attribute.name.as_str()) == key);
        let attribute = attribute
            .map(|Attribute { data_type, value, .. }| MessageAttribute { data_type, string_value: Some(value) });
        self.rules.event(body, attribute)
    }

    /// Adds a message with an event that can be claimed.
    pub(super) fn push_event(&mut self, event: Event, body: &str, attributes: Arc<[Attribute]>) {
        let Event { id, digest, .. } = event;
        let event = match self.index_of_id.get(&id) {
            Some(&event) => event,
            None => {
                self.event_ids.push(id.clone());
                self.index_of_id.insert(id, self.event_ids.len() - 1);
                self.event_ids.len() - 1
            }
        };
        self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into(), attributes });
    }

    /// Adds a message that `ingest-fn` must reject.
    pub(super) fn push_rejected(&mut self, body: &str, attributes: Arc<[Attribute]>) {
        self.messages.push(Message { event: None, digest: None, body: body.into(), attributes });
    }
}
