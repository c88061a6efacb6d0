//! The one kind of CloudWatch Logs filter pattern that the emulator supports.

use serde_json::Value;

/// A pattern such as `{ $.event_id = "grid_*" }`, which matches JSON lines whose field `event_id` starts with `grid_`.
/// Without the `*`, the whole text of the field must match.
pub(crate) struct Pattern<'a> {
    name: &'a str,
    text: &'a str,
    is_whole: bool,
}

impl<'a> Pattern<'a> {
    pub(crate) fn parse(pattern: &'a str) -> Result<Self, String> {
        let inner = pattern.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let parts = inner.and_then(|inner| {
            let (name, text) = inner.trim().strip_prefix("$.")?.split_once('=')?;
            let name = name.trim();
            let text = text.trim().strip_prefix('"')?.strip_suffix('"')?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let start = text.strip_suffix('*');
            let text = start.unwrap_or(text);
            let is_whole = start.is_none();
            (is_name && !text.contains(['"', '\\', '*'])).then_some(Self { name, text, is_whole })
        });
        parts.ok_or_else(|| {
            format!(r#"the emulator supports only filter patterns {{ $.name = "text" }}, not {pattern}"#)
        })
    }

    pub(crate) fn matches(&self, line: &str) -> bool {
        let line: Result<Value, _> = serde_json::from_str(line);
        let text = line.as_ref().ok().and_then(|line| line[self.name].as_str());
        text.is_some_and(|text| if self.is_whole { text == self.text } else { text.starts_with(self.text) })
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    /// A pattern compares a text with one whole field or with the start of one field. Every other pattern is an error.
    #[test]
    fn pattern_is_one_name_with_a_text() {
        let line = r#"{"outcome":"won","event_id":"grid_1"}"#;
        for (pattern, matches) in [
            (r#"{ $.event_id = "grid_1" }"#, true),
            (r#"{$.outcome="won"}"#, true),
            (r#"{ $.event_id = "grid_*" }"#, true),
            (r#"{ $.event_id = "*" }"#, true),
            (r#"{ $.event_id = "grid_" }"#, false),
            (r#"{ $.key = "*" }"#, false),
        ] {
            assert_eq!(Pattern::parse(pattern).map(|pattern| pattern.matches(line)), Ok(matches), "{pattern}");
        }
        for pattern in
            ["ERROR", "{ $.a = 1 }", r#"{ $.a = "b" && $.c = "d" }"#, r#"{ $.a = "*b" }"#, r#"{ $.a != "b" }"#]
        {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
