//! The properties of the code that finds the places in which two bodies differ.

use claim::{ConflictIgnore, DedupKey, EventRules};

use crate::json::{Json, MAX_NESTING};

/// Reads a list of ignored members and two bodies from the input, one per line; the last body may have more lines.
/// Checks that the differences are the first five that a comparison of the parsed bodies finds, and that there are none
/// if and only if the digests are equal. If a body is not valid, the tested code must return an error.
pub fn differences(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let [list, a, b] = text.splitn(3, '\n').collect::<Vec<_>>()[..] else { return };
    let Ok(pointers) = serde_json::from_str::<Vec<String>>(list) else { return };
    let key = DedupKey::parse("content").expect("the key is valid");
    let Ok(ignore) = ConflictIgnore::parse(list, &key) else { return };
    let rules = EventRules::new(key, ignore);
    let found = rules.differences(a, b);
    let (Some(left), Some(right)) = (Json::read(a, MAX_NESTING), Json::read(b, MAX_NESTING)) else {
        assert!(found.is_err(), "{a:?} or {b:?} was accepted");
        return;
    };

    let found = found.unwrap_or_else(|error| panic!("{a:?} or {b:?} was rejected: {error}"));
    let expected = without(&left, &pointers).differences(&without(&right, &pointers));
    let expected: Vec<String> = expected.iter().take(5).map(|pointer| pointer.chars().take(100).collect()).collect();
    assert_eq!(found, expected, "the differences of {a:?} and {b:?} without {list}");
    assert_eq!(rules.differences(b, a).ok(), Some(expected), "the differences of {b:?} and {a:?} without {list}");
    assert_eq!(found.is_empty(), rules.digest(a).ok() == rules.digest(b).ok(), "{a:?} and {b:?} without {list}");
}

/// Returns a copy without the members that these pointers name.
fn without(json: &Json, pointers: &[String]) -> Json {
    pointers.iter().fold(json.clone(), |rest, pointer| {
        let tokens: Vec<String> =
            pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
        rest.without(&tokens.iter().map(String::as_str).collect::<Vec<_>>())
    })
}
