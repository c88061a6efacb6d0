//! Tests of the exceptions that the first guarantee names, and of similar cases that are not exceptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emulator::stream_mapping::StreamMapping;
use emulator::{Fault, Service};
use ingest_fn::ClaimWrites;
use pipeline::names;
use pipeline::testkit::{World, body, object_key, wait_until};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::traffic::{DAY, settings};

/// If our code panics once on a record, the event still gets its object. If it always panics, the record is
/// quarantined.
pub(crate) async fn only_repeated_panics_cost_the_object(writes: ClaimWrites) {
    let world = World::start(settings(writes));
    let panicked = AtomicBool::new(false);
    world.services.faults.set(move |call| {
        let body = String::from_utf8_lossy(call.request.body());
        let is_object = call.operation.contains("/dt%3D");
        let is_first = body.contains("panics once") && !panicked.swap(true, Ordering::SeqCst);
        assert!(!(is_object && (is_first || body.contains("panics always"))), "an intended panic");
        None
    });
    world.send(&body("panics once"));
    world.send(&body("panics always"));
    let begun = Instant::now();
    let quarantined = || world.lake().keys().filter(|key| key.contains("_unusable")).count();
    wait_until("the record that always panics is quarantined", || quarantined() == 1).await;
    assert!(begun.elapsed() > Duration::from_secs(3_600), "{:?}", begun.elapsed());
    let claims = world.claims().await;
    assert!(world.lake().contains_key(&object_key(&claims["panics once"])));
    assert!(!world.lake().contains_key(&object_key(&claims["panics always"])));
    assert_eq!((world.lake().len(), world.counts(names::ON_FAILURE_QUEUE).visible), (2, 0));
}

/// Edits a claim's `claimed_at` before its object is written, and again afterwards. Neither edit adds a second object.
pub(crate) async fn edited_time_gives_no_second_object(writes: ClaimWrites) {
    let world = World::start(settings(writes));
    world.fail(Service::S3, |call| call.operation.starts_with("PUT ").then_some(Fault::Refused(503)));
    world.send(&body("edited"));
    wait_until("the event is claimed", || world.outcomes(names::INGEST_FUNCTION).contains_key("won")).await;
    world.update_claim("edited", "SET claimed_at = :v", "2027-01-15T01:00:00.000Z").await;
    world.services.faults.clear();
    wait_until("the claim has its object", || !world.lake().is_empty()).await;
    world.update_claim("edited", "SET claimed_at = :v", "2027-01-14T01:00:00.000Z").await;
    let archived = || world.outcomes(names::ARCHIVE_FUNCTION).get("already_there") == Some(&2);
    wait_until("both edits are processed", archived).await;
    let lake = world.lake();
    assert_eq!(lake.values().map(Vec::len).collect::<Vec<_>>(), [1], "{lake:?}");
}

/// Starts the stream mapping more than 24 hours after a claim was written.
pub(crate) async fn unread_record_leaves_its_claim_in_the_table(writes: ClaimWrites) {
    let settings = settings(writes);
    let mut world = World::start(settings.clone());
    let ingest = Arc::clone(&world.pipeline().ingest);
    let archive = Arc::clone(&world.pipeline().archive);
    let stream = world.pipeline().stream_arn.clone();
    world.stop();
    let claim = async |event: &str| {
        let batch = json!({ "Records": [{ "messageId": event, "body": body(event) }] });
        ingest.invoke(batch.to_string().into_bytes()).await.unwrap();
    };
    claim("unread").await;
    advance(DAY + Duration::from_secs(1)).await;
    claim("read").await;
    let mapping = StreamMapping::new(Arc::clone(&world.services), &stream, archive, settings.stream_mapping);
    let mapping = tokio::spawn(mapping.run());
    wait_until("the later claim is archived", || !world.lake().is_empty()).await;
    mapping.abort();
    let claims = world.claims().await;
    assert_eq!(claims.keys().collect::<Vec<_>>(), ["read", "unread"]);
    assert_eq!(world.lake().into_keys().collect::<Vec<_>>(), [object_key(&claims["read"])]);
    assert_eq!(world.counts(names::ON_FAILURE_QUEUE).visible, 0);
}
