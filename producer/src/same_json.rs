//! Whether two texts are the same JSON: the same values in the same order, with the same number text. White space and escapes
//! do not count.

use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings};
use struson::writer::{JsonStreamWriter, JsonWriter as _};

/// `false` too if one of them is no JSON.
#[must_use]
pub fn same_json(one: &str, other: &str) -> bool {
    one == other || matches!((rewritten(one), rewritten(other)), (Some(one), Some(other)) if one == other)
}

/// The same JSON as one library writes it, from tokens that another code path than the functions' took apart.
fn rewritten(json: &str) -> Option<Vec<u8>> {
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

    #[test]
    fn only_white_space_and_escapes_do_not_count() {
        assert!(same_json(r#"{"a":[1.50,"é"]}"#, "{ \"a\" : [1.50 ,\"\\u00e9\"] }\n"));
        for (one, other) in
            [("1.5", "1.50"), (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#), ("1e5", "1E5"), ("[1]", "[1,2]"), ("x", "y")]
        {
            assert!(!same_json(one, other), "{one} and {other}");
        }
    }
}
