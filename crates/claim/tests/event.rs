//! Which bodies are events, what their id is, and which of them say the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use claim::{Digest, Event, EventError, EventIdPointer};
use proptest::prelude::*;

fn id(body: &str, pointer: &str) -> Result<String, String> {
    let pointer = EventIdPointer::parse(pointer).unwrap();
    Event::parse(body, &pointer).map(|event| event.id).map_err(|error| error.to_string())
}

fn digest(body: &str) -> Digest {
    Digest::of(body).unwrap()
}

#[test]
fn the_id_is_found_wherever_the_pointer_leads() {
    let found = |body, pointer| id(body, pointer).unwrap();
    assert_eq!(found(r#"{"event_id":"a"}"#, "/event_id"), "a");
    assert_eq!(found(r#"{"x":{"id":"no"},"detail":{"id":"b"}}"#, "/detail/id"), "b");
    assert_eq!(found(r#"[{"id":"no"},{"id":"c"}]"#, "/1/id"), "c");
    assert_eq!(found(r#"{"a/b":{"m~n":"d"}}"#, "/a~1b/m~0n"), "d");
    assert_eq!(found(r#"{"":"e"}"#, "/"), "e");
    assert_eq!(found(r#""f""#, ""), "f");
    assert_eq!(found("{\"\\u0065vent_id\":\"\\u00e9\\ud83d\\ude00\"}", "/event_id"), "é😀");
}

#[test]
fn an_integer_id_is_taken_as_its_text() {
    assert_eq!(id(r#"{"event_id":7}"#, "/event_id").unwrap(), "7");
    assert_eq!(id(r#"{"event_id":-0}"#, "/event_id").unwrap(), "-0");
    let large = "123456789012345678901234567890";
    assert_eq!(id(&format!(r#"{{"event_id":{large}}}"#), "/event_id").unwrap(), large);
}

#[test]
fn an_id_of_another_kind_is_refused_with_what_was_found_and_where() {
    for (body, said) in [
        (r#"{"event_id":""}"#, "an empty string"),
        (r#"{"event_id":1.5}"#, "a number with a fraction or an exponent"),
        (r#"{"event_id":1e3}"#, "a number with a fraction or an exponent"),
        (r#"{"event_id":null}"#, "null"),
        (r#"{"event_id":true}"#, "a boolean"),
        (r#"{"event_id":["a"]}"#, "an array"),
        (r#"{"event_id":{"a":"b"}}"#, "an object"),
    ] {
        let expected = format!("the event id at `/event_id` is {said}, not a non-empty string or an integer");
        assert_eq!(id(body, "/event_id").unwrap_err(), expected);
    }
    for (body, pointer) in
        [("{}", "/event_id"), (r#"[["a"]]"#, "/00/0"), (r#"[["a"]]"#, "/-"), (r#"{"a":"b"}"#, "/a/b"), ("5", "/x")]
    {
        assert_eq!(id(body, pointer).unwrap_err(), format!("the body has no event id at `{pointer}`"));
    }
}

#[test]
fn the_longest_id_fits_the_partition_key_and_one_byte_more_is_refused() {
    let longest = "é".repeat(1_021);
    assert_eq!(longest.len() + "EVENT#".len(), 2_048);
    assert_eq!(id(&format!(r#"{{"event_id":"{longest}"}}"#), "/event_id").unwrap(), longest);
    let error = id(&format!(r#"{{"event_id":"{longest}x"}}"#), "/event_id").unwrap_err();
    assert_eq!(error, "the event id at `/event_id` is 2043 bytes long, more than 2042");
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
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

#[test]
fn a_name_that_is_repeated_in_one_object_is_refused_however_it_is_written() {
    for body in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"\u0061":3}"#, r#"[{"x":{"é":1,"\u00e9":1}}]"#] {
        assert!(matches!(Digest::of(body), Err(EventError::RepeatedName(_))), "{body:?} was accepted");
    }
    assert!(Digest::of(r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
}

#[test]
fn an_error_quotes_at_the_most_a_hundred_characters_of_a_name() {
    for name in ["x".repeat(400_000), "é".repeat(200_000)] {
        let error = Digest::of(&format!(r#"{{"{name}":1,"{name}":2}}"#)).unwrap_err().to_string();
        let quoted: String = name.chars().take(100).collect();
        assert_eq!(error, format!("the body has the name \"{quoted}…\" twice in one object"));
    }
    let error = Digest::of(r#"{"a":1,"a":1}"#).unwrap_err().to_string();
    assert_eq!(error, r#"the body has the name "a" twice in one object"#);
}

#[test]
fn nesting_is_allowed_to_128_and_a_million_brackets_are_refused_without_a_crash() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Digest::of(&nested(128)).is_ok());
    assert!(Digest::of(&nested(129)).is_err());
    assert!(Digest::of(&nested(500_000)).is_err());
    assert!(Digest::of(&"{\"a\":".repeat(200_000)).is_err());
}

#[test]
fn a_duplicate_that_was_serialised_anew_has_the_same_digest() {
    let one = r#"{"b":[1.50,true,null,{"y":"é","x":"\/"}],"a":{"":0},"é":1e5}"#;
    let other = "{ \"\\u00e9\" : 1e5, \"a\":{\"\":0},\n\t\"b\":[1.50, true ,null,{\"x\":\"/\",\"y\":\"\\u00e9\"}]}\r\n";
    assert_eq!(digest(one), digest(other));
}

#[test]
fn numbers_are_compared_as_written() {
    let number = |text: &str| digest(&format!("[{text}]"));
    for (one, other) in [("1", "1.0"), ("1e5", "1E5"), ("0", "-0"), ("100000000000000000001", "100000000000000000000")]
    {
        assert_ne!(number(one), number(other), "{one} and {other}");
    }
}

#[test]
fn the_digest_is_a_version_and_sha_256_of_the_documented_canonical_form() {
    // sha256sum of {"a":[1.0,"\n\"/é"],"b":null}, written by hand.
    let expected = "01".to_owned() + "da26bdabfeb926ec62b6c386028d66e8f186b6bb64c0cb81684f58a8ee606d90";
    let actual = digest("{\"b\":null, \"a\":[1.0,\"\\u000a\\\"\\/\\u00e9\"]}").to_string();
    assert_eq!(actual, expected);
}

#[test]
fn names_are_sorted_by_their_utf_8_and_not_by_their_escapes_or_utf_16() {
    // By UTF-8, U+FF5E comes before U+1F600; by UTF-16 code units it would come after. `"` sorts as itself, not as `\`.
    assert_eq!(digest(r#"{"～":1,"😀":2,"\"":3,"A":4}"#), digest(r#"{"\"":3,"A":4,"～":1,"😀":2}"#));
    // Escaped in whatever way JSON knows, and one the beginning of another.
    assert_eq!(
        digest(
            r#"{"b":0,"\u001fz":1,"\t":2,"\u0001":3,"":4,"\\":5,"\n":6,"a":7,"aa":8,"\b":9,"\f":10,"\r":11,"/":12}"#
        ),
        digest(
            r#"{"":4,"\u0001":3,"\b":9,"\t":2,"\n":6,"\f":10,"\r":11,"\u001fz":1,"\/":12,"\\":5,"a":7,"aa":8,"b":0}"#
        )
    );
    // sha256sum of the canonical form, in which the names' values are 12, 1, 6, 0, 3, 4, 5, 7, 2, 8, 11, 9, 13, 10, 14, 15.
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

#[test]
fn a_digest_of_another_version_or_length_is_not_taken_for_ours() {
    let stored = digest("{}").as_bytes().to_vec();
    assert_eq!(Digest::from_stored(&stored), Some(digest("{}")));
    let mut other = stored.clone();
    other[0] = 2;
    assert_eq!(Digest::from_stored(&other), None);
    assert_eq!(Digest::from_stored(&stored[..32]), None);
    assert_eq!(Digest::from_stored(&[]), None);
}

/// JSON values with few names, so that objects share them.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,4}|[\u{0}-\u{22}\\\\]{0,3}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map("[abé\"\\\\]{0,2}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value again: other order of names, other white space, other escapes.
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
    #[test]
    fn a_value_keeps_its_digest_however_it_is_rewritten_and_no_two_values_share_one(a in json(), b in json()) {
        let mut rewritten = String::new();
        rewrite(&a, &mut rewritten);
        prop_assert_eq!(digest(&a.to_string()), digest(&rewritten));
        prop_assert_eq!(digest(&a.to_string()) == digest(&b.to_string()), a == b);
    }

    #[test]
    fn the_id_is_what_serde_json_finds(value in json(), pointer in "(/[abé0-2]{0,2}){0,3}") {
        let expected = match value.pointer(&pointer) {
            Some(serde_json::Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(serde_json::Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        prop_assert_eq!(id(&value.to_string(), &pointer).ok(), expected);
    }

    #[test]
    fn whatever_is_accepted_is_json_and_whatever_the_input_nothing_panics(body in "[\\[\\]{}:,\"\\\\u0-9a-f. eE+-]{0,40}|\\PC*") {
        if Digest::of(&body).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
        }
    }
}
