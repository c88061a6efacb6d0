//! Tests of the rules by which messages become events: dedup keys, ignored members, differences and trace ids.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use claim::{
    Claim, ConflictIgnore, DedupKey, Digest, EventRules, MAX_DIFFERENCE_CHARS, MAX_DIFFERENCES, MessageAttribute,
    SourceMessage, TraceId,
};
use proptest::prelude::*;
use serde_dynamo::AttributeValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const XRAY: &str = "1-5759e988-bd862e3fe1be46a994272793";
const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn parse(key: &str, ignore: &str) -> Result<EventRules, String> {
    let key = DedupKey::parse(key).map_err(|error| error.to_string())?;
    let ignore = ConflictIgnore::parse(ignore, &key).map_err(|error| error.to_string())?;
    Ok(EventRules::new(key, ignore))
}

fn rules(key: &str, ignore: &str) -> EventRules {
    parse(key, ignore).unwrap()
}

fn id(rules: &EventRules, body: &str) -> Result<String, String> {
    rules.event(body, None).map(|event| event.id).map_err(|error| error.to_string())
}

fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A composite id is the JSON array of its parts' texts, escaped as by `serde_json`.
#[test]
fn composite_id_is_a_json_array() {
    let shop = rules(r#"["/shop","/order"]"#, "[]");
    assert_eq!(id(&shop, r#"{"shop":"a","order":7}"#).unwrap(), r#"["a","7"]"#);
    assert_eq!(id(&shop, r#"{"order":"7","shop":"b"}"#).unwrap(), r#"["b","7"]"#);
    let escaped = id(&shop, "{\"shop\":\"é\\u007f\\/\\\"\\\\\",\"order\":\"\\n\\u0001\"}").unwrap();
    assert_eq!(escaped, "[\"é\u{7f}/\\\"\\\\\",\"\\n\\u0001\"]");
    let source = rules(r#"["/source","/id"]"#, "[]");
    assert_eq!(id(&source, r#"{"id":"7","source":"urn:shop-a"}"#).unwrap(), r#"["urn:shop-a","7"]"#);
    let eight = format!("[{}]", (0..8).map(|n| format!(r#""/{n}""#)).collect::<Vec<_>>().join(","));
    assert_eq!(id(&rules(&eight, "[]"), "[0,1,2,3,4,5,6,7]").unwrap(), r#"["0","1","2","3","4","5","6","7"]"#);
}

/// The error names the first part that a message lacks, or whose kind is wrong.
#[test]
fn error_names_the_missing_part() {
    let rules = rules(r#"["/shop","/order/id"]"#, "[]");
    for (body, error) in [
        (r#"{"shop":"a"}"#, "the body has no dedup key at `/order/id`"),
        (r#"{"order":{"id":1}}"#, "the body has no dedup key at `/shop`"),
        (
            r#"{"shop":"a","order":{"id":1.5}}"#,
            "the dedup key at `/order/id` is a number with a fraction or an exponent, not a non-empty string or an integer",
        ),
        (
            r#"{"shop":[],"order":{"id":1}}"#,
            "the dedup key at `/shop` is an array, not a non-empty string or an integer",
        ),
    ] {
        assert_eq!(id(&rules, body).unwrap_err(), error);
    }
    let long = format!(r#"{{"shop":"{}","order":{{"id":"b"}}}}"#, "x".repeat(2_035));
    assert_eq!(
        id(&rules, &long).unwrap_err(),
        r#"the event id at the dedup key `["/shop","/order/id"]` is 2043 bytes long, more than 2042"#
    );
}

/// A malformed dedup key is refused, with the element and the reason.
#[test]
fn malformed_dedup_key_is_refused() {
    let form = "must be a JSON Pointer such as `/event_id`, a JSON array of 2 to 8 JSON Pointers, `attribute:NAME` or `content`";
    let name = "must name a message attribute: 1 to 256 letters, digits, `_`, `-` and `.`, with no `.` at the start, at the end \
                or after another `.`, and not beginning with `AWS.` or `Amazon.`";
    let nine = format!("[{}]", (0..9).map(|n| format!(r#""/{n}""#)).collect::<Vec<_>>().join(","));
    let long = format!("attribute:{}", "a".repeat(257));
    for (text, error) in [
        ("", form),
        ("event_id", form),
        ("Content", form),
        (" /a", form),
        (r#"["/a"]"#, "must have 2 to 8 JSON Pointers, but has 1"),
        (&nine, "must have 2 to 8 JSON Pointers, but has 9"),
        (r#"["/a","b"]"#, r#"element 2, "b", must be a JSON Pointer (RFC 6901): "#),
        (r#"["","/a"]"#, r#"element 1, "", must not be empty"#),
        ("/a~2", "must be a JSON Pointer (RFC 6901): "),
        (r#"["/a",7]"#, "must be a JSON array of strings: invalid type: integer `7`"),
        (r#"["/a","/b""#, "must be a JSON array of strings: EOF"),
        (r#"["/a","/a"]"#, "`/a` must not be the same as `/a` or contain it"),
        (r#"["/a/b","/a"]"#, "`/a` must not be the same as `/a/b` or contain it"),
        ("attribute:", name),
        ("attribute:.a", name),
        ("attribute:a.", name),
        ("attribute:a..b", name),
        ("attribute:a b", name),
        ("attribute:AWS.a", name),
        ("attribute:amazon.a", name),
        (&long, name),
    ] {
        let found = parse(text, "[]").unwrap_err();
        assert!(found.starts_with(error), "{text}: {found}");
    }
    for text in ["attribute:a", "attribute:AWSTraceHeader", "attribute:a.b-c_9", r#"["/a","/ab"]"#, "/", "content"] {
        assert!(parse(text, "[]").is_ok(), "{text}");
    }
}

/// A malformed list of ignored members is refused, with the element and the reason.
#[test]
fn malformed_ignore_list_is_refused() {
    let key = r#"["/source","/data/id"]"#;
    for (text, error) in [
        ("", "must be a JSON array of strings: EOF"),
        ("/sent_at", "must be a JSON array of strings: "),
        ("[7]", "must be a JSON array of strings: invalid type: integer `7`"),
        (r#"["/a","sent_at"]"#, r#"element 2, "sent_at", must be a JSON Pointer (RFC 6901): "#),
        (r#"["/a~"]"#, r#"element 1, "/a~", must be a JSON Pointer (RFC 6901): "#),
        (r#"["/a",""]"#, r#"element 2, "", must not be empty, because it would ignore the whole body"#),
        (r#"["/a/b","/a"]"#, "element 1, `/a/b`, is inside of `/a`, which is ignored as a whole"),
        (r#"["/source"]"#, "element 1, `/source`, must not be or contain `/source`, which is part of the dedup key"),
        (r#"["/a","/data"]"#, "element 2, `/data`, must not be or contain `/data/id`, which is part of the dedup key"),
    ] {
        let found = parse(key, text).unwrap_err();
        assert!(found.starts_with(error), "{text}: {found}");
    }
    for text in ["[]", r#"["/a","/ab","/a"]"#, r#"["/data/id/x"]"#, r#"["/data/time"]"#] {
        assert!(parse(key, text).is_ok(), "{text}");
    }
    assert!(parse("content", r#"["/event_id"]"#).is_ok() && parse("attribute:a", r#"["/event_id"]"#).is_ok());
}

/// The sort key is `CLAIM` only for the default key. Every other key has a tag: the start of the SHA-256 of its text.
#[test]
fn sort_key_has_the_tag_of_the_dedup_key() {
    let tag = |text: &str| format!("CLAIM#{}", hex(&sha256(text)[..4]));
    assert_eq!(&**rules("/event_id", r#"["/a"]"#).sort_key(), "CLAIM");
    assert_eq!(**rules("/id", "[]").sort_key(), tag("/id"));
    assert_eq!(**rules("attribute:id", "[]").sort_key(), tag("attribute:id"));
    assert_eq!(**rules("[ \"/a\",\n\"/b\" ]", r#"["/x"]"#).sort_key(), tag(r#"["/a","/b"]"#));
    assert_eq!(**rules(r#"["/b","/a"]"#, "[]").sort_key(), tag(r#"["/b","/a"]"#));
    assert_eq!(**rules("content", "[]").sort_key(), tag("content\n[]"));
    assert_eq!(**rules("content", r#"["/b","/a","/b"]"#).sort_key(), tag("content\n[\"/a\",\"/b\"]"));
}

/// Under `content`, the id is the hash in the digest, so a conflict is impossible.
#[test]
fn content_id_is_the_hash() {
    let all = rules("content", "[]").event(r#"{"b":1, "a":2}"#, None).unwrap();
    assert_eq!(all.id, format!("sha256:{}", hex(&sha256(r#"{"a":2,"b":1}"#))));
    assert_eq!(all.digest.to_bytes(), [vec![1], sha256(r#"{"a":2,"b":1}"#)].concat());
    let some = rules("content", r#"["/b"]"#);
    assert_eq!(id(&some, r#"{"b":1, "a":2}"#).unwrap(), format!("sha256:{}", hex(&sha256(r#"{"a":2}"#))));
    assert_eq!(id(&some, "7").unwrap(), format!("sha256:{}", hex(&sha256("7"))));
}

/// An id from an attribute is the attribute's value as delivered.
#[test]
fn attribute_value_is_the_id() {
    let rules = rules("attribute:order", "[]");
    assert_eq!(rules.dedup_key().attribute(), Some("order"));
    let id = |data_type, string_value| {
        let attribute = MessageAttribute { data_type, string_value };
        rules.event("{}", Some(attribute)).map(|event| event.id).map_err(|error| error.to_string())
    };
    assert_eq!(id("String", Some(" 7.0 ")).unwrap(), " 7.0 ");
    assert_eq!(id("Number", Some("7")), id("String.uuid", Some("7")));
    assert_eq!(
        id("Binary", None).unwrap_err(),
        r#"the message attribute `order`, which is the dedup key, has the type "Binary", not String or Number"#
    );
    assert!(id("Stringy", Some("7")).is_err() && id("String", None).is_err());
    assert_eq!(id("String", Some("")).unwrap_err(), "the message attribute `order`, which is the dedup key, is empty");
    assert_eq!(
        rules.event("{}", None).unwrap_err().to_string(),
        "the message has no attribute `order`, which is the dedup key"
    );
}

/// A digest without ignored members has the version 2, the start of the list's SHA-256, and the hash of the rest.
#[test]
fn digest_leaves_out_ignored_members() {
    let digest = |ignore: &str, body: &str| rules("/event_id", ignore).digest(body).map(|digest| digest.to_bytes());
    let expected = |list: &str, rest: &str| [vec![2], sha256(list)[..4].to_vec(), sha256(rest)].concat();
    let list = r#"["/a/1/x","/t","/trace/id"]"#;
    let other_order = r#"[ "/trace/id", "/t", "/a/1/x", "/t" ]"#;
    for (body, rest) in [
        (r#"{"t":1,"z":2}"#, r#"{"z":2}"#),
        (r#"{"z":2,"t":{"deep":[{"t":1}],"s":"]}"}}"#, r#"{"z":2}"#),
        (r#"{"z":2}"#, r#"{"z":2}"#),
        (r#"{"t":1}"#, "{}"),
        (r#"{"trace":{"on":1,"id":"x"},"z":{"t":1}}"#, r#"{"trace":{"on":1},"z":{"t":1}}"#),
        (r#"{"trace":[{"id":1}],"\u0074":3}"#, r#"{"trace":[{"id":1}]}"#),
        (r#"{"a":[{"x":1},{"x":2,"y":3},{"x":4}]}"#, r#"{"a":[{"x":1},{"y":3},{"x":4}]}"#),
        (r#"{"a":{"1":{"x":5,"y":6}}}"#, r#"{"a":{"1":{"y":6}}}"#),
        (r#"[{"t":1}]"#, r#"[{"t":1}]"#),
        ("7", "7"),
    ] {
        assert_eq!(digest(list, body).unwrap(), expected(list, rest), "{body}");
        assert_eq!(digest(other_order, body).unwrap(), expected(list, rest), "{body}");
    }
    // The last token names a member. A pointer to an item ignores nothing.
    assert_eq!(digest(r#"["/a/0"]"#, r#"{"a":[1,2]}"#).unwrap(), expected(r#"["/a/0"]"#, r#"{"a":[1,2]}"#));
    assert_eq!(digest("[]", r#"{"t":1}"#).unwrap(), [vec![1], sha256(r#"{"t":1}"#)].concat());
}

/// A name that occurs twice is refused, even if its member is ignored or inside an ignored one.
#[test]
fn repeated_ignored_name_is_refused() {
    let rules = rules("/event_id", r#"["/t"]"#);
    for body in [r#"{"t":1,"t":1}"#, r#"{"t":1,"a":1,"\u0074":2}"#, r#"{"t":{"x":1,"x":1}}"#, r#"{"a":1,"t":0,"a":1}"#]
    {
        assert!(rules.digest(body).unwrap_err().to_string().contains("twice in one object"), "{body}");
    }
    assert!(rules.digest(r#"{"t":"\ud800"}"#).is_err());
}

/// A claim's digest that was made by another version or another list is not compared. The body is.
#[test]
fn digest_of_another_list_is_recomputed() {
    let lists = ["[]", r#"["/t"]"#, r#"["/t","/u"]"#];
    let body = r#"{"event_id":"a","t":1,"u":2}"#;
    for maker in lists {
        let maker = rules("/event_id", maker);
        let event = maker.event(body, None).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let claim = Claim::new(&event, &SourceMessage::new("m", body), now, Duration::from_secs(60), &[7; 10]).unwrap();
        for reader in lists {
            let reader = rules("/event_id", reader);
            let digest = claim.comparable_digest(&reader).unwrap();
            assert_eq!(digest, reader.digest(body).unwrap());
            assert_eq!(reader.can_compare(&event.digest), digest == event.digest);
        }
    }
}

/// The differences are JSON Pointers to the values that differ, at most five, each cut to 100 characters.
#[test]
fn differences_are_pointers() {
    let differ = |a: &str, b: &str| rules("/event_id", r#"["/t"]"#).differences(a, b).unwrap();
    for (a, b, expected) in [
        (r#"{"a":1,"t":1}"#, r#"{"t":2, "a":1}"#, &[][..]),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, &["/a"]),
        ("1", "2", &[""]),
        ("[]", "{}", &[""]),
        (r#"{"a":{"b":[1,{"c":2}]},"z":0}"#, r#"{"a":{"b":[1,{"c":3}]},"z":0}"#, &["/a/b/1/c"]),
        (r#"{"a":1,"c":2}"#, r#"{"b":1,"c":2}"#, &["/a", "/b"]),
        (r#"{"a":{}}"#, r#"{"a":{"x":[{}],"y":"\"}"}}"#, &["/a/x", "/a/y"]),
        ("[1,2,3]", "[1]", &["/1", "/2"]),
        ("[[],1]", "[[[]],2]", &["/0/0", "/1"]),
        (r#"{"a/b":1,"m~n":1,"\n":1}"#, "{}", &["/\n", "/a~1b", "/m~0n"]),
        ("[1,2,3,4,5,6,7]", "[]", &["/0", "/1", "/2", "/3", "/4"]),
        (r#"{"ab":1,"a":1}"#, r#"{"a":1}"#, &["/ab"]),
        (r#"{"s":"x\\"}"#, r#"{"s":"x"}"#, &["/s"]),
    ] {
        assert_eq!(differ(a, b), expected, "{a} {b}");
        assert_eq!(differ(b, a).len(), expected.len(), "{b} {a}");
    }
    let long = differ(&format!(r#"{{"{}":1}}"#, "é".repeat(1_000)), "{}");
    assert_eq!(long, [format!("/{}", "é".repeat(MAX_DIFFERENCE_CHARS - 1))]);
    assert!(rules("/event_id", "[]").differences("{", "{}").is_err());
}

/// Only well-formed trace ids are read.
#[test]
fn trace_id_has_a_known_form() {
    let xray = |header: &str| TraceId::from_xray_header(header).map(|id| id.to_string());
    for header in [
        format!("Root={XRAY}"),
        format!("Root={XRAY};Parent=53995c3f42cd8ad8;Sampled=1"),
        format!("Self=1-67891234-12456789abcdef012345678;Root={XRAY};CalledFrom=app"),
        format!("Parent=53995c3f42cd8ad8; Root={XRAY} ;Lineage=1:2:3"),
    ] {
        assert_eq!(xray(&header).as_deref(), Some(XRAY), "{header}");
    }
    for header in [
        "",
        XRAY,
        "Root=",
        "Root=1-5759e988",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "root=1-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e98g-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a9942727931",
    ] {
        assert_eq!(xray(header), None, "{header}");
    }
    let w3c = |text: &str| TraceId::from_traceparent(text).map(|id| id.to_string());
    for text in [format!("00-{W3C}-00f067aa0ba902b7-01"), format!("cc-{W3C}-00f067aa0ba902b7-01-later-fields")] {
        assert_eq!(w3c(&text).as_deref(), Some(W3C), "{text}");
    }
    let upper = W3C.to_uppercase();
    let zeros = "0".repeat(32);
    for text in [
        W3C.to_owned(),
        format!("00-{W3C}-00f067aa0ba902b7"),
        format!("00-{W3C}-00f067aa0ba902b7-01-x"),
        format!("ff-{W3C}-00f067aa0ba902b7-01"),
        format!("0-{W3C}-00f067aa0ba902b7-01"),
        format!("00-{upper}-00f067aa0ba902b7-01"),
        format!("00-{zeros}-00f067aa0ba902b7-01"),
        format!("00-{W3C}-0000000000000000-01"),
        format!("00-{W3C}-00f067aa0ba902b7-0"),
    ] {
        assert_eq!(w3c(&text), None, "{text}");
    }
    assert_eq!([XRAY, W3C, "x", &zeros].map(|text| TraceId::parse(text).is_some()), [true, true, false, false]);
}

/// The claim stores the trace id, and its size counts it, the tag and the mark of the ignored members.
#[test]
fn claim_counts_trace_id_tag_and_mark() {
    let body = r#"{"id":"a"}"#;
    let trace_id = TraceId::parse(XRAY);
    let event = rules("/id", r#"["/t"]"#).event(body, None).unwrap();
    let message = SourceMessage { id: "m", trace_id: trace_id.as_ref(), body };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let claim = Claim::new(&event, &message, now, Duration::from_secs(60), &[7; 10]).unwrap();
    let item = claim.to_item().into_inner();
    let counted = item.iter().map(|(name, value)| {
        name.len()
            + match value {
                AttributeValue::S(text) => text.len(),
                AttributeValue::B(bytes) => bytes.len(),
                AttributeValue::N(number) => number.len().div_ceil(2) + 1,
                other => panic!("a claim holds no {other:?}"),
            }
    });
    assert_eq!(claim.item_bytes(), counted.sum::<usize>());
    assert_eq!(Claim::from_item(item.clone()).unwrap(), claim);
    assert_eq!(item["trace_id"], AttributeValue::S(XRAY.to_owned()));

    // An item of the version before has no layout and no trace id. A malformed trace id is left out.
    let mut old = item.clone();
    old.remove("layout");
    old.insert("trace_id".to_owned(), AttributeValue::S("x".repeat(10_000)));
    assert_eq!(Claim::from_item(old).unwrap(), Claim { trace_id: None, ..claim });
}

/// Generates JSON values with few names and texts, so that two generated values often have the same ones.
fn json() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<u8>().prop_map(Into::into), "[a\"\\\\/~é]{0,2}".prop_map(Into::into)];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map("[abt\"~/]{0,2}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Removes the member that a pointer names, if the value has it.
fn remove(value: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

/// Returns all differences of two values, in the order of [`EventRules::differences`].
fn naive_differences(a: &Value, b: &Value, path: &str, found: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => naive_differences(a, b, &path, found),
                    _ => found.push(path),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let path = format!("{path}/{index}");
                match (a.get(index), b.get(index)) {
                    (Some(a), Some(b)) => naive_differences(a, b, &path, found),
                    _ => found.push(path),
                }
            }
        }
        _ if a == b => {}
        _ => found.push(path.to_owned()),
    }
}

proptest! {
    /// The ids of two events are equal only if all their parts are.
    #[test]
    fn composite_ids_are_injective(
        parts in prop::collection::vec("[ab\",\\[\\]\\\\\u{0}\u{7f}|]{1,3}", 4),
    ) {
        let rules = rules(r#"["/x","/y"]"#, "[]");
        let id = |x: &str, y: &str| id(&rules, &json!({ "x": x, "y": y }).to_string()).unwrap();
        let (one, other) = (id(&parts[0], &parts[1]), id(&parts[2], &parts[3]));
        prop_assert_eq!(one == other, parts[0] == parts[2] && parts[1] == parts[3]);
        prop_assert_eq!(one, json!([&parts[0], &parts[1]]).to_string());
    }

    /// The digest is that of the body without the ignored members, which `serde_json` can remove too.
    #[test]
    fn ignored_members_do_not_count(value in json(), pointers in prop::collection::vec("(/[abt01]{1,2}){1,3}", 1..4)) {
        let list = json!(pointers).to_string();
        let Ok(rules) = parse("attribute:id", &list) else { return Ok(()) };
        let mut rest = value.clone();
        pointers.iter().for_each(|pointer| remove(&mut rest, pointer));
        let digest = rules.digest(&value.to_string()).unwrap();
        prop_assert_eq!(digest, rules.digest(&rest.to_string()).unwrap());
        prop_assert_eq!(&digest.to_bytes()[5..], &sha256(&rest.to_string())[..]);
        prop_assert_eq!(&digest.to_bytes()[..5], &[vec![2], sha256(&rules.conflict_ignore().to_string())[..4].to_vec()].concat()[..]);
        prop_assert_eq!(Digest::from_stored(&digest.to_bytes()), Some(digest));
    }

    /// The differences are the first five that a comparison of parsed values finds. Two bodies have none only if their
    /// digests are equal.
    #[test]
    fn differences_match_parsed_values(a in json(), b in json()) {
        let rules = rules("attribute:id", r#"["/a","/t/a"]"#);
        let (mut left, mut right) = (a.clone(), b.clone());
        for pointer in ["/a", "/t/a"] {
            remove(&mut left, pointer);
            remove(&mut right, pointer);
        }
        let mut expected = Vec::new();
        naive_differences(&left, &right, "", &mut expected);
        expected.truncate(MAX_DIFFERENCES);
        let (a, b) = (a.to_string(), b.to_string());
        let found = rules.differences(&a, &b).unwrap();
        prop_assert_eq!(found.is_empty(), rules.digest(&a).unwrap() == rules.digest(&b).unwrap());
        prop_assert_eq!(found, expected);
    }
}
