//! Tests of records that can never be archived.

use emulator::Fault;
use serde_json::{Value, json};

use crate::world::{NOW, World, record, record_of_age};

/// A record that can never be archived is stored under `_unusable/` and not reported as failed, so that it does not
/// block its shard.
#[tokio::test(start_paused = true)]
async fn unusable_record_is_quarantined() {
    type Damage = fn(&mut Value);
    let damages: [Damage; 9] = [
        |record| drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("claim_id")),
        |record| drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body")),
        |record| record["dynamodb"]["NewImage"]["body_zstd"] = json!({ "B": "AAAA" }),
        |record| {
            drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body"));
            record["dynamodb"]["NewImage"]["body_zstd"] = json!({ "B": "AAAA" });
        },
        |record| record["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" }),
        |record| record["dynamodb"]["NewImage"]["claimed_at"]["S"] = "yesterday".into(),
        |record| record["dynamodb"]["NewImage"]["claim_id"]["S"] = "../../elsewhere".into(),
        |record| record["dynamodb"]["NewImage"]["body"]["S"] = "{\"a\":".into(),
        |record| drop(record.as_object_mut().unwrap().remove("eventName")),
    ];
    for (number, damage) in (10..).zip(damages) {
        let world = World::new();
        let mut unusable = record(number, "{}");
        damage(&mut unusable);
        assert!(world.deliver(&[unusable.clone(), record(1, "{}")]).await.is_empty(), "{number}");
        assert_eq!(world.outcomes(), ["1 written".to_owned(), format!("{number} quarantined")]);
        let lake = world.lake();
        let (key, versions, content) = lake.iter().find(|(key, ..)| key.contains("_unusable")).unwrap();
        assert_eq!((key, *versions), (&format!("events/_unusable/{number}.json"), 1));
        assert_eq!(serde_json::from_str::<Value>(content).unwrap(), unusable);
        assert_eq!(world.lines().pop().unwrap()["Quarantined"], 1);
    }
}

/// The log line of a quarantined record contains the error and its cause.
#[tokio::test(start_paused = true)]
async fn quarantine_is_logged_with_its_cause() {
    let world = World::new();
    let mut bad_event_name = record(1, "{}");
    bad_event_name["eventName"] = json!(7);
    let mut no_body = record(2, "{}");
    no_body["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body");
    let not_json = record(3, "{\"a\":");
    world.services.faults.set(|call| {
        assert!(!call.operation.ends_with("000000000004.json"), "on purpose");
        None
    });
    world.deliver(&[bad_event_name, no_body, not_json, record_of_age(4, json!(NOW - 7_200))]).await;
    let line = |number: &str| world.lines().into_iter().find(|line| line["sequence_number"] == number).unwrap();
    for (number, error) in [
        ("2", "the item must have one of `body` and `body_zstd`, but has neither"),
        ("3", "the body is not JSON: EOF while parsing a value at line 1 column 5"),
        ("4", "the function panicked: on purpose"),
    ] {
        assert_eq!(line(number)["error"], error);
    }
    let error = line("1")["error"].as_str().unwrap().to_owned();
    let cause =
        "the record is not a DynamoDB stream record: invalid type: integer `7`, expected a string at line 1 column ";
    assert!(error.starts_with(cause), "{error}");
    // Record 4 was decoded into a claim. The other records were not, but their lines have the ids too.
    for number in ["1", "2", "3", "4"] {
        let claim_id = format!("01a3185c-4a24-7000-8000-{number:0>12}");
        assert_eq!((&line(number)["event_id"], &line(number)["claim_id"]), (&json!(number), &json!(claim_id)));
    }
}

/// A log line stays short even if the error quotes a very long input.
#[tokio::test(start_paused = true)]
async fn long_bad_record_has_short_log_line() {
    let world = World::new();
    let long = "x".repeat(300_000);
    let mut bad_value = record(1, "{}");
    let mut bad_type = record(2, "{}");
    bad_value["dynamodb"]["NewImage"]["claimed_at"]["S"] = long.as_str().into();
    // serde_json's error quotes the text that it found instead of an attribute.
    bad_type["dynamodb"]["NewImage"]["another"] = long.as_str().into();
    assert!(world.deliver(&[bad_value, bad_type]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 quarantined", "2 quarantined"]);
    for line in world.services.logs.lines("log") {
        assert!(line.len() < 2_000, "{} bytes: {}", line.len(), line.chars().take(300).collect::<String>());
    }
}

#[tokio::test(start_paused = true)]
async fn failed_quarantine_is_reported() {
    let world = World::new();
    let mut unusable = record(1, "{}");
    unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
    world.fail(|_| Some(Fault::Refused(503)));
    assert_eq!(world.deliver(&[unusable]).await, ["1"]);
    assert_eq!(world.outcomes(), ["1 failed"]);
}
