//! `CONFLICT_IGNORE`: the members of a body that do not count when two bodies of one event are compared.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::dedup_key::{DedupKey, json_array};
use crate::excerpt::Excerpt;
use crate::pointer::{JsonPointer, PointerError};

/// The setting `CONFLICT_IGNORE`: a list of JSON Pointers to object members that do not count when the bodies of two
/// messages are compared. A pointer to a member that a body does not have ignores nothing in that body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictIgnore {
    /// Sorted, without duplicates.
    pointers: Vec<JsonPointer>,
    text: String,
}

/// The reason why a text is not a list of ignored members.
#[derive(Debug, thiserror::Error)]
pub enum ConflictIgnoreError {
    /// The text is not a JSON array of strings.
    #[error("must be a JSON array of strings: {0}")]
    Array(serde_json::Error),
    /// An element points to the whole body.
    #[error("element {0}, \"\", must not be empty, because it would ignore the whole body")]
    WholeBody(usize),
    /// An element is not a JSON Pointer.
    #[error("element {element}, {text:?}, {error}")]
    Element {
        /// Position of the element, counted from 1.
        element: usize,
        /// Text of the element.
        text: Excerpt,
        /// Reason why the text is not a JSON Pointer.
        error: PointerError,
    },
    /// An element points to a value inside another ignored member.
    #[error("element {element}, `{inner}`, is inside of `{outer}`, which is ignored as a whole")]
    Nested {
        /// Position of the inner element, counted from 1.
        element: usize,
        /// The pointer to the inner value.
        inner: String,
        /// The pointer to the ignored member that contains the inner value.
        outer: String,
    },
    /// An element points to a part of the dedup key, or to an object that contains such a part.
    #[error("element {element}, `{pointer}`, must not be or contain `{part}`, which is part of the dedup key")]
    KeyPart {
        /// Position of the element, counted from 1.
        element: usize,
        /// The pointer to the ignored member.
        pointer: String,
        /// The pointer to the part of the dedup key.
        part: String,
    },
}

impl ConflictIgnore {
    /// Parses the text of the setting, a JSON array such as `["/sent_at","/trace/id"]`. White space, order and
    /// duplicates do not matter.
    ///
    /// # Errors
    /// Fails if the text is not a JSON array of JSON Pointers. Also fails if a pointer is empty, points into another
    /// ignored member, or points to a part of the dedup key or to an object that contains such a part.
    pub fn parse(text: &str, dedup_key: &DedupKey) -> Result<Self, ConflictIgnoreError> {
        let elements: Vec<String> = serde_json::from_str(text).map_err(ConflictIgnoreError::Array)?;
        let mut pointers = Vec::with_capacity(elements.len());
        for (index, text) in elements.iter().enumerate() {
            let element = index + 1;
            let pointer = JsonPointer::parse(text).map_err(|error| match error {
                PointerError::Empty => ConflictIgnoreError::WholeBody(element),
                error => ConflictIgnoreError::Element { element, text: Excerpt::of(text), error },
            })?;
            if let Some(part) = dedup_key.pointers().iter().find(|part| pointer.contains(part)) {
                let pointer = pointer.quotation();
                return Err(ConflictIgnoreError::KeyPart { element, pointer, part: part.quotation() });
            }
            pointers.push(pointer);
        }
        for (index, inner) in pointers.iter().enumerate() {
            if let Some(outer) = pointers.iter().find(|outer| outer != &inner && outer.contains(inner)) {
                let element = index + 1;
                let outer = outer.quotation();
                return Err(ConflictIgnoreError::Nested { element, inner: inner.quotation(), outer });
            }
        }
        pointers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        pointers.dedup();
        let text = json_array(&pointers);
        Ok(Self { pointers, text })
    }

    /// Returns the list that ignores nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { pointers: Vec::new(), text: "[]".to_owned() }
    }

    pub(crate) fn pointers(&self) -> &[JsonPointer] {
        &self.pointers
    }

    /// Returns the four bytes that identify this list in a digest; `None` if the list ignores nothing.
    pub(crate) fn mark(&self) -> Option<[u8; 4]> {
        let hash: [u8; 32] = Sha256::digest(&self.text).into();
        (!self.pointers.is_empty()).then(|| *hash.first_chunk().expect("a hash of 32 bytes has 4 bytes"))
    }
}

/// Writes the list as a sorted JSON array, without duplicates or white space.
impl fmt::Display for ConflictIgnore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
