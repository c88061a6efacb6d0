//! Tests of the exceptions that the first guarantee names, and of similar cases that are not exceptions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use emulator::stream_mapping::StreamMapping;
use emulator::{Fault, Service};
use pipeline::names;
use pipeline::testkit::{World, archived_lines, body, request_text, wait_until};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::traffic::{DAY, Setup, filter_without_layout};

/// If our code panics once on a record, the event still gets its line. If it always panics, the record is
/// quarantined.
pub(crate) async fn only_repeated_panics_cost_the_line(setup: Setup) {
    let world = World::start(setup.settings_with_batches_of(1));
    let panicked = AtomicBool::new(false);
    world.services.faults.set(move |call| {
        let is_object = call.operation.contains("/dt%3D");
        let body = if is_object { request_text(call) } else { return None };
        let is_first = body.contains("panics once") && !panicked.swap(true, Ordering::SeqCst);
        assert!(!is_first && !body.contains("panics always"), "an intended panic");
        None
    });
    world.send(&body("panics once"));
    world.send(&body("panics always"));
    let begun = Instant::now();
    let quarantined = || world.lake().keys().filter(|key| key.contains("_unusable")).count();
    wait_until("the record that always panics is quarantined", || quarantined() == 1).await;
    assert!(begun.elapsed() > Duration::from_secs(3_600), "{:?}", begun.elapsed());
    let claims = world.claims().await;
    assert!(world.is_archived(&claims["panics once"]));
    assert!(!world.is_archived(&claims["panics always"]));
    assert_eq!((world.lake().len(), world.counts(names::ON_FAILURE_QUEUE).visible), (2, 0));
}

/// Edits a claim's `claimed_at` before its line is archived, and again afterwards. Neither edit adds a second line.
pub(crate) async fn edited_time_gives_no_second_line(setup: Setup) {
    let mut settings = setup.settings();
    if setup.has_packs() {
        settings.stream_mapping.filter = filter_without_layout();
    }
    let world = World::start(settings);
    world.fail(Service::S3, |call| call.operation.starts_with("PUT ").then_some(Fault::Refused(503)));
    world.send(&body("edited"));
    wait_until("the event is claimed", || world.outcomes(names::INGEST_FUNCTION).contains_key("won")).await;
    world.update_claim("edited", "SET claimed_at = :v", "2027-01-15T01:00:00.000Z").await;
    world.services.faults.clear();
    wait_until("the claim has its line", || !world.lake().is_empty()).await;
    world.update_claim("edited", "SET claimed_at = :v", "2027-01-14T01:00:00.000Z").await;
    if setup.has_packs() {
        // The records of the edits are skipped. They are processed once a later record is.
        world.send(&body("later"));
        wait_until("both edits are processed", || archived_lines(&world.services).len() == 2).await;
    } else {
        let archived = || world.outcomes(names::ARCHIVE_FUNCTION).get("already_there") == Some(&2);
        wait_until("both edits are processed", archived).await;
    }
    let claims = world.claims().await;
    assert_eq!(archived_lines(&world.services)[&claims["edited"].claim_id].len(), 1);
    let lake = world.lake();
    assert_eq!(lake.len(), claims.len(), "{lake:?}");
    assert!(lake.values().all(|versions| versions.len() == 1), "{lake:?}");
}

/// Starts the stream mapping more than 24 hours after a claim was written.
pub(crate) async fn unread_record_leaves_its_claim_in_the_table(setup: Setup) {
    let settings = setup.settings();
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
    assert_eq!(archived_lines(&world.services).into_keys().collect::<Vec<_>>(), [claims["read"].claim_id]);
    assert_eq!(world.lake().len(), 1);
    assert_eq!(world.counts(names::ON_FAILURE_QUEUE).visible, 0);
}
