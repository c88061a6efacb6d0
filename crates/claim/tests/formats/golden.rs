//! The golden files in `tests/golden`: claims as DynamoDB JSON, and the `stream` records and `queue` messages that
//! Lambda delivers. The files in `current` are from this version, and those in `before` from the previous version.
//! Every version must read both, because a deployment and a roll-back run two versions side by side.
//!
//! If you change a format, replace the files in `before` with those in `current`, and put new ones into `current`. The
//! failing test prints the new claims. A new file also needs an entry in [`FILES`]. The tests of the functions read
//! these files, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use claim::{Claim, EventRules, MessageAttribute, SourceMessage, TraceId, object};
use serde_json::Value;

use crate::rules;

/// The files of this version, each with the settings that its claim was made under.
const FILES: [(&str, &str, &str); 7] = [
    ("attribute", "attribute:order", "[]"),
    ("composite", r#"["/source","/id"]"#, r#"["/time"]"#),
    ("compressed", "/event_id", "[]"),
    ("content", "content", r#"["/sent_at"]"#),
    ("ignoring", "/event_id", r#"["/sent_at"]"#),
    ("plain", "/event_id", "[]"),
    ("traced", "/event_id", "[]"),
];

/// The files of the previous version, which had only the default settings.
const FILES_BEFORE: [&str; 2] = ["compressed", "plain"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(in_folder: &str, name: &str) -> Value {
    let text = fs::read_to_string(folder(in_folder).join(name).with_extension("json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn read_claim(item: &Value) -> Claim {
    Claim::from_item(serde_json::from_value::<serde_dynamo::Item>(item.clone()).unwrap()).unwrap()
}

/// Claims the event of a queue message, as `ingest-fn` does.
fn claim_queue_message(rules: &EventRules, message: &Value) -> Claim {
    let attribute = |name: &str| {
        let attribute = message["messageAttributes"].get(name)?;
        Some(MessageAttribute {
            data_type: attribute["dataType"].as_str().unwrap(),
            string_value: attribute["stringValue"].as_str(),
        })
    };
    let header = message["attributes"].get("AWSTraceHeader").map(|header| header.as_str().unwrap());
    let traceparent = attribute("traceparent").and_then(|attribute| attribute.string_value);
    let trace_id =
        header.and_then(TraceId::from_xray_header).or_else(|| traceparent.and_then(TraceId::from_traceparent));
    let body = message["body"].as_str().unwrap();
    let event = rules.event(body, rules.dedup_key().attribute().and_then(attribute)).unwrap();
    let message = SourceMessage { id: message["messageId"].as_str().unwrap(), trace_id: trace_id.as_ref(), body };
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    Claim::new(&event, &message, now, Duration::from_secs(1_382_400), &[7; 10]).unwrap()
}

/// This version turns the queue messages in `queue/current` into exactly the claims in `current`.
#[test]
fn this_version_writes_the_current_claims() {
    for (name, key, list) in FILES {
        let claim = claim_queue_message(&rules(key, list), &read("queue/current", name));
        let item = serde_json::to_value(claim.to_item()).unwrap();
        assert_eq!(read("current", name), item, "{name}.json should be\n{item:#}");
    }
}

/// This version reads the claims of both versions, from the table and from the stream. Each claim equals the one that
/// this version makes from the queue message.
#[test]
fn claims_of_both_versions_are_read() {
    let before = FILES_BEFORE.map(|name| ("before", name, "/event_id", "[]"));
    let current = FILES.map(|(name, key, list)| ("current", name, key, list));
    for (version, name, key, list) in before.into_iter().chain(current) {
        let item = read(version, name);
        let claim = read_claim(&item);
        let message = read(&format!("queue/{version}"), name);
        assert_eq!(claim, claim_queue_message(&rules(key, list), &message), "{version}/{name}");
        assert_eq!(claim.body_text().unwrap(), message["body"].as_str().unwrap(), "{version}/{name}");

        let record = read(&format!("stream/{version}"), name);
        assert_eq!(record["dynamodb"]["NewImage"], item, "{version}/{name}");
        for key in ["pk", "sk"] {
            assert_eq!(record["dynamodb"]["Keys"][key], item[key], "{version}/{name}");
        }
    }
}

/// This version treats a claim of the previous version like its own claim: both become the same object, and have the
/// same digest under every list of ignored members.
#[test]
fn claims_of_the_version_before_are_equal() {
    for name in FILES_BEFORE {
        let item = read("before", name);
        assert!(item.get("layout").is_none() && item.get("trace_id").is_none());
        let before = read_claim(&item);
        let current = read_claim(&read("current", name));
        assert_eq!(before, current, "{name}");
        assert_eq!(object::object_line(&before).unwrap(), object::object_line(&current).unwrap());
        for list in ["[]", r#"["/sent_at"]"#] {
            let rules = rules("/event_id", list);
            let digest = rules.digest(&before.body_text().unwrap()).unwrap();
            assert_eq!(before.comparable_digest(&rules).unwrap(), digest, "{name} {list}");
        }
    }
}

/// The previous version can read a claim that this version made under the default key: the claim has all the attributes
/// of the previous version, with the same values.
#[test]
fn version_before_can_read_this_one() {
    for name in FILES_BEFORE {
        let current = read("current", name);
        for (attribute, value) in read("before", name).as_object().unwrap() {
            assert_eq!(current.get(attribute), Some(value), "{name}: {attribute}");
        }
    }
}

/// These tests read every golden file: each version has the same files in all three folders, and no others.
#[test]
fn no_golden_file_is_left_out() {
    let expected: BTreeMap<&str, Vec<&str>> =
        BTreeMap::from([("before", FILES_BEFORE.to_vec()), ("current", FILES.map(|(name, ..)| name).to_vec())]);
    for (version, names) in expected {
        for in_folder in [version.to_owned(), format!("stream/{version}"), format!("queue/{version}")] {
            let files = fs::read_dir(folder(&in_folder)).unwrap().map(|file| file.unwrap().path());
            let mut found: Vec<String> =
                files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            found.sort();
            assert_eq!(found, names, "{in_folder}");
        }
    }
}
