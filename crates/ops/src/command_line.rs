//! Code that the command-line tools of this workspace share.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

use lambda_support::error_chain;
use serde::Serialize;

/// The error for a profile with single sign-on, a login session or a credential process. The tools do not support such
/// profiles, because the support would need two more SDK crates.
const EXPORT_CREDENTIALS: &str =
    "cannot use the profile's credentials: run eval \"$(aws configure export-credentials --format env)\" first";

/// A part of the SDK's error for a profile that the tools do not support. The tools have to look for this text, because
/// the SDK does not return a typed error.
const UNSUPPORTED_PROFILE: &str = "cargo feature(s) enabled";

/// Returns the first paragraph of clap's error as one line, followed by clap's tips. Omits the usage.
#[must_use]
pub fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let first_paragraph: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let tips = lines.filter(|line| line.starts_with("tip: "));
    [first_paragraph.join(" ")].into_iter().chain(tips.map(str::to_owned)).collect::<Vec<_>>().join("; ")
}

/// Joins the texts of an error and its sources with colons. For a profile that the tools do not support, returns advice
/// to export the credentials instead.
#[must_use]
pub fn error_line(error: &dyn Error) -> String {
    let chain = error_chain(error);
    if chain.contains(UNSUPPORTED_PROFILE) { EXPORT_CREDENTIALS.to_owned() } else { chain }
}

/// Returns `text` with its control characters escaped, such as `\n` or `\u{1b}`, so that it can be printed on a
/// terminal.
///
/// Event ids, bodies and error texts come from other systems. Without escapes, they could clear the screen, forge a
/// line, or change the order in which text is displayed.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_control(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Writes one line, with its control characters escaped by [`printable`].
///
/// # Errors
/// Fails if `out` cannot be written to.
pub fn write_line(out: &mut impl Write, line: impl Display) -> io::Result<()> {
    writeln!(out, "{}", printable(&line.to_string()))
}

/// Writes a value as indented JSON. Also escapes the control characters from U+007F on, which `serde_json` leaves as
/// they are.
///
/// # Errors
/// Fails if the value cannot be serialized or `out` cannot be written to.
pub fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    let mut escaped = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        // Only strings contain control characters other than line feeds, and in a string JSON allows the escape.
        if c != '\n' && is_control(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    writeln!(out, "{escaped}")
}

/// Returns true for the control characters of ASCII and Latin-1, and for those that change the direction of text
/// (Unicode's `Bidi_Control`).
fn is_control(c: char) -> bool {
    let is_bidi_control =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_bidi_control
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::ReplayError;

    /// Control characters of each kind are escaped. Other text is returned without a copy.
    #[test]
    fn control_characters_are_escaped() {
        for (text, expected) in [
            ("\u{1b}[2J\u{1b}]0;pwned\u{7}evil2", r"\u{1b}[2J\u{1b}]0;pwned\u{7}evil2"),
            ("a\nb\rc\td\0", r"a\nb\rc\td\u{0}"),
            ("\u{7f}\u{80}\u{9b}31m\u{9f}", r"\u{7f}\u{80}\u{9b}31m\u{9f}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", r"\u{202a}\u{202e}\u{2066}\u{2069}"),
            ("\u{61c}\u{200e}\u{200f}", r"\u{61c}\u{200e}\u{200f}"),
        ] {
            assert_eq!(printable(text), expected);
        }
        let harmless = "é \\ \" ' \u{a0} \u{202f} \u{2065} 日本 \u{10ffff}";
        assert!(matches!(printable(harmless), Cow::Borrowed(text) if text == harmless));
    }

    /// A text that contains a line break is written as one line.
    #[test]
    fn written_line_is_one_line() {
        let mut out = Vec::new();
        write_line(&mut out, format_args!("{}: {}", "a\nb", 1)).expect("memory can be written to");
        assert_eq!(String::from_utf8(out).expect("it is text"), "a\\nb: 1\n");
    }

    /// JSON for a terminal has no control characters except for line feeds, and parses to the same value.
    #[test]
    fn written_json_has_no_control_characters() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{1b}\n\u{7f}\u{85}\u{202e}é", 1, "\u{2066}"], "b": "" });
        let mut out = Vec::new();
        write_json(&mut out, &value).expect("memory can be written to");
        let text = String::from_utf8(out).expect("it is text");
        assert!(text.chars().all(|c| c == '\n' || !is_control(c)), "{text:?}");
        assert!(text.contains(r"\u001b\n\u007f\u0085\u202eé"), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON"), value);
    }

    /// The error line for an unknown argument says how to pass the argument as a value.
    #[test]
    fn usage_error_keeps_the_tip() {
        let command = clap::Command::new("c").arg(clap::Arg::new("id"));
        let error = command.try_get_matches_from(["c", "-1"]).expect_err("-1 looks like an option");
        assert_eq!(
            usage_error(&error),
            "error: unexpected argument '-1' found; tip: to pass '-1' as a value, use '-- -1'"
        );
    }

    /// The error line names the error and its sources. For a profile with single sign-on, it advises the user to export
    /// the credentials.
    #[test]
    fn error_line_has_sources_or_advice() {
        let error = |source: &str| ReplayError::Describe { table: "claims".to_owned(), source: source.into() };
        assert_eq!(
            error_line(&error("the answer has no ARN")),
            "failed to describe the table claims: the answer has no ARN"
        );
        assert_eq!(error_line(&error("required cargo feature(s) enabled: sso")), EXPORT_CREDENTIALS);
    }
}
