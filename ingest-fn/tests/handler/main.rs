//! Tests of the handler with the emulator's table.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batched;
mod packs;
mod rules;
mod settling;
mod world;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulator::Fault;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::world::{NOW, WINDOW, World};

/// Runs each test with single claims and with batched claims.
macro_rules! with_both_writes {
    ($($name:ident)*) => {
        mod with_single_writes {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name("single").await;
                }
            )*
        }

        mod with_batched_writes {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name("batch").await;
                }
            )*
        }
    };
}

with_both_writes! {
    bad_messages_fail_alone
    record_without_message_id_fails_batch
    long_bad_message_has_short_log_line
    messages_of_one_event_cost_one_write
    unknown_outcome_is_never_a_duplicate
    unreadable_old_item_is_never_a_duplicate
    error_without_a_code_is_never_a_duplicate
    follower_is_compared_with_confirmed_claim
    window_is_exact_and_never_extended
    equal_claim_id_does_not_make_a_winner
    unread_messages_are_reported
    panic_fails_only_its_message
}

/// Only the bad messages of a batch are reported. The log says what is wrong with each of them.
async fn bad_messages_fail_alone(writes: &str) {
    let world = World::new(writes, &[("DEDUP_KEY", "/meta/id")]);
    let deep = format!(r#"{{"meta":{{"id":"d"}},"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let long = format!(r#"{{"meta":{{"id":"{}"}}}}"#, "x".repeat(2_043));
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(700_000).collect();
    let large = format!(r#"{{"meta":{{"id":"l"}},"x":"{noise}"}}"#);
    let bad = [
        "not json",
        r#"{"meta":{"id":"a","id":"b"}}"#,
        r#"{"meta":{"id":"a\ud800"}}"#,
        r#"{"meta":{"id":""}}"#,
        r#"{"meta":{"id":1.5}}"#,
        r#"{"meta":{"id":null}}"#,
        r#"{"meta":{}}"#,
        &deep,
        &long,
        &large,
    ];
    let mut bodies = bad.to_vec();
    bodies.extend([r#"{"meta":{"id":"good"}}"#, r#"{"meta":{"id":7}}"#]);
    let mut expected: Vec<String> = (0..bad.len()).map(|n| format!("m{n}")).collect();
    expected.sort();
    assert_eq!(world.deliver(&bodies).await, expected);
    assert_eq!(world.outcomes().iter().filter(|outcome| outcome.ends_with(" won")).count(), 2);

    let rejected: Vec<Value> = world.lines().into_iter().filter(|line| line["outcome"] == "rejected").collect();
    assert_eq!(rejected.len(), bad.len());
    for line in &rejected {
        assert!(line["message_id"].is_string() && !line["error"].as_str().unwrap().is_empty(), "{line}");
        assert!(line["timestamp"].is_string() && line["level"] == "INFO", "{line}");
    }
    for n in [3, 4, 5, 6, 8] {
        let line = rejected.iter().find(|line| line["message_id"] == format!("m{n}")).unwrap();
        assert!(line["error"].as_str().unwrap().contains("/meta/id"), "the error does not name the pointer: {line}");
    }
}

/// A record without a message id is reported with an empty identifier, so that Lambda retries the whole batch. The other
/// messages of the batch are still claimed.
async fn record_without_message_id_fails_batch(writes: &str) {
    let world = World::new(writes, &[]);
    let reported = world.deliver_records(vec![json!(7), json!({"messageId":"m1","body":r#"{"event_id":"a"}"#})]).await;
    assert_eq!(reported, [""]);
    assert_eq!(world.outcomes(), ["- rejected", "m1 won"]);
}

/// A log line stays short even if the error quotes a very long input.
async fn long_bad_message_has_short_log_line(writes: &str) {
    let world = World::new(writes, &[]);
    let long = "x".repeat(400_000);
    let repeated_name = json!({"messageId":"m0","body":format!(r#"{{"event_id":"a","{long}":1,"{long}":2}}"#)});
    // serde_json's error quotes the text that it found instead of an object.
    let not_sqs_message = json!(long);
    assert_eq!(world.deliver_records(vec![repeated_name, not_sqs_message]).await, ["", "m0"]);
    assert_eq!(world.outcomes(), ["- rejected", "m0 rejected"]);
    for line in world.services.logs.lines("log") {
        assert!(line.len() < 2_000, "{} bytes: {}", line.len(), line.chars().take(300).collect::<String>());
    }
}

/// The log line of a rejected message contains the error and its cause.
#[tokio::test(start_paused = true)]
async fn rejection_is_logged_with_its_cause() {
    let world = World::new("single", &[]);
    let repeated_name = r#"{"event_id":"a","b":1,"b":2}"#;
    let long_id = format!(r#"{{"event_id":"{}"}}"#, "x".repeat(2_043));
    let records = vec![
        json!(7),
        json!({ "body": "{}" }),
        json!({ "messageId": "m0", "body": "{" }),
        json!({ "messageId": "m1", "body": repeated_name }),
        json!({ "messageId": "m2", "body": long_id }),
        json!({ "messageId": "m3", "body": format!(r#"{{"event_id":"a"}}{}"#, " ".repeat(1 << 20)) }),
    ];
    world.deliver_records(records).await;
    let errors: Vec<Value> = world.lines().into_iter().map(|mut line| line["error"].take()).collect();
    assert_eq!(
        errors[..6],
        [
            "the record is not an SQS message: invalid type: integer `7`, expected struct Record at line 1 column 1",
            "the record has no messageId",
            "the body is not strict JSON (RFC 7493, at most 128 levels deep): syntax error: JSON syntax error \
             IncompleteDocument at line 0, column 1 (data pos 1)",
            r#"the body has the name "b" twice in one object"#,
            "the event id at the dedup key `/event_id` is 2043 bytes long, more than 2042",
            "the body has 1048592 bytes, more than the 1048576 that SQS allows",
        ]
    );
}

/// The messages of one event in a batch cost one write, and a rejected message never claims its event.
async fn messages_of_one_event_cost_one_write(writes: &str) {
    let world = World::new(writes, &[]);
    let bodies = [
        r#"{"event_id":"a","x":}"#,
        r#"{"event_id":"a","x":1}"#,
        r#"{"event_id":"a","x":1}"#,
        r#"{ "x": 1, "event_id": "\u0061" }"#,
        r#"{"event_id":"a","x":2}"#,
    ];
    assert_eq!(world.deliver(&bodies).await, ["m0"]);
    assert_eq!(world.outcomes(), ["m0 rejected", "m1 won", "m2 duplicate", "m3 duplicate", "m4 conflict"]);
    assert_eq!(world.requests(), 1);
}

/// If the outcome of a claim is unknown, all messages of the event fail, and no claim is cached.
async fn unknown_outcome_is_never_a_duplicate(writes: &str) {
    for fault in [
        Fault::Throttled,
        Fault::Refused(500),
        Fault::Refused(503),
        Fault::RequestLost,
        Fault::Refused(403),
        Fault::EmptyAnswer,
        Fault::MalformedAnswer,
    ] {
        let world = World::new(writes, &[]);
        world.fail(move |_| Some(fault));
        let bodies = [r#"{"event_id":"a"}"#, r#"{"event_id":"a"}"#, r#"{"event_id":"a","x":2}"#];
        assert_eq!(world.deliver(&bodies).await, ["m0", "m1", "m2"], "{fault:?}");
        assert_eq!(world.outcomes(), ["m0 failed", "m1 failed", "m2 failed"], "{fault:?}");
        world.fail(|_| None);
        assert!(world.deliver(&bodies).await.is_empty(), "an unconfirmed claim was cached: {fault:?}");
        assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate", "m2 conflict"]);
    }
}

/// If DynamoDB's refusal of a put has no error code, the outcome of the claim is unknown. The message fails, although
/// an earlier claim holds its event.
async fn error_without_a_code_is_never_a_duplicate(writes: &str) {
    let world = World::new(writes, &[("CLAIM_CACHE_ENTRIES", "0")]);
    let body = [r#"{"event_id":"a"}"#];
    world.deliver(&body).await;
    world.fail(|_| Some(Fault::ErrorCodeWithheld));
    assert_eq!(world.deliver(&body).await, ["m0"]);
    assert_eq!(world.outcomes(), ["m0 failed"]);
    world.fail(|_| None);
    assert!(world.deliver(&body).await.is_empty());
    assert_eq!(world.outcomes(), ["m0 duplicate"]);
}

#[tokio::test(start_paused = true)]
async fn lost_answer_is_recognized_as_own_write() {
    for fault in [Fault::AnswerLost, Fault::AnswerBroken] {
        let world = World::new("single", &[]);
        world.fail(move |n| (n == 0).then_some(fault));
        assert!(world.deliver(&[r#"{"event_id":"a"}"#]).await.is_empty(), "{fault:?}");
        assert_eq!(world.outcomes(), ["m0 won"], "{fault:?}");
        let puts = world.sent("PutItem");
        assert_eq!(puts.len(), 2, "{fault:?}");
        assert_eq!(puts[0], puts[1], "the retry must resend the same bytes: {fault:?}");
    }
}

/// The SDK retries an attempt that takes too long. The retry finds our own write, which counts as won.
#[tokio::test(start_paused = true)]
async fn late_answer_is_retried_and_recognized() {
    let world = World::new("single", &[]);
    world.fail(|n| (n == 0).then_some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert!(world.deliver(&[r#"{"event_id":"a"}"#]).await.is_empty());
    assert_eq!((world.outcomes(), world.requests()), (vec!["m0 won".to_owned()], 2));
    assert_eq!(begun.elapsed().as_secs(), 4, "an attempt must time out after four seconds");
}

/// If no attempt to write a claim is answered, the messages fail after twelve seconds, and the claim is not cached.
#[tokio::test(start_paused = true)]
async fn unanswered_claim_fails_after_12_seconds() {
    let world = World::new("single", &[]);
    world.fail(|_| Some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    let bodies = [r#"{"event_id":"a"}"#, r#"{"event_id":"a"}"#];
    assert_eq!(world.deliver(&bodies).await, ["m0", "m1"]);
    assert_eq!(world.outcomes(), ["m0 failed", "m1 failed"]);
    assert_eq!(begun.elapsed().as_secs(), 12, "all attempts together must end after twelve seconds");
    // The claim is in the table nevertheless.
    world.fail(|_| None);
    assert!(world.deliver(&bodies).await.is_empty());
    assert_eq!((world.outcomes(), world.requests()), (vec!["m0 duplicate".to_owned(), "m1 duplicate".to_owned()], 4));
}

/// If the event already has an item that cannot be read as a claim or compared with a body, the event's messages fail.
async fn unreadable_old_item_is_never_a_duplicate(writes: &str) {
    let text = |text: &str| json!({ "S": text });
    let ttl = json!({ "N": (NOW + 60).to_string() });
    let no_claim = json!({ "pk": text("EVENT#a"), "sk": text("CLAIM"), "ttl": ttl });
    let other_digest = |body: &str| {
        let digest = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";
        json!({
            "pk": text("EVENT#a"), "sk": text("CLAIM"), "ttl": ttl, "digest": { "B": digest }, "message_id": text("m"),
            "claim_id": text("019b8a1e-0000-7000-8000-000000000000"), "claimed_at": text("2027-01-15T07:59:58.500Z"),
            "body": text(body),
        })
    };
    let body = r#"{"event_id":"a"}"#;
    for (item, fault, reason) in [
        (other_digest(body), Some(Fault::OldItemWithheld), "a claim that the table did not return"),
        (no_claim, None, "an item that cannot be read as a claim"),
        (other_digest(r#"{"a":1,"a":2}"#), None, "a claim whose content cannot be compared"),
    ] {
        let world = World::new(writes, &[]);
        world.hold(item).await;
        world.fail(move |_| fault);
        for _ in 0..2 {
            assert_eq!(world.deliver(&[body, body]).await, ["m0", "m1"], "an unconfirmed claim was cached");
            assert_eq!(world.outcomes(), ["m0 failed", "m1 failed"]);
        }
        assert!(world.lines()[0]["error"].as_str().unwrap().contains(reason), "{}", world.lines()[0]);
    }
    // If only the digest has another version, a new digest is computed from the stored body.
    let world = World::new(writes, &[]);
    world.hold(other_digest(body)).await;
    assert!(world.deliver(&[body]).await.is_empty());
    assert_eq!(world.outcomes(), ["m0 duplicate"]);
}

/// If an event is already claimed, all its messages in a batch are compared with that claim, and not with the first of
/// these messages.
async fn follower_is_compared_with_confirmed_claim(writes: &str) {
    let world = World::new(writes, &[("CLAIM_CACHE_ENTRIES", "0"), ("ON_CONFLICT", "dead-letter")]);
    world.deliver(&[r#"{"event_id":"a","x":1}"#]).await;
    let reported = world.deliver(&[r#"{"event_id":"a","x":2}"#, r#"{"event_id":"a","x":1}"#]).await;
    assert_eq!(world.outcomes(), ["m0 conflict", "m1 duplicate"]);
    assert_eq!(reported, ["m0"]);
    let conflict = world.lines().into_iter().find(|line| line["outcome"] == "conflict").unwrap();
    assert!(conflict["digest"].is_string() && conflict["held_digest"].is_string());
    assert_ne!(conflict["digest"], conflict["held_digest"]);
}

/// A claim is valid up to and including the last second of its window, and duplicates do not extend the window.
async fn window_is_exact_and_never_extended(writes: &str) {
    for cache in ["0", "10000"] {
        let world = World::new(writes, &[("CLAIM_CACHE_ENTRIES", cache)]);
        let body = [r#"{"event_id":"a"}"#];
        let tries = [(0, "won"), (WINDOW / 2, "duplicate"), (WINDOW / 2, "duplicate"), (1, "won"), (1, "duplicate")];
        for (later, outcome) in tries {
            tokio::time::advance(Duration::from_secs(later)).await;
            world.deliver(&body).await;
            assert_eq!(world.outcomes(), [format!("m0 {outcome}")], "after {later} s more, cache {cache}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cached_event_costs_no_request() {
    let world = World::new("single", &[]);
    let body = r#"{"event_id":"a"}"#;
    for _ in 0..100 {
        assert!(world.deliver(&[body; 10]).await.is_empty());
    }
    assert_eq!(world.requests(), 1);
    let cached = world.cached_claims();
    assert_eq!((cached.len(), cached[0].held.claim_id), (1, world.claims().await[0].claim_id));
}

/// The `PutItem` request has the documented item and condition.
#[tokio::test(start_paused = true)]
async fn claim_has_documented_item_and_condition() {
    let world = World::new("single", &[]);
    let body = r#"{"event_id":"a","voltage":1.50}"#;
    world.deliver(&[body]).await;
    let put = world.sent("PutItem")[0].clone();
    let item = &put["Item"];
    assert_eq!((&item["pk"]["S"], &item["sk"]["S"]), (&json!("EVENT#a"), &json!("CLAIM")));
    assert_eq!(item["claimed_at"]["S"], "2027-01-15T08:00:00.000Z");
    assert_eq!(item["ttl"]["N"], (NOW + WINDOW).to_string());
    assert_eq!((&item["message_id"]["S"], &item["body"]["S"]), (&json!("m0"), &json!(body)));
    assert_eq!(uuid::Uuid::parse_str(item["claim_id"]["S"].as_str().unwrap()).unwrap().get_version_num(), 7);
    assert!(item["digest"]["B"].is_string() && item.get("body_zstd").is_none());
    assert_eq!(put["ConditionExpression"], "attribute_not_exists(pk) OR #ttl < :now");
    assert_eq!(put["ExpressionAttributeValues"][":now"]["N"], NOW.to_string());
    assert_eq!(put["ReturnValuesOnConditionCheckFailure"], "ALL_OLD");
}

/// A log line contains the time at which its message was sent, if the SQS record states this time. A message whose
/// record does not state it is not rejected.
#[tokio::test(start_paused = true)]
async fn log_line_has_sent_time() {
    let world = World::new("single", &[]);
    let record =
        |id: &str, body: Value, attributes: Value| json!({ "messageId": id, "body": body, "attributes": attributes });
    let a = json!(r#"{"event_id":"a"}"#);
    let other = json!(r#"{"event_id":"a","b":1}"#);
    let sent = |sent: Value| json!({ "SentTimestamp": sent, "SenderId": "s" });
    let valid = sent(json!("1795599667123"));
    let records = vec![
        record("won", a.clone(), valid.clone()),
        record("duplicate", a.clone(), valid.clone()),
        record("conflict", other, valid.clone()),
        record("rejected", json!("{"), valid.clone()),
        record("unreadable", json!(7), valid),
        record("no_time", a.clone(), Value::Null),
        record("no_time", a.clone(), json!({})),
        record("no_time", a.clone(), json!("none")),
        record("no_time", a.clone(), sent(json!(1_795_599_667_123_u64))),
        record("no_time", a.clone(), sent(json!("soon"))),
        record("no_time", a.clone(), sent(json!(u64::MAX.to_string()))),
        json!({ "messageId": "no_time", "body": a }),
    ];
    let messages = records.len();
    assert_eq!(world.deliver_records(records).await, ["rejected", "unreadable"]);
    let lines: Vec<Value> = world.lines().into_iter().filter(|line| line["outcome"].is_string()).collect();
    assert_eq!(lines.len(), messages);
    for line in lines {
        let expected = if line["message_id"] == "no_time" { Value::Null } else { json!("2026-11-25T09:41:07.123Z") };
        assert_eq!(line["sent_at"], expected, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn unanswered_messages_are_reported_in_time() {
    let world = World::new("single", &[]);
    world.fail(|n| (n != 0).then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    let bodies: Vec<String> = (0..50).map(|n| format!(r#"{{"event_id":"{n}"}}"#)).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert_eq!(world.deliver(&bodies).await.len(), 49);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// With the largest batch, the handler stops two seconds before the deadline instead of one, so that it has time to
/// report ten thousand messages.
#[tokio::test(start_paused = true)]
async fn largest_batch_stops_two_seconds_early() {
    for (messages, seconds) in [(5_000, 29), (10_000, 28)] {
        let world = World::new("single", &[]);
        // The delay is too short for a retry, because all tests share the SDK's retry quota.
        world.fail(|_| Some(Fault::RequestDelayed(Duration::from_secs(3))));
        let begun = tokio::time::Instant::now();
        let record = |n: usize| json!({ "messageId": n.to_string(), "body": format!(r#"{{"event_id":"{n}"}}"#) });
        let failed = world.deliver_records((0..messages).map(record).collect()).await.len();
        assert!((messages - 100..messages).contains(&failed), "{failed} of {messages} messages failed");
        assert_eq!(begun.elapsed().as_secs(), seconds, "{messages} messages");
    }
}

/// If all events of a batch are cached, the handler never waits for a request. It still stops before the deadline.
#[tokio::test(start_paused = true)]
async fn batch_of_cached_events_stops_in_time() {
    let mut world = World::new("single", &[]);
    let bodies: Vec<String> = (0..50).map(|n| format!(r#"{{"event_id":"{n}"}}"#)).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert!(world.deliver(&bodies).await.is_empty());
    // Each log line takes one second to write, without an await.
    let log = world.log.clone();
    world.log = lambda_support::LogWriter::new(move |line| {
        let _ = tokio::time::advance(Duration::from_secs(1)).now_or_never();
        log.clone().write_all(line)
    });
    let failed = world.deliver(&bodies).await.len();
    assert_eq!(failed, 50 - 29, "work must stop after 29 of 30 seconds");
    assert_eq!(world.requests(), 50);
}

/// If reading takes long, the handler stops reading at the deadline and reports the messages that it has not read. The
/// test cannot advance a paused clock while the handler reads. So it uses the real clock, and a batch that takes far
/// longer to read than the 50 ms that the handler has.
#[tokio::test]
async fn slow_reading_stops_at_the_deadline() {
    let world = World::new("single", &[]);
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(700_000).collect();
    let too_large = format!(r#"{{"event_id":"l","x":"{noise}"}}"#);
    let record = |n: usize| json!({ "messageId": n.to_string(), "body": too_large });
    assert_eq!(world.deliver_within(100, (0..60).map(record).collect()).await.len(), 60);
    let outcomes = world.outcomes();
    assert!(outcomes.iter().any(|outcome| outcome.ends_with(" failed")), "the handler read all messages: {outcomes:?}");
}

/// If building the claims takes long, the handler sends no request for an event that it reaches only after the
/// deadline.
#[tokio::test(start_paused = true)]
async fn slow_claims_stop_at_the_deadline() {
    let slow_claim = || {
        let _ = tokio::time::advance(Duration::from_secs(5)).now_or_never();
        [9; 10]
    };
    let world = World::with("single", &[], Box::new(slow_claim));
    let bodies: Vec<String> = (0..20).map(|n| format!(r#"{{"event_id":"{n}"}}"#)).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    world.deliver(&bodies).await;
    assert_eq!(world.requests(), 6, "the sixth claim is ready after 30 seconds, and work must stop after 29");
}

/// At most ten puts, with at most 2 MiB of bodies, are in flight at once.
#[tokio::test(start_paused = true)]
async fn claims_in_flight_are_limited() {
    for (filler_bytes, at_once) in [(1_000_000, 2), (500_000, 4), (10, 10)] {
        let world = World::new("single", &[]);
        world.fail(|_| Some(Fault::RequestDelayed(Duration::from_secs(1))));
        let begun = tokio::time::Instant::now();
        let body = |n| format!(r#"{{"event_id":"{n}","x":"{}"}}"#, "x".repeat(filler_bytes));
        let bodies: Vec<String> = (0..20).map(body).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        assert!(world.deliver(&bodies).await.is_empty());
        assert_eq!(begun.elapsed().as_secs(), 20 / at_once, "{at_once} claims of one second each must be in flight");
    }
}

/// A message wins only if the claim in the table is its own. If the claim of another message has the same claim id by
/// chance, the message is a duplicate or a conflict.
async fn equal_claim_id_does_not_make_a_winner(writes: &str) {
    let world = World::with(writes, &[("CLAIM_CACHE_ENTRIES", "0")], Box::new(|| [7; 10]));
    for (id, x, outcome) in [("first", 1, "won"), ("second", 1, "duplicate"), ("third", 2, "conflict")] {
        let body = json!({ "event_id": "a", "x": x }).to_string();
        assert!(world.deliver_records(vec![json!({ "messageId": id, "body": body })]).await.is_empty());
        assert_eq!(world.outcomes(), [format!("{id} {outcome}")]);
    }
    let claim = world.claims().await.remove(0);
    assert_eq!((claim.event_id.as_str(), claim.message_id.as_str()), ("a", "first"));
}

/// Messages that are not read before the deadline are reported one by one.
async fn unread_messages_are_reported(writes: &str) {
    let world = World::new(writes, &[]);
    let good = json!({"messageId":"m0","body":r#"{"event_id":"a"}"#});
    assert_eq!(
        world.deliver_within(0, vec![good, json!({"messageId":"m1","body":"x"}), json!(7)]).await,
        ["", "m0", "m1"]
    );
    assert_eq!(world.outcomes(), ["- failed", "m0 failed", "m1 failed"]);
    assert_eq!(world.requests(), 0);
}

/// A panic while an event is claimed fails only the messages of that event.
async fn panic_fails_only_its_message(writes: &str) {
    let calls = AtomicUsize::new(0);
    let random = move || {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        assert_ne!(call, 1, "on purpose");
        [9; 10]
    };
    let world = World::with(writes, &[], Box::new(random));
    let bodies = [r#"{"event_id":"a"}"#, r#"{"event_id":"b"}"#, r#"{"event_id":"c"}"#];
    assert_eq!(world.deliver(&bodies).await, ["m1"]);
    assert_eq!(world.outcomes(), ["m0 won", "m1 failed", "m2 won"]);
}

#[tokio::test(start_paused = true)]
async fn summary_line_has_metrics_of_the_batch() {
    let world = World::new("single", &[]);
    world.fail(|n| (n > 0).then_some(Fault::Refused(503)));
    let a = r#"{"event_id":"a"}"#;
    world.deliver(&[a, a, r#"{"event_id":"a","x":1}"#, "x", r#"{"event_id":"b"}"#]).await;
    let line = world.lines().pop().unwrap();
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "DynamoLocking");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    for (metric, count) in [("Won", 1), ("Duplicate", 1), ("Conflict", 1), ("Rejected", 1), ("Failed", 1)] {
        assert_eq!(line[metric], count, "{line}");
        assert!(directive["Metrics"].as_array().unwrap().iter().any(|known| known["Name"] == metric), "{line}");
    }
}
