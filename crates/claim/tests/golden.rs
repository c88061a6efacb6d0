//! Golden files: claims of this version and of the version before, as DynamoDB JSON. Every version must read both, because
//! claims of two versions are in the table during a deployment and after a roll-back.
//!
//! A change to a claim's form moves the files in `golden/current` to `golden/before`, and adds new ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use claim::{Claim, ConflictIgnore, DedupKey, EventRules, MessageAttribute, SourceMessage, TraceId, object};
use serde_json::Value;

const XRAY: &str = "1-5759e988-bd862e3fe1be46a994272793";

fn rules(key: &str, ignore: &str) -> EventRules {
    let key = DedupKey::parse(key).unwrap();
    let ignore = ConflictIgnore::parse(ignore, &key).unwrap();
    EventRules::new(key, ignore)
}

/// Returns the claims of the golden files, by file name.
fn claims() -> BTreeMap<&'static str, Claim> {
    let plain = r#"{"event_id": "order-17", "total": 12.50, "note": "\u00e9 \"quoted\"", "sent_at": 1}"#.to_owned();
    let long = format!(r#"{{"event_id":"order-18","text":"{}"}}"#, "voltage ".repeat(200));
    let composite = r#"{"source":"urn:shop-a","id":7,"time":"2026-11-28T09:00:00Z"}"#.to_owned();
    let claim = |key, ignore, trace_id: Option<&str>, body: &str| {
        let attribute = MessageAttribute { data_type: "String", string_value: Some("order-19") };
        let event = rules(key, ignore).event(body, Some(attribute)).unwrap();
        let trace_id = trace_id.and_then(TraceId::parse);
        let message = SourceMessage { id: "059f36b4-87a3-44ab-83d2-661975830a7d", trace_id: trace_id.as_ref(), body };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        Claim::new(&event, &message, now, Duration::from_secs(1_382_400), &[7; 10]).unwrap()
    };
    BTreeMap::from([
        ("plain", claim("/event_id", "[]", None, &plain)),
        ("compressed", claim("/event_id", "[]", None, &long)),
        ("traced", claim("/event_id", "[]", Some(XRAY), &plain)),
        ("ignoring", claim("/event_id", r#"["/sent_at"]"#, None, &plain)),
        ("composite", claim(r#"["/source","/id"]"#, r#"["/time"]"#, Some(XRAY), &composite)),
        ("attribute", claim("attribute:order", "[]", None, &plain)),
        ("content", claim("content", r#"["/sent_at"]"#, None, &plain)),
    ])
}

fn read(folder: &str, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder).join(name);
    fs::read_to_string(file.with_extension("json")).unwrap()
}

fn read_claim(text: &str) -> Claim {
    Claim::from_item(serde_json::from_str::<serde_dynamo::Item>(text).unwrap()).unwrap()
}

/// This version writes exactly the items in `golden/current`, and reads them.
#[test]
fn current_version_is_as_recorded() {
    for (name, claim) in claims() {
        let item: Value = serde_json::to_value(claim.to_item()).unwrap();
        let recorded = read("current", name);
        assert_eq!(serde_json::from_str::<Value>(&recorded).unwrap(), item, "{name}");
        assert_eq!(read_claim(&recorded), claim, "{name}");
    }
}

/// This version reads the items of the version before. It archives them as the same object, and finds the same digest.
#[test]
fn version_before_is_read() {
    let claims = claims();
    for name in ["plain", "compressed"] {
        let before = read("before", name);
        assert!(!before.contains("layout") && !before.contains("trace_id"));
        let before = read_claim(&before);
        assert_eq!(before, claims[name], "{name}");
        assert_eq!(object::object_line(&before).unwrap(), object::object_line(&claims[name]).unwrap());
        for list in ["[]", r#"["/sent_at"]"#] {
            let rules = rules("/event_id", list);
            let digest = rules.digest(&before.body_text().unwrap()).unwrap();
            assert_eq!(before.comparable_digest(&rules).unwrap(), digest, "{name} {list}");
        }
    }
}

/// The version before reads a claim with `sk` = `CLAIM` of this version: the attributes that it needs are all there, in the
/// form that it knows.
#[test]
fn version_before_can_read_this_one() {
    for name in ["plain", "compressed"] {
        let before: BTreeMap<String, Value> = serde_json::from_str(&read("before", name)).unwrap();
        let current: BTreeMap<String, Value> = serde_json::from_str(&read("current", name)).unwrap();
        for (attribute, value) in before {
            assert_eq!(current.get(&attribute), Some(&value), "{name}: {attribute}");
        }
    }
}
