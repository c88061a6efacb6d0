//! A message body, read strictly.
//!
//! A body is one JSON value that no two readers can read differently: no name twice in an object, no unpaired surrogate
//! (both are what RFC 7493, I-JSON, asks for) and no nesting beyond [`MAX_NESTING`]. One pass over the tokens finds the event id
//! and writes the canonical form that the digest is taken of. There is no recursion, so no input can exhaust the stack;
//! memory is at most twice the body's length, and a few words for each name of an object that is being read.

use std::cmp::Ordering;
use std::fmt;

use jsonptr::Pointer;
use sha2::{Digest as _, Sha256};
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType};

use crate::excerpt::Excerpt;

/// Arrays and objects may be nested this deep. The object's line has one level more, and `serde_json` reads 127 by default:
/// what is nested deeper than 126 is archived as it is, and its readers must allow for it.
pub const MAX_NESTING: u32 = 128;

/// Largest partition key that DynamoDB takes, in bytes.
const MAX_PARTITION_KEY_BYTES: usize = 2_048;

/// Longest event id, in bytes of UTF-8: what the partition key has room for after [`crate::record::KEY_PREFIX`].
pub const MAX_EVENT_ID_BYTES: usize = MAX_PARTITION_KEY_BYTES - crate::record::KEY_PREFIX.len();

/// Why a body is not an event. The message that carried it can only go to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, more than one value, an unpaired surrogate, or nested too deep.
    #[error("the body is not one JSON value that every reader reads alike")]
    NotJson(#[source] ReaderError),
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

/// Where the event id stands in a body: an RFC 6901 JSON Pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdPointer {
    text: String,
    tokens: Vec<String>,
}

impl EventIdPointer {
    /// Takes `/event_id`, `/detail/id`, `/items/0/id`, or the empty pointer, which is the whole body.
    ///
    /// # Errors
    /// When it neither is empty nor begins with `/`, or has a `~` that is not `~0` or `~1`.
    pub fn parse(text: &str) -> Result<Self, jsonptr::ParseError> {
        let pointer = Pointer::parse(text)?;
        let tokens = pointer.tokens().map(|token| token.decoded().into_owned()).collect();
        Ok(Self { text: text.to_owned(), tokens })
    }
}

impl fmt::Display for EventIdPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What tells whether two bodies of one event say the same: a version byte, then SHA-256 of the canonical form.
///
/// The canonical form is the body without white space, names sorted by their unescaped UTF-8, strings by value (with
/// the fewest escapes), numbers as written. A duplicate that was serialised anew has the same digest; `1.0` and `1` do
/// not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 33]);

impl Digest {
    /// Names the canonical form above. Another form gets another byte, and is never compared with this one.
    pub const VERSION: u8 = 1;

    /// Of a body that no event id is looked for in.
    ///
    /// # Errors
    /// As [`Event::parse`], without those about the id.
    pub fn of(body: &str) -> Result<Self, EventError> {
        read(body, None).map(|(digest, _)| digest)
    }

    /// As stored in a claim; `None` if it is not one that this code computes.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let digest: [u8; 33] = bytes.try_into().ok()?;
        (digest[0] == Self::VERSION).then_some(Self(digest))
    }

    /// As stored: 33 bytes, the version first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of_canonical(canonical: &[u8]) -> Self {
        let mut digest = [Self::VERSION; 33];
        digest[1..].copy_from_slice(&Sha256::digest(canonical));
        Self(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
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
        let (digest, found) = read(body, Some(&pointer.tokens))?;
        let pointer = || pointer.to_string();
        let id = match found {
            Found::Nothing => return Err(EventError::NoId { pointer: pointer() }),
            Found::Other(found) => return Err(EventError::IdKind { pointer: pointer(), found }),
            Found::Id(id) => id,
        };
        if id.len() > MAX_EVENT_ID_BYTES {
            return Err(EventError::IdTooLong { pointer: pointer(), bytes: id.len() });
        }
        Ok(Self { id, digest })
    }
}

/// What stands where the pointer leads.
enum Found {
    Nothing,
    Id(String),
    Other(&'static str),
}

impl Found {
    fn string(value: &str) -> Self {
        if value.is_empty() { Self::Other("an empty string") } else { Self::Id(value.to_owned()) }
    }

    fn number(text: &str) -> Self {
        // JSON's grammar leaves an optional minus and digits when there is neither a fraction nor an exponent.
        let integer = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if integer { Self::Id(text.to_owned()) } else { Self::Other("a number with a fraction or an exponent") }
    }
}

/// An array or object that has been entered and not yet left.
struct Open {
    /// The path to it is a beginning of the pointer.
    on_path: bool,
    items: Items,
}

enum Items {
    Array { seen: usize },
    Object { members: Vec<Member> },
}

/// One `"name":value` of an open object, where it stands in the canonical form so far. A mebibyte has room for more than a
/// hundred thousand of them, so the name is not kept a second time.
struct Member {
    start: usize,
    end: usize,
}

fn read(body: &str, pointer: Option<&Vec<String>>) -> Result<(Digest, Found), EventError> {
    // The settings are read to the end before the first byte; paths in error locations would cost an allocation a name.
    let settings = ReaderSettings {
        max_nesting_depth: Some(MAX_NESTING),
        restrict_number_values: false,
        track_path: false,
        ..ReaderSettings::default()
    };
    let mut json = JsonStreamReader::new_custom(body.as_bytes(), settings);
    let mut canonical = Canonical { out: Vec::with_capacity(body.len()), open: Vec::new() };
    let mut found = Found::Nothing;

    loop {
        // Is the value that comes next on the pointer's path, and is it where the pointer ends?
        let depth = canonical.open.len();
        let on_path = match canonical.open.last_mut() {
            None => pointer.is_some(),
            Some(container) => {
                if !json.has_next().map_err(EventError::NotJson)? {
                    match container.items {
                        Items::Array { .. } => json.end_array().map_err(EventError::NotJson)?,
                        Items::Object { .. } => json.end_object().map_err(EventError::NotJson)?,
                    }
                    canonical.close()?;
                    if canonical.open.is_empty() {
                        break;
                    }
                    continue;
                }
                let expected = pointer.filter(|_| container.on_path).and_then(|tokens| tokens.get(depth - 1));
                match &mut container.items {
                    Items::Array { seen } => {
                        let index = *seen;
                        *seen += 1;
                        if index > 0 {
                            canonical.out.push(b',');
                        }
                        expected.is_some_and(|token| *token == index.to_string())
                    }
                    Items::Object { members } => {
                        let name = json.next_name().map_err(EventError::NotJson)?;
                        if !members.is_empty() {
                            canonical.out.push(b',');
                        }
                        let start = canonical.out.len();
                        write_string(&mut canonical.out, name);
                        canonical.out.push(b':');
                        members.push(Member { start, end: start });
                        expected.is_some_and(|token| *token == name)
                    }
                }
            }
        };
        let is_target = on_path && pointer.is_some_and(|tokens| tokens.len() == depth);

        let value = json.peek().map_err(EventError::NotJson)?;
        let here = match value {
            ValueType::Array => {
                json.begin_array().map_err(EventError::NotJson)?;
                canonical.enter(b'[', on_path, Items::Array { seen: 0 });
                Found::Other("an array")
            }
            ValueType::Object => {
                json.begin_object().map_err(EventError::NotJson)?;
                canonical.enter(b'{', on_path, Items::Object { members: Vec::new() });
                Found::Other("an object")
            }
            ValueType::String => {
                let text = json.next_str().map_err(EventError::NotJson)?;
                write_string(&mut canonical.out, text);
                if is_target { Found::string(text) } else { Found::Nothing }
            }
            ValueType::Number => {
                let text = json.next_number_as_str().map_err(EventError::NotJson)?;
                canonical.out.extend_from_slice(text.as_bytes());
                if is_target { Found::number(text) } else { Found::Nothing }
            }
            ValueType::Boolean => {
                let value = json.next_bool().map_err(EventError::NotJson)?;
                canonical.out.extend_from_slice(if value { b"true" } else { b"false" });
                Found::Other("a boolean")
            }
            ValueType::Null => {
                json.next_null().map_err(EventError::NotJson)?;
                canonical.out.extend_from_slice(b"null");
                Found::Other("null")
            }
        };
        if is_target {
            found = here;
        }
        if !matches!(value, ValueType::Array | ValueType::Object) {
            canonical.value_ended();
            if canonical.open.is_empty() {
                break;
            }
        }
    }
    json.consume_trailing_whitespace().map_err(EventError::NotJson)?;
    Ok((Digest::of_canonical(&canonical.out), found))
}

/// The canonical form as far as it has been read. Members of an open object stand in the order they came in and are put
/// in order when the object closes.
struct Canonical {
    out: Vec<u8>,
    open: Vec<Open>,
}

impl Canonical {
    fn enter(&mut self, bracket: u8, on_path: bool, items: Items) {
        self.out.push(bracket);
        self.open.push(Open { on_path, items });
    }

    /// The value that was being read is complete: if it is a member's, that is where the member ends.
    fn value_ended(&mut self) {
        let end = self.out.len();
        if let Some(Open { items: Items::Object { members }, .. }) = self.open.last_mut()
            && let Some(member) = members.last_mut()
        {
            member.end = end;
        }
    }

    fn close(&mut self) -> Result<(), EventError> {
        let closed = self.open.pop().expect("only an open array or object is closed");
        match closed.items {
            Items::Array { .. } => self.out.push(b']'),
            Items::Object { mut members } => {
                if !members.is_sorted_by(|a, b| self.by_name(a, b).is_lt()) {
                    self.sort(&mut members)?;
                }
                self.out.push(b'}');
            }
        }
        self.value_ended();
        Ok(())
    }

    fn by_name(&self, a: &Member, b: &Member) -> Ordering {
        name(&self.out[a.start..]).cmp(name(&self.out[b.start..]))
    }

    fn sort(&mut self, members: &mut [Member]) -> Result<(), EventError> {
        let start = members[0].start;
        members.sort_unstable_by(|a, b| self.by_name(a, b));
        if let Some(pair) = members.windows(2).find(|pair| self.by_name(&pair[0], &pair[1]).is_eq()) {
            let name: Vec<u8> = name(&self.out[pair[0].start..]).collect();
            return Err(EventError::RepeatedName(Excerpt::of(&String::from_utf8_lossy(&name))));
        }
        let mut sorted = Vec::with_capacity(self.out.len() - start);
        for member in members {
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            sorted.extend_from_slice(&self.out[member.start..member.end]);
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&sorted);
        Ok(())
    }
}

/// The name that a member begins with, byte by byte, without the escapes that [`write_string`] gave it.
fn name(member: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = member[1..].iter().copied();
    std::iter::from_fn(move || match bytes.next()? {
        b'"' => None,
        b'\\' => Some(match bytes.next()? {
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            // `\u00` and two lower-case digits of a control character.
            b'u' => bytes.by_ref().take(4).fold(0, |value, digit| {
                let digit = if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
                value * 16 + digit
            }),
            quote_or_backslash => quote_or_backslash,
        }),
        byte => Some(byte),
    })
}

fn write_string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a string can always be written to memory");
}
