//! What an error quotes of its input.

use std::fmt;

/// Characters that an error quotes at the most: enough to find the place, and no log line as long as the input.
const MAX_CHARS: usize = 100;

/// The beginning of a text that came from outside, with an ellipsis where it went on.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Of at most a hundred characters.
    #[must_use]
    pub fn of(text: &str) -> Self {
        match text.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => Self(format!("{}…", &text[..end])),
            None => Self(text.to_owned()),
        }
    }
}

/// As a quoted string.
impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
