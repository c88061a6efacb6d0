//! Tests of the handler when S3's answer to a put is lost, late, incomplete or an error.

use std::sync::atomic::Ordering;
use std::time::Duration;

use emulator::Fault;
use serde_json::json;

use crate::world::{World, record};

#[tokio::test(start_paused = true)]
async fn lost_answer_is_already_there_on_retry() {
    let world = World::new();
    world.fail(|n| (n == 0).then_some(Fault::AnswerLost));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
    assert_eq!(world.lake()[0].1, 1);
}

/// The SDK retries an attempt that is not answered in time. The retry finds the object already there.
#[tokio::test(start_paused = true)]
async fn late_answer_is_retried() {
    let world = World::new();
    world.fail(|n| (n == 0).then_some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
    assert_eq!(begun.elapsed().as_secs(), 4, "an attempt must time out after four seconds");
}

#[tokio::test(start_paused = true)]
async fn unanswered_write_fails_after_12_seconds() {
    let world = World::new();
    world.fail(|_| Some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver(&[record(1, "{}")]).await, ["1"]);
    assert_eq!(world.outcomes(), ["1 failed"]);
    assert_eq!(begun.elapsed().as_secs(), 12, "all attempts together must end after twelve seconds");
    // The object exists nevertheless, with one version. The line of the failure has its key.
    assert_eq!(world.lines()[0]["key"], world.lake()[0].0);
    world.services.faults.clear();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!((world.outcomes(), world.lake()[0].1), (vec!["1 already_there".to_owned()], 1));
}

/// An answer that reports success but has no `ETag` header is not from S3, so it does not count as a write.
#[tokio::test(start_paused = true)]
async fn success_without_etag_is_not_written() {
    for fault in [Fault::EmptyAnswer, Fault::MalformedAnswer] {
        let world = World::new();
        world.fail(move |_| Some(fault));
        assert_eq!(world.deliver(&[record(1, "{}")]).await, ["1"], "{fault:?}");
        assert_eq!(world.outcomes(), ["1 failed"], "{fault:?}");
        assert!(world.lines()[0]["error"].as_str().unwrap().ends_with("the answer has no ETag"), "{fault:?}");
        let mut unusable = record(1, "{}");
        unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
        assert_eq!(world.deliver(&[unusable]).await, ["1"], "{fault:?}");
        world.services.faults.clear();
        assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), ["1 written"], "{fault:?}");
    }
}

/// The function judges S3's answer by its HTTP status, not by the error code in its body.
#[tokio::test(start_paused = true)]
async fn answer_without_a_code_is_judged_by_status() {
    let world = World::new();
    world.deliver(&[record(1, "{}")]).await;
    world.fail(|_| Some(Fault::ErrorCodeWithheld));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
}

/// A 409 is retried and never means that the object is already there.
#[tokio::test(start_paused = true)]
async fn status_409_is_never_already_there() {
    let world = World::new();
    world.fail(|n| (n < 2).then_some(Fault::Refused(409)));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written"]);

    let requests = world.fail(|_| Some(Fault::Refused(409)));
    assert_eq!(world.deliver(&[record(2, "{}")]).await, ["2"]);
    assert_eq!(world.outcomes(), ["2 failed"]);
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

/// A record that may succeed later is reported as failed, and the other records are archived.
#[tokio::test(start_paused = true)]
async fn transient_failure_is_reported_alone() {
    for fault in [Fault::Throttled, Fault::Refused(500), Fault::Refused(503), Fault::Refused(403), Fault::RequestLost] {
        let world = World::new();
        world.services.faults.set(move |call| call.operation.contains("000000000002.json").then_some(fault));
        let reported = world.deliver(&[record(1, "{}"), record(2, "{}"), record(3, "{}")]).await;
        assert_eq!(reported, ["2"], "{fault:?}");
        assert_eq!(world.outcomes(), ["1 written", "2 failed", "3 written"], "{fault:?}");
        world.services.faults.clear();
        assert!(world.deliver(&[record(2, "{}"), record(3, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), ["2 written", "3 already_there"]);
    }
}
