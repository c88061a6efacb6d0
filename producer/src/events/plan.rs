//! The plan of a run.

use std::sync::Arc;

use claim::Digest;

use crate::cli::{MOST_BODY_BYTES, MOST_MESSAGES};

/// An id of an SQS message, of the length that all have: a claim's size depends on it.
pub(super) const ANY_MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// What a run sends: bodies in their order, and the events that they are of.
pub struct Plan {
    /// One for each message. Copies share their text.
    pub messages: Vec<Message>,
    /// Ids of the events, each once.
    pub event_ids: Vec<String>,
    /// By event: indices into `messages`.
    pub messages_of: Vec<Vec<usize>>,
    /// Ids that stand in messages that are to be rejected.
    pub rejected_ids: Vec<String>,
}

/// A message to send.
#[derive(Clone)]
pub struct Message {
    /// Index into [`Plan::event_ids`]; `None` if `ingest-fn` must reject it, so that it ends as a dead letter.
    pub event: Option<usize>,
    /// Of the body, if that is an event that can be claimed.
    pub digest: Option<Digest>,
    /// As it is sent.
    pub body: Arc<str>,
}

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Lines of the file are no events. Nothing is sent.
    #[error("{file} has lines that are no events, and nothing was sent: {lines}")]
    BadLines {
        /// Its path.
        file: String,
        /// Their numbers, and what is wrong with them.
        lines: String,
    },
    /// The run would be larger than the producer's memory is good for.
    #[error("{0} messages are more than the {MOST_MESSAGES} that one run sends")]
    TooMany(u64),
    /// The same, by their bodies.
    #[error("{messages} bodies of up to {bytes} bytes are more than the {MOST_BODY_BYTES} bytes that one run makes up: no more than {} will do", MOST_BODY_BYTES / bytes)]
    BodiesTooLarge {
        /// How many there would be.
        messages: u32,
        /// Of the largest.
        bytes: u64,
    },
    /// The file would be.
    #[error("{file} has {bytes} bytes, which are more than the {MOST_BODY_BYTES} that one run sends")]
    FileTooLarge {
        /// Its path.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// The stack looks for the event id where the mock readings have none.
    #[error("the stack looks for the event id at `{0}`, and the mock readings have theirs at `/event_id`: give --file")]
    OtherPointer(String),
    /// The scenario has no such thing.
    #[error("--{0} is of scenarios that mix events, and {1} does not")]
    MixesNothing(&'static str, &'static str),
    /// For how long, but not how fast.
    #[error("--duration needs --rate: {0} sends as fast as it can")]
    NoRate(&'static str),
    /// The file has no event.
    #[error("{0} has no events")]
    Empty(String),
}

impl Plan {
    pub(super) fn repeat(&mut self, times: u32) {
        self.messages = self.messages.iter().flat_map(|message| (0..times).map(|_| message.clone())).collect();
    }

    pub(super) fn push_event(&mut self, event: usize, body: String) {
        let digest = Digest::of(&body).expect("a made-up event is JSON");
        self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into() });
    }

    pub(super) fn push_rejected(&mut self, body: String) {
        self.messages.push(Message { event: None, digest: None, body: body.into() });
    }
}
