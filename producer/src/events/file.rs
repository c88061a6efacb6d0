//! Reading events from a file.

use std::collections::HashMap;
use std::fs;

use claim::{Claim, Event, EventIdPointer};

use super::plan::{ANY_MESSAGE_ID, Message, Plan, PlanError};
use crate::cli::MAX_BODY_BYTES;

/// Limit on the bad lines that an error lists.
const MAX_BAD_LINES: usize = 20;

impl Plan {
    /// Adds one message for each non-empty line of a file.
    pub(super) fn read_file(
        &mut self,
        file: &str,
        pointer: &EventIdPointer,
        max_bytes: usize,
    ) -> Result<(), PlanError> {
        let unreadable = |source| PlanError::Unreadable { file: file.to_owned(), source };
        let bytes = fs::metadata(file).map_err(unreadable)?.len();
        if bytes > MAX_BODY_BYTES {
            return Err(PlanError::FileTooLarge { file: file.to_owned(), bytes });
        }
        let bytes = fs::read(file).map_err(unreadable)?;
        let mut index_of_id: HashMap<String, usize> = HashMap::new();
        // Some editors start a file with a byte order mark, which is not part of the first event.
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
                    let event = *index_of_id.entry(id).or_insert_with_key(|id| {
                        self.event_ids.push(id.clone());
                        self.event_ids.len() - 1
                    });
                    self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into() });
                }
            }
        }
        if !bad.is_empty() {
            let more = bad.len().saturating_sub(MAX_BAD_LINES);
            bad.truncate(MAX_BAD_LINES);
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

/// Checks that `ingest-fn` would accept a line as an event.
fn check<'a>(line: &'a [u8], pointer: &EventIdPointer, max_bytes: usize) -> Result<(&'a str, Event), String> {
    let body = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    if body.len() > max_bytes {
        return Err(format!("{} bytes exceed the queue's limit of {max_bytes}", body.len()));
    }
    let event = Event::parse(body, pointer).map_err(|error| match std::error::Error::source(&error) {
        // `{:#}` would print the JSON library's cause twice, because its errors repeat their source.
        Some(why) => format!("{error}: {why}"),
        None => error.to_string(),
    })?;
    Claim::check_size(&event, ANY_MESSAGE_ID, body).map_err(|error| error.to_string())?;
    Ok((body, event))
}
