//! The plan of a run, and the errors that prevent one.

use std::path::PathBuf;
use std::sync::Arc;

use claim::Digest;

use crate::cli::{MAX_BODY_BYTES, MAX_MESSAGES};

/// Placeholder for an SQS message id when the size of a claim is computed. All SQS message ids have this length.
pub(super) const ANY_MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// The messages that a run sends, in order, and the events that they carry.
pub struct Plan {
    /// The messages in sending order. Copies share one body.
    pub messages: Vec<Message>,
    /// The distinct ids of the events that can be claimed.
    pub event_ids: Vec<String>,
    /// For each event in `event_ids`, the indices of its messages.
    pub messages_of: Vec<Vec<usize>>,
    /// Ids of the events that `ingest-fn` must reject because they are too large to be claimed.
    pub rejected_ids: Vec<String>,
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
    /// `ingest-fn` would reject every generated body, because the stack is configured with another JSON Pointer to the event
    /// id.
    #[error("the stack expects the event id at `{0}`, but generated events have it at `/event_id`: use --file")]
    OtherPointer(String),
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

    pub(super) fn push_event(&mut self, event: usize, body: String) {
        let digest = Digest::of(&body).expect("a generated event is JSON");
        self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into() });
    }

    pub(super) fn push_rejected(&mut self, body: String) {
        self.messages.push(Message { event: None, digest: None, body: body.into() });
    }
}
