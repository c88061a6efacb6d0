//! Message bodies.

use std::time::{Duration, SystemTime};

use claim::{Claim, Digest, Event, EventIdPointer, object};
use sha2::{Digest as _, Sha256};

use crate::json::Json;

/// As deep as a body may be nested.
const NESTING: usize = 128;

/// A body is accepted if and only if no two readers could read it differently. Its digest is that of what it says, and
/// its claim and its object keep what it says.
pub fn body(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else { return };
    let pointer = EventIdPointer::parse("/event_id").expect("it is a pointer");
    let event = Event::parse(body, &pointer);
    let Some(json) = Json::read(body, NESTING) else {
        assert!(Digest::of(body).is_err() && event.is_err(), "{body:?} was accepted");
        return;
    };

    let digest = Digest::of(body).unwrap_or_else(|error| panic!("{body:?} was refused: {error}"));
    let mut expected = vec![1];
    expected.extend(Sha256::digest(json.canonical()));
    assert_eq!(digest.as_bytes(), expected, "the digest of {body:?}");
    let rewritten = json.rewritten();
    assert_eq!(Digest::of(&rewritten).ok(), Some(digest), "{body:?} and {rewritten:?} say the same");
    let changed = json.changed().rewritten();
    assert_ne!(Digest::of(&changed).ok(), Some(digest), "{body:?} and {changed:?} say different things");

    let id = json.member("event_id").and_then(Json::as_event_id);
    assert_eq!(event.as_ref().ok().map(|event| event.id.as_str()), id, "the id of {body:?}");
    if let Ok(event) = event {
        assert_eq!(event.digest, digest);
        claimed(&event, body, &json);
    }
}

fn claimed(event: &Event, body: &str, json: &Json) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let claim = Claim::new(event, "m", body, now, Duration::from_secs(60), &[7; 10]);
    assert_eq!(claim.is_ok(), Claim::check_size(event, "m", body).is_ok(), "whether {} bytes fit", body.len());
    let Ok(claim) = claim else { return };

    let read = Claim::from_item(claim.to_item()).expect("a claim reads back");
    assert_eq!(read, claim);
    assert_eq!(read.body_text().expect("the body decompresses"), body);
    assert_eq!(claim.comparable_digest().expect("it is ours"), event.digest);

    let line = String::from_utf8(object::object_line(&claim).expect("a body that is an event is JSON")).expect("UTF-8");
    is_line(&line, &claim, Some(json));
}

/// An object's line is one line of JSON that says what the claim says, and `event` is the body as written.
pub(crate) fn is_line(line: &str, claim: &Claim, event: Option<&Json>) {
    let json = line.strip_suffix('\n').expect("a newline ends it");
    assert!(!json.contains(['\n', '\r']), "{json:?} is more than one line");
    let Some(event) = event else { return };
    let value = Json::read(json, NESTING + 1).expect("it is JSON");
    let Json::Object(members) = &value else { panic!("{json:?} is no object") };
    let names: Vec<&str> = members.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["event_id", "claim_id", "claimed_at", "message_id", "event"]);
    assert_eq!(members[4].1.compact(), event.compact(), "the event as written");
    let texts = [claim.event_id.clone(), claim.claim_id.to_string(), claim.claimed_at_text(), claim.message_id.clone()];
    for ((_, value), text) in members.iter().zip(texts) {
        assert!(matches!(value, Json::Text(found) if found.value == text), "{value:?} is not {text:?}");
    }
}
