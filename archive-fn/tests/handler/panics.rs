//! Tests of records on which the function's own code panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::Fault;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::world::{NOW, World, record, record_of_age};

/// A record that makes our own code panic fails alone. If the panic was transient, a retry archives the record.
#[tokio::test(start_paused = true)]
async fn young_panicking_record_fails_alone() {
    let world = World::new();
    world.panic_on_record_2(1, None);
    let records = [record(1, "{}"), record(2, "{}"), record(3, "{}")];
    assert_eq!(world.deliver(&records).await, ["2"]);
    assert_eq!(world.outcomes(), ["1 written", "2 failed", "3 written"]);
    let failed = world.lines().into_iter().find(|line| line["outcome"] == "failed").unwrap();
    assert_eq!((&failed["event_id"], &failed["error"]), (&json!("2"), &json!("the function panicked: on purpose")));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there", "2 written", "3 already_there"]);
}

/// A record that is over an hour old is quarantined if it makes our code panic twice. Its second try begins when no other
/// record is in flight.
#[tokio::test(start_paused = true)]
async fn old_record_is_quarantined_at_second_panic() {
    let world = World::new();
    let tries = Arc::new(Mutex::new(Vec::new()));
    let tried = Arc::clone(&tries);
    let begun = tokio::time::Instant::now();
    world.services.faults.set(move |call| {
        if call.operation.ends_with("000000000002.json") {
            tried.lock().unwrap().push(begun.elapsed().as_secs());
            panic!("on purpose");
        }
        Some(Fault::RequestDelayed(Duration::from_secs(3)))
    });
    // The seven other writes in flight take three seconds.
    let mut records: Vec<Value> = (1..=20).map(|n| record(n, "{}")).collect();
    records[1] = record_of_age(2, json!(NOW - 3_601));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(*tries.lock().unwrap(), [0, 3]);
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.ends_with(" written")).count(), 19);
    assert!(outcomes.contains(&"2 quarantined".to_owned()), "{outcomes:?}");
    let lake = world.lake();
    let (_, _, kept) = lake.iter().find(|(key, ..)| key == "events/_unusable/2.json").unwrap();
    assert_eq!(serde_json::from_str::<Value>(kept).unwrap(), records[1]);
}

/// Old records that made our code panic are tried again one at a time.
#[tokio::test(start_paused = true)]
async fn old_records_are_tried_again_one_by_one() {
    let world = World::new();
    let tries = Arc::new(AtomicUsize::new(0));
    world.services.faults.set(move |_| {
        assert!(tries.fetch_add(1, Ordering::SeqCst) >= 3, "on purpose");
        Some(Fault::RequestDelayed(Duration::from_secs(1)))
    });
    let begun = tokio::time::Instant::now();
    let records = [1, 2, 3].map(|n| record_of_age(n, json!(NOW - 7_200)));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 written"]);
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// One panic does not quarantine an old record, because after an outage of more than an hour, even a record that never
/// failed is old.
#[tokio::test(start_paused = true)]
async fn old_record_that_panics_once_is_archived() {
    let world = World::new();
    let tries = world.panic_on_record_2(1, None);
    let records = [record(1, "{}"), record_of_age(2, json!(NOW - 80_000)), record(3, "{}")];
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 written"]);
    assert_eq!((tries.load(Ordering::SeqCst), world.lake().len()), (2, 3));
}

/// A record is old if it was created more than an hour ago. A record without a usable creation time is not old.
#[tokio::test(start_paused = true)]
async fn record_without_creation_time_is_young() {
    let mut without_time = record(2, "{}");
    without_time["dynamodb"].as_object_mut().unwrap().remove("ApproximateCreationDateTime");
    let hour_ago = f64::from(u32::try_from(NOW).unwrap()) - 3_600.0;
    let unusable = [json!(null), json!("1480642020"), json!([0]), json!({}), json!(-1), json!(1e300)];
    let young = [json!(NOW), json!(NOW + 90), json!(NOW - 3_600), json!(hour_ago + 0.25)].into_iter().chain(unusable);
    for record in young.map(|created| record_of_age(2, created)).chain([without_time]) {
        let world = World::new();
        let tries = world.panic_on_record_2(2, None);
        assert_eq!(world.deliver(std::slice::from_ref(&record)).await, ["2"], "{record}");
        assert_eq!((world.outcomes(), tries.load(Ordering::SeqCst)), (vec!["2 failed".to_owned()], 1), "{record}");
        assert!(world.lake().is_empty());
    }
    for created in [json!(hour_ago - 0.25), json!(NOW - 3_601), json!(0)] {
        let world = World::new();
        world.panic_on_record_2(2, None);
        assert!(world.deliver(&[record_of_age(2, created.clone())]).await.is_empty(), "{created}");
        assert_eq!(world.outcomes(), ["2 quarantined"], "{created}");
    }
}

/// If our code panics while it stores a record in quarantine, the record fails, no matter how old it is.
#[tokio::test(start_paused = true)]
async fn panic_while_quarantining_is_reported() {
    let mut unusable = record_of_age(2, json!(NOW - 7_200));
    unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
    for (record, requests) in [(unusable, 1), (record_of_age(2, json!(NOW - 7_200)), 3)] {
        let world = World::new();
        let sent = world.fail(|_| panic!("on purpose"));
        assert_eq!(world.deliver(&[record]).await, ["2"]);
        assert_eq!((world.outcomes(), sent.load(Ordering::SeqCst)), (vec!["2 failed".to_owned()], requests));
        let line = &world.lines()[0];
        assert_eq!(line["key"], "events/_unusable/2.json");
        assert_eq!(line["error"], "the function panicked: on purpose");
    }
}

/// If the second try of an old record does not end before the deadline, the record is reported as failed and not quarantined.
#[tokio::test(start_paused = true)]
async fn late_second_try_is_reported() {
    let old = record_of_age(2, json!(NOW - 7_200));
    let hangs = Fault::RequestDelayed(Duration::from_secs(3_600));

    let world = World::new();
    let tries = world.panic_on_record_2(1, Some(hangs));
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver_within(3_000, std::slice::from_ref(&old)).await, ["2"]);
    assert_eq!((begun.elapsed().as_secs(), tries.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(world.outcomes(), ["2 failed"]);

    // Another record in flight takes all the time, so the old record is not tried again.
    let world = World::new();
    let tries = world.panic_on_record_2(2, Some(hangs));
    assert_eq!(world.deliver_within(3_000, &[record(1, "{}"), old]).await, ["1", "2"]);
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert_eq!(world.outcomes(), ["1 failed", "2 failed"]);
}

/// An old record that makes our code panic is tried again before the rest of its batch. So even a batch that is too large
/// for one invocation cannot delay the record's quarantine.
#[tokio::test(start_paused = true)]
async fn old_panic_does_not_wait_for_the_batch() {
    let world = World::new();
    let tries = world.panic_on_record_2(2, Some(Fault::AnswerDelayed(Duration::from_millis(900))));
    let old = record_of_age(2, json!(NOW - 7_200));
    let batch: Vec<_> = [old].into_iter().chain((10..60).map(|number| record(number, "{}"))).collect();
    let reported = world.deliver_within(5_000, &batch).await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    assert!(world.outcomes().contains(&"2 quarantined".to_owned()));
    assert!(!reported.is_empty(), "the batch must be too large for one invocation");
    assert!(!reported.contains(&"2".to_owned()));
}

/// If the first tries use up the time until the deadline, a record that made our code panic is not tried again.
#[tokio::test(start_paused = true)]
async fn no_second_try_after_the_deadline() {
    let world = World::new();
    let tries = world.fail(|_| {
        let _ = tokio::time::advance(Duration::from_secs(20)).now_or_never();
        panic!("on purpose")
    });
    let records = [1, 2].map(|n| record_of_age(n, json!(NOW - 7_200)));
    assert_eq!(world.deliver(&records).await, ["1", "2"]);
    assert_eq!(world.outcomes(), ["1 failed", "2 failed"]);
    assert_eq!(tries.load(Ordering::SeqCst), 2, "a record was tried again after the deadline");
}
