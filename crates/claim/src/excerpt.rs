//! Short quotations of the input in error messages.

use std::fmt;

/// Longest quotation in characters: long enough to find the place in the input, short enough for a log line.
const MAX_CHARS: usize = 100;

/// The beginning of a text from the input, with an ellipsis if the text was cut.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Returns `text`, cut after its first hundred characters.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => Self(format!("{}…", &text[..end])),
            None => Self(text.to_owned()),
        }
    }
}

/// Writes the excerpt as a quoted string.
impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
