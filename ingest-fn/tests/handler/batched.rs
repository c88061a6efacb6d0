//! Tests that apply only to `CLAIM_WRITES=batch`.

use std::io::Write as _;
use std::time::Duration;

use emulator::Fault;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::world::{WINDOW, World};

fn events(ids: impl IntoIterator<Item = usize>) -> Vec<String> {
    ids.into_iter().map(|id| format!(r#"{{"event_id":"{id}"}}"#)).collect()
}

async fn deliver(world: &World, bodies: &[String]) -> Vec<String> {
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    world.deliver(&bodies).await
}

/// Returns the number of messages with this outcome in the last batch.
fn count(world: &World, outcome: &str) -> usize {
    world.outcomes().iter().filter(|line| line.ends_with(&format!(" {outcome}"))).count()
}

/// Returns the number of insert requests and the number of puts that were sent so far.
fn requests(world: &World) -> (usize, usize) {
    (world.sent("BatchExecuteStatement").len(), world.sent("PutItem").len())
}

/// The function inserts up to 25 new events per request, and sends no request for cached events.
#[tokio::test(start_paused = true)]
async fn new_events_are_inserted_25_at_a_time() {
    let world = World::batched(&[]);
    assert!(deliver(&world, &events(0..60)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (60, (3, 0)));
    let statements = |request: &Value| request["Statements"].as_array().unwrap().len();
    let inserts = world.sent("BatchExecuteStatement");
    assert_eq!(inserts.iter().map(statements).collect::<Vec<_>>(), [25, 25, 10]);

    assert!(deliver(&world, &events(0..60)).await.is_empty());
    assert_eq!((count(&world, "duplicate"), requests(&world)), (60, (3, 0)));
    // Only one of these events is new, so it is put without an insert request.
    assert!(deliver(&world, &events(30..61)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (1, (3, 1)));
}

/// The function writes equal items with both values of `CLAIM_WRITES`.
#[tokio::test(start_paused = true)]
async fn batched_claim_equals_single_claim() {
    let scan = async |writes| {
        let world = if writes == "batch" { World::batched(&[]) } else { World::new(writes, &[]) };
        let large = format!(r#"{{"event_id":"large","x":"{}"}}"#, "x".repeat(1_000));
        deliver(&world, &[large, r#"{"event_id":"small","voltage":1.50}"#.to_owned()]).await;
        assert_eq!(requests(&world), if writes == "batch" { (1, 0) } else { (0, 2) });
        world.claims().await
    };
    let batched = scan("batch").await;
    assert_eq!(batched.len(), 2);
    assert_eq!(batched, scan("single").await);
}

/// For a duplicate or a conflict, DynamoDB refuses the insert, and the put that follows returns the claim that holds
/// the event.
#[tokio::test(start_paused = true)]
async fn duplicates_and_conflicts_need_a_put() {
    let world = World::batched(&[("CLAIM_CACHE_ENTRIES", "0"), ("ON_CONFLICT", "dead-letter")]);
    deliver(&world, &events([0, 1])).await;
    let other = r#"{"event_id":"1","x":1}"#.to_owned();
    let bodies = [events([0]), vec![other], events([2])].concat();
    assert_eq!(deliver(&world, &bodies).await, ["m1"]);
    assert_eq!(world.outcomes(), ["m0 duplicate", "m1 conflict", "m2 won"]);
    assert_eq!(requests(&world), (2, 2));
}

/// The conditional put enforces the dedup window to the exact second.
#[tokio::test(start_paused = true)]
async fn put_enforces_window() {
    let world = World::batched(&[]);
    for (later, outcome) in [(0, "won"), (WINDOW, "duplicate"), (1, "won"), (WINDOW, "duplicate")] {
        tokio::time::advance(Duration::from_secs(later)).await;
        deliver(&world, &events(0..3)).await;
        assert_eq!(count(&world, outcome), 3, "{later} s later: {:?}", world.outcomes());
    }
    // The table still had the expired items, so it refused the second insert request, and each event was put.
    assert_eq!(requests(&world), (2, 3));
}

/// After an unconfirmed insert, the put sends the same claim. So if the insert took effect, the function recognizes the item
/// as its own.
#[tokio::test(start_paused = true)]
async fn unconfirmed_insert_is_put_with_same_claim() {
    let hour = Duration::from_secs(3_600);
    for (fault, seconds) in [
        (Fault::RequestLost, 0),
        (Fault::AnswerLost, 0),
        (Fault::Throttled, 0),
        (Fault::Refused(403), 0),
        (Fault::Refused(500), 0),
        (Fault::RequestDelayed(hour), 4),
        (Fault::AnswerDelayed(hour), 4),
        (Fault::StatementsThrottled(0b101), 0),
        (Fault::StatementsThrottled(u32::MAX), 0),
        (Fault::StatementsUnknown(0b110), 0),
        (Fault::StatementsUncoded(0b011), 0),
        (Fault::EmptyAnswer, 0),
        (Fault::MalformedAnswer, 0),
    ] {
        let world = World::batched(&[]);
        world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(fault));
        let begun = tokio::time::Instant::now();
        assert!(deliver(&world, &events(0..3)).await.is_empty(), "{fault:?}");
        assert_eq!(count(&world, "won"), 3, "{fault:?}: {:?}", world.outcomes());
        let took = begun.elapsed().as_secs();
        assert!((seconds..=seconds + 1).contains(&took), "{fault:?}: {took} s");

        // The table must contain the claims that the first insert request contained.
        let inserts = world.sent("BatchExecuteStatement")[0].to_string();
        let claims = world.claims().await;
        assert_eq!(claims.len(), 3, "{fault:?}");
        for claim in claims {
            assert!(
                inserts.contains(&claim.claim_id.to_string()),
                "{fault:?}: {claim:?} is not one of the inserted claims"
            );
        }
        let before = world.requests();
        assert!(deliver(&world, &events(0..3)).await.is_empty());
        assert_eq!(count(&world, "duplicate"), 3, "{fault:?}");
        assert_eq!(world.requests(), before, "a confirmed claim was not cached: {fault:?}");
    }
}

/// If the answer to an insert request is lost, the SDK sends the request again. DynamoDB refuses the second inserts,
/// because the first attempt inserted the items. The function recognizes these items as its own, so the claims are won.
#[tokio::test(start_paused = true)]
async fn retried_insert_is_recognized_as_own() {
    let world = World::batched(&[]);
    world.fail(|n| (n == 0).then_some(Fault::AnswerLost));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (3, (2, 3)));
    let inserts = world.sent("BatchExecuteStatement");
    assert_eq!(inserts[0], inserts[1], "the retry must resend the same bytes");
    for put in world.sent("PutItem") {
        let claim_id = put["Item"]["claim_id"].to_string();
        assert!(inserts[0].to_string().contains(&claim_id), "{claim_id} was not in the insert request");
    }
}

/// If both the insert and the put fail, the messages fail and no claim is cached.
#[tokio::test(start_paused = true)]
async fn failed_insert_and_put_are_reported() {
    for fault in [Fault::Throttled, Fault::Refused(500), Fault::RequestLost, Fault::Refused(403)] {
        let world = World::batched(&[]);
        world.fail(move |_| Some(fault));
        let bodies = [events([0, 0, 1]), vec![r#"{"event_id":"1","x":1}"#.to_owned()]].concat();
        assert_eq!(deliver(&world, &bodies).await, ["m0", "m1", "m2", "m3"], "{fault:?}");
        assert_eq!(count(&world, "failed"), 4, "{fault:?}");
        let message = "unconfirmed batched claims are put one by one";
        let warning = world.lines().into_iter().find(|line| line["message"] == message).unwrap();
        assert_eq!(
            (&warning["level"], &warning["claims"], &warning["open"]),
            (&json!("WARN"), &json!(2), &json!(2)),
            "{fault:?}"
        );
        world.fail(|_| None);
        assert!(deliver(&world, &bodies).await.is_empty());
        assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate", "m2 won", "m3 conflict"], "{fault:?}");
    }
}

/// If the number of answers differs from the number of statements, the function trusts none of the answers.
#[tokio::test(start_paused = true)]
async fn wrong_number_of_answers_confirms_nothing() {
    let world = World::batched(&[]);
    let fault = Fault::StatementsUnanswered(0b1);
    world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(fault));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    assert_eq!(count(&world, "won"), 3);
    let warning = world.lines().into_iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(warning["error"], "the insert of 3 claims returned 2 answers");
}

#[tokio::test(start_paused = true)]
async fn unanswered_batch_is_reported_in_time() {
    let world = World::batched(&[]);
    // Only the first request, which inserts 25 claims, is answered.
    world.fail(|n| (n != 0).then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    // So many puts hang that they cannot all time out before the deadline, even once the SDK's retry quota is used up.
    assert_eq!(deliver(&world, &events(0..200)).await.len(), 175);
    let took = begun.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_millis(29_100)).contains(&took), "{took:?}");
}

/// An insert request that hangs takes at most half of the time that is left before the deadline. The other half is for the
/// puts.
#[tokio::test(start_paused = true)]
async fn short_timeout_leaves_time_for_puts() {
    let world = World::batched(&[]);
    let hangs = Fault::RequestDelayed(Duration::from_secs(3_600));
    world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(hangs));
    let records = events(0..25).into_iter().enumerate();
    let records = records.map(|(n, body)| json!({ "messageId": format!("m{n}"), "body": body })).collect();
    assert!(world.deliver_within(3_000, records).await.is_empty());
    assert_eq!(count(&world, "won"), 25);
}

/// If an answer with status 200 says that an insert was refused, the function logs a warning, unless the reason is an
/// existing item.
#[tokio::test(start_paused = true)]
async fn refused_insert_is_logged() {
    let world = World::batched(&[]);
    world.fail_on(|operation, _| (operation == "BatchExecuteStatement").then_some(Fault::StatementsThrottled(0b10)));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    let warning = world.lines().into_iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(warning["error"], "an insert was refused: ThrottlingError: injected");
    assert_eq!((&warning["claims"], &warning["open"]), (&json!(3), &json!(1)));
    // The error code is optional.
    let world = World::batched(&[]);
    world.fail_on(|operation, _| (operation == "BatchExecuteStatement").then_some(Fault::StatementsUncoded(0b1)));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    let warning = world.lines().into_iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!((&warning["error"], &warning["open"]), (&json!("an insert was refused: no code: injected"), &json!(1)));
    // An existing item causes no warning.
    let world = World::batched(&[("CLAIM_CACHE_ENTRIES", "0")]);
    deliver(&world, &events(0..3)).await;
    deliver(&world, &events(0..3)).await;
    assert_eq!(count(&world, "duplicate"), 3);
    assert!(world.lines().iter().all(|line| line["level"] == "INFO"));
}

/// Cached events and confirmed inserts get their outcome even while the puts of other events hang.
#[tokio::test(start_paused = true)]
async fn hanging_puts_do_not_delay_other_claims() {
    let world = World::batched(&[]);
    deliver(&world, &events(0..10)).await;
    // Another sandbox claims these events, so this sandbox needs a put for each of them to learn who holds it.
    world.hold_claims(10..20).await;
    world.fail_on(|operation, _| (operation == "PutItem").then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    // The puts of ten events hang, fifteen events of the same insert request are won, and ten events are cached.
    let bodies = [events(10..35), events(0..10)].concat();
    let mut failed = deliver(&world, &bodies).await;
    failed.sort_by_key(|id| id[1..].parse::<usize>().unwrap());
    assert_eq!(failed, (0..10).map(|n| format!("m{n}")).collect::<Vec<_>>());
    assert_eq!((count(&world, "won"), count(&world, "duplicate")), (15, 10));
}

/// At most four insert requests and ten puts are in flight at once.
#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_limited() {
    let slow = |_: usize| Some(Fault::RequestDelayed(Duration::from_secs(1)));
    let large = |id| format!(r#"{{"event_id":"{id}","x":"{}"}}"#, "x".repeat(120_000));
    let world = World::batched(&[]);
    world.fail(slow);
    let begun = tokio::time::Instant::now();
    assert!(deliver(&world, &(0..20).map(large).collect::<Vec<_>>()).await.is_empty());
    assert_eq!((requests(&world), begun.elapsed().as_secs()), ((10, 0), 3), "ten inserts of one second, four at once");

    let world = World::batched(&[]);
    world.hold_claims(0..22).await;
    world.fail(slow);
    let begun = tokio::time::Instant::now();
    assert!(deliver(&world, &events(0..22)).await.is_empty());
    assert_eq!((requests(&world), begun.elapsed().as_secs()), ((1, 22), 4), "22 puts after one insert, ten at once");
}

/// An insert request has at most 256 KiB of bodies, and at most four insert requests are in flight.
#[tokio::test(start_paused = true)]
async fn large_bodies_are_not_batched() {
    for (filler_bytes, expected) in [(300_000, (0, 12)), (120_000, (6, 0)), (10, (1, 0))] {
        let world = World::batched(&[]);
        world.fail(|_| Some(Fault::RequestDelayed(Duration::from_secs(1))));
        let begun = tokio::time::Instant::now();
        let body = |n: usize| json!({ "event_id": n.to_string(), "x": "x".repeat(filler_bytes) }).to_string();
        let bodies: Vec<String> = (0..12).map(body).collect();
        assert!(deliver(&world, &bodies).await.is_empty());
        assert_eq!(requests(&world), expected, "bodies of {filler_bytes} bytes");
        assert_eq!(begun.elapsed().as_secs(), 2 - u64::from(filler_bytes == 10), "bodies of {filler_bytes} bytes");
    }
}

/// Small bodies share one insert request even if there are large bodies between them.
#[tokio::test(start_paused = true)]
async fn large_body_does_not_split_a_batch() {
    let world = World::batched(&[]);
    let body = |n: usize| {
        let filler = if n.is_multiple_of(2) { 300_000 } else { 10 };
        json!({ "event_id": n.to_string(), "x": "x".repeat(filler) }).to_string()
    };
    assert!(deliver(&world, &(0..10).map(body).collect::<Vec<_>>()).await.is_empty());
    assert_eq!(requests(&world), (1, 5));
}

/// If building the claims of an insert request takes until the deadline, the function does not send the request.
#[tokio::test(start_paused = true)]
async fn slow_insert_is_not_sent_after_the_deadline() {
    let slow_claim = || {
        let _ = tokio::time::advance(Duration::from_secs(2)).now_or_never();
        [9; 10]
    };
    let world = World::with("batch", &[], Box::new(slow_claim));
    assert_eq!(deliver(&world, &events(0..24)).await.len(), 24);
    assert_eq!(requests(&world), (0, 0));
}

/// If logging the outcomes of an insert request takes until the deadline, the function does not put the unconfirmed claims.
#[tokio::test(start_paused = true)]
async fn unconfirmed_claims_are_not_put_after_deadline() {
    let mut world = World::batched(&[]);
    world.hold_claims(0..5).await;
    let log = world.log.clone();
    world.log = lambda_support::LogWriter::new(move |line| {
        let _ = tokio::time::advance(Duration::from_secs(2)).now_or_never();
        log.clone().write_all(line)
    });
    let failed = deliver(&world, &events(0..25)).await;
    assert_eq!(failed, ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!((count(&world, "won"), requests(&world)), (20, (1, 0)));
}
