//! Tests how many billable units the emulator counts in a run of the whole pipeline.

use std::time::Duration;

use ingest_fn::LakeLayout;
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

/// A read of a pack is billed by the size of the whole item, although `ingest-fn` asks only for the ids in it.
#[tokio::test(start_paused = true)]
async fn read_of_a_pack_is_billed_by_its_size() {
    let mut settings = PipelineSettings::default();
    settings.ingest.lake_layout = LakeLayout::Packs;
    settings.stream_mapping.filter = PipelineSettings::pack_filter();
    let world = World::start(settings);
    // Random hex digits compress to half their length, so the pack has about 5 KB.
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..10_000).map(|_| char::from_digit(random.u32(..16), 16).unwrap()).collect();
    let body = format!(r#"{{"event_id":"a","noise":"{noise}"}}"#);
    world.send(&body);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(world.services.usage().read_request_units == 0.0, "the winner does not read its pack");
    // A new sandbox has an empty cache, so it reads the pack of the duplicate's claim.
    world.pipeline().ingest.scale_in();
    world.send(&body);
    tokio::time::sleep(Duration::from_secs(50)).await;
    let outcomes = world.outcomes(names::INGEST_FUNCTION);
    assert_eq!(outcomes, [("duplicate".to_owned(), 1), ("won".to_owned(), 1)].into());
    assert!(world.services.usage().read_request_units == 2.0, "{:?}", world.services.usage());
}
