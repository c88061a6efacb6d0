//! Compares two JSON texts. They are the same if both have the same values in the same order and write each number the
//! same way. Differences in white space and escapes do not matter.

use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings};
use struson::writer::{JsonStreamWriter, JsonWriter as _};

/// Returns true if both texts are the same JSON. Texts that are not valid JSON are the same only if they are identical.
#[must_use]
pub fn same_json(one: &str, other: &str) -> bool {
    one == other || matches!((normalize(one), normalize(other)), (Some(one), Some(other)) if one == other)
}

/// Rewrites a JSON text in one fixed format, or returns `None` if the text is not valid JSON. The Lambda functions use
/// other code to write events, so this check does not share the bugs of that code.
fn normalize(json: &str) -> Option<Vec<u8>> {
    let settings =
        ReaderSettings { restrict_number_values: false, max_nesting_depth: None, ..ReaderSettings::default() };
    let mut reader = JsonStreamReader::new_custom(json.as_bytes(), settings);
    let mut out = Vec::new();
    let mut writer = JsonStreamWriter::new(&mut out);
    reader.transfer_to(&mut writer).ok()?;
    reader.consume_trailing_whitespace().ok()?;
    writer.finish_document().ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::same_json;

    /// White space and escapes do not matter. All other differences matter, such as how a number is written and the
    /// order of values.
    #[test]
    fn same_json_ignores_space_and_escapes() {
        assert!(same_json(r#"{"a":[1.50,"é"]}"#, "{ \"a\" : [1.50 ,\"\\u00e9\"] }\n"));
        for (one, other) in
            [("1.5", "1.50"), (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), ("1e5", "1E5"), ("[1]", "[1,2]"), ("x", "y")]
        {
            assert!(!same_json(one, other), "{one} and {other}");
        }
    }
}
