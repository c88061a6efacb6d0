//! Reads the events of `--file`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use claim::{Claim, Event, EventError, EventIdPointer};
use serde::de::IgnoredAny;
use struson::reader::{JsonReaderPosition, JsonSyntaxError, ReaderError};

use super::plan::{ANY_MESSAGE_ID, Message, Plan, PlanError};
use crate::cli::MAX_BODY_BYTES;
use crate::send::{code_point, refused_character};

/// Maximum number of invalid lines that an error message lists.
const MAX_BAD_LINES: usize = 20;

impl Plan {
    /// Adds one message for each non-empty line of a file.
    pub(super) fn read_file(
        &mut self,
        file: &Path,
        pointer: &EventIdPointer,
        max_bytes: usize,
    ) -> Result<(), PlanError> {
        let unreadable = |source| PlanError::Unreadable { file: file.to_owned(), source };
        let bytes = fs::metadata(file).map_err(unreadable)?.len();
        if bytes > MAX_BODY_BYTES {
            return Err(PlanError::FileTooLarge { file: file.to_owned(), bytes });
        }
        let bytes = fs::read(file).map_err(unreadable)?;
        if let Some((format, advice)) = other_encoding(&bytes) {
            return Err(PlanError::OtherFormat { file: file.to_owned(), format, advice });
        }
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
                Err(problem) => bad.push(format!("line {number}{problem}")),
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
            if let Some((format, advice)) = other_json(bytes) {
                return Err(PlanError::OtherFormat { file: file.to_owned(), format, advice });
            }
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

/// Recognizes files that are compressed with gzip or encoded in UTF-16. Returns the format, and advice on how to
/// convert the file.
fn other_encoding(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(("compressed with gzip", "decompress it with `gunzip`")),
        // JSON starts with an ASCII character. In UTF-16, one of that character's two bytes is zero.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Some(("UTF-16", "convert it with `iconv -f UTF-16 -t UTF-8`"))
        }
        _ => None,
    }
}

/// Recognizes files that are one JSON array, or one JSON object over several lines. Returns the format, and advice on
/// how to convert the file.
fn other_json(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let text = bytes.trim_ascii();
    serde_json::from_slice::<IgnoredAny>(text).ok()?;
    match text.first()? {
        b'[' => Some(("one JSON array", "convert it with `jq -c '.[]'`")),
        // A file with one object on one line has the right format, so something else is wrong with it.
        b'{' if text.contains(&b'\n') => Some(("one JSON object over several lines", "convert it with `jq -c .`")),
        _ => None,
    }
}

/// Checks that SQS would accept a line as a message, and that `ingest-fn` would accept it as an event. An error begins with
/// the column of the problem, if the column is known.
fn check<'a>(line: &'a [u8], pointer: &EventIdPointer, max_bytes: usize) -> Result<(&'a str, Event), String> {
    let body = std::str::from_utf8(line)
        .map_err(|error| format!(", {}: the line is not UTF-8", column(line, error.valid_up_to())))?;
    if body.len() > max_bytes {
        return Err(format!(": {} bytes exceed the queue's limit of {max_bytes}", body.len()));
    }
    if let Some(refused) = refused_character(body) {
        let column = column(line, body.find(refused).unwrap_or_default());
        return Err(format!(", {column}: {} is a character that SQS does not accept", code_point(refused)));
    }
    let event = Event::parse(body, pointer).map_err(|error| match &error {
        EventError::NotJson(cause) => describe_syntax(line, &error, cause),
        _ => format!(": {error}"),
    })?;
    Claim::check_size(&event, ANY_MESSAGE_ID, body).map_err(|error| format!(": {error}"))?;
    Ok((body, event))
}

/// Describes why a line is not strict JSON. Does not use the parser's own error text, because that text repeats itself and
/// counts lines from 0.
fn describe_syntax(line: &[u8], error: &EventError, cause: &ReaderError) -> String {
    let (location, problem) = match cause {
        ReaderError::SyntaxError(JsonSyntaxError { kind, location }) => {
            (Some(location), describe_kind(&kind.to_string()))
        }
        ReaderError::MaxNestingDepthExceeded { location, .. } => (Some(location), "nested too deep".to_owned()),
        other => (None, other.to_string()),
    };
    let position = location.and_then(|JsonReaderPosition { data_pos, .. }| usize::try_from((*data_pos)?).ok());
    let place = position.map_or_else(String::new, |position| format!(", {}", column(line, position)));
    format!("{place}: {error}: {problem}")
}

/// Returns the name of a kind of syntax error, such as `TrailingCommaNotEnabled`, as words.
fn describe_kind(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words.replace("not enabled", "not allowed")
}

/// Formats the column of the character whose bytes start at `position`. Columns count characters, from 1.
fn column(line: &[u8], position: usize) -> String {
    let before = &line[..position.min(line.len())];
    format!("column {}", String::from_utf8_lossy(before).chars().count() + 1)
}
