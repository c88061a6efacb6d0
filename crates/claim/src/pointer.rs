//! The JSON Pointer to the event id in a body.

use std::fmt;

use jsonptr::Pointer;

/// An RFC 6901 JSON Pointer to the event id in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdPointer {
    text: String,
    tokens: Vec<String>,
}

impl EventIdPointer {
    /// Parses a pointer such as `/event_id`, `/detail/id` or `/items/0/id`. The empty pointer points to the whole body.
    ///
    /// # Errors
    /// Fails if the pointer is not empty and does not begin with `/`, or if it contains a `~` that is not part of `~0` or
    /// `~1`.
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

/// Recognizes the value at the pointer while a body is read.
pub(crate) struct PointerTracker<'a> {
    /// The pointer's tokens; `None` if the reader needs no event id.
    tokens: Option<&'a [String]>,
    /// Number of open arrays and objects.
    depth: usize,
    /// Number of open arrays and objects on the pointer's path, which leads from the whole body to the value at the
    /// pointer. These are always the outermost ones.
    depth_on_path: usize,
    /// True if the next value is on the pointer's path.
    is_on_path: bool,
}

impl<'a> PointerTracker<'a> {
    pub(crate) fn new(pointer: Option<&'a EventIdPointer>) -> Self {
        let tokens = pointer.map(|pointer| pointer.tokens.as_slice());
        Self { tokens, depth: 0, depth_on_path: 0, is_on_path: tokens.is_some() }
    }

    /// Moves to the member `name` of the innermost object.
    pub(crate) fn at_name(&mut self, name: &str) {
        self.is_on_path = self.expected_token().is_some_and(|token| token == name);
    }

    /// Moves to the item at `index` of the innermost array.
    pub(crate) fn at_index(&mut self, index: usize) {
        self.is_on_path = self.expected_token().is_some_and(|token| *token == index.to_string());
    }

    /// Returns true if the pointer points to the next value.
    pub(crate) fn is_target(&self) -> bool {
        self.is_on_path && self.tokens.is_some_and(|tokens| tokens.len() == self.depth)
    }

    /// Enters the next value, which is an array or an object.
    pub(crate) fn enter(&mut self) {
        self.depth_on_path += usize::from(self.is_on_path);
        self.depth += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
        self.depth_on_path = self.depth_on_path.min(self.depth);
    }

    /// Returns the name or index of the child that is on the pointer's path, in the innermost open array or object.
    /// Returns `None` if no child is on the path.
    fn expected_token(&self) -> Option<&'a String> {
        if self.depth_on_path < self.depth { None } else { self.tokens?.get(self.depth - 1) }
    }
}
