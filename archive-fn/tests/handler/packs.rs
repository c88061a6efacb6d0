//! Tests of packs: each becomes one gzip object.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::{Duration, SystemTime};

use claim::pack::MAX_LINES_BYTES;
use claim::{Claim, EventRules, Layout, Pack, PackBuilder, PackRef, SourceMessage, object};
use emulator::Fault;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{BUCKET, NOW, World, record};

const PACK_ID: Uuid = Uuid::from_u128(0x01a3_185c_4a24_7101_8101_0101_0101_0101);

fn claim(number: u8) -> Claim {
    let body = json!({ "v": 1.5, "event_id": format!("order-{number}") }).to_string();
    let event = EventRules::default().event(&body, None).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW * 1_000 - 1_500 - u64::from(number));
    let pack = PackRef { pack_id: PACK_ID, close_by_ms: NOW * 1_000 };
    let message = SourceMessage::new("m", &body);
    Claim::with_layout(&event, &message, now, Duration::from_secs(1_000), &[number; 10], Layout::Pack(pack)).unwrap()
}

fn pack(claims: &[Claim]) -> Pack {
    let mut builder = PackBuilder::new();
    for claim in claims {
        builder.push(claim).unwrap();
    }
    builder.finish(PACK_ID).unwrap()
}

/// Returns the stream record of a new item.
fn new_item(number: u32, item: &serde_dynamo::Item) -> Value {
    let mut record = record(number, "{}");
    let image = serde_json::to_value(item).unwrap();
    record["dynamodb"]["Keys"] = json!({ "pk": image["pk"], "sk": image["sk"] });
    record["dynamodb"]["NewImage"] = image;
    record
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// Returns the versions of the object of the pack.
fn versions(world: &World) -> Vec<Vec<u8>> {
    let key = format!("events/dt=2027-01-15/hour=07/{PACK_ID}.json.gz");
    let objects = world.services.lakes.versions(BUCKET);
    objects
        .into_iter()
        .find(|(found, _)| *found == key)
        .map_or_else(Vec::new, |(_, versions)| versions.iter().map(|version| version.to_vec()).collect())
}

/// A pack becomes one object with the lines of its claims. The object's bytes are the same in each attempt. Each claim has a
/// log line, and the packed claims themselves are skipped.
#[tokio::test(start_paused = true)]
async fn pack_becomes_one_object() {
    let world = World::new();
    let claims = [claim(1), claim(2), claim(3)];
    let pack = pack(&claims);
    let mut records: Vec<Value> = claims.iter().zip(1..).map(|(claim, n)| new_item(n, &claim.to_item())).collect();
    records.push(new_item(4, &pack.into_item()));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 skipped", "2 skipped", "3 skipped", "4 written", "4 written", "4 written"]);

    let written = versions(&world);
    assert_eq!(written.len(), 1);
    let expected = claims.iter().map(|claim| String::from_utf8(object::object_line(claim).unwrap()).unwrap());
    assert_eq!(gunzip(&written[0]), expected.collect::<String>());
    // No time, no name and no operating system in the header.
    assert_eq!(written[0][..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);

    let lines = world.lines();
    let key = format!("events/dt=2027-01-15/hour=07/{PACK_ID}.json.gz");
    for (line, number) in lines.iter().filter(|line| line["outcome"] == "written").zip(1_u64..) {
        assert_eq!(line["event_id"], format!("order-{number}"));
        assert_eq!(line["claim_id"], claims[usize::try_from(number).unwrap() - 1].claim_id.to_string());
        assert_eq!((&line["message_id"], &line["key"]), (&json!("m"), &json!(key)));
        assert_eq!(line["lag_ms"], 1_500 + number);
    }
    let summary = lines.last().unwrap();
    let count = |name: &str| summary[name].as_u64();
    assert_eq!([count("Packs"), count("PackBytes")], [Some(1), Some(written[0].len() as u64)]);
    assert_eq!([count("Written"), count("Skipped"), count("LagMaxMs")], [Some(3), Some(3), Some(1_503)]);
    let client = aws_sdk_s3::Client::new(&world.services.sdk_config());
    let head = client.head_object().bucket(BUCKET).key(&key).send().await.unwrap();
    assert_eq!(head.metadata.unwrap(), HashMap::from([("count".to_owned(), "3".to_owned())]));
    assert_eq!(head.content_encoding, None);

    let again = World::new();
    assert!(again.deliver(&records[3..]).await.is_empty());
    assert_eq!(versions(&again), written);
}

/// A redelivered pack is already there. It counts as no new pack.
#[tokio::test(start_paused = true)]
async fn redelivered_pack_is_already_there() {
    let world = World::new();
    let record = new_item(1, &pack(&[claim(1), claim(2)]).into_item());
    for outcome in ["1 written", "1 already_there"] {
        assert!(world.deliver(std::slice::from_ref(&record)).await.is_empty());
        assert_eq!(world.outcomes(), [outcome, outcome]);
    }
    assert_eq!(versions(&world).len(), 1);
    let summary = world.lines().pop().unwrap();
    assert_eq!((summary["AlreadyThere"].as_u64(), summary.get("Packs")), (Some(2), None));
}

/// A pack whose write has an unknown outcome is reported, and written when it is redelivered.
#[tokio::test(start_paused = true)]
async fn failed_pack_is_retried() {
    for fault in [Fault::RequestLost, Fault::AnswerLost, Fault::Throttled, Fault::Refused(403), Fault::EmptyAnswer] {
        let world = World::new();
        let record = new_item(1, &pack(&[claim(1), claim(2)]).into_item());
        world.fail(move |_| Some(fault));
        let reported = world.deliver(std::slice::from_ref(&record)).await;
        let written = fault == Fault::AnswerLost;
        // The SDK's later attempts get no answer either.
        assert_eq!(reported, ["1"], "{fault:?}");
        world.fail(|_| None);
        assert!(world.deliver(&[record]).await.is_empty());
        assert_eq!(versions(&world).len(), 1, "{fault:?}");
        let outcome = if written { "1 already_there" } else { "1 written" };
        assert_eq!(world.outcomes(), [outcome, outcome], "{fault:?}");
    }
}

/// A pack that can never be archived is quarantined, and does not block the other records.
#[tokio::test(start_paused = true)]
async fn unreadable_pack_is_quarantined() {
    let world = World::new();
    let good = pack(&[claim(1), claim(2)]);
    let bomb = zstd::encode_all(&*vec![b' '; MAX_LINES_BYTES + 1], 3).unwrap();
    let other_line = pack(&[claim(2), claim(1)]).lines_zstd;
    let mut no_ids = new_item(4, &good.clone().into_item());
    no_ids["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("claim_ids");
    let mut no_record = new_item(5, &good.clone().into_item());
    no_record["dynamodb"]["NewImage"]["ttl"] = json!(7);
    let mut removed = new_item(6, &good.clone().into_item());
    removed["eventName"] = "REMOVE".into();
    let batch = [
        new_item(1, &Pack { lines_zstd: good.lines_zstd[..20].to_vec(), ..good.clone() }.into_item()),
        new_item(2, &Pack { lines_zstd: bomb, ..good.clone() }.into_item()),
        new_item(3, &Pack { lines_zstd: other_line, ..good.clone() }.into_item()),
        no_ids,
        no_record,
        removed,
        new_item(7, &good.clone().into_item()),
    ];
    assert!(world.deliver(&batch).await.is_empty());
    let expected = ["1 quarantined", "2 quarantined", "3 quarantined", "4 quarantined", "5 quarantined", "6 skipped"];
    assert_eq!(world.outcomes()[..6], expected);
    assert_eq!(world.outcomes()[6..], ["7 written", "7 written"]);
    let errors: Vec<String> = world
        .lines()
        .iter()
        .filter_map(|line| Some(format!("{}: {}", line["sequence_number"].as_str()?, line["error"].as_str()?)))
        .collect();
    for error in [
        "1: `lines_zstd` does not decompress: incomplete frame",
        "2: `lines_zstd` decompresses to more than 16777216 bytes",
        "3: line 1 does not belong to the claim at its position",
    ] {
        assert!(errors.contains(&error.to_owned()), "{error}: {errors:#?}");
    }
}

/// The golden pack of `crates/claim` is archived.
#[tokio::test(start_paused = true)]
async fn golden_pack_is_archived() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/claim/tests/golden/packs/pack.json");
    let item: serde_dynamo::Item = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let world = World::new();
    assert!(world.deliver(&[new_item(1, &item)]).await.is_empty());
    assert_eq!(gunzip(&versions(&world)[0]).lines().count(), 2);
}
