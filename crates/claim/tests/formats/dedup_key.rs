//! Tests of `DEDUP_KEY`: the forms of the setting, the event ids and the sort keys.

use claim::{DedupKey, MessageAttribute};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json::{any_json, pointers, remove, similar_json};
use crate::{event_id, hex, parse_rules, rules, sha256};

/// Returns the text of a dedup key with `count` pointers.
fn key_of(count: usize) -> String {
    json!((0..count).map(|number| format!("/{number}")).collect::<Vec<_>>()).to_string()
}

/// A composite id is the JSON array of its parts' texts, escaped as `serde_json` does.
#[test]
fn composite_id_is_a_json_array() {
    let source = rules(r#"["/source","/id"]"#, "[]");
    assert_eq!(event_id(&source, r#"{"id":"7","source":"urn:shop-a"}"#).unwrap(), r#"["urn:shop-a","7"]"#);
    let escaped = event_id(&source, "{\"source\":\"é\\u007f\\/\\\"\\\\\",\"id\":\"\\n\\u0001\"}").unwrap();
    assert_eq!(escaped, "[\"é\u{7f}/\\\"\\\\\",\"\\n\\u0001\"]");
}

/// Order 7 of shop a and order 7 of shop b are two events. The integer `7` and the string `"7"` give the same id.
#[test]
fn orders_of_two_shops_are_two_events() {
    let shop = rules(r#"["/shop","/order"]"#, "[]");
    let id = |body: &str| event_id(&shop, body).unwrap();
    assert_eq!(id(r#"{"shop":"a","order":7}"#), r#"["a","7"]"#);
    assert_eq!(id(r#"{"shop":"b","order":"7"}"#), r#"["b","7"]"#);
    assert_eq!(id(r#"{"order":"7","shop":"a"}"#), id(r#"{"shop":"a","order":7}"#));
    let swapped = rules(r#"["/order","/shop"]"#, "[]");
    assert_eq!(event_id(&swapped, r#"{"shop":"a","order":7}"#).unwrap(), r#"["7","a"]"#);
}

/// An array has 2 to 8 pointers.
#[test]
fn number_of_pointers_is_limited() {
    let body = "[0,1,2,3,4,5,6,7,8]";
    for count in 2..=8 {
        let expected = json!((0..count).map(|number| number.to_string()).collect::<Vec<_>>()).to_string();
        assert_eq!(event_id(&rules(&key_of(count), "[]"), body).unwrap(), expected);
    }
    for count in [0, 1, 9, 100] {
        let error = parse_rules(&key_of(count), "[]").unwrap_err();
        assert_eq!(error, format!("must have 2 to 8 JSON Pointers, but has {count}"));
    }
}

/// The error names the first part that is missing or has the wrong type.
#[test]
fn error_names_the_unusable_part() {
    let rules = rules(r#"["/shop","/order/id"]"#, "[]");
    for (body, pointer) in [
        (r#"{"shop":"a"}"#, "/order/id"),
        (r#"{"shop":"a","order":7}"#, "/order/id"),
        (r#"{"order":{"id":1}}"#, "/shop"),
        ("{}", "/shop"),
    ] {
        assert_eq!(event_id(&rules, body).unwrap_err(), format!("the body has no dedup key at `{pointer}`"));
    }
    for (value, kind) in [
        (r#""""#, "an empty string"),
        ("1.5", "a number with a fraction or an exponent"),
        ("1e3", "a number with a fraction or an exponent"),
        ("null", "null"),
        ("true", "a boolean"),
        ("[]", "an array"),
        (r#"{"id":1}"#, "an object"),
    ] {
        for (body, pointer) in [
            (format!(r#"{{"shop":{value},"order":{{"id":1}}}}"#), "/shop"),
            (format!(r#"{{"order":{{"id":{value}}},"shop":"a"}}"#), "/order/id"),
        ] {
            let expected = format!("the dedup key at `{pointer}` is {kind}, not a non-empty string or an integer");
            assert_eq!(event_id(&rules, &body).unwrap_err(), expected);
        }
    }
}

/// The longest id of each kind fits into the partition key. The error for a longer id gives its length.
#[test]
fn id_length_is_limited_for_every_kind() {
    let composite = rules(r#"["/a","/b"]"#, "[]");
    let attribute = rules("attribute:order", "[]");
    let of_parts = |length: usize| event_id(&composite, &json!({ "a": "x".repeat(length), "b": 1 }).to_string());
    let of_attribute = |length: usize| {
        let value = "x".repeat(length);
        let found = MessageAttribute { data_type: "String", string_value: Some(&value) };
        attribute.event("{}", Some(found)).map(|event| event.id).map_err(|error| error.to_string())
    };
    // `["`, `","1"]`
    assert_eq!(of_parts(2_042 - 8).unwrap().len(), 2_042);
    assert_eq!(
        of_parts(2_042 - 7).unwrap_err(),
        r#"the event id at the dedup key `["/a","/b"]` is 2043 bytes long, more than 2042"#
    );
    assert_eq!(of_attribute(2_042).unwrap().len(), 2_042);
    assert_eq!(
        of_attribute(5_000).unwrap_err(),
        "the event id at the dedup key `attribute:order` is 5000 bytes long, more than 2042"
    );
}

/// A malformed dedup key is refused. The error is one line. It gives the reason, and names the element if a single one
/// is wrong.
#[test]
fn malformed_dedup_key_is_refused() {
    const FORM: &str = "must be a JSON Pointer such as `/event_id`, a JSON array of 2 to 8 JSON Pointers, \
                        `attribute:NAME` or `content`";
    const SLASH: &str = "must be a JSON Pointer (RFC 6901), which begins with `/`";
    const TILDE: &str = "must be a JSON Pointer (RFC 6901), which has `~` only in `~0` and `~1`";
    for (text, error) in [
        ("", FORM.to_owned()),
        ("event_id", FORM.to_owned()),
        ("Content", FORM.to_owned()),
        ("content ", FORM.to_owned()),
        (" /a", FORM.to_owned()),
        (r#"{"a":"/b"}"#, FORM.to_owned()),
        ("Attribute:a", FORM.to_owned()),
        ("/a~2", TILDE.to_owned()),
        ("/a/b~", TILDE.to_owned()),
        (r#"["/a","b"]"#, format!(r#"element 2, "b", {SLASH}"#)),
        (r##"["#/a","/b"]"##, format!(r##"element 1, "#/a", {SLASH}"##)),
        (r#"["/a","/b","/~"]"#, format!(r#"element 3, "/~", {TILDE}"#)),
        (r#"["","/a"]"#, r#"element 1, "", must not be empty"#.to_owned()),
        (
            r#"["/a",7]"#,
            "must be a JSON array of strings: invalid type: integer `7`, expected a string at line 1 column 7"
                .to_owned(),
        ),
        (r#"["/a","/b""#, "must be a JSON array of strings: EOF while parsing a list at line 1 column 10".to_owned()),
        (r#"["/a","/b"]]"#, "must be a JSON array of strings: trailing characters at line 1 column 12".to_owned()),
        (r#"["/a","/a"]"#, "`/a` must not be the same as `/a` or contain it".to_owned()),
        (r#"["/b","/a","/a/b/c"]"#, "`/a` must not be the same as `/a/b/c` or contain it".to_owned()),
        (r#"["/a/b/c","/b","/a"]"#, "`/a` must not be the same as `/a/b/c` or contain it".to_owned()),
        (r#"["/a\nb","/a\nb"]"#, r"`/a\nb` must not be the same as `/a\nb` or contain it".to_owned()),
    ] {
        assert_eq!(parse_rules(text, "[]").unwrap_err(), error, "{text}");
    }
    for text in ["/", "//", "/a~0~1", "content", r#"["/a","/ab"]"#, r#"["/a/b","/a/c"]"#, r#"["/a~1b","/a"]"#] {
        assert_eq!(DedupKey::parse(text).unwrap().to_string(), text);
    }
}

/// The name of a message attribute follows the rules of SQS.
#[test]
fn attribute_name_follows_sqs() {
    let error = "must name a message attribute: 1 to 256 letters, digits, `_`, `-` and `.`, with no `.` at the start, \
                 at the end or after another `.`, and not beginning with `AWS.` or `Amazon.`";
    let longest = "a".repeat(256);
    let too_long = "a".repeat(257);
    for name in ["", ".", ".a", "a.", "a..b", "a b", "é", "a/b", "AWS.a", "aws.a", "amazon.a", "AMAZON.a", &too_long] {
        assert_eq!(parse_rules(&format!("attribute:{name}"), "[]").unwrap_err(), error, "{name}");
    }
    for name in ["a", "9", "_", "-", "AWSTraceHeader", "aws", "a.aws.b", "Amazonas.a", "a.b-c_9", &longest] {
        assert_eq!(rules(&format!("attribute:{name}"), "[]").dedup_key().attribute(), Some(name));
    }
}

/// White space between the elements of an array does not matter, but their order does.
#[test]
fn array_is_normalized() {
    let spaced = rules(" [ \"/a\",\n\t\"/\\u0062\" ] ", "[]");
    let dense = rules(r#"["/a","/b"]"#, "[]");
    assert_eq!(spaced.dedup_key(), dense.dedup_key());
    assert_eq!(spaced.dedup_key().to_string(), r#"["/a","/b"]"#);
    assert_ne!(rules(r#"["/b","/a"]"#, "[]").sort_key(), dense.sort_key());
}

/// The sort key is `CLAIM` only for the default key. For every other key, it has a tag: the start of the SHA-256 of the
/// key's text. For `content`, the ignored members are hashed too.
#[test]
fn sort_key_has_the_tag_of_the_dedup_key() {
    let tag = |text: &str| format!("CLAIM#{}", hex(&sha256(text)[..4]));
    for (key, list, expected) in [
        ("/event_id", "[]", "CLAIM".to_owned()),
        ("/event_id", r#"["/a"]"#, "CLAIM".to_owned()),
        ("/id", "[]", tag("/id")),
        ("/id", r#"["/a"]"#, tag("/id")),
        ("attribute:event_id", "[]", tag("attribute:event_id")),
        ("[ \"/a\",\n\"/b\" ]", r#"["/x"]"#, tag(r#"["/a","/b"]"#)),
        (r#"["/b","/a"]"#, "[]", tag(r#"["/b","/a"]"#)),
        ("content", "[]", tag("content\n[]")),
        ("content", r#"["/b", "/a", "/b"]"#, tag("content\n[\"/a\",\"/b\"]")),
    ] {
        assert_eq!(**rules(key, list).sort_key(), expected, "{key} {list}");
    }
    // The output of `sha256sum` for `/id`.
    assert_eq!(&**rules("/id", "[]").sort_key(), "CLAIM#03102162");
}

/// An id from an attribute is the attribute's value as delivered. The body does not matter, as long as it is valid.
#[test]
fn attribute_value_is_the_id() {
    let rules = rules("attribute:order", "[]");
    let id = |body: &str, data_type, string_value| {
        let attribute = MessageAttribute { data_type, string_value };
        rules.event(body, Some(attribute)).map(|event| event.id).map_err(|error| error.to_string())
    };
    for data_type in ["String", "String.uuid", "String.", "Number", "Number.int"] {
        assert_eq!(id("7", data_type, Some(" 7.0 ")).unwrap(), " 7.0 ");
        assert_eq!(
            id("{}", data_type, Some("")).unwrap_err(),
            "the message attribute `order`, which is the dedup key, is empty"
        );
    }
    for (data_type, value) in
        [("Binary", None), ("Binary.png", Some("7")), ("Stringy", Some("7")), ("string", Some("7")), ("String", None)]
    {
        let expected = format!(
            "the message attribute `order`, which is the dedup key, has the type {data_type:?}, not String or Number"
        );
        assert_eq!(id("{}", data_type, value).unwrap_err(), expected);
    }
    assert_eq!(
        rules.event(r#"{"order":"7"}"#, None).unwrap_err().to_string(),
        "the message has no attribute `order`, which is the dedup key"
    );
    assert!(id("{", "String", Some("7")).unwrap_err().starts_with("the body is not strict JSON"));
}

/// Values for the parts of composite ids. Some of them look like the separators of a JSON array.
fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ab7\",\\[\\]\\\\\u{0}\u{1f}\u{7f}é\u{2028}]{1,3}".prop_map(Into::into),
        (-9..9).prop_map(|number: i32| number.into()),
    ]
}

proptest! {
    /// Two events have equal ids only if all their parts have equal texts.
    #[test]
    fn composite_ids_are_injective(parts in prop::collection::vec((part(), part()), 2..=8)) {
        let rules = rules(&key_of(parts.len()), "[]");
        let (one, other): (Vec<Value>, Vec<Value>) = parts.into_iter().unzip();
        let texts = |parts: &[Value]| -> Vec<String> {
            parts.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect()
        };
        let id = |parts: &[Value]| event_id(&rules, &json!(parts).to_string()).unwrap();
        prop_assert_eq!(id(&one), json!(texts(&one)).to_string());
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(&id(&one)).unwrap(), texts(&one));
        prop_assert_eq!(id(&one) == id(&other), texts(&one) == texts(&other));
        // In both events, the texts of the parts are the same if they are joined by `","` without escapes.
        let [first, second, third] = [&texts(&one)[0], &texts(&one)[1], &texts(&other)[0]];
        let with = |start: [String; 2]| id(&[start.map(Value::from).to_vec(), one[2..].to_vec()].concat());
        let separator_in_first = with([format!(r#"{first}","{second}"#), third.clone()]);
        let separator_in_second = with([first.clone(), format!(r#"{second}","{third}"#)]);
        prop_assert_ne!(separator_in_first, separator_in_second);
    }

    /// With the key `content`, the id is the hash of the body without the ignored members. Two bodies have the same id
    /// only if they have the same digest, so no conflict is possible.
    #[test]
    fn content_has_no_conflicts((a, b) in similar_json(), ignored in prop::option::of("/[ab01]{1,2}")) {
        let list = json!(Vec::from_iter(&ignored)).to_string();
        let rules = rules("content", &list);
        let of = |value: &Value| rules.event(&value.to_string(), None).unwrap();
        let mut rest = a.clone();
        if let Some(pointer) = &ignored {
            remove(&mut rest, pointer);
        }
        prop_assert_eq!(of(&a).id, format!("sha256:{}", hex(&sha256(&rest.to_string()))));
        prop_assert_eq!(of(&a), of(&rest));
        prop_assert_eq!(of(&a).id == of(&b).id, of(&a).digest == of(&b).digest);
    }

    /// A pointer finds the value that `serde_json` finds. Only non-empty strings and integers are event ids.
    #[test]
    fn event_id_matches_serde_json(
        value in any_json(),
        random in "(/[ab01é]{0,2}){1,3}",
        index in any::<prop::sample::Index>(),
    ) {
        let pointers = pointers(&value);
        for pointer in [index.get(&pointers), &random].into_iter().filter(|pointer| !pointer.is_empty()) {
            let expected = match value.pointer(pointer) {
                Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            };
            prop_assert_eq!(event_id(&rules(pointer, "[]"), &value.to_string()).ok(), expected);
        }
    }
}
