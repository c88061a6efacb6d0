//! Tests of batches that are not finished at the deadline.

use std::io::Write as _;
use std::time::Duration;

use emulator::Fault;
use futures_util::FutureExt as _;
use serde_json::Value;

use crate::world::{World, record};

#[tokio::test(start_paused = true)]
async fn unanswered_records_are_reported_in_time() {
    let world = World::new();
    world.fail(|n| (n != 0).then_some(Fault::RequestDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    let records: Vec<Value> = (0..50).map(|n| record(n, "{}")).collect();
    assert_eq!(world.deliver(&records).await.len(), 49);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(world.lake().len(), 1);
}

/// A batch without claims causes no requests, so the handler never waits. It still stops before the deadline.
#[tokio::test(start_paused = true)]
async fn batch_without_claims_stops_in_time() {
    let mut world = World::new();
    // Each log line takes one second to write, without an await.
    let log = world.log.clone();
    world.log = lambda_support::LogWriter::new(move |line| {
        let _ = tokio::time::advance(Duration::from_secs(1)).now_or_never();
        log.clone().write_all(line)
    });
    let mut removal = record(1, "{}");
    removal["eventName"] = "REMOVE".into();
    let records = vec![removal; 60];
    world.deliver(&records).await;
    let outcomes = world.outcomes();
    let skipped = outcomes.iter().filter(|outcome| outcome.ends_with(" skipped")).count();
    assert!((29..40).contains(&skipped), "work must stop after 29 of 30 seconds, but {skipped} records were read");
}

/// The handler stops one second before the deadline. With the largest batch, it stops two seconds before the deadline,
/// because reporting ten thousand unfinished records takes longer.
#[tokio::test(start_paused = true)]
async fn largest_batch_stops_two_seconds_early() {
    for (records, seconds) in [(5_000, 29), (10_000, 28)] {
        let world = World::new();
        // The delay is too short for a retry, because all tests share the SDK's retry quota.
        world.fail(|_| Some(Fault::RequestDelayed(Duration::from_secs(3))));
        let begun = tokio::time::Instant::now();
        let batch: Vec<Value> = (0..records).map(|n| record(n, "{}")).collect();
        let failed = world.deliver(&batch).await.len();
        assert!((batch.len() - 100..batch.len()).contains(&failed), "{failed} of {records} records failed");
        assert_eq!(begun.elapsed().as_secs(), seconds, "{records} records");
    }
}
