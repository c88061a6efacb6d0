//! Tests of the differences between two bodies.

use std::time::{Duration, Instant};

use claim::{EventError, MAX_DIFFERENCE_CHARS, MAX_DIFFERENCES};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::json::{differences, remove, similar_json};
use crate::rules;

fn differ(a: &str, b: &str) -> Vec<String> {
    rules("/event_id", r#"["/t"]"#).differences(a, b).unwrap()
}

/// The differences are JSON Pointers to the values that differ. A value that only one body has is one difference,
/// whatever is inside.
#[test]
fn differences_are_pointers() {
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
        (r#"{"a":[{}],"b":2}"#, r#"{"a":{"0":{}},"b":3}"#, &["/a", "/b"]),
        (r#"{"ab":1,"a":1}"#, r#"{"a":1}"#, &["/ab"]),
        (r#"{"s":"x\\"}"#, r#"{"s":"x"}"#, &["/s"]),
    ] {
        assert_eq!(differ(a, b), expected, "{a} {b}");
        assert_eq!(differ(b, a), expected, "{b} {a}");
    }
}

/// A name in a pointer is escaped as RFC 6901 requires. The differences are sorted by the unescaped names.
#[test]
fn names_are_escaped() {
    let body = r#"{"a/b":1,"m~n":1,"~1":1,"\n\"":1}"#;
    assert_eq!(differ(body, "{}"), ["/\n\"", "/a~1b", "/m~0n", "/~01"]);
    assert_eq!(differ(r#"{"":{"":1}}"#, r#"{"":{"":2}}"#), ["//"]);
}

/// At most five differences are returned: the first ones, however deeply nested the fifth is.
#[test]
fn at_most_five_differences() {
    assert_eq!(MAX_DIFFERENCES, 5);
    for count in 0..9 {
        let list = |value: &str| format!("[{}]", vec![value; count].join(","));
        let expected: Vec<String> = (0..count.min(5)).map(|index| format!("/{index}")).collect();
        assert_eq!(differ(&list("1"), &list("2")), expected);
        assert_eq!(differ(&list("1"), "[]"), expected);
    }
    // The search stops inside nested values, and what follows must not be read as a name.
    for (a, b, last) in [
        (r#"{"x":{"y":[0,0,0,0,0,1,2]}}"#, r#"{"x":{"y":[9,9,9,9,9,1,2]}}"#, "/x/y/4"),
        (r#"{"x":{"y":{"z":[0,0,0,0,0,12,2]}}}"#, r#"{"x":{"y":{"z":[9,9,9,9,9,12,2]}}}"#, "/x/y/z/4"),
        (r#"{"x":{"y":[[0,0,0],0,[0,1],[1,2]]}}"#, r#"{"x":{"y":[[9,9,9],9,[9,1],[1,2]]}}"#, "/x/y/2/0"),
        (r#"{"x":{"a":0,"b":0,"c":0,"d":0,"e":0,"f":"1,2"}}"#, r#"{"x":{"f":"1,2"}}"#, "/x/e"),
        (r#"{"x":{"f":"1,2"}}"#, r#"{"x":{"a":0,"b":0,"c":0,"d":0,"e":0,"f":"1,2"}}"#, "/x/e"),
        (r#"{"x":{"y":[0,0,0,0,0,1,2]},"z":"1"}"#, r#"{"x":{"y":[9,9,9,9,9,1,2]},"z":"2"}"#, "/x/y/4"),
    ] {
        let found = differ(a, b);
        assert_eq!((found.len(), found[4].as_str()), (5, last), "{a} {b}");
    }
}

/// A pointer is cut after 100 characters, and not after 100 bytes.
#[test]
fn pointer_is_cut_after_100_characters() {
    assert_eq!(MAX_DIFFERENCE_CHARS, 100);
    for length in [98, 99, 100, 101, 5_000] {
        let kept = "é".repeat(length.min(99));
        assert_eq!(differ(&format!(r#"{{"{}":1}}"#, "é".repeat(length)), "{}"), [format!("/{kept}")]);
    }
    // The cut can separate `~` from `0`.
    assert_eq!(differ(&format!(r#"{{"{}~":1}}"#, "a".repeat(98)), "{}"), [format!("/{}~", "a".repeat(98))]);
    let deep = |value: &str| format!("{}{value}{}", r#"{"abc":"#.repeat(60), "}".repeat(60));
    assert_eq!(differ(&deep("1"), &deep("2")), ["/abc".repeat(25)]);
}

/// Both bodies must be valid.
#[test]
fn invalid_body_has_no_differences() {
    let rules = rules("/event_id", "[]");
    for (a, b) in [("{", "{}"), ("{}", "{"), ("", "")] {
        assert!(matches!(rules.differences(a, b), Err(EventError::NotJson(_))));
    }
    assert!(matches!(rules.differences("{}", r#"{"a":1,"a":1}"#), Err(EventError::RepeatedName(_))));
}

/// The time is linear in the length of the bodies. A search that read the rest of a body for each value would need half
/// a minute for the first two pairs of bodies.
#[test]
fn large_bodies_are_compared_quickly() {
    let items = |value: &str, count: usize| vec![value; count].join(",");
    let members = |start: usize| {
        let members: Vec<String> = (start..start + 30_000).map(|number| format!(r#""{number:05}":[0]"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    let deep = |value: &str| format!("{}{value}{}", "[".repeat(128), "]".repeat(128));
    for (a, b, count) in [
        (format!("[{}]", items("0", 60_000)), format!("[{},1]", items("0", 59_999)), 1),
        (members(0), members(1), 2),
        (format!("[{}]", items("[[]]", 30_000)), format!("[{},[1]]", items("[[]]", 29_999)), 1),
        (deep(&items("0", 60_000)), deep(&items("0", 60_001)), 1),
        (members(0), members(30_000), 5),
        (members(0), "{}".to_owned(), 5),
    ] {
        let started = Instant::now();
        assert_eq!(differ(&a, &b).len(), count);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

proptest! {
    /// The differences are the first five that a comparison of parsed values finds, each cut to 100 characters. Two
    /// bodies have no differences if and only if their digests are equal.
    #[test]
    fn differences_match_parsed_values((a, b) in similar_json(), name in "(a|~|/|é){0,40}") {
        let rules = rules("attribute:id", r#"["/a/a","/a/b/0"]"#);
        // A long name around both values tests the cut.
        let outer = |value: Value| json!({ name.clone(): { name.clone(): value }, "a": { "a": 1 } });
        for (a, b) in [(a.clone(), b.clone()), (outer(a), outer(b))] {
            let (mut left, mut right) = (a.clone(), b.clone());
            for pointer in ["/a/a", "/a/b/0"] {
                remove(&mut left, pointer);
                remove(&mut right, pointer);
            }
            let expected = differences(&left, &right);
            let cut = |pointer: &String| pointer.chars().take(100).collect::<String>();
            let (a, b) = (a.to_string(), b.to_string());
            let found = rules.differences(&a, &b).unwrap();
            prop_assert_eq!(found.is_empty(), rules.digest(&a).unwrap() == rules.digest(&b).unwrap());
            prop_assert_eq!(found, expected.iter().take(5).map(cut).collect::<Vec<_>>());
        }
    }
}
