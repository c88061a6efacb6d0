//! The events of a file.

use std::collections::HashMap;
use std::fs;

use claim::{Claim, Event, EventIdPointer};

use super::plan::{ANY_MESSAGE_ID, Message, Plan, PlanError};
use crate::cli::MOST_BODY_BYTES;

/// As many bad lines of a file are named.
const MOST_BAD_LINES: usize = 20;

impl Plan {
    /// Adds the messages of a file.
    pub(super) fn read(&mut self, file: &str, pointer: &EventIdPointer, max_bytes: usize) -> Result<(), PlanError> {
        let unreadable = |source| PlanError::Unreadable { file: file.to_owned(), source };
        let bytes = fs::metadata(file).map_err(unreadable)?.len();
        if bytes > MOST_BODY_BYTES {
            return Err(PlanError::FileTooLarge { file: file.to_owned(), bytes });
        }
        let bytes = fs::read(file).map_err(unreadable)?;
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
                    self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into() });
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
