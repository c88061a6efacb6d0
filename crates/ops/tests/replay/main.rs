//! What a replay finds and writes, in the embedded table and lake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claim::ObjectPrefix;
use emulator::sqs::Counts;
use emulator::{Fault, Service, Services};
use ops::replay::{ReplayError, ReplayOutcome, ReplaySettings, replay};
use pipeline::testkit::{STARTS_AT_SECONDS, World, lake, services_at, wait_until_within};
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

mod claims;
mod command;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Lake = BTreeMap<String, Vec<String>>;

/// A pipeline that begins three minutes before the hour. Its mapping gives up after five minutes instead of 22 hours, of which a
/// test would spend most on thousands of tries.
fn start() -> World {
    let mut settings = PipelineSettings::default();
    settings.stream_mapping.maximum_record_age = Some(MINUTE * 5);
    World::start_on(&services_at(STARTS_AT_SECONDS + 3_420), settings)
}

/// Sends events `<name>-<n>`. Their bodies do not compress to nothing, so that a scan of fifty takes some pages.
fn send(world: &World, name: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut random = fastrand::Rng::with_seed(number.into());
        let filler: String = std::iter::repeat_with(|| random.alphanumeric()).take(60_000).collect();
        let body = format!(r#"{{ "event_id": "{name}-{number}", "x": 1.{number}0, "filler": "{filler}" }}"#);
        world.send(&body);
    }
}

/// From now on, S3 refuses objects.
fn break_s3(services: &Services) {
    let is_write = |call: &emulator::Call<'_>| call.service == Service::S3 && call.operation.starts_with("PUT");
    services.faults.set(move |call| is_write(call).then_some(Fault::Refused(503)));
}

/// Ten events, then thirty, and in the next hour of the clock twenty. (All are sent before the mapping gives any up: its messages to
/// the on-failure queue take message ids too.)
async fn send_all(s3_breaks: bool) -> World {
    let world = start();
    send(&world, "before", 0..10);
    sleep(MINUTE).await;
    if s3_breaks {
        break_s3(&world.services);
    }
    send(&world, "during", 0..30);
    sleep(MINUTE * 3).await;
    send(&world, "during", 30..50);
    sleep(MINUTE * 10).await;
    world.services.faults.clear();
    sleep(MINUTE * 2).await;
    world
}

/// Ten claims are archived, and fifty given up, because S3 was down. The pipeline goes on.
async fn outage() -> World {
    let world = send_all(true).await;
    assert_eq!(world.lake().len(), 10, "the stream's mapping gave the others up");
    assert!(world.counts(names::ON_FAILURE_QUEUE).visible > 0);
    world
}

/// The same, and the pipeline is stopped.
async fn stopped_outage() -> World {
    let mut world = outage().await;
    world.stop();
    world
}

/// The same claims, and nothing went wrong.
async fn no_outage() -> Lake {
    send_all(false).await.lake()
}

/// Without the contents in the message, which are long.
fn assert_same(lake: &Lake, expected: &Lake) {
    let versions = |lake: &Lake| lake.iter().map(|(key, versions)| (key.clone(), versions.len())).collect::<Vec<_>>();
    assert_eq!(versions(lake), versions(expected));
    assert!(lake == expected, "an object has other bytes");
}

fn settings(services: &Services, checkpoint: &Path) -> ReplaySettings {
    ReplaySettings {
        table: names::TABLE.to_owned(),
        bucket: names::BUCKET.to_owned(),
        object_prefix: ObjectPrefix::parse("events/").unwrap(),
        since: None,
        until: Some(services.clock.now().into()),
        write: true,
        new_lake: false,
        rate: NonZeroU32::new(1_000).unwrap(),
        segments: NonZeroU32::new(3).unwrap(),
        scan_rate: NonZeroU32::new(1_000).unwrap(),
        checkpoint: checkpoint.to_owned(),
    }
}

async fn run(services: &Arc<Services>, settings: &ReplaySettings) -> Result<ReplayOutcome, ReplayError> {
    replay(&services.sdk_config(), settings, &|_| {}).await
}

#[tokio::test(start_paused = true)]
async fn what_the_mapping_gave_up_is_written_as_the_archive_would_have_written_it_and_nothing_else_is() {
    let world = outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));

    let dry = run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!((dry.compared, dry.missing.values().sum::<u64>(), dry.written), (60, 50, 0));
    assert_eq!(dry.missing.len(), 2, "two hours have missing objects: {:?}", dry.missing);
    assert_eq!(world.lake().len(), 10);

    let scans = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&scans);
    services.faults.set(move |call| {
        seen.fetch_add(usize::from(call.operation == "Scan"), Ordering::SeqCst);
        None
    });
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.already_there, outcome.failed.len()), (50, 0, 0));
    assert_eq!(scans.load(Ordering::SeqCst), 0, "it goes on from the dry run");
    assert!(!settings.checkpoint.exists(), "nothing is left to do, and nothing is left behind");
    assert_same(&world.lake(), &no_outage().await);

    let again = run(services, &settings).await.unwrap();
    assert_eq!((again.compared, again.missing.len(), again.written), (60, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replay_killed_at_any_request_goes_on_where_it_was_and_no_object_gets_a_second_version() {
    let world = stopped_outage().await;
    let services = &world.services;
    let (expected, folder) = (no_outage().await, tempfile::tempdir().unwrap());
    let settings = settings(services, &folder.path().join("checkpoint"));
    let mut kills = 0;
    let outcome = loop {
        // From some request on, each takes for ever; half of them have had their effect by then.
        let (requests, fine) = (AtomicUsize::new(0), 3 + kills % 13);
        services.faults.set(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
            number if number < fine => None,
            number if number % 2 == 0 => Some(Fault::AnswerDelayed(DAY)),
            _ => Some(Fault::RequestDelayed(DAY)),
        });
        match timeout(Duration::from_secs(2), run(services, &settings)).await {
            Ok(done) => break done.unwrap(),
            Err(_killed) => kills += 1,
        }
        assert!(kills < 200, "it does not come to an end");
    };
    assert!(kills > 10, "killed {kills} times");
    assert!(outcome.written < 10, "the last run had little left to do: {outcome:?}");
    assert_same(&world.lake(), &expected);
}

#[tokio::test(start_paused = true)]
async fn beside_a_running_archive_what_was_given_up_and_what_comes_meanwhile_is_written_once() {
    let world = outage().await;
    let services = &world.services;
    break_s3(services);
    send(&world, "late", 0..50);
    wait_until_within(DAY * 30, "the queue is empty", || world.counts(names::QUEUE) == Counts::default()).await;

    // Both begin to write at once: the archive sends its batch again within its back-off.
    services.faults.set(|call| {
        let is_write = call.service == Service::S3 && call.operation.starts_with("PUT");
        is_write.then_some(Fault::AnswerDelayed(Duration::from_secs(1)))
    });
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(services, &folder.path().join("checkpoint"));
    settings.rate = NonZeroU32::new(2).unwrap();
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.missing.values().sum::<u64>(), outcome.failed.len()), (100, 0));
    assert!(outcome.written >= 50 && outcome.already_there > 0, "both wrote: {outcome:?}");
    sleep(MINUTE * 5).await;
    let lake = world.lake();
    assert_eq!(lake.len(), 110);
    assert!(lake.values().all(|versions| versions.len() == 1));
    assert!(world.counts(names::ON_FAILURE_QUEUE).visible > 0, "pointers are deleted by hand");
}

#[tokio::test(start_paused = true)]
async fn expired_claims_that_are_still_in_the_table_are_written_and_deleted_ones_are_said_to_be_gone() {
    let world = stopped_outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    sleep(DAY * 17).await;
    let settings = settings(services, &folder.path().join("checkpoint"));
    let half = ReplaySettings { since: Some("2027-01-15T09:00:00Z".parse().unwrap()), ..settings.clone() };
    let outcome = run(services, &half).await.unwrap();
    assert_eq!((outcome.compared, outcome.written), (20, 20), "--since passes over the claims of the hour before");

    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(services.tables.sweep_ttl(), 60);
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.gone.len(), outcome.failed.len()), (0, 30, 0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_replaced_the_missing_one_is_left_to_the_stream() {
    let world = stopped_outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    world.update_claim("during-7", "SET claim_id = :v", "019bc1a2-0000-7000-8000-000000000000").await;
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.gone, outcome.failed.len()), (49, vec!["EVENT#during-7".to_owned()], 0));
    assert_eq!(world.lake().len(), 59);
}

#[tokio::test(start_paused = true)]
async fn an_empty_prefix_is_refused_unless_it_is_said_to_be_a_new_lake() {
    let world = outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(services, &folder.path().join("checkpoint"));
    settings.object_prefix = ObjectPrefix::parse("event/").unwrap();
    let refused = run(services, &settings).await.unwrap_err();
    assert!(matches!(refused, ReplayError::NewLake { .. }), "{refused}");
    assert_eq!(world.lake().len(), 10);
    settings.new_lake = true;
    assert_eq!(run(services, &settings).await.unwrap().written, 60);
    assert!(world.lake().keys().filter(|key| key.starts_with("event/dt=")).count() == 60);
}

#[tokio::test(start_paused = true)]
async fn items_that_can_never_be_archived_are_listed_and_kept_whole_once() {
    let world = stopped_outage().await;
    let services = &world.services;
    world.update_claim("during-1", "SET #ttl = :v", "not this").await;
    world.update_claim("during-2", "SET body_zstd = :v", "not this").await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let dry = run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(dry.unusable.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["EVENT#during-1"]);
    assert_eq!(world.lake().len(), 10);
    for _ in 0..2 {
        let outcome = run(services, &settings).await.unwrap();
        let mut unusable = outcome.unusable.clone();
        unusable.sort();
        assert!(unusable[0].0 == "EVENT#during-1" && unusable[0].1.contains("Expected num"), "{unusable:?}");
        assert!(unusable[1].0 == "EVENT#during-2" && unusable[1].1.contains("Expected binary"), "{unusable:?}");
        let lake = world.lake();
        let kept: Vec<_> = lake.iter().filter(|(key, _)| key.starts_with("events/_unusable/")).collect();
        assert_eq!((lake.len(), kept.len()), (10 + 48 + 2, 2));
        let kept: Vec<Value> = kept.iter().map(|(_, versions)| serde_json::from_str(&versions[0]).unwrap()).collect();
        let of_1 = kept.iter().find(|kept| kept["dynamodb"]["NewImage"]["pk"]["S"] == "EVENT#during-1").unwrap();
        assert_eq!(of_1["dynamodb"]["NewImage"]["ttl"], json!({ "S": "not this" }));
        assert!(of_1["dynamodb"]["NewImage"]["body_zstd"]["B"].as_str().unwrap().len() > 10_000, "the event too");
        assert!(lake.values().all(|versions| versions.len() == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_written_costs_itself_alone_and_is_tried_again_by_the_next_run() {
    let world = stopped_outage().await;
    let services = &world.services;
    let expected = no_outage().await;
    let refused: Vec<String> = {
        let there = world.lake();
        expected.keys().filter(|key| !there.contains_key(*key)).take(3).cloned().collect()
    };
    services.faults.set(move |call| {
        // The path is percent-encoded, which file names survive.
        let is_refused = refused.iter().any(|key| call.operation.ends_with(key.rsplit('/').next().unwrap()));
        is_refused.then_some(Fault::Refused(403))
    });
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.failed.len()), (47, 3));
    assert!(outcome.failed.iter().all(|(key, why)| key.starts_with("EVENT#during-") && why.contains("AccessDenied")));
    services.faults.clear();
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.failed.len()), (3, 0));
    assert_same(&world.lake(), &expected);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_another_replay_or_one_that_is_in_use_is_not_touched() {
    let world = outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    let hour = Some("2027-01-15T09:00:00Z".parse().unwrap());
    for other in [
        ReplaySettings { since: hour, ..settings.clone() },
        ReplaySettings { until: hour, ..settings.clone() },
        ReplaySettings { table: "another".to_owned(), ..settings.clone() },
        ReplaySettings { object_prefix: ObjectPrefix::parse("event/").unwrap(), new_lake: true, ..settings.clone() },
    ] {
        let refused = run(services, &other).await.unwrap_err().to_string();
        assert!(refused.contains("is of the replay of dynamo-locking-dev-ingestion-state"), "{refused}");
    }

    services.faults.set(|_| Some(Fault::RequestDelayed(Duration::from_secs(1))));
    let (sdk, first) = (services.sdk_config(), settings.clone());
    let mut first = Box::pin(replay(&sdk, &first, &|_| {}));
    assert!(timeout(Duration::from_secs(2), &mut first).await.is_err(), "the first is at work");
    let refused = run(services, &settings).await.unwrap_err().to_string();
    assert!(refused.starts_with("another replay is at work"), "{refused}");
    assert_eq!(first.await.unwrap().written, 50);

    std::fs::write(folder.path().join("thesis.txt"), "my own").unwrap();
    let refused =
        run(services, &ReplaySettings { checkpoint: folder.path().to_owned(), ..settings }).await.unwrap_err();
    assert!(refused.to_string().contains("is no checkpoint folder"), "{refused}");
}
