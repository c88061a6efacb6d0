//! Reads the events of `--file`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use claim::{Claim, DedupKey, Event, EventError, SourceMessage};
use serde::Deserialize;
use serde::de::IgnoredAny;
use struson::reader::{JsonReaderPosition, JsonSyntaxError, ReaderError};

use super::plan::{ANY_MESSAGE_ID, Attribute, Plan, PlanError, message_bytes};
use crate::cli::MAX_BODY_BYTES;
use crate::send::{code_point, refused_character};

/// Maximum number of invalid lines that an error message lists.
const MAX_BAD_LINES: usize = 20;

/// Maximum number of attributes of a message (SQS developer guide, "Amazon SQS message metadata").
const MAX_ATTRIBUTES: usize = 10;

/// The message that one line of a file describes.
struct FileMessage<'a> {
    body: Cow<'a, str>,
    attributes: Arc<[Attribute]>,
    /// True if the line is the body itself, so that positions in the body are also positions in the line.
    is_line: bool,
}

/// A message as `aws sqs receive-message` prints it. Other members, for example `MessageId`, are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedMessage<'a> {
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(default)]
    message_attributes: BTreeMap<String, ReceivedAttribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedAttribute {
    data_type: String,
    string_value: Option<String>,
}

impl Plan {
    /// Adds one message for each non-empty line of a file.
    pub(super) fn read_file(&mut self, file: &Path, max_bytes: usize) -> Result<(), PlanError> {
        let unreadable = |source| PlanError::Unreadable { file: file.to_owned(), source };
        let bytes = fs::metadata(file).map_err(unreadable)?.len();
        if bytes > MAX_BODY_BYTES {
            return Err(PlanError::FileTooLarge { file: file.to_owned(), bytes });
        }
        let bytes = fs::read(file).map_err(unreadable)?;
        if let Some((format, advice)) = other_encoding(&bytes) {
            return Err(PlanError::OtherFormat { file: file.to_owned(), format, advice });
        }
        // Some editors start a file with a byte order mark, which is not part of the first event.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut bad = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.read_line(line, max_bytes) {
                Err(problem) => bad.push(format!("line {number}{problem}")),
                Ok((FileMessage { body, attributes, .. }, event)) => self.push_event(event, &body, attributes),
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

    /// Reads a line. Checks that SQS would accept it as a message, and that `ingest-fn` would accept it as an event. An error
    /// begins with the column of the problem, if the column is known.
    fn read_line<'a>(&self, line: &'a [u8], max_bytes: usize) -> Result<(FileMessage<'a>, Event), String> {
        let text = std::str::from_utf8(line)
            .map_err(|error| format!(", {}: the line is not UTF-8", column(line, error.valid_up_to())))?;
        let message = match self.rules.dedup_key().attribute() {
            None => FileMessage { body: text.into(), attributes: Arc::default(), is_line: true },
            Some(_) => FileMessage::parse(text)?,
        };
        let FileMessage { body, attributes, is_line } = &message;
        let bytes = message_bytes(body, attributes);
        if bytes > max_bytes {
            return Err(format!(": {bytes} bytes exceed the queue's limit of {max_bytes}"));
        }
        if let Some(refused) = refused_character(body) {
            let place = body.find(refused).filter(|_| *is_line).map(|at| format!(", {}", column(line, at)));
            let refused = code_point(refused);
            return Err(format!("{}: {refused} is a character that SQS does not accept", place.unwrap_or_default()));
        }
        let event = self.event(body, attributes).map_err(|error| match &error {
            EventError::NotJson(cause) => describe_syntax(is_line.then_some(line), &error, cause),
            _ => format!(": {error}"),
        })?;
        Claim::check_size(&event, &SourceMessage::new(ANY_MESSAGE_ID, body)).map_err(|error| format!(": {error}"))?;
        Ok((message, event))
    }
}

impl<'a> FileMessage<'a> {
    /// Parses a line that describes a message with attributes.
    fn parse(line: &'a str) -> Result<Self, String> {
        let ReceivedMessage { body, message_attributes } = serde_json::from_str(line).map_err(|error| {
            format!(
                ": with a dedup key `attribute:NAME`, a line must be an object with `Body` and `MessageAttributes`, as `aws sqs \
                 receive-message` prints a message: {error}"
            )
        })?;
        if message_attributes.len() > MAX_ATTRIBUTES {
            let count = message_attributes.len();
            return Err(format!(": {count} attributes exceed the limit of {MAX_ATTRIBUTES}"));
        }
        let mut attributes = Vec::with_capacity(message_attributes.len());
        for (name, ReceivedAttribute { data_type, string_value }) in message_attributes {
            let Some(value) = string_value else {
                return Err(format!(
                    ": cannot send the attribute `{name}` of the type {data_type}, only strings and numbers"
                ));
            };
            // An attribute that can be a dedup key has a name that SQS accepts.
            if DedupKey::parse(&format!("attribute:{name}")).is_err() {
                return Err(format!(": SQS does not accept the attribute name {name:?}"));
            }
            if value.is_empty() {
                return Err(format!(": SQS does not accept the attribute `{name}`, because it is empty"));
            }
            if let Some(refused) = refused_character(&value) {
                let refused = code_point(refused);
                return Err(format!(": SQS does not accept {refused}, which is in the attribute `{name}`"));
            }
            attributes.push(Attribute { name, data_type, value });
        }
        Ok(Self { body, attributes: attributes.into(), is_line: false })
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

/// Describes why a body is not strict JSON. `line` is the line of the file, or `None` if the body is only part of it.
/// Does not use the parser's own error text, because that text repeats itself and counts lines from 0.
fn describe_syntax(line: Option<&[u8]>, error: &EventError, cause: &ReaderError) -> String {
    let (location, problem) = match cause {
        ReaderError::SyntaxError(JsonSyntaxError { kind, location }) => {
            (Some(location), describe_kind(&kind.to_string()))
        }
        ReaderError::MaxNestingDepthExceeded { location, .. } => (Some(location), "nested too deep".to_owned()),
        other => (None, other.to_string()),
    };
    let position = location.and_then(|JsonReaderPosition { data_pos, .. }| usize::try_from((*data_pos)?).ok());
    let place = line.zip(position).map(|(line, position)| format!(", {}", column(line, position))).unwrap_or_default();
    format!("{place}: {error}: {problem}")
}

/// Splits the name of a kind of syntax error, such as `TrailingCommaNotEnabled`, into words.
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
