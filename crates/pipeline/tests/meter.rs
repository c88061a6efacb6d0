//! What a whole run is charged for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use pipeline::testkit::World;
use pipeline::{PipelineSettings, names};

#[tokio::test(start_paused = true)]
async fn a_herd_is_charged_for_its_messages_and_for_one_event() {
    let world = World::start(PipelineSettings::default());
    for _ in 0..50 {
        world.send(r#"{"event_id":"grid_stress_999"}"#);
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    let usage = world.services.usage();
    // The sends did not go over the wire. After the five batches come two long polls of 20 s.
    assert_eq!((usage.sqs_sends, usage.sqs_receives, usage.sqs_deletes, usage.sqs_idle_polls), (0, 5, 5, 2));
    assert_eq!(usage.write_request_units, 1);
    assert_eq!((usage.s3_puts, usage.s3_puts_refused), (1, 0));
    let invocations = |function| usage.functions[function].number;
    assert_eq!((invocations(names::INGEST_FUNCTION), invocations(names::ARCHIVE_FUNCTION)), (5, 1));
    // Won, Duplicate, Conflict, Rejected, Failed; Written, AlreadyThere, Skipped, Quarantined, Failed, LagMaxMs.
    assert_eq!(usage.custom_metrics.len(), 11, "{:?}", usage.custom_metrics);
    // A line for each message and for the record, and one for each batch.
    assert_eq!(usage.log_lines, 50 + 1 + 5 + 1);
    assert!(usage.log_bytes > usage.log_lines * 100, "{}", usage.log_bytes);
}
