//! Tests of the handler. It receives batches of stream records, and writes their claims to the emulator's lake.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod deadline;
mod packs;
mod panics;
mod quarantine;
mod world;

use std::fs;
use std::path::Path;

use claim::{Claim, ObjectPrefix, object};
use emulator::Fault;
use serde_json::{Value, json};

use crate::world::{World, record};

/// A claim becomes an object of one line under its own key. The event's numbers stay as they were written, and its
/// fields keep their order.
#[tokio::test(start_paused = true)]
async fn claim_becomes_one_line() {
    let world = World::new();
    assert!(world.deliver(&[record(1, "{ \"z\" : 1.50,\n \"a\": [1E400, \"\\u00e9 x\"] }")]).await.is_empty());
    let key = "events/dt=2027-01-15/hour=07/01a3185c-4a24-7000-8000-000000000001.json";
    let line = concat!(
        r#"{"event_id":"1","claim_id":"01a3185c-4a24-7000-8000-000000000001","claimed_at":"2027-01-15T07:59:58.500Z","#,
        r#""message_id":"m","event":{"z":1.50,"a":[1E400,"\u00e9 x"]}}"#,
        "\n"
    );
    assert_eq!(world.lake(), [(key.to_owned(), 1, line.to_owned())]);
    let written = &world.lines()[0];
    assert_eq!(
        (&written["outcome"], &written["key"], &written["lag_ms"]),
        (&json!("written"), &json!(key), &json!(1_500))
    );
    assert_eq!((&written["event_id"], &written["message_id"]), (&json!("1"), &json!("m")));
    assert_eq!(world.lines()[1]["LagMaxMs"], 1_500);
}

/// Only records of new claims are archived. All other records are skipped.
#[tokio::test(start_paused = true)]
async fn other_records_are_skipped() {
    let world = World::new();
    let with = |number, name: &str| {
        let mut record = record(number, "{}");
        record["eventName"] = name.into();
        record
    };
    let mut other_kind = record(4, "{}");
    other_kind["dynamodb"]["NewImage"]["sk"]["S"] = "OTHER".into();
    let mut removed = with(5, "REMOVE");
    removed["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    // These two records cannot be deserialized, but they do not look like new claims.
    let mut malformed_kind = record(6, "{}");
    malformed_kind["dynamodb"]["NewImage"]["sk"]["S"] = "OTHER".into();
    malformed_kind["dynamodb"]["NewImage"]["another"] = "no attribute value".into();
    let mut malformed_removal = with(7, "REMOVE");
    malformed_removal["dynamodb"]["NewImage"]["another"] = "no attribute value".into();
    let batch = [
        with(1, "INSERT"),
        with(2, "MODIFY"),
        with(3, "UNKNOWN_TO_SDK_VERSION"),
        other_kind,
        removed,
        malformed_kind,
        malformed_removal,
    ];
    assert!(world.deliver(&batch).await.is_empty());
    assert_eq!(
        world.outcomes(),
        ["1 written", "2 written", "3 skipped", "4 skipped", "5 skipped", "6 skipped", "7 skipped"]
    );
    assert_eq!(world.lake().len(), 2);
}

/// A claim of any dedup key is archived, whatever the tag in its sort key.
#[tokio::test(start_paused = true)]
async fn claims_of_every_key_space_are_archived() {
    let world = World::new();
    let with = |number, sort_key: &str| {
        let mut record = record(number, "{}");
        record["dynamodb"]["NewImage"]["sk"]["S"] = sort_key.into();
        record
    };
    let batch = [with(1, "CLAIM"), with(2, "CLAIM#03102162"), with(3, "CLAIM#?"), with(4, "CLAIMS"), with(5, "PACKS")];
    assert!(world.deliver(&batch).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 written", "4 skipped", "5 skipped"]);
}

/// The line of a packed claim is in a pack, so its record is skipped. Without a pack, the claim is quarantined.
#[tokio::test(start_paused = true)]
async fn packed_claims_are_skipped() {
    let world = World::new();
    let with = |number, pack_id: Option<&str>| {
        let mut record = record(number, "{}");
        let image = &mut record["dynamodb"]["NewImage"];
        image["packed_body"] = image["body"].take();
        image.as_object_mut().unwrap().remove("body");
        image["layout"] = json!({ "S": "pack" });
        image["close_by"] = json!({ "N": "1800000030123" });
        if let Some(pack_id) = pack_id {
            image["pack_id"] = json!({ "S": pack_id });
        }
        record
    };
    let batch = [with(1, Some("01a3185c-4a24-7101-8101-010101010101")), with(2, None), with(3, Some("x"))];
    assert!(world.deliver(&batch).await.is_empty());
    assert_eq!(world.outcomes(), ["1 skipped", "2 quarantined", "3 quarantined"]);
}

/// Stream records of claims from this version and from the previous version are archived.
#[tokio::test(start_paused = true)]
async fn recorded_claims_are_archived() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/claim/tests/golden/stream");
    let mut archived = 0;
    for file in ["before", "current"].iter().flat_map(|folder| fs::read_dir(golden.join(folder)).unwrap()) {
        let file = file.unwrap().path();
        let record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let item = serde_json::from_value::<serde_dynamo::Item>(record["dynamodb"]["NewImage"].clone()).unwrap();
        let claim = Claim::from_item(item).unwrap();
        let number = record["dynamodb"]["SequenceNumber"].as_str().unwrap();
        let outcomes = ["already_there", "written"].map(|outcome| format!("{number} {outcome}"));
        let world = World::new();
        assert!(world.deliver(&[record.clone(), record.clone()]).await.is_empty());
        assert_eq!(world.outcomes(), outcomes, "{file:?}");
        let line = String::from_utf8(object::object_line(&claim).unwrap()).unwrap();
        let key = ObjectPrefix::parse("events/").unwrap().object_key(&claim);
        assert_eq!(world.lake(), [(key, 1, line)], "{file:?}");
        archived += 1;
    }
    assert_eq!(archived, 9);
}

/// The trace id of a claim is in its log line and in its object's metadata, but not in the object's content. A
/// malformed trace id is left out.
#[tokio::test(start_paused = true)]
async fn trace_id_is_metadata_of_the_object() {
    let world = World::new();
    let with = |number, trace_id: &str| {
        let mut record = record(number, "{}");
        record["dynamodb"]["NewImage"]["trace_id"] = json!({ "S": trace_id });
        record
    };
    let xray = "1-5759e988-bd862e3fe1be46a994272793";
    let mut unusable = with(3, xray);
    unusable["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body");
    assert!(world.deliver(&[with(1, xray), with(2, "é\n"), unusable]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 quarantined"]);
    let [traced, untraced, unusable] = [0, 1, 2].map(|n| world.lines()[n].clone());
    assert_eq!(
        [&traced["trace_id"], &untraced["trace_id"], &unusable["trace_id"]],
        [&json!(xray), &Value::Null, &json!(xray)]
    );
    let lake = world.lake();
    assert!(lake.iter().filter(|(key, ..)| !key.contains("_unusable")).all(|(.., line)| !line.contains(xray)));
    let metadata = world.metadata(traced["key"].as_str().unwrap()).await;
    assert_eq!(metadata.into_iter().collect::<Vec<_>>(), [("trace-id".to_owned(), xray.to_owned())]);
    assert!(world.metadata(untraced["key"].as_str().unwrap()).await.is_empty());
}

/// With `LOG_ROUTINE_OUTCOMES=false`, only `written`, `already_there` and `skipped` have no log line. The
/// metrics stay the same.
#[tokio::test(start_paused = true)]
async fn routine_outcomes_can_be_silent() {
    let world = World::with(&[("LOG_ROUTINE_OUTCOMES", "false")]);
    let mut other = record(2, "{}");
    other["dynamodb"]["NewImage"]["sk"]["S"] = "OTHER".into();
    let mut unusable = record(3, "{}");
    unusable["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body");
    world.deliver(&[record(1, "{}"), record(1, "{}"), other, unusable]).await;
    world.fail(|_| Some(Fault::Refused(403)));
    world.deliver(&[record(4, "{}")]).await;
    let lines = world.lines();
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap_or("batch done")).collect();
    assert_eq!(outcomes, ["quarantined", "batch done", "failed", "batch done"]);
    let counts = ["Written", "AlreadyThere", "Skipped", "Quarantined", "Failed"].map(|name| lines[1][name].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(1), Some(1), Some(0)]);
}

/// The summary line counts the records of each outcome.
#[tokio::test(start_paused = true)]
async fn summary_counts_each_outcome() {
    let world = World::new();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    let unusable = |number| {
        let mut record = record(number, "{}");
        record["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
        record
    };
    let skipped = |number| {
        let mut record = record(number, "{}");
        record["eventName"] = "REMOVE".into();
        record
    };
    world.services.faults.set(|call| call.operation.ends_with("000000000004.json").then_some(Fault::Refused(503)));
    let batch = [record(1, "{}"), record(2, "{}"), record(3, "{}"), record(4, "{}"), unusable(5), skipped(6)];
    assert_eq!(world.deliver(&batch).await, ["4"]);
    let summary = world.lines().pop().unwrap();
    let counts = ["Written", "AlreadyThere", "Skipped", "Quarantined", "Failed"].map(|name| summary[name].clone());
    assert_eq!(json!(counts), json!([2, 1, 1, 1, 1]));
}

/// If a record is delivered again, its object is already there and gets no second version.
#[tokio::test(start_paused = true)]
async fn redelivered_record_is_already_there() {
    let world = World::new();
    for outcome in ["1 written", "1 already_there", "1 already_there"] {
        assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), [outcome]);
    }
    assert_eq!(world.lake()[0].1, 1);
}

/// If two claims had the same claim id by chance, the second event would be lost: S3 answers 412 to its write, and the
/// function does not read the object. Decision 3 states how unlikely this is.
#[tokio::test(start_paused = true)]
async fn equal_claim_id_loses_the_second_event() {
    let world = World::new();
    let mut second = record(2, "{}");
    second["dynamodb"]["NewImage"]["claim_id"] = record(1, "{}")["dynamodb"]["NewImage"]["claim_id"].clone();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert!(world.deliver(&[second]).await.is_empty());
    assert_eq!(world.outcomes(), ["2 already_there"]);
    let lake = world.lake();
    assert!(lake.len() == 1 && lake[0].2.starts_with(r#"{"event_id":"1","#), "{lake:?}");
}

/// Malformed fields have no effect if the function does not need them.
#[tokio::test(start_paused = true)]
async fn unused_fields_are_ignored() {
    let world = World::new();
    let mut odd = record(1, "{}");
    odd["dynamodb"]["SizeBytes"] = "many".into();
    odd["dynamodb"]["Keys"] = Value::Null;
    odd["eventVersion"] = json!([2]);
    assert!(world.deliver(&[odd]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written"]);
}
