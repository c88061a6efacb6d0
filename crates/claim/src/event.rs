//! The strict parser for message bodies.
//!
//! A valid body is one JSON value that every JSON parser reads the same way. As RFC 7493 (I-JSON) demands, no object
//! repeats a name and no string has an unpaired surrogate. Arrays and objects are nested at most [`MAX_NESTING`] levels
//! deep.
//!
//! One pass over the tokens finds the parts of the event id and builds the canonical form, from which the digest is
//! computed. The parser does not recurse, so no input can exhaust the stack. The parser needs at most twice the body's
//! length in memory, plus a few machine words for each name in the objects that are still open.

use std::sync::Arc;

use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use crate::canonical::{CanonicalForm, ContainerKind, RepeatedName};
use crate::digest::Digest;
use crate::excerpt::Excerpt;
use crate::key::MAX_EVENT_ID_BYTES;
use crate::pointer::{PointerTracker, PointerTree, Role};

/// Maximum nesting of arrays and objects in a body. The S3 object adds one level, and by default, `serde_json` reads at
/// most 127 levels. Bodies of 127 and 128 levels are archived too, but `serde_json` reads their S3 objects only if its
/// limit is disabled.
pub const MAX_NESTING: u32 = 128;

/// The reason why a body is not a valid event. A retry does not help, so the message ends in the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The body is not JSON, has more than one value or an unpaired surrogate, or is nested too deeply.
    #[error("the body is not strict JSON (RFC 7493, at most {MAX_NESTING} levels deep)")]
    NotJson(#[from] ReaderError),
    /// An object has the same name twice. RFC 8259 does not say which of the two values counts, so parsers differ.
    #[error("the body has the name {0:?} twice in one object")]
    RepeatedName(Excerpt),
    /// The body has no value at a pointer of the dedup key.
    #[error("the body has no dedup key at `{pointer}`")]
    NoKey {
        /// JSON Pointer to the dedup key, or to a part of it.
        pointer: String,
    },
    /// The value at one of the dedup key's pointers is neither a non-empty string nor an integer.
    #[error("the dedup key at `{pointer}` is {found}, not a non-empty string or an integer")]
    KeyKind {
        /// JSON Pointer to the dedup key, or to a part of it.
        pointer: String,
        /// Kind of the value at the pointer, for example `an array`.
        found: &'static str,
    },
    /// The message does not have the attribute that contains the event id.
    #[error("the message has no attribute `{name}`, which is the dedup key")]
    NoAttribute {
        /// Name of the attribute.
        name: String,
    },
    /// The message attribute that contains the event id is empty.
    #[error("the message attribute `{name}`, which is the dedup key, is empty")]
    EmptyAttribute {
        /// Name of the attribute.
        name: String,
    },
    /// The message attribute is neither a `String` nor a `Number`, so it cannot be an event id.
    #[error("the message attribute `{name}`, which is the dedup key, has the type {data_type:?}, not String or Number")]
    AttributeKind {
        /// Name of the attribute.
        name: String,
        /// Data type of the attribute.
        data_type: Excerpt,
    },
    /// The event id does not fit into the partition key of the table.
    #[error("the event id at the dedup key `{key}` is {bytes} bytes long, more than {MAX_EVENT_ID_BYTES}")]
    IdTooLong {
        /// Text of the dedup key.
        key: String,
        /// Length of the id, in bytes of UTF-8.
        bytes: usize,
    },
}

impl From<RepeatedName> for EventError {
    fn from(RepeatedName(name): RepeatedName) -> Self {
        Self::RepeatedName(name)
    }
}

/// An event: its id, the sort key of its claim, and the digest of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A non-empty string of at most [`MAX_EVENT_ID_BYTES`]. The JSON values `7` and `"7"` give the same id.
    pub id: String,
    /// Sort key of the event's claim. It depends on the dedup key.
    pub sort_key: Arc<str>,
    /// Digest of the body without the ignored members.
    pub digest: Digest,
}

/// The value at a pointer of the dedup key, or `Missing` if the reader has not found it.
#[derive(Clone)]
pub(crate) enum Target {
    Missing,
    Text(String),
    Other(&'static str),
}

impl Target {
    fn string(value: &str) -> Self {
        if value.is_empty() { Self::Other("an empty string") } else { Self::Text(value.to_owned()) }
    }

    fn number(text: &str) -> Self {
        // A JSON number without a fraction or an exponent consists of digits and an optional minus.
        let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if integer { Self::Text(text.to_owned()) } else { Self::Other("a number with a fraction or an exponent") }
    }
}

/// Reads a body. Returns its canonical form, and the value at each of the `key_parts` pointers of the dedup key.
pub(crate) fn read_body(
    body: &str,
    pointers: &PointerTree,
    key_parts: usize,
) -> Result<(Vec<u8>, Vec<Target>), EventError> {
    let mut reader = BodyReader::new(body, pointers, key_parts);
    loop {
        if reader.advance()? {
            reader.read_value()?;
        } else {
            reader.leave()?;
        }
        if reader.canonical.innermost().is_none() {
            break;
        }
    }
    reader.json.consume_trailing_whitespace()?;
    Ok((reader.canonical.into_bytes(), reader.key_parts))
}

struct BodyReader<'a> {
    json: JsonStreamReader<&'a [u8]>,
    canonical: CanonicalForm,
    tracker: PointerTracker<'a>,
    key_parts: Vec<Target>,
}

impl<'a> BodyReader<'a> {
    fn new(body: &'a str, pointers: &'a PointerTree, key_parts: usize) -> Self {
        // The parser accepts numbers of any size, because the canonical form keeps their text. Path tracking is off,
        // because it would only add a path to each error message, and costs one allocation per name.
        let settings = ReaderSettings {
            max_nesting_depth: Some(MAX_NESTING),
            restrict_number_values: false,
            track_path: false,
            ..ReaderSettings::default()
        };
        Self {
            json: JsonStreamReader::new_custom(body.as_bytes(), settings),
            canonical: CanonicalForm::with_capacity(body.len()),
            tracker: PointerTracker::new(pointers),
            key_parts: vec![Target::Missing; key_parts],
        }
    }

    /// Moves to the next value. Returns false if the innermost open array or object ends instead.
    fn advance(&mut self) -> Result<bool, EventError> {
        let Some(container) = self.canonical.innermost() else { return Ok(true) };
        if !self.json.has_next()? {
            return Ok(false);
        }
        match container {
            ContainerKind::Array => self.tracker.at_index(self.canonical.begin_item()),
            ContainerKind::Object => {
                let name = self.json.next_name()?;
                self.tracker.at_name(name);
                self.canonical.begin_member(name, self.tracker.role() == Some(Role::Ignored));
            }
        }
        Ok(true)
    }

    fn read_value(&mut self) -> Result<(), EventError> {
        let key_part = match self.tracker.role() {
            Some(Role::KeyPart(index)) => Some(index),
            Some(Role::Ignored) | None => None,
        };
        let target = match self.json.peek()? {
            ValueType::Array => {
                self.json.begin_array()?;
                self.enter(ContainerKind::Array);
                Target::Other("an array")
            }
            ValueType::Object => {
                self.json.begin_object()?;
                self.enter(ContainerKind::Object);
                Target::Other("an object")
            }
            ValueType::String => {
                let text = self.json.next_str()?;
                self.canonical.push_string(text);
                if key_part.is_some() { Target::string(text) } else { Target::Missing }
            }
            ValueType::Number => {
                let text = self.json.next_number_as_str()?;
                self.canonical.push_literal(text);
                if key_part.is_some() { Target::number(text) } else { Target::Missing }
            }
            ValueType::Boolean => {
                self.canonical.push_literal(if self.json.next_bool()? { "true" } else { "false" });
                Target::Other("a boolean")
            }
            ValueType::Null => {
                self.json.next_null()?;
                self.canonical.push_literal("null");
                Target::Other("null")
            }
        };
        if let Some(index) = key_part {
            self.key_parts[index] = target;
        }
        Ok(())
    }

    fn enter(&mut self, container: ContainerKind) {
        self.canonical.enter(container);
        self.tracker.enter();
    }

    fn leave(&mut self) -> Result<(), EventError> {
        match self.canonical.innermost() {
            Some(ContainerKind::Array) => self.json.end_array()?,
            Some(ContainerKind::Object) => self.json.end_object()?,
            None => {}
        }
        self.canonical.leave()?;
        self.tracker.leave();
        Ok(())
    }
}
