//! A message body, read strictly.
//!
//! A body is one JSON value that no two readers can read differently: no name twice in an object, no unpaired surrogate
//! (both are what RFC 7493, I-JSON, asks for) and no nesting beyond [`MAX_NESTING`]. One pass over the tokens finds the event id
//! and writes the canonical form that the digest is taken of. There is no recursion, so no input can exhaust the stack;
//! memory is at most twice the body's length, and a few words for each name of an object that is being read.

use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use crate::canonical::{CanonicalForm, ContainerKind, RepeatedName};
use crate::digest::Digest;
use crate::excerpt::Excerpt;
use crate::key::MAX_EVENT_ID_BYTES;
use crate::pointer::{EventIdPointer, PointerTracker};

/// Arrays and objects may be nested this deep. The object's line has one level more, and `serde_json` reads 127 by default:
/// what is nested deeper than 126 is archived as it is, and its readers must allow for it.
pub const MAX_NESTING: u32 = 128;

/// Why a body is not an event. The message that carried it can only go to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, more than one value, an unpaired surrogate, or nested too deep.
    #[error("the body is not one JSON value that every reader reads alike")]
    NotJson(#[from] ReaderError),
    /// RFC 8259 leaves open which of the two counts, so readers differ.
    #[error("the body has the name {0:?} twice in one object")]
    RepeatedName(Excerpt),
    /// The pointer leads nowhere.
    #[error("the body has no event id at `{pointer}`")]
    NoId {
        /// The JSON Pointer that was followed.
        pointer: String,
    },
    /// The pointer leads to something that cannot be an id.
    #[error("the event id at `{pointer}` is {found}, not a non-empty string or an integer")]
    IdKind {
        /// The JSON Pointer that was followed.
        pointer: String,
        /// What is there instead.
        found: &'static str,
    },
    /// The id does not fit into the partition key.
    #[error("the event id at `{pointer}` is {bytes} bytes long, more than {MAX_EVENT_ID_BYTES}")]
    IdTooLong {
        /// The JSON Pointer that was followed.
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

/// What a body says: which event it is, and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A non-empty string of at most [`MAX_EVENT_ID_BYTES`]. An integer is taken as its text, so `7` and `"7"` are one event.
    pub id: String,
    /// Of the whole body, the id included.
    pub digest: Digest,
}

impl Event {
    /// Reads a body and finds the event id where `pointer` says.
    ///
    /// # Errors
    /// When the body breaks the rules in the module's documentation, or has no usable id.
    pub fn parse(body: &str, pointer: &EventIdPointer) -> Result<Self, EventError> {
        let (digest, target) = read(body, Some(pointer))?;
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
    /// Computes the digest of a body, without looking for an event id.
    ///
    /// # Errors
    /// As [`Event::parse`], without those about the id.
    pub fn of(body: &str) -> Result<Self, EventError> {
        read(body, None).map(|(digest, _)| digest)
    }
}

/// The value at the end of the pointer.
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
        // JSON's grammar leaves an optional minus and digits when there is neither a fraction nor an exponent.
        let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if integer { Self::Id(text.to_owned()) } else { Self::Other("a number with a fraction or an exponent") }
    }
}

fn read(body: &str, pointer: Option<&EventIdPointer>) -> Result<(Digest, Target), EventError> {
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
        // The settings are read to the end before the first byte; paths in error locations would cost an allocation a name.
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

    /// Goes on to the next value. Returns false if the innermost array or object has no more.
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
