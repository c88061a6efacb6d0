//! The strict parser for message bodies.
//!
//! A valid body is one JSON value that every JSON parser reads the same way. As RFC 7493 (I-JSON) demands, no object repeats
//! a name and no string has an unpaired surrogate. Arrays and objects are nested at most [`MAX_NESTING`] levels deep.
//!
//! One pass over the tokens finds the event id and builds the canonical form, from which the digest is computed. The parser
//! does not recurse, so no input can exhaust the stack. The parser needs at most twice the body's length in memory, plus a
//! few machine words for each name in the objects that are still open.

use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use crate::canonical::{CanonicalForm, ContainerKind, RepeatedName};
use crate::digest::Digest;
use crate::excerpt::Excerpt;
use crate::key::MAX_EVENT_ID_BYTES;
use crate::pointer::{EventIdPointer, PointerTracker};

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
    /// The body has no value at the pointer.
    #[error("the body has no event id at `{pointer}`")]
    NoId {
        /// JSON Pointer to the event id.
        pointer: String,
    },
    /// The value at the pointer cannot be an event id.
    #[error("the event id at `{pointer}` is {found}, not a non-empty string or an integer")]
    IdKind {
        /// JSON Pointer to the event id.
        pointer: String,
        /// Kind of the value at the pointer, for example `an array`.
        found: &'static str,
    },
    /// The event id does not fit into the partition key of the table.
    #[error("the event id at `{pointer}` is {bytes} bytes long, more than {MAX_EVENT_ID_BYTES}")]
    IdTooLong {
        /// JSON Pointer to the event id.
        pointer: String,
        /// Length of the id, in bytes of UTF-8.
        bytes: usize,
    },
}

impl From<RepeatedName> for EventError {
    fn from(RepeatedName(name): RepeatedName) -> Self {
        Self::RepeatedName(name)
    }
}

/// An event: its id, and the digest of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A non-empty string of at most [`MAX_EVENT_ID_BYTES`]. If the body has an integer as its id, this is the
    /// integer's text, so the ids `7` and `"7"` belong to the same event.
    pub id: String,
    /// Digest of the whole body, including the id.
    pub digest: Digest,
}

impl Event {
    /// Parses a body and takes the event id from the value at `pointer`.
    ///
    /// # Errors
    /// Fails if the body breaks the rules in the [module's documentation](self), or has no usable event id.
    pub fn parse(body: &str, pointer: &EventIdPointer) -> Result<Self, EventError> {
        let (digest, target) = read_body(body, Some(pointer))?;
        let pointer = || pointer.to_string();
        let id = match target {
            Target::Missing => return Err(EventError::NoId { pointer: pointer() }),
            Target::Other(found) => return Err(EventError::IdKind { pointer: pointer(), found }),
            Target::Id(id) => id,
        };
        if id.len() > MAX_EVENT_ID_BYTES {
            return Err(EventError::IdTooLong { pointer: pointer(), bytes: id.len() });
        }
        Ok(Self { id, digest })
    }
}

impl Digest {
    /// Computes the digest of a body. The body does not need an event id.
    ///
    /// # Errors
    /// Fails if the body breaks the rules in the documentation of the module [`event`](crate::event).
    pub fn of(body: &str) -> Result<Self, EventError> {
        read_body(body, None).map(|(digest, _)| digest)
    }
}

/// The value at the pointer, or `Missing` if it has not been found.
enum Target {
    Missing,
    Id(String),
    Other(&'static str),
}

impl Target {
    fn string(value: &str) -> Self {
        if value.is_empty() { Self::Other("an empty string") } else { Self::Id(value.to_owned()) }
    }

    fn number(text: &str) -> Self {
        // A JSON number without a fraction or an exponent consists of digits and an optional minus.
        let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if integer { Self::Id(text.to_owned()) } else { Self::Other("a number with a fraction or an exponent") }
    }
}

fn read_body(body: &str, pointer: Option<&EventIdPointer>) -> Result<(Digest, Target), EventError> {
    let mut reader = BodyReader::new(body, pointer);
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
    Ok((Digest::of_canonical(&reader.canonical.into_bytes()), reader.target))
}

struct BodyReader<'a> {
    json: JsonStreamReader<&'a [u8]>,
    canonical: CanonicalForm,
    tracker: PointerTracker<'a>,
    target: Target,
}

impl<'a> BodyReader<'a> {
    fn new(body: &'a str, pointer: Option<&'a EventIdPointer>) -> Self {
        // The parser accepts numbers of any size, because the canonical form keeps their text. Path tracking is off, because
        // it would only add a path to each error message, and costs one allocation per name.
        let settings = ReaderSettings {
            max_nesting_depth: Some(MAX_NESTING),
            restrict_number_values: false,
            track_path: false,
            ..ReaderSettings::default()
        };
        Self {
            json: JsonStreamReader::new_custom(body.as_bytes(), settings),
            canonical: CanonicalForm::with_capacity(body.len()),
            tracker: PointerTracker::new(pointer),
            target: Target::Missing,
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
                self.canonical.begin_member(name);
                self.tracker.at_name(name);
            }
        }
        Ok(true)
    }

    fn read_value(&mut self) -> Result<(), EventError> {
        let is_target = self.tracker.is_target();
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
                if is_target { Target::string(text) } else { Target::Missing }
            }
            ValueType::Number => {
                let text = self.json.next_number_as_str()?;
                self.canonical.push_literal(text);
                if is_target { Target::number(text) } else { Target::Missing }
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
        if is_target {
            self.target = target;
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
