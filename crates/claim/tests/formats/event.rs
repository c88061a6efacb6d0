//! Tests of the body parser: which bodies are valid, and their event ids and digests.

use claim::{Digest, EventError};
use proptest::prelude::*;

use crate::json::any_json;
use crate::{event_id, rules};

fn id(body: &str, pointer: &str) -> Result<String, String> {
    event_id(&rules(pointer, "[]"), body)
}

fn digest(body: &str) -> Digest {
    Digest::of(body).unwrap()
}

#[test]
fn pointer_finds_event_id() {
    let found = |body, pointer| id(body, pointer).unwrap();
    assert_eq!(found(r#"{"event_id":"a"}"#, "/event_id"), "a");
    assert_eq!(found(r#"{"x":{"id":"no"},"detail":{"id":"b"}}"#, "/detail/id"), "b");
    assert_eq!(found(r#"[{"id":"no"},{"id":"c"}]"#, "/1/id"), "c");
    assert_eq!(found(r#"{"a/b":{"m~n":"d"}}"#, "/a~1b/m~0n"), "d");
    assert_eq!(found(r#"{"":"e"}"#, "/"), "e");
    assert_eq!(found("{\"\\u0065vent_id\":\"\\u00e9\\ud83d\\ude00\"}", "/event_id"), "é😀");
}

#[test]
fn integer_id_becomes_its_text() {
    assert_eq!(id(r#"{"event_id":7}"#, "/event_id").unwrap(), "7");
    assert_eq!(id(r#"{"event_id":-0}"#, "/event_id").unwrap(), "-0");
    let large = "123456789012345678901234567890";
    assert_eq!(id(&format!(r#"{{"event_id":{large}}}"#), "/event_id").unwrap(), large);
}

/// The parser treats every pair of ids in the README of `ingest-fn` as the table there says.
#[test]
fn ids_are_equal_as_the_readme_says() {
    let readme = include_str!("../../../../ingest-fn/README.md");
    let (_, table) = readme.split_once("| id | other id | meaning |\n| --- | --- | --- |\n").unwrap();
    let read = |cell: &str| id(&format!(r#"{{"event_id":{}}}"#, cell.split('`').nth(1).unwrap()), "/event_id");
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 11);
    for row in rows {
        let [_, one, other, meaning, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let one = read(one).unwrap();
        match (meaning.trim(), read(other)) {
            ("one event", Ok(other)) => assert_eq!(one, other, "{row}"),
            ("two events", Ok(other)) => assert_ne!(one, other, "{row}"),
            ("the other id is rejected", other) => assert!(other.is_err(), "{row}"),
            (_, other) => panic!("{row} gives {other:?}"),
        }
    }
}

/// A body without a usable event id is refused. The error names the pointer and, if there is a value, its kind.
#[test]
fn unusable_id_error_names_pointer_and_kind() {
    for (body, kind) in [
        (r#"{"event_id":""}"#, "an empty string"),
        (r#"{"event_id":1.5}"#, "a number with a fraction or an exponent"),
        (r#"{"event_id":1e3}"#, "a number with a fraction or an exponent"),
        (r#"{"event_id":null}"#, "null"),
        (r#"{"event_id":true}"#, "a boolean"),
        (r#"{"event_id":["a"]}"#, "an array"),
        (r#"{"event_id":{"a":"b"}}"#, "an object"),
    ] {
        let expected = format!("the dedup key at `/event_id` is {kind}, not a non-empty string or an integer");
        assert_eq!(id(body, "/event_id").unwrap_err(), expected);
    }
    for (body, pointer) in
        [("{}", "/event_id"), (r#"[["a"]]"#, "/00/0"), (r#"[["a"]]"#, "/-"), (r#"{"a":"b"}"#, "/a/b"), ("5", "/x")]
    {
        assert_eq!(id(body, pointer).unwrap_err(), format!("the body has no dedup key at `{pointer}`"));
    }
}

/// The longest event id fits into the partition key, and an id that is one byte longer is refused.
#[test]
fn id_length_limit_is_exact() {
    let longest = "é".repeat(1_021);
    assert_eq!(longest.len() + "EVENT#".len(), 2_048);
    assert_eq!(id(&format!(r#"{{"event_id":"{longest}"}}"#), "/event_id").unwrap(), longest);
    let error = id(&format!(r#"{{"event_id":"{longest}x"}}"#), "/event_id").unwrap_err();
    assert_eq!(error, "the event id at the dedup key `/event_id` is 2043 bytes long, more than 2042");
}

/// A body that two parsers could read differently is refused.
#[test]
fn ambiguous_json_is_refused() {
    for body in [
        "",
        " ",
        "not json",
        "{",
        "[1,]",
        "[1 2]",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "01",
        "+1",
        ".5",
        "1.",
        "NaN",
        "Infinity",
        "'a'",
        "{a:1}",
        "// c\n{}",
        "\"\u{0}\"",
        "\"a\nb\"",
        r#""\x""#,
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#"{"\ud800":1}"#,
        "\u{a0}{}",
    ] {
        assert!(matches!(Digest::of(body), Err(EventError::NotJson(_))), "{body:?} was accepted");
    }
}

/// A name that occurs twice in one object is refused, even if it is escaped differently.
#[test]
fn repeated_name_is_refused() {
    for body in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"[{"x":{"é":1,"\u00e9":1}}]"#] {
        assert!(matches!(Digest::of(body), Err(EventError::RepeatedName(_))), "{body:?} was accepted");
    }
    assert!(Digest::of(r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
}

#[test]
fn error_quotes_at_most_100_characters() {
    for name in ["x".repeat(400_000), "é".repeat(200_000)] {
        let error = Digest::of(&format!(r#"{{"{name}":1,"{name}":2}}"#)).unwrap_err().to_string();
        let quoted: String = name.chars().take(100).collect();
        assert_eq!(error, format!("the body has the name \"{quoted}…\" twice in one object"));
    }
    let error = Digest::of(r#"{"a":1,"a":1}"#).unwrap_err().to_string();
    assert_eq!(error, r#"the body has the name "a" twice in one object"#);
}

/// Bodies may be nested 128 levels deep. Deeper nesting is an error, and a million brackets do not crash the parser.
#[test]
fn nesting_limit_is_128() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Digest::of(&nested(128)).is_ok());
    assert!(Digest::of(&nested(129)).is_err());
    assert!(Digest::of(&nested(500_000)).is_err());
    assert!(Digest::of(&"{\"a\":".repeat(200_000)).is_err());
}

#[test]
fn digest_survives_reserialization() {
    let one = r#"{"b":[1.50,true,null,{"y":"é","x":"\/"}],"a":{"":0},"é":1e5}"#;
    let other = "{ \"\\u00e9\" : 1e5, \"a\":{\"\":0},\n\t\"b\":[1.50, true ,null,{\"x\":\"/\",\"y\":\"\\u00e9\"}]}\r\n";
    assert_eq!(digest(one), digest(other));
}

/// The digest depends on the text of a number, not on its value.
#[test]
fn numbers_are_compared_as_text() {
    let number = |text: &str| digest(&format!("[{text}]"));
    for (one, other) in [("1", "1.0"), ("1e5", "1E5"), ("0", "-0"), ("100000000000000000001", "100000000000000000000")]
    {
        assert_ne!(number(one), number(other), "{one} and {other}");
    }
}

/// A digest is the version byte and the SHA-256 of the documented canonical form.
#[test]
fn digest_is_version_and_sha_256() {
    // The output of `sha256sum` for {"a":[1.0,"\n\"/é"],"b":null}, a canonical form that was written by hand.
    let expected = "01".to_owned() + "da26bdabfeb926ec62b6c386028d66e8f186b6bb64c0cb81684f58a8ee606d90";
    let actual = digest("{\"b\":null, \"a\":[1.0,\"\\u000a\\\"\\/\\u00e9\"]}").to_string();
    assert_eq!(actual, expected);
}

/// Names are sorted by their unescaped UTF-8, not by their escapes or their UTF-16.
#[test]
fn names_are_sorted_by_unescaped_utf_8() {
    // U+FF5E comes before U+1F600 in UTF-8, but after it in UTF-16. An escaped `"` sorts as `"`, not as `\`.
    assert_eq!(digest(r#"{"～":1,"😀":2,"\"":3,"A":4}"#), digest(r#"{"\"":3,"A":4,"～":1,"😀":2}"#));
    // The names contain every kind of JSON escape, and one name (`a`) is the beginning of another (`aa`).
    assert_eq!(
        digest(
            r#"{"b":0,"\u001fz":1,"\t":2,"\u0001":3,"":4,"\\":5,"\n":6,"a":7,"aa":8,"\b":9,"\f":10,"\r":11,"/":12}"#
        ),
        digest(
            r#"{"":4,"\u0001":3,"\b":9,"\t":2,"\n":6,"\f":10,"\r":11,"\u001fz":1,"\/":12,"\\":5,"a":7,"aa":8,"b":0}"#
        )
    );
    // Both hex digits of a control character's escape count.
    assert_eq!(
        digest(r#"{"\u0011":1,"\u0002":2,"\u001e":5,"\u0010":3,"\u0000":4,"\u001b":7,"\u0001":6}"#),
        digest(r#"{"\u0000":4,"\u0001":6,"\u0002":2,"\u0010":3,"\u0011":1,"\u001b":7,"\u001e":5}"#)
    );
    // The output of `sha256sum` for the canonical form. Its members have the values 12, 1, 6, 0, 3, 4, 5, 7, 2, 8, 11,
    // 9, 13, 10, 14 and 15, in this order.
    let every_escape = concat!(
        r#"{"\t":0,"\u0001":1," ":2,"\n":3,"\f":4,"\r":5,"\b":6,"\u001f":7,"#,
        r#""\"":8,"\\":9,"a":10,"/":11,"":12,"]":13,"o":14,"z":15}"#
    );
    assert_eq!(
        digest(every_escape).to_string(),
        "01".to_owned() + "54a15e41fd85273d37723e258f1be710974d6ce6ec5fec4beabf5bf07cb7cbd6"
    );
    let by_utf8 = Digest::of(r#"{"～":1,"😀":2}"#).unwrap();
    assert_eq!(
        by_utf8.to_string(),
        "01".to_owned() + "5b193f2083e51ba1638f64eec3345f3112c630633cdd63740c16c9565d2069d9"
    );
}

/// Writes `value` as JSON, but with another order of names, other white space and other escapes than `to_string`.
fn rewrite(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Array(items) => {
            out.push_str("[ ");
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "\n,\t" } else { "" });
                rewrite(item, out);
            }
            out.push(']');
        }
        serde_json::Value::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().rev().enumerate() {
                out.push_str(if index > 0 { " , " } else { "" });
                rewrite(&serde_json::Value::String(name.clone()), out);
                out.push_str(" :\r");
                rewrite(member, out);
            }
            out.push('}');
        }
        serde_json::Value::String(text) => {
            out.push('"');
            text.encode_utf16().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    /// A value that is written as different JSON text keeps its digest, and different values have different digests.
    #[test]
    fn digests_are_equal_only_for_equal_values(a in any_json(), b in any_json()) {
        let mut rewritten = String::new();
        rewrite(&a, &mut rewritten);
        prop_assert_eq!(digest(&a.to_string()), digest(&rewritten));
        prop_assert_eq!(digest(&a.to_string()) == digest(&b.to_string()), a == b);
    }

    /// No input makes the parser panic, and every accepted body is JSON.
    #[test]
    fn accepted_body_is_json(body in "[\\[\\]{}:,\"\\\\u0-9a-f. eE+-]{0,40}|\\PC*") {
        if Digest::of(&body).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
        }
    }
}
