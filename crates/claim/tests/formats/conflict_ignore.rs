//! Tests of `CONFLICT_IGNORE`: the forms of the setting, and the digests without the ignored members.

use claim::{Body, Claim, Digest, EventError, SourceMessage};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::json::{any_json, pointers, remove};
use crate::{MESSAGE_ID, claim_message, event_id, parse_rules, rules, sha256};

/// Returns the digest that a claim of `body` stores if the members in `list` are ignored.
fn digest(list: &str, body: &str) -> Vec<u8> {
    rules("/event_id", list).digest(body).unwrap().to_bytes()
}

/// Returns the stored digest of version 2. `list` is the text of the list, and `canonical` is the canonical form of the
/// body without the ignored members.
fn without_ignored(list: &str, canonical: &str) -> Vec<u8> {
    [vec![2], sha256(list)[..4].to_vec(), sha256(canonical)].concat()
}

/// A malformed list is refused. The error is one line. It gives the reason, and names the element if a single one is
/// wrong.
#[test]
fn malformed_list_is_refused() {
    const SLASH: &str = "must be a JSON Pointer (RFC 6901), which begins with `/`";
    const TILDE: &str = "must be a JSON Pointer (RFC 6901), which has `~` only in `~0` and `~1`";
    let array = |reason: &str| format!("must be a JSON array of strings: {reason}");
    for (text, error) in [
        ("", array("EOF while parsing a value at line 1 column 0")),
        ("/sent_at", array("expected value at line 1 column 1")),
        ("null", array("invalid type: null, expected a sequence at line 1 column 4")),
        ("{}", array("invalid type: map, expected a sequence at line 1 column 0")),
        (r#""/a\n""#, array(r#"invalid type: string "/a\n", expected a sequence at line 1 column 6"#)),
        ("[7]", array("invalid type: integer `7`, expected a string at line 1 column 2")),
        (r#"["/a"],"#, array("trailing characters at line 1 column 7")),
        (r#"["/a","sent_at"]"#, format!(r#"element 2, "sent_at", {SLASH}"#)),
        (r#"["/a","/b","a\nb"]"#, format!(r#"element 3, "a\nb", {SLASH}"#)),
        (r#"["/a~"]"#, format!(r#"element 1, "/a~", {TILDE}"#)),
        (r#"["/a",""]"#, r#"element 2, "", must not be empty, because it would ignore the whole body"#.to_owned()),
        (r#"["/a/b","/a"]"#, "element 1, `/a/b`, is inside of `/a`, which is ignored as a whole".to_owned()),
        (r#"["/a","/b","/a/b/c"]"#, "element 3, `/a/b/c`, is inside of `/a`, which is ignored as a whole".to_owned()),
        (r#"["/\n","/\n/c"]"#, r"element 2, `/\n/c`, is inside of `/\n`, which is ignored as a whole".to_owned()),
        (
            r#"["/source"]"#,
            "element 1, `/source`, must not be or contain `/source`, which is part of the dedup key".to_owned(),
        ),
        (
            r#"["/a","/data"]"#,
            "element 2, `/data`, must not be or contain `/data/\\n`, which is part of the dedup key".to_owned(),
        ),
    ] {
        assert_eq!(parse_rules(r#"["/source","/data/\n"]"#, text).unwrap_err(), error, "{text}");
    }
    let long = parse_rules("/event_id", &json!(["é".repeat(400)]).to_string()).unwrap_err();
    assert_eq!(long, format!("element 1, \"{}…\", {SLASH}", "é".repeat(100)));
}

/// Every member can be ignored, except those that the dedup key reads and the objects that contain them. The keys
/// `attribute:NAME` and `content` read no members.
#[test]
fn members_beside_the_key_can_be_ignored() {
    for (key, list) in [
        ("/data/id", r#"["/data/time","/data/id/x","/data/i","/dat","/id"]"#),
        ("attribute:a", r#"["/event_id"]"#),
        ("content", r#"["/event_id"]"#),
    ] {
        assert!(parse_rules(key, list).is_ok(), "{key} {list}");
    }
    let rules = rules(r#"["/data/id","/data/0/id"]"#, r#"["/data/time","/data/0/time"]"#);
    for body in [
        r#"{"data":{"time":1,"id":"a","0":{"id":7,"time":{"id":8}}}}"#,
        r#"{"data":{"0":{"time":2,"id":7},"id":"a","time":[{"id":"b"}]}}"#,
    ] {
        let event = rules.event(body, None).unwrap();
        assert_eq!(event.id, r#"["a","7"]"#);
        let list = r#"["/data/0/time","/data/time"]"#;
        assert_eq!(event.digest.to_bytes(), without_ignored(list, r#"{"data":{"0":{"id":7},"id":"a"}}"#));
    }
}

/// The digest leaves out the ignored members. A pointer can lead through object members and array items, but only an
/// object member can be ignored.
#[test]
fn digest_leaves_out_ignored_members() {
    let list = r#"["/a/1/x","/t","/trace/id"]"#;
    for (body, rest) in [
        (r#"{"t":1,"z":2}"#, r#"{"z":2}"#),
        (r#"{"z":2,"t":{"deep":[{"t":1}],"s":"]}"}}"#, r#"{"z":2}"#),
        (r#"{"z":2}"#, r#"{"z":2}"#),
        (r#"{"t":1}"#, "{}"),
        (r#"{"\u0074":1,"trace":{"id":[]}}"#, r#"{"trace":{}}"#),
        (r#"{"trace":{"on":1,"id":"x"},"z":{"t":1}}"#, r#"{"trace":{"on":1},"z":{"t":1}}"#),
        (r#"{"trace":[{"id":1}]}"#, r#"{"trace":[{"id":1}]}"#),
        (r#"{"trace":"id"}"#, r#"{"trace":"id"}"#),
        (r#"{"a":[{"x":1},{"x":2,"y":3},{"x":4}]}"#, r#"{"a":[{"x":1},{"y":3},{"x":4}]}"#),
        (r#"{"a":{"1":{"x":5,"y":6},"01":{"x":7}}}"#, r#"{"a":{"01":{"x":7},"1":{"y":6}}}"#),
        (r#"[{"t":1}]"#, r#"[{"t":1}]"#),
        ("7", "7"),
    ] {
        assert_eq!(digest(list, body), without_ignored(list, rest), "{body}");
    }
    for list in [r#"["/0"]"#, r#"["/-"]"#, r#"["/2"]"#] {
        assert_eq!(digest(list, "[1,2]"), without_ignored(list, "[1,2]"), "{list}");
    }
}

/// An empty list makes digests of version 1, which cover the whole body.
#[test]
fn empty_list_ignores_nothing() {
    for list in ["[]", " [ ] "] {
        assert_eq!(digest(list, r#"{"t":1, "a":2}"#), [vec![1], sha256(r#"{"a":2,"t":1}"#)].concat());
    }
}

/// The value of an ignored member can be large or deeply nested. The nesting limit of the body applies to it too.
#[test]
fn large_ignored_member_does_not_count() {
    let list = r#"["/t"]"#;
    let members: Vec<String> = (0..20_000).map(|number| format!(r#""{number}":[{number}]"#)).collect();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for ignored in [format!("\"{}\"", "x".repeat(500_000)), format!("{{{}}}", members.join(",")), deep(127)] {
        for body in [format!(r#"{{"z":1,"t":{ignored},"a":2}}"#), format!(r#"{{"t":{ignored},"a":2,"z":1}}"#)] {
            assert_eq!(digest(list, &body), without_ignored(list, r#"{"a":2,"z":1}"#));
        }
    }
    let too_deep = rules("/event_id", list).digest(&format!(r#"{{"t":{}}}"#, deep(128)));
    assert!(matches!(too_deep, Err(EventError::NotJson(_))));
}

/// A body that two parsers could read differently is refused, even if only ignored members are ambiguous.
#[test]
fn ambiguous_ignored_member_is_refused() {
    let rules = rules("/event_id", r#"["/t","/u/t"]"#);
    for (body, name) in [
        (r#"{"t":1,"t":1}"#, "t"),
        (r#"{"t":1,"a":1,"\u0074":2}"#, "t"),
        (r#"{"u":{"a":0,"t":1,"t":2}}"#, "t"),
        (r#"{"t":{"x":1,"x":1}}"#, "x"),
        (r#"{"t":[{"y":[{"x":1,"\u0078":1}]}]}"#, "x"),
        (r#"{"a":1,"t":0,"a":1}"#, "a"),
    ] {
        let error = rules.digest(body).unwrap_err().to_string();
        assert_eq!(error, format!("the body has the name {name:?} twice in one object"), "{body}");
    }
    for value in [r#""\ud800""#, "01", "[1,]", "NaN"] {
        assert!(matches!(rules.digest(&format!(r#"{{"t":{value}}}"#)), Err(EventError::NotJson(_))), "{value}");
    }
}

/// A claim's stored digest is used only if the message's digest has the same version and list. Otherwise, the claim's
/// digest is computed from its body.
#[test]
fn digest_of_another_list_is_recomputed() {
    let lists = ["[]", r#"["/t"]"#, r#"["/t","/u"]"#];
    let body = r#"{"event_id":"a","t":1,"u":2}"#;
    for made_by in lists {
        let maker = rules("/event_id", made_by);
        let claim = claim_message(&maker, &SourceMessage::new(MESSAGE_ID, body)).unwrap();
        assert_eq!(claim.digest, digest(made_by, body));
        let unreadable = Claim { body: Body::Zstd(vec![1]), ..claim.clone() };
        for read_by in lists {
            let reader = rules("/event_id", read_by);
            let expected = reader.digest(body).unwrap();
            assert_eq!(claim.comparable_digest(&reader).unwrap(), expected, "{made_by} {read_by}");
            assert_eq!(reader.can_compare(&maker.digest(body).unwrap()), made_by == read_by);
            // Only a digest of another list needs the body.
            assert_eq!(unreadable.comparable_digest(&reader).ok(), (made_by == read_by).then_some(expected));
        }
    }
}

/// A duplicate with another `sent_at` is equal to the claim, whichever list the claim's digest was made with. A message
/// with another `total` is not.
#[test]
fn restamped_message_is_equal() {
    let current = rules("/event_id", r#"["/sent_at"]"#);
    for list in ["[]", r#"["/sent_at"]"#, r#"["/total"]"#] {
        let body = r#"{"event_id":"a","sent_at":1,"total":5}"#;
        let claim = claim_message(&rules("/event_id", list), &SourceMessage::new(MESSAGE_ID, body)).unwrap();
        let is_equal = |body: &str| current.digest(body).unwrap() == claim.comparable_digest(&current).unwrap();
        assert!(is_equal(r#"{"total":5,"event_id":"a","sent_at":2}"#), "{list}");
        assert!(!is_equal(r#"{"event_id":"a","sent_at":1,"total":6}"#), "{list}");
    }
}

proptest! {
    /// A body has the same digest as a copy from which `serde_json` has removed the ignored members. The order of the
    /// list and duplicates in it do not matter.
    #[test]
    fn ignored_members_do_not_count(
        value in any_json(),
        inside in prop::collection::vec(any::<Index>(), 0..4),
        random in prop::collection::vec("(/[ab01]{1,2}){1,3}", 0..3),
        shuffled in any::<prop::sample::Selector>(),
    ) {
        let existing = pointers(&value);
        let mut list: Vec<String> = inside.iter().map(|index| index.get(&existing).clone()).chain(random).collect();
        list.retain(|pointer| !pointer.is_empty());
        list.sort();
        list.dedup();
        let whole = list.clone();
        list.retain(|inner| !whole.iter().any(|outer| inner.starts_with(&format!("{outer}/"))));

        let mut rest = value.clone();
        for pointer in &list {
            remove(&mut rest, pointer);
        }
        let expected = if list.is_empty() {
            [vec![1], sha256(&rest.to_string())].concat()
        } else {
            without_ignored(&json!(list).to_string(), &rest.to_string())
        };
        let mut any_order: Vec<&String> = Vec::new();
        while any_order.len() < 2 * list.len() {
            any_order.push(shuffled.select(&list));
            any_order.extend(list.iter().rev());
        }
        for list in [json!(list), json!(any_order)] {
            let rules = rules("attribute:id", &list.to_string());
            let digest = rules.digest(&value.to_string()).unwrap();
            prop_assert_eq!(digest.to_bytes(), &expected[..]);
            prop_assert_eq!(rules.digest(&rest.to_string()).unwrap(), digest);
            prop_assert_eq!(Digest::from_stored(&expected), Some(digest));
        }
    }

    /// A stored digest can be read only if its version is known and its length matches the version.
    #[test]
    fn stored_digest_has_33_or_37_bytes(version in 0..4_u8, rest in prop::collection::vec(any::<u8>(), 30..40)) {
        let stored = [vec![version], rest].concat();
        let expected = matches!((version, stored.len()), (1, 33) | (2, 37));
        let read = Digest::from_stored(&stored);
        prop_assert_eq!(read.is_some(), expected);
        prop_assert!(read.is_none_or(|digest| digest.to_bytes() == stored));
    }

    /// Ignored members never change the event id.
    #[test]
    fn ignored_members_keep_the_id(value in any_json(), list in prop::collection::vec("(/[ab01]{1,2}){1,3}", 0..4)) {
        let Ok(ignoring) = parse_rules("/a", &json!(list).to_string()) else { return Ok(()) };
        let body = value.to_string();
        prop_assert_eq!(event_id(&ignoring, &body), event_id(&rules("/a", "[]"), &body));
    }
}
