//! Formats an error and its sources as text.

use std::error::Error;
use std::fmt::Write as _;

/// Formats an error and all its sources in one line, such as `failed to read the file: permission denied`.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Some libraries repeat their source in their own text.
        let cause_text = cause.to_string();
        if !chain.ends_with(&cause_text) {
            write!(chain, ": {cause_text}").expect("a string can always be written to");
        }
        source = cause.source();
    }
    chain
}
