//! Tests how many billable units the emulator counts in a run of the whole pipeline.

use std::time::Duration;

use pipeline::testkit::World;
use pipeline::{PipelineSettings, names};

/// For fifty copies of one event, the emulator counts the queue requests and log lines of all fifty messages, but only
/// one successful write to the table and one S3 PUT request.
#[tokio::test(start_paused = true)]
async fn herd_is_billed_for_one_event() {
    let world = World::start(PipelineSettings::default());
    for _ in 0..50 {
        world.send(r#"{"event_id":"grid_stress_999"}"#);
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    let usage = world.services.usage();
    // `World::send` is not an SQS request, so no sends are counted. After the five batches, the mapping makes two long
    // polls of 20 s that return nothing.
    assert_eq!((usage.sqs_sends, usage.sqs_receives, usage.sqs_deletes, usage.sqs_idle_polls), (0, 5, 5, 2));
    assert_eq!(usage.write_request_units, 1);
    assert_eq!((usage.s3_puts, usage.s3_puts_refused), (1, 0));
    let invocations = |function| usage.functions[function].number;
    assert_eq!((invocations(names::INGEST_FUNCTION), invocations(names::ARCHIVE_FUNCTION)), (5, 1));
    // ingest-fn: Won, Duplicate, Conflict, Rejected, Failed.
    // archive-fn: Written, AlreadyThere, Skipped, Quarantined, Failed, LagMaxMs.
    assert_eq!(usage.custom_metrics.len(), 11, "{:?}", usage.custom_metrics);
    // The functions log one line for each message, for the stream record, and for each of the 5 + 1 batches.
    assert_eq!(usage.log_lines, 50 + 1 + 5 + 1);
    assert!(usage.log_bytes > usage.log_lines * 100, "{}", usage.log_bytes);
}
