//! The properties of the code that parses message bodies.

use std::time::{Duration, SystemTime};

use claim::{Claim, ConflictIgnore, DedupKey, Digest, Event, EventRules, SourceMessage, object};
use sha2::{Digest as _, Sha256};

use crate::json::{Json, MAX_NESTING};

/// Checks that the input has a digest if and only if every JSON parser reads it the same way. The digest must cover the
/// input's canonical form. The input must be an event if and only if it also has a valid event id. The event's claim must
/// contain the body unchanged. The event's object must contain the body without white space between tokens.
pub fn body(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else { return };
    let event = EventRules::default().event(body, None);
    let Some(json) = Json::read(body, MAX_NESTING) else {
        assert!(Digest::of(body).is_err() && event.is_err(), "{body:?} was accepted");
        return;
    };

    let digest = Digest::of(body).unwrap_or_else(|error| panic!("{body:?} was rejected: {error}"));
    let mut expected = vec![1];
    expected.extend(Sha256::digest(json.canonical()));
    assert_eq!(digest.to_bytes(), expected, "the digest of {body:?}");
    let rewritten = json.rewritten();
    assert_eq!(Digest::of(&rewritten).ok(), Some(digest), "{body:?} and {rewritten:?} are the same value");
    let changed = json.changed().rewritten();
    assert_ne!(Digest::of(&changed).ok(), Some(digest), "{body:?} and {changed:?} are different values");

    let id = json.member("event_id").and_then(Json::as_event_id);
    assert_eq!(event.as_ref().ok().map(|event| event.id.as_str()), id, "the event id of {body:?}");
    if let Ok(event) = event {
        assert_eq!(event.digest, digest);
        check_claim(&event, body, &json);
    }
    check_ignored_members(body, &json, &changed);
}

/// Checks the digest and the event id for the dedup key `content` and a list of ignored members. Checks that two bodies
/// have no differences if and only if their digests are equal. `changed` is another valid body.
fn check_ignored_members(body: &str, json: &Json, changed: &str) {
    let key = DedupKey::parse("content").expect("the key is valid");
    let ignore = ConflictIgnore::parse(r#"["/event_id","/a/0/","/~1"]"#, &key).expect("the list is valid");
    let rules = EventRules::new(key, ignore);
    let rest = json.without(&["event_id"]).without(&["a", "0", ""]).without(&["/"]);
    let event = rules.event(body, None).expect("every valid body has a hash");
    let hash = Sha256::digest(rest.canonical());
    assert_eq!(event.digest.to_bytes()[5..], hash[..], "the digest of {body:?}");
    assert_eq!(event.id, format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    for other in [changed, &json.rewritten()] {
        let differences = rules.differences(body, other).expect("both bodies are valid");
        assert_eq!(differences.is_empty(), rules.digest(other).ok() == Some(event.digest), "{body:?} and {other:?}");
    }
}

/// Checks that the event's claim contains the body unchanged. Checks that the event's object contains the body without
/// white space between tokens.
fn check_claim(event: &Event, body: &str, json: &Json) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let claim = Claim::new(event, &SourceMessage::new("m", body), now, Duration::from_secs(60), &[7; 10]);
    assert_eq!(
        claim.is_ok(),
        Claim::check_size(event, &SourceMessage::new("m", body)).is_ok(),
        "`Claim::new` and `check_size` disagree about {} bytes",
        body.len()
    );
    let Ok(claim) = claim else { return };

    let read = Claim::from_item(claim.to_item()).expect("a claim can be read from its item");
    assert_eq!(read, claim);
    assert_eq!(read.body_text().expect("the body decompresses"), body);
    assert_eq!(claim.comparable_digest(&EventRules::default()).expect("this version wrote the digest"), event.digest);

    let line = String::from_utf8(object::object_line(&claim).expect("an event's body is JSON")).expect("JSON is UTF-8");
    check_line(&line, &claim, Some(json));
}

/// Checks that `line`, the content of an object, is one line of JSON with the claim's attributes and the body. `event` is
/// the claimed body as it was sent; the line must contain it without white space between tokens. If `event` is `None`,
/// only checks that `line` is a single line.
pub(crate) fn check_line(line: &str, claim: &Claim, event: Option<&Json>) {
    let json = line.strip_suffix('\n').expect("the line ends with a newline");
    assert!(!json.contains(['\n', '\r']), "{json:?} is more than one line");
    let Some(event) = event else { return };
    let value = Json::read(json, MAX_NESTING + 1).expect("an object's line is JSON");
    let Json::Object(members) = &value else { panic!("{json:?} is not an object") };
    let names: Vec<&str> = members.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["event_id", "claim_id", "claimed_at", "message_id", "event"]);
    assert_eq!(members[4].1.compact(), event.compact(), "`event` is not the body as it was sent");
    let texts = [claim.event_id.clone(), claim.claim_id.to_string(), claim.claimed_at_text(), claim.message_id.clone()];
    for ((_, value), text) in members.iter().zip(texts) {
        assert!(matches!(value, Json::Text(found) if found.value == text), "{value:?} is not {text:?}");
    }
}
