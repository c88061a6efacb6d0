//! Tests of events whose stream record is on its way, discarded or quarantined.

use emulator::Service;
use pipeline::names;
use producer::trace::Place;
use tokio::time::sleep;

use crate::traced_pipeline::{HOUR, TracedPipeline, outcomes, text};

/// `trace` says that a claim without an object is in the stream, until the stream mapping discards the claim's record.
#[tokio::test(start_paused = true)]
async fn claim_is_in_stream_until_discarded() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, outcomes(&story)), (Place::InStream, vec!["won"]));
    assert!(story.explanation.contains("ServiceUnavailable"), "{}", story.explanation);
    traced.until(|services| services.sqs.counts(names::ON_FAILURE_QUEUE).unwrap().visible == 1).await;
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::GivenUp);
    let expected = "discarded its record; the on-failure queue holds 1 pointer. Run `replay` to write the object";
    assert!(story.explanation.contains(expected), "{}", story.explanation);
}

/// The explanation says why the event's item in the table is not a valid claim, and what to do about it.
#[tokio::test(start_paused = true)]
async fn invalid_claim_is_explained() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    traced.set_in_claim("a", "SET digest = :v", "text").await;
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::UnusableClaim);
    assert!(story.explanation.contains("Expected binary"), "{}", story.explanation);
    assert!(story.explanation.contains("Fix or delete the item"), "{}", story.explanation);
}

/// The explanation names the key under which `archive-fn` stored a quarantined record. It also says how to write the
/// object, and that the valid claim must not be deleted.
#[tokio::test(start_paused = true)]
async fn quarantined_record_is_explained() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    let claim_id = traced.trace("a").await.claim.unwrap().claim_id;
    // `archive-fn` logs this line for a record on which its code panics.
    let line = serde_json::json!({
        "timestamp": "2027-01-15T08:10:00.000Z", "outcome": "quarantined", "event_id": "a", "claim_id": claim_id,
        "key": "events/_unusable/7.json", "error": "the function panicked: on purpose",
    });
    let mut log = traced.services.logs.writer(&names::log_group(names::ARCHIVE_FUNCTION));
    std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()).unwrap();
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::Quarantined);
    for expected in [
        "stream record (the function panicked: on purpose) and stored it whole under events/_unusable/7.json",
        "do not delete it",
        "run `ops replay --write`",
    ] {
        assert!(story.explanation.contains(expected), "{expected}: {}", story.explanation);
    }
}

/// A stream record that `archive-fn` cannot decode is in the story, with the key under which the function stored it.
#[tokio::test(start_paused = true)]
async fn undecodable_record_is_in_the_story() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    traced.set_in_claim("a", "SET claimed_at = :v", "yesterday").await;
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 2).await;
    let story = traced.trace("a").await;
    let outcomes: Vec<&str> = story.archive.iter().map(|line| line.outcome.as_str()).collect();
    assert_eq!((story.place, outcomes), (Place::Archived, vec!["written", "quarantined"]));
    let key = traced.services.lakes.versions(names::BUCKET).into_keys().find(|key| key.contains("_unusable/")).unwrap();
    assert!(text(&story).contains(&key), "{key}: {}", text(&story));
}
