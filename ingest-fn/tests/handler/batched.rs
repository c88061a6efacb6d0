//! What is so with `CLAIM_WRITES=batch` alone.

use std::time::Duration;

use emulator::Fault;
use serde_json::{Value, json};

use crate::world::{WINDOW, World};

fn events(ids: impl IntoIterator<Item = usize>) -> Vec<String> {
    ids.into_iter().map(|id| format!(r#"{{"event_id":"{id}"}}"#)).collect()
}

async fn deliver(world: &World, bodies: &[String]) -> Vec<String> {
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    world.deliver(&bodies).await
}

/// How many messages had this outcome, in the last batch.
fn count(world: &World, outcome: &str) -> usize {
    world.outcomes().iter().filter(|line| line.ends_with(&format!(" {outcome}"))).count()
}

/// (requests of many claims, requests of one)
fn requests(world: &World) -> (usize, usize) {
    (world.sent("BatchExecuteStatement").len(), world.sent("PutItem").len())
}

#[tokio::test(start_paused = true)]
async fn new_events_take_a_request_for_each_25_and_known_ones_none() {
    let world = World::batched(&[]);
    assert!(deliver(&world, &events(0..60)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (60, (3, 0)));
    let statements = |request: &Value| request["Statements"].as_array().unwrap().len();
    let inserts = world.sent("BatchExecuteStatement");
    assert_eq!(inserts.iter().map(statements).collect::<Vec<_>>(), [25, 25, 10]);

    assert!(deliver(&world, &events(0..60)).await.is_empty());
    assert_eq!((count(&world, "duplicate"), requests(&world)), (60, (3, 0)));
    // The one that is new among them is alone.
    assert!(deliver(&world, &events(30..61)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (1, (3, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_batched_claim_is_the_item_that_a_single_one_is() {
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

#[tokio::test(start_paused = true)]
async fn duplicates_and_conflicts_take_a_second_request_each_which_tells_who_holds_the_event() {
    let world = World::batched(&[("CLAIM_CACHE_ENTRIES", "0"), ("ON_CONFLICT", "dead-letter")]);
    deliver(&world, &events([0, 1])).await;
    let other = r#"{"event_id":"1","x":1}"#.to_owned();
    let bodies = [events([0]), vec![other], events([2])].concat();
    assert_eq!(deliver(&world, &bodies).await, ["m1"]);
    assert_eq!(world.outcomes(), ["m0 duplicate", "m1 conflict", "m2 won"]);
    assert_eq!(requests(&world), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_window_is_kept_to_the_second_by_the_second_step() {
    let world = World::batched(&[]);
    for (later, outcome) in [(0, "won"), (WINDOW, "duplicate"), (1, "won"), (WINDOW, "duplicate")] {
        tokio::time::advance(Duration::from_secs(later)).await;
        deliver(&world, &events(0..3)).await;
        assert_eq!(count(&world, outcome), 3, "{later} s later: {:?}", world.outcomes());
    }
    // The expired items are still there.
    assert_eq!(requests(&world), (2, 3));
}

/// Whatever is not known to be done goes on by the same claim, which the table then shows to be our own.
#[tokio::test(start_paused = true)]
async fn an_insert_of_which_nothing_is_known_is_claimed_by_the_same_claim() {
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
    ] {
        let world = World::batched(&[]);
        world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(fault));
        let begun = tokio::time::Instant::now();
        assert!(deliver(&world, &events(0..3)).await.is_empty(), "{fault:?}");
        assert_eq!(count(&world, "won"), 3, "{fault:?}: {:?}", world.outcomes());
        let took = begun.elapsed().as_secs();
        assert!((seconds..=seconds + 1).contains(&took), "{fault:?}: {took} s");

        // What was tried first is what is there.
        let inserts = world.sent("BatchExecuteStatement")[0].to_string();
        let claims = world.claims().await;
        assert_eq!(claims.len(), 3, "{fault:?}");
        for claim in claims {
            assert!(inserts.contains(&claim.claim_id.to_string()), "{fault:?}: {claim:?} is another than was tried");
        }
        let before = world.requests();
        assert!(deliver(&world, &events(0..3)).await.is_empty());
        assert_eq!(count(&world, "duplicate"), 3, "{fault:?}");
        assert_eq!(world.requests(), before, "confirmed, so remembered: {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_meets_its_first_attempts_inserts_wins_by_them() {
    let world = World::batched(&[]);
    world.fail(|n| (n == 0).then_some(Fault::AnswerLost));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    assert_eq!((count(&world, "won"), requests(&world)), (3, (2, 3)));
    let inserts = world.sent("BatchExecuteStatement");
    assert_eq!(inserts[0], inserts[1], "the retry resends the same bytes");
    for put in world.sent("PutItem") {
        let claim_id = put["Item"]["claim_id"].to_string();
        assert!(inserts[0].to_string().contains(&claim_id), "{claim_id} is not what was inserted");
    }
}

#[tokio::test(start_paused = true)]
async fn what_neither_step_settles_is_failed_and_nothing_of_it_is_remembered() {
    for fault in [Fault::Throttled, Fault::Refused(500), Fault::RequestLost, Fault::Refused(403)] {
        let world = World::batched(&[]);
        world.fail(move |_| Some(fault));
        let bodies = [events([0, 0, 1]), vec![r#"{"event_id":"1","x":1}"#.to_owned()]].concat();
        assert_eq!(deliver(&world, &bodies).await, ["m0", "m1", "m2", "m3"], "{fault:?}");
        assert_eq!(count(&world, "failed"), 4, "{fault:?}");
        let said = world.lines().into_iter().find(|line| line["message"] == "batched claims are left open").unwrap();
        assert_eq!(
            (&said["level"], &said["claims"], &said["open"]),
            (&json!("WARN"), &json!(2), &json!(2)),
            "{fault:?}"
        );
        world.fail(|_| None);
        assert!(deliver(&world, &bodies).await.is_empty());
        assert_eq!(world.outcomes(), ["m0 won", "m1 duplicate", "m2 won", "m3 conflict"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_one_for_each_statement_are_believed_of_none() {
    let world = World::batched(&[]);
    let fault = Fault::StatementsUnanswered(0b1);
    world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(fault));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    assert_eq!(count(&world, "won"), 3);
    let warning = world.lines().into_iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(warning["error"], "inserting 3 claims was answered 2 times");
}

#[tokio::test(start_paused = true)]
async fn what_neither_step_answers_before_the_deadline_is_reported_in_time() {
    let world = World::batched(&[]);
    // The first 25 are answered.
    world.fail(|n| (n != 0).then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert_eq!(deliver(&world, &events(0..60)).await.len(), 35);
    let took = begun.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_millis(29_100)).contains(&took), "{took:?}");
}

/// Inserts that hang have half of the time at the most, and the puts the rest.
#[tokio::test(start_paused = true)]
async fn a_short_timeout_is_enough_for_the_second_step() {
    let world = World::batched(&[]);
    let hangs = Fault::RequestDelayed(Duration::from_secs(3_600));
    world.fail_on(move |operation, _| (operation == "BatchExecuteStatement").then_some(hangs));
    let records = events(0..25).into_iter().enumerate();
    let records = records.map(|(n, body)| json!({ "messageId": format!("m{n}"), "body": body })).collect();
    assert!(world.deliver_within(3_000, records).await.is_empty());
    assert_eq!(count(&world, "won"), 25);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_inside_a_good_answer_is_told() {
    let world = World::batched(&[]);
    world.fail_on(|operation, _| (operation == "BatchExecuteStatement").then_some(Fault::StatementsThrottled(0b10)));
    assert!(deliver(&world, &events(0..3)).await.is_empty());
    let said = world.lines().into_iter().find(|line| line["level"] == "WARN").unwrap();
    assert_eq!(said["error"], "an insert was refused: ThrottlingError: injected");
    assert_eq!((&said["claims"], &said["open"]), (&json!(3), &json!(1)));
    // That there is an item is nothing to tell.
    let world = World::batched(&[("CLAIM_CACHE_ENTRIES", "0")]);
    deliver(&world, &events(0..3)).await;
    deliver(&world, &events(0..3)).await;
    assert_eq!(count(&world, "duplicate"), 3);
    assert!(world.lines().iter().all(|line| line["level"] == "INFO"));
}

/// Those that have nothing to wait for wait for nobody.
#[tokio::test(start_paused = true)]
async fn known_events_and_confirmed_inserts_are_settled_while_puts_hang() {
    let world = World::batched(&[]);
    deliver(&world, &events(0..10)).await;
    // Claims of another sandbox, which this one has to be told of.
    world.hold_claims(10..20).await;
    world.fail_on(|operation, _| (operation == "PutItem").then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    // Ten to be put hang, fifteen of their request are inserted, and ten are known.
    let bodies = [events(10..35), events(0..10)].concat();
    let mut failed = deliver(&world, &bodies).await;
    failed.sort_by_key(|id| id[1..].parse::<usize>().unwrap());
    assert_eq!(failed, (0..10).map(|n| format!("m{n}")).collect::<Vec<_>>());
    assert_eq!((count(&world, "won"), count(&world, "duplicate")), (15, 10));
}

/// A request has a quarter of a mebibyte of bodies at the most, and four are in flight.
#[tokio::test(start_paused = true)]
async fn large_bodies_are_not_batched() {
    for (filler, expected) in [(300_000, (0, 12)), (120_000, (6, 0)), (10, (1, 0))] {
        let world = World::batched(&[]);
        world.fail(|_| Some(Fault::RequestDelayed(Duration::from_secs(1))));
        let begun = tokio::time::Instant::now();
        let body = |n: usize| json!({ "event_id": n.to_string(), "x": "x".repeat(filler) }).to_string();
        let bodies: Vec<String> = (0..12).map(body).collect();
        assert!(deliver(&world, &bodies).await.is_empty());
        assert_eq!(requests(&world), expected, "bodies of {filler} bytes");
        assert_eq!(begun.elapsed().as_secs(), 2 - u64::from(filler == 10), "four of 6, or six of 12, or one at once");
    }
}

/// A large body among small ones costs them nothing.
#[tokio::test(start_paused = true)]
async fn a_large_body_does_not_part_small_ones() {
    let world = World::batched(&[]);
    let body = |n: usize| {
        let filler = if n.is_multiple_of(2) { 300_000 } else { 10 };
        json!({ "event_id": n.to_string(), "x": "x".repeat(filler) }).to_string()
    };
    assert!(deliver(&world, &(0..10).map(body).collect::<Vec<_>>()).await.is_empty());
    assert_eq!(requests(&world), (1, 5));
}
