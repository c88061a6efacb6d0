//! Tests of `DEDUP_KEY` and `CONFLICT_IGNORE`, and of the fields that the function logs about messages.

use std::fs;
use std::path::Path;

use claim::Claim;
use emulator::Fault;
use serde_json::{Value, json};

use crate::world::World;

const XRAY: &str = "1-5759e988-bd862e3fe1be46a994272793";
const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Returns an SQS message with message attributes, in the form in which Lambda delivers it.
fn message(id: usize, body: &str, attributes: &Value) -> Value {
    json!({ "messageId": format!("m{id}"), "body": body, "messageAttributes": attributes })
}

fn string_attribute(data_type: &str, value: &str) -> Value {
    json!({ "dataType": data_type, "stringValue": value, "stringListValues": [], "binaryListValues": [] })
}

/// Returns the value of a field in the log line of message `m<id>`.
fn logged(world: &World, id: usize, field: &str) -> Value {
    let lines = world.lines();
    let line = lines.iter().rfind(|line| line["message_id"] == format!("m{id}")).unwrap();
    line[field].clone()
}

/// Order 7 of shop A and order 7 of shop B are two events, because the event id contains the shop and the order.
#[tokio::test(start_paused = true)]
async fn composite_key_keeps_sources_apart() {
    let world = World::new("single", &[("DEDUP_KEY", r#"[ "/shop", "/order" ]"#)]);
    let bodies =
        [r#"{"shop":"a","order":7}"#, r#"{"shop":"b","order":"7"}"#, r#"{"order":7,"shop":"a"}"#, r#"{"shop":"a"}"#];
    assert_eq!(world.deliver(&bodies).await, ["m3"]);
    assert_eq!(world.outcomes(), ["m0 won", "m1 won", "m2 duplicate", "m3 rejected"]);
    assert_eq!(logged(&world, 2, "event_id"), r#"["a","7"]"#);
    assert_eq!(logged(&world, 3, "error"), "the body has no dedup key at `/order`");
    let ids: Vec<String> = world.claims().await.into_iter().map(|claim| claim.event_id).collect();
    assert_eq!(ids, [r#"["a","7"]"#, r#"["b","7"]"#]);
}

/// The event id is the value of a message attribute, exactly as Lambda delivers it. A message without a usable
/// attribute is rejected alone.
#[tokio::test(start_paused = true)]
async fn attribute_is_the_event_id() {
    let world = World::new("batch", &[("DEDUP_KEY", "attribute:dedup-id")]);
    let key = |attribute: Value| json!({ "dedup-id": attribute });
    // With batched claims, the world adds a message without this attribute, so that one is rejected too.
    let records = vec![
        message(0, r#"{"a":1}"#, &key(string_attribute("String", " x "))),
        message(1, r#"{"a":1}"#, &key(string_attribute("String.uuid", " x "))),
        message(2, r#"{"a":1}"#, &key(string_attribute("Number", "7.0"))),
        message(3, r#"{"a":1}"#, &json!({ "other": string_attribute("String", "x") })),
        message(4, r#"{"a":1}"#, &key(json!({ "dataType": "Binary", "binaryValue": "eA==" }))),
        message(5, r#"{"a":1}"#, &key(string_attribute("String", ""))),
        message(6, "{", &key(string_attribute("String", "x"))),
        json!({ "messageId": "m7", "body": "{}", "messageAttributes": 7 }),
    ];
    assert_eq!(world.deliver_records(records).await, ["m3", "m4", "m5", "m6", "m7"]);
    assert_eq!(logged(&world, 1, "outcome"), "duplicate");
    let ids: Vec<String> = world.claims().await.into_iter().map(|claim| claim.event_id).collect();
    assert_eq!(ids, [" x ", "7.0"]);
    for (id, error) in [
        (3, "the message has no attribute `dedup-id`, which is the dedup key"),
        (4, r#"the message attribute `dedup-id`, which is the dedup key, has the type "Binary", not String or Number"#),
        (5, "the message attribute `dedup-id`, which is the dedup key, is empty"),
        (7, "the message has no attribute `dedup-id`, which is the dedup key"),
    ] {
        assert_eq!(logged(&world, id, "error"), error);
    }
}

/// Under `content`, bodies that are equal apart from ignored members are one event. A conflict is impossible.
#[tokio::test(start_paused = true)]
async fn content_is_the_event_id() {
    let world = World::new("single", &[("DEDUP_KEY", "content"), ("CONFLICT_IGNORE", r#"["/sent_at"]"#)]);
    let bodies =
        [r#"{"a":1,"b":2,"sent_at":1}"#, r#"{ "b":2,"a":1 }"#, r#"{"a":1,"b":2,"sent_at":{}}"#, r#"{"a":1,"b":3}"#];
    assert!(world.deliver(&bodies).await.is_empty());
    assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate", "m2 duplicate", "m3 won"]);
    // The output of `sha256sum` for {"a":1,"b":2}.
    let hash = "43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777";
    assert_eq!(logged(&world, 0, "event_id"), format!("sha256:{hash}"));
}

/// A claim that was made under another dedup key does not make a message a duplicate, even if the event ids are equal.
#[tokio::test(start_paused = true)]
async fn another_key_is_another_key_space() {
    let world = World::new("single", &[("DEDUP_KEY", "/id")]);
    world.hold_claims(0..1).await;
    assert!(world.deliver(&[r#"{"id":"0"}"#, r#"{"id":"0"}"#]).await.is_empty());
    assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate"]);
    let claims = world.claims().await;
    assert_eq!(claims.iter().map(|claim| claim.event_id.as_str()).collect::<Vec<_>>(), ["0", "0"]);
    let mut sort_keys: Vec<_> = claims.iter().map(|claim| claim.sort_key.as_ref()).collect();
    sort_keys.sort_unstable();
    // The first eight digits of the output of `sha256sum` for /id.
    assert_eq!(sort_keys, ["CLAIM", "CLAIM#03102162"]);
}

/// Bodies that differ only in ignored members do not conflict, in one batch or in two, with and without the cache.
#[tokio::test(start_paused = true)]
async fn restamped_message_is_a_duplicate() {
    for cache in ["10000", "0"] {
        let ignore = ("CONFLICT_IGNORE", r#"["/sent_at","/trace/id"]"#);
        let world = World::new("single", &[ignore, ("CLAIM_CACHE_ENTRIES", cache), ("ON_CONFLICT", "dead-letter")]);
        let body = |stamp: usize, value: usize| {
            json!({ "event_id": "a", "sent_at": stamp, "trace": { "id": stamp, "on": true }, "value": value })
                .to_string()
        };
        let bodies = [body(1, 1), body(2, 1), body(3, 2)];
        assert_eq!(world.deliver(&bodies.each_ref().map(String::as_str)).await, ["m2"]);
        assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate", "m2 conflict"]);
        assert_eq!(world.deliver(&[&body(4, 1)]).await, [""; 0]);
        assert_eq!(world.outcomes(), ["m0 duplicate"]);
    }
}

/// If a claim's digest was made with another list of ignored members, the function computes a new digest from the
/// claim's body.
#[tokio::test(start_paused = true)]
async fn changed_list_makes_no_conflict() {
    let world = World::new("single", &[("CONFLICT_IGNORE", r#"["/sent_at"]"#)]);
    // The claims of this helper have no ignored members.
    world.hold_claims(0..2).await;
    assert!(world.deliver(&[r#"{"event_id":"0","sent_at":1}"#, r#"{"event_id":"1","x":1}"#]).await.is_empty());
    assert_eq!(world.outcomes(), ["m0 duplicate", "m1 conflict"]);
    assert_eq!(logged(&world, 1, "differs"), r#"["/x"]"#);
}

/// The log line of a conflict names the places in which the bodies differ, but contains no values. If the claim comes
/// from the cache, which holds no bodies, the log line names no places.
#[tokio::test(start_paused = true)]
async fn conflict_says_what_differs() {
    let winner = r#"{"event_id":"a","total":1,"items":[{"sku":"x"},{"sku":"secret-1"}],"gone":0}"#;
    let other = r#"{"event_id":"a","total":1,"items":[{"sku":"x"},{"sku":"secret-2"}],"a/b~":0}"#;
    let third = r#"{"event_id":"a","total":2,"items":[{"sku":"x"},{"sku":"secret-1"}],"gone":0}"#;
    let differs = [json!(r#"["/a~1b~0","/gone","/items/1/sku"]"#), json!(r#"["/total"]"#)];

    // Followers are compared with a leader that wins.
    let world = World::new("single", &[("CLAIM_CACHE_ENTRIES", "0")]);
    world.deliver(&[winner, other, third]).await;
    assert_eq!(world.outcomes(), ["m0 won", "m1 conflict", "m2 conflict"]);
    assert_eq!([logged(&world, 1, "differs"), logged(&world, 2, "differs")], differs);
    // The leader and its followers are compared with the claim in the table.
    world.deliver(&[other, third, winner, other]).await;
    assert_eq!(world.outcomes(), ["m0 conflict", "m1 conflict", "m2 duplicate", "m3 conflict"]);
    assert_eq!([logged(&world, 0, "differs"), logged(&world, 1, "differs")], differs);
    assert_eq!(logged(&world, 3, "differs"), differs[0]);
    assert_eq!(logged(&world, 2, "differs"), Value::Null);
    // A follower is compared with the claim even if its leader is a duplicate.
    world.deliver(&[winner, third]).await;
    assert_eq!(world.outcomes(), ["m0 duplicate", "m1 conflict"]);
    assert_eq!(logged(&world, 1, "differs"), differs[1]);
    assert!(!world.services.logs.lines("log").concat().contains("secret"));

    let warm = World::new("single", &[]);
    warm.deliver(&[winner]).await;
    warm.deliver(&[other]).await;
    assert_eq!((logged(&warm, 0, "outcome"), logged(&warm, 0, "differs")), (json!("conflict"), Value::Null));
}

/// Many small messages that conflict with one large claim do not use up the function's time: only the log lines of the
/// first ones name the differences.
#[tokio::test(start_paused = true)]
async fn compared_bytes_are_limited() {
    let world = World::new("single", &[]);
    // A batch has its own limit.
    for event_id in ["a", "b"] {
        let winner = json!({ "event_id": event_id, "x": "x".repeat(1_000_000) }).to_string();
        let others = (0..30).map(|n| json!({ "event_id": event_id, "n": n }).to_string());
        let bodies: Vec<String> = [winner].into_iter().chain(others).collect();
        assert!(world.deliver(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await.is_empty());
        // 16 MiB are 16.8 million bytes.
        for id in 1..=30 {
            let differs = if id <= 16 { json!(r#"["/n","/x"]"#) } else { Value::Null };
            assert_eq!(
                (logged(&world, id, "outcome"), logged(&world, id, "differs")),
                (json!("conflict"), differs),
                "{id}"
            );
        }
    }
}

/// The trace id comes from the X-Ray header, or else from a `traceparent` attribute. It is in the log line of each message and
/// in the claim of the winner.
#[tokio::test(start_paused = true)]
async fn trace_id_is_logged_and_claimed() {
    let world = World::new("single", &[]);
    let traceparent = json!({ "traceparent": string_attribute("String", &format!("00-{W3C}-00f067aa0ba902b7-01")) });
    let header = |header: &str| json!({ "SentTimestamp": "1", "AWSTraceHeader": header });
    let with = |id: usize, attributes: &Value, message_attributes: &Value| {
        let mut message = message(id, &json!({ "event_id": (id / 2).to_string() }).to_string(), message_attributes);
        message["attributes"] = attributes.clone();
        message
    };
    let none = json!({});
    let both = header(&format!("Root={XRAY};Parent=53995c3f42cd8ad8;Sampled=1"));
    let records = vec![
        with(0, &both, &traceparent),
        with(1, &none, &traceparent),
        with(2, &header("Root=1-bad"), &traceparent),
        with(4, &header("Root=1-bad"), &none),
        with(6, &none, &json!({ "traceparent": string_attribute("String", "00-bad") })),
        with(8, &none, &json!({ "traceparent": 7 })),
        json!({ "messageId": "m9", "attributes": both, "messageAttributes": traceparent, "body": "{" }),
    ];
    assert_eq!(world.deliver_records(records).await, ["m9"]);
    let logged = |id| logged(&world, id, "trace_id");
    assert_eq!([0, 1, 2, 9].map(logged), [json!(XRAY), json!(W3C), json!(W3C), json!(XRAY)]);
    assert_eq!([4, 6, 8].map(logged), [Value::Null, Value::Null, Value::Null]);
    let claims = world.claims().await;
    let claimed: Vec<_> = claims.iter().map(|claim| claim.trace_id.as_ref().map(ToString::to_string)).collect();
    assert_eq!(claimed, [Some(XRAY.to_owned()), Some(W3C.to_owned()), None, None, None]);
}

/// With `LOG_ROUTINE_OUTCOMES=false`, only `won` and `duplicate` have no log line. The metrics stay the same.
#[tokio::test(start_paused = true)]
async fn routine_outcomes_can_be_silent() {
    let bodies = [r#"{"event_id":"a"}"#, r#"{"event_id":"a"}"#, r#"{"event_id":"a","x":1}"#, "{"];
    let summaries = ["true", "false"].map(|routine| async move {
        let world = World::new("single", &[("LOG_ROUTINE_OUTCOMES", routine)]);
        world.deliver(&bodies).await;
        world.fail(|_| Some(Fault::Throttled));
        world.deliver(&[r#"{"event_id":"b"}"#]).await;
        let outcomes: Vec<Value> = world.lines().into_iter().map(|mut line| line["outcome"].take()).collect();
        let expected = if routine == "true" {
            json!(["rejected", "won", "duplicate", "conflict", null, "failed", null])
        } else {
            json!(["rejected", "conflict", null, "failed", null])
        };
        assert_eq!(json!(outcomes), expected);
        let metrics =
            |line: &Value| ["Won", "Duplicate", "Conflict", "Rejected", "Failed"].map(|name| line[name].clone());
        world.lines().iter().filter(|line| line["message"] == "batch done").map(metrics).collect::<Vec<_>>()
    });
    let [logged, silent] = summaries;
    let logged = logged.await;
    assert_eq!(logged, silent.await);
    assert_eq!(json!(logged), json!([[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]]));
}

/// Recorded claims of this version and the previous one still hold their events. A copy of the message is a duplicate,
/// even if the list of ignored members has changed. A message with a different body is a conflict or, under `content`,
/// another event.
#[tokio::test(start_paused = true)]
async fn recorded_claims_hold_their_events() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/claim/tests/golden");
    let lists = ["[]", r#"["/sent_at"]"#, r#"["/time"]"#];
    for (file, key, lists) in [
        ("before/plain", "/event_id", &lists[..]),
        ("before/compressed", "/event_id", &lists),
        ("current/plain", "/event_id", &lists),
        ("current/compressed", "/event_id", &lists),
        ("current/traced", "/event_id", &lists),
        ("current/ignoring", "/event_id", &lists),
        ("current/composite", r#"["/source","/id"]"#, &lists),
        ("current/attribute", "attribute:order", &lists),
        ("current/content", "content", &lists[1..2]),
    ] {
        let item: Value = serde_json::from_slice(&fs::read(golden.join(file).with_extension("json")).unwrap()).unwrap();
        let claim = Claim::from_item(serde_json::from_value::<serde_dynamo::Item>(item.clone()).unwrap()).unwrap();
        for list in lists {
            let world = World::new("single", &[("DEDUP_KEY", key), ("CONFLICT_IGNORE", list)]);
            world.hold(item.clone()).await;
            let attributes = json!({ "order": string_attribute("String", "order-19") });
            let messages = [
                message(0, &format!(" {} ", claim.body_text().unwrap()), &attributes),
                message(1, &claim.body_text().unwrap().replacen('{', r#"{"extra":null,"#, 1), &attributes),
            ];
            assert!(world.deliver_records(messages.to_vec()).await.is_empty());
            let other = if key == "content" { "m1 won" } else { "m1 conflict" };
            assert_eq!(world.outcomes(), ["m0 duplicate", other], "{file} {list}");
            assert_eq!(logged(&world, 0, "claim_id"), claim.claim_id.to_string());
        }
    }
}

/// Each recorded queue message of this version and the previous one becomes the recorded claim, except for its claim id
/// and times.
#[tokio::test(start_paused = true)]
async fn recorded_messages_become_recorded_claims() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/claim/tests/golden");
    let read = |file: String| -> Value {
        serde_json::from_slice(&fs::read(golden.join(file).with_extension("json")).unwrap()).unwrap()
    };
    for (file, key, list) in [
        ("before/plain", "/event_id", "[]"),
        ("before/compressed", "/event_id", "[]"),
        ("current/plain", "/event_id", "[]"),
        ("current/compressed", "/event_id", "[]"),
        ("current/traced", "/event_id", "[]"),
        ("current/ignoring", "/event_id", r#"["/sent_at"]"#),
        ("current/composite", r#"["/source","/id"]"#, r#"["/time"]"#),
        ("current/attribute", "attribute:order", "[]"),
        ("current/content", "content", r#"["/sent_at"]"#),
    ] {
        let world = World::new("single", &[("DEDUP_KEY", key), ("CONFLICT_IGNORE", list)]);
        assert!(world.deliver_records(vec![read(format!("queue/{file}"))]).await.is_empty(), "{file}");
        let recorded = serde_json::from_value::<serde_dynamo::Item>(read(file.to_owned())).unwrap();
        let recorded = Claim::from_item(recorded).unwrap();
        let claim = world.claims().await.pop().unwrap();
        let Claim { claim_id, claimed_at, ttl, .. } = claim.clone();
        assert_eq!(claim, Claim { claim_id, claimed_at, ttl, ..recorded }, "{file}");
    }
}
