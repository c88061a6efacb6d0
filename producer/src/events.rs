//! What is sent.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use claim::{Claim, Digest, Event, EventIdPointer};

use crate::cli::{MOST_MESSAGES, RunArgs};

/// An id of an SQS message, of the length that all have: a claim's size depends on it.
const ANY_MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Where the mock readings have their event id.
const MOCK_POINTER: &str = "/event_id";

/// As many bad lines of a file are named.
const MOST_BAD_LINES: usize = 20;

/// What a run sends: bodies in their order, and the events that they are of.
pub struct Plan {
    /// One for each message. Copies share their text.
    pub messages: Vec<Message>,
    /// Ids of the events, each once.
    pub event_ids: Vec<String>,
    /// By event: indices into `messages`.
    pub messages_of: Vec<Vec<usize>>,
}

/// A message to send.
#[derive(Clone)]
pub struct Message {
    /// Index into [`Plan::event_ids`].
    pub event: usize,
    /// Of the body.
    pub digest: Digest,
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
    /// The stack looks for the event id where the mock readings have none.
    #[error("the stack looks for the event id at `{0}`, and the mock readings have theirs at `/event_id`: give --file")]
    OtherPointer(String),
    /// The file has no event.
    #[error("{0} has no events")]
    Empty(String),
}

impl Plan {
    /// What the command line asks for. `pointer` says where the events of a file have their id, and `max_bytes` is the largest
    /// message that the queue takes.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn new(args: &RunArgs, pointer: &EventIdPointer, max_bytes: usize) -> Result<Self, PlanError> {
        let mut plan = Self { messages: Vec::new(), event_ids: Vec::new(), messages_of: Vec::new() };
        match &args.file {
            Some(file) => plan.read(&file.display().to_string(), pointer, max_bytes)?,
            // A reading that `ingest-fn` would reject is not sent.
            None if pointer.to_string() != MOCK_POINTER => return Err(PlanError::OtherPointer(pointer.to_string())),
            None if args.distinct => {
                for number in 1..=args.messages {
                    plan.push_reading(&format!("{}-{number}", args.event_id), args.seed);
                }
            }
            None => {
                plan.push_reading(&args.event_id, args.seed);
                plan.repeat(args.messages);
            }
        }
        let messages = plan.messages.len() as u64 * u64::from(args.copies);
        if messages > u64::from(MOST_MESSAGES) {
            return Err(PlanError::TooMany(messages));
        }
        plan.repeat(args.copies);
        if args.copies > 1 {
            fastrand::Rng::with_seed(args.seed).shuffle(&mut plan.messages);
        }
        plan.messages_of = vec![Vec::new(); plan.event_ids.len()];
        for (index, message) in plan.messages.iter().enumerate() {
            plan.messages_of[message.event].push(index);
        }
        Ok(plan)
    }

    fn repeat(&mut self, times: u32) {
        self.messages = self.messages.iter().flat_map(|message| (0..times).map(|_| message.clone())).collect();
    }

    fn push_reading(&mut self, event_id: &str, seed: u64) {
        let body: Arc<str> = mock_reading(event_id, seed).into();
        let digest = Digest::of(&body).expect("a mock reading is JSON");
        self.messages.push(Message { event: self.event_ids.len(), digest, body });
        self.event_ids.push(event_id.to_owned());
    }

    fn read(&mut self, file: &str, pointer: &EventIdPointer, max_bytes: usize) -> Result<(), PlanError> {
        let bytes = fs::read(file).map_err(|source| PlanError::Unreadable { file: file.to_owned(), source })?;
        let mut known: HashMap<String, usize> = HashMap::new();
        // Some editors begin a file with a byte order mark. It is no part of the first event.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut bad = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            match check(line, pointer, max_bytes) {
                Err(problem) => bad.push(format!("line {number}: {problem}")),
                Ok((body, Event { id, digest })) => {
                    let event = *known.entry(id).or_insert_with_key(|id| {
                        self.event_ids.push(id.clone());
                        self.event_ids.len() - 1
                    });
                    self.messages.push(Message { event, digest, body: body.into() });
                }
            }
        }
        if !bad.is_empty() {
            let more = bad.len().saturating_sub(MOST_BAD_LINES);
            bad.truncate(MOST_BAD_LINES);
            let mut lines = bad.join("; ");
            if more > 0 {
                lines += &format!("; and {more} more");
            }
            return Err(PlanError::BadLines { file: file.to_owned(), lines });
        }
        if self.messages.is_empty() {
            return Err(PlanError::Empty(file.to_owned()));
        }
        Ok(())
    }
}

/// By the rules of `ingest-fn`: what it would reject is not sent.
fn check<'a>(line: &'a [u8], pointer: &EventIdPointer, max_bytes: usize) -> Result<(&'a str, Event), String> {
    let body = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    if body.len() > max_bytes {
        return Err(format!("{} bytes are more than the queue's {max_bytes}", body.len()));
    }
    let event = Event::parse(body, pointer).map_err(|error| match std::error::Error::source(&error) {
        // That library's errors repeat their own source.
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    })?;
    Claim::check_size(&event, ANY_MESSAGE_ID, body).map_err(|error| error.to_string())?;
    Ok((body, event))
}

/// A grid stress reading as ENTSO-E's transparency platform might publish it. Its content follows from event id and seed alone,
/// so that a second run sends duplicates and no conflicts.
fn mock_reading(event_id: &str, seed: u64) -> String {
    let quoted = serde_json::Value::from(event_id).to_string();
    let digest = Digest::of(&quoted).expect("a string is JSON");
    let hash = u64::from_be_bytes(*digest.as_bytes()[1..].first_chunk().expect("a digest is longer than 8 bytes"));
    let mut random = fastrand::Rng::with_seed(hash ^ seed);
    let sensor = random.u32(1..=400);
    let millivolts = random.u32(380_000..=420_000);
    let at = chrono::DateTime::from_timestamp(1_767_225_600 + random.i64(0..31_536_000), 0).expect("a time in 2026");
    format!(
        r#"{{"event_id":{quoted},"source":"ENTSO-E","sensor":"substation-{sensor:03}","voltage":{}.{:03},"unit":"kV","timestamp":"{}"}}"#,
        millivolts / 1_000,
        millivolts % 1_000,
        at.format("%Y-%m-%dT%H:%M:%SZ"),
    )
}
