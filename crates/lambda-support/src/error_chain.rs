//! Formats an error and its sources as text.

use std::error::Error;
use std::fmt::Write as _;

/// Joins the texts of an error and its sources with colons, as in `failed to read the file: permission denied`.
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn each_source_appears_once() {
        let denied = || anyhow!("permission denied");
        let expected = "failed to start: failed to read the file: permission denied";
        let quiet = denied().context("failed to read the file").context("failed to start");
        assert_eq!(error_chain(quiet.as_ref()), expected);
        let repeating = denied().context("failed to read the file: permission denied").context(expected);
        assert_eq!(error_chain(repeating.as_ref()), expected);
    }
}
