//! `DEDUP_KEY`: the part of a message that becomes the event id.

use std::fmt;

use crate::excerpt::Excerpt;
use crate::pointer::{JsonPointer, PointerError};

/// The setting `DEDUP_KEY`, which selects the part of a message that becomes the event id.
///
/// | setting | event id |
/// | --- | --- |
/// | `/event_id` | the string or integer at this JSON Pointer in the body |
/// | `["/source","/id"]` | the strings or integers at two to eight pointers, as a JSON array of strings |
/// | `attribute:NAME` | the value of this SQS message attribute |
/// | `content` | `sha256:` and the hash of the body's canonical form, without the ignored members |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DedupKey {
    text: String,
    pub(crate) kind: KeyKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Pointer(JsonPointer),
    Pointers(Vec<JsonPointer>),
    Attribute(String),
    Content,
}

/// The reason why a text is not a dedup key.
#[derive(Debug, thiserror::Error)]
pub enum DedupKeyError {
    /// The text has none of the four forms.
    #[error(
        "must be a JSON Pointer such as `/event_id`, a JSON array of 2 to 8 JSON Pointers, `attribute:NAME` or `content`"
    )]
    Form,
    /// The text begins with `/`, but is not a JSON Pointer.
    #[error(transparent)]
    Pointer(PointerError),
    /// The text begins with `[`, but is not a JSON array of strings.
    #[error("must be a JSON array of strings: {0}")]
    Array(serde_json::Error),
    /// The array has fewer than two or more than eight elements.
    #[error("must have 2 to 8 JSON Pointers, but has {0}")]
    Count(usize),
    /// An element of the array is not a JSON Pointer.
    #[error("element {element}, {text:?}, {error}")]
    Element {
        /// Position of the element, counted from 1.
        element: usize,
        /// Text of the element.
        text: Excerpt,
        /// Reason why the text is not a JSON Pointer.
        error: PointerError,
    },
    /// A pointer occurs twice in the array, or points to an array or object that contains the value of another pointer.
    /// An array or object cannot be part of an event id.
    #[error("`{0}` must not be the same as `{1}` or contain it")]
    Nested(String, String),
    /// The name after `attribute:` is not the name of a message attribute.
    #[error(
        "must name a message attribute: 1 to 256 letters, digits, `_`, `-` and `.`, with no `.` at the start, at the end or \
        after another `.`, and not beginning with `AWS.` or `Amazon.`"
    )]
    AttributeName,
}

/// The default of `DEDUP_KEY`.
pub const DEFAULT_DEDUP_KEY: &str = "/event_id";

impl DedupKey {
    /// Parses the text of the setting. White space in an array does not matter.
    ///
    /// # Errors
    /// Fails if the text breaks one of the rules that [`DedupKeyError`] lists.
    pub fn parse(text: &str) -> Result<Self, DedupKeyError> {
        if text == "content" {
            return Ok(Self { text: text.to_owned(), kind: KeyKind::Content });
        }
        if let Some(name) = text.strip_prefix("attribute:") {
            if !is_attribute_name(name) {
                return Err(DedupKeyError::AttributeName);
            }
            return Ok(Self { text: text.to_owned(), kind: KeyKind::Attribute(name.to_owned()) });
        }
        if text.starts_with('/') {
            let pointer = JsonPointer::parse(text).map_err(DedupKeyError::Pointer)?;
            return Ok(Self { text: text.to_owned(), kind: KeyKind::Pointer(pointer) });
        }
        if !text.trim_start().starts_with('[') {
            return Err(DedupKeyError::Form);
        }
        let elements: Vec<String> = serde_json::from_str(text).map_err(DedupKeyError::Array)?;
        if !(2..=8).contains(&elements.len()) {
            return Err(DedupKeyError::Count(elements.len()));
        }
        let mut pointers = Vec::with_capacity(elements.len());
        for (index, text) in elements.iter().enumerate() {
            pointers.push(JsonPointer::parse(text).map_err(|error| DedupKeyError::Element {
                element: index + 1,
                text: Excerpt::of(text),
                error,
            })?);
        }
        for (index, one) in pointers.iter().enumerate() {
            for other in &pointers[index + 1..] {
                for (outer, inner) in [(one, other), (other, one)] {
                    if outer.contains(inner) {
                        return Err(DedupKeyError::Nested(outer.quotation(), inner.quotation()));
                    }
                }
            }
        }
        Ok(Self { text: json_array(&pointers), kind: KeyKind::Pointers(pointers) })
    }

    /// Returns the name of the message attribute that contains the event id; `None` for the other kinds of keys.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        match &self.kind {
            KeyKind::Attribute(name) => Some(name),
            _ => None,
        }
    }

    /// Returns true if the event id is the hash of the body.
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(self.kind, KeyKind::Content)
    }

    /// Returns the pointers to the parts of the key in the body.
    pub(crate) fn pointers(&self) -> &[JsonPointer] {
        match &self.kind {
            KeyKind::Pointer(pointer) => std::slice::from_ref(pointer),
            KeyKind::Pointers(pointers) => pointers,
            KeyKind::Attribute(_) | KeyKind::Content => &[],
        }
    }
}

/// Writes the text of the setting, without white space between the tokens of an array.
impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the JSON array of these pointers, without white space.
pub(crate) fn json_array(pointers: &[JsonPointer]) -> String {
    let texts: Vec<&str> = pointers.iter().map(JsonPointer::as_str).collect();
    serde_json::to_string(&texts).expect("strings can always be encoded")
}

/// Checks the name of a message attribute against the rules in the SQS developer guide ("Amazon SQS message metadata").
fn is_attribute_name(name: &str) -> bool {
    let lower_case = name.to_ascii_lowercase();
    let is_reserved = lower_case.starts_with("aws.") || lower_case.starts_with("amazon.");
    (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !is_reserved
}
