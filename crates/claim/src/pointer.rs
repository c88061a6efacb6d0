//! The JSON Pointer that leads to a body's event id.

use std::fmt;

use jsonptr::Pointer;

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

/// Follows a pointer while a body is read, and tells whether the next value is its target.
pub(crate) struct PointerTracker<'a> {
    /// `None` if nothing is looked for.
    tokens: Option<&'a [String]>,
    /// Arrays and objects that have been entered and not yet left.
    depth: usize,
    /// The outermost of them that lie on the pointer's path.
    depth_on_path: usize,
    /// The path of the next value is a beginning of the pointer, or all of it.
    is_on_path: bool,
}

impl<'a> PointerTracker<'a> {
    pub(crate) fn new(pointer: Option<&'a EventIdPointer>) -> Self {
        let tokens = pointer.map(|pointer| pointer.tokens.as_slice());
        Self { tokens, depth: 0, depth_on_path: 0, is_on_path: tokens.is_some() }
    }

    /// The next value is the member of this name.
    pub(crate) fn at_name(&mut self, name: &str) {
        self.is_on_path = self.expected_token().is_some_and(|token| token == name);
    }

    /// The next value is the item of this index.
    pub(crate) fn at_index(&mut self, index: usize) {
        self.is_on_path = self.expected_token().is_some_and(|token| *token == index.to_string());
    }

    /// The next value is where the pointer ends.
    pub(crate) fn is_target(&self) -> bool {
        self.is_on_path && self.tokens.is_some_and(|tokens| tokens.len() == self.depth)
    }

    /// The next value is an array or an object, and those after it are its content.
    pub(crate) fn enter(&mut self) {
        self.depth_on_path += usize::from(self.is_on_path);
        self.depth += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
        self.depth_on_path = self.depth_on_path.min(self.depth);
    }

    /// The pointer's token for the content of the innermost array or object, if that lies on the path.
    fn expected_token(&self) -> Option<&'a String> {
        if self.depth_on_path < self.depth { None } else { self.tokens?.get(self.depth - 1) }
    }
}
