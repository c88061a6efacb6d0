//! Tests replays against the emulator's table and lake.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

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
use pipeline::testkit::{STARTS_AT_SECONDS, World, lake, object_key, services_at, wait_until_within};
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

mod claims;
mod command;
mod packs;

use claims::{claim_with_body, delete_claim, put_in_lake, put_in_table};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Lake = BTreeMap<String, Vec<String>>;

/// Starts a pipeline three minutes before a new clock hour. Its stream mapping discards records after five minutes. With the
/// real 22 hours, the test would run thousands of retries.
fn start() -> World {
    let mut settings = PipelineSettings::default();
    settings.stream_mapping.maximum_record_age = Some(MINUTE * 5);
    World::start_on(&services_at(STARTS_AT_SECONDS + 3_420), settings)
}

/// Sends events `<name>-<n>`. Their bodies are random, so that they hardly compress.
fn send(world: &World, name: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let filler = random_text(number, 1_000);
        let body = format!(r#"{{ "event_id": "{name}-{number}", "x": 1.{number}0, "filler": "{filler}" }}"#);
        world.send(&body);
    }
}

/// Returns random letters and digits, which hardly compress.
fn random_text(seed: u32, length: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed.into());
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

/// Makes S3 refuse every write from now on.
fn break_s3(services: &Services) {
    let is_write = |call: &emulator::Call<'_>| call.service == Service::S3 && call.operation.starts_with("PUT");
    services.faults.set(move |call| is_write(call).then_some(Fault::Refused(503)));
}

/// Sends ten events, then thirty, and twenty more in the next clock hour. All events are sent before the stream mapping
/// discards the first record, because each message to the on-failure queue takes the next message id. So each event has
/// the same message id with and without an outage.
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

/// Returns a running pipeline after an outage of S3: ten claims have objects, and the stream mapping has discarded the
/// records of fifty others.
async fn outage() -> World {
    let world = send_all(true).await;
    assert_eq!(world.lake().len(), 10, "the stream mapping discarded the other records");
    assert!(world.counts(names::ON_FAILURE_QUEUE).visible > 0);
    world
}

/// Returns a world with the table and the lake that [`outage`] leaves, but does not run a pipeline. Ten claims
/// `before-<n>` have objects. Fifty claims `during-<n>` have none: thirty of the same hour, and twenty of the next
/// hour. Each body has `body_length` random characters.
async fn missing_objects(body_length: usize) -> World {
    let mut world = start();
    world.stop();
    let claims = |name: &'static str, numbers: std::ops::Range<u32>, minute: u64| {
        let claim = move |number| {
            let event_id = format!("{name}-{number}");
            let at_ms = (STARTS_AT_SECONDS + 3_420 + minute * 60) * 1_000 + u64::from(number);
            claim_with_body(&event_id, &random_text(number, body_length), at_ms, number)
        };
        numbers.map(claim)
    };
    put_in_lake(&world.services, claims("before", 0..10, 0)).await;
    let in_table = claims("before", 0..10, 0).chain(claims("during", 0..30, 1)).chain(claims("during", 30..50, 4));
    put_in_table(&world.services, in_table).await;
    sleep(MINUTE * 16).await;
    world
}

/// Returns the lake that the same events produce without an outage.
async fn no_outage() -> Lake {
    send_all(false).await.lake()
}

/// Asserts that two lakes are equal. The panic message omits the contents of the objects, because they are long.
fn assert_same(lake: &Lake, expected: &Lake) {
    let versions = |lake: &Lake| lake.iter().map(|(key, versions)| (key.clone(), versions.len())).collect::<Vec<_>>();
    assert_eq!(versions(lake), versions(expected));
    assert!(lake == expected, "the content of an object differs");
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

/// A replay writes the objects of discarded records exactly as `archive-fn` would have written them, and no others.
/// After a dry run, it takes the missing claims from the checkpoint and does not scan the table again.
#[tokio::test(start_paused = true)]
async fn discarded_records_are_written() {
    let world = outage().await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));

    let dry = run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!((dry.compared, dry.missing.values().sum::<u64>(), dry.written), (60, 50, 0));
    assert_eq!(dry.missing.len(), 2, "two hours have missing objects: {:?}", dry.missing);
    assert_eq!(world.lake().len(), 10);

    let scans = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&scans);
    services.faults.set(move |call| {
        counter.fetch_add(usize::from(call.operation == "Scan"), Ordering::SeqCst);
        None
    });
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.already_there, outcome.failed.len()), (50, 0, 0));
    assert_eq!(scans.load(Ordering::SeqCst), 0, "the second run continues from the dry run");
    assert!(!settings.checkpoint.exists(), "the checkpoint folder is removed when nothing is left to do");
    assert_same(&world.lake(), &no_outage().await);

    let again = run(services, &settings).await.unwrap();
    assert_eq!((again.compared, again.missing.len(), again.written), (60, 0, 0));
}

/// A replay that is killed at any request continues where it stopped, and no object gets a second version. The number
/// of segments may change between runs: a resumed scan uses the number in its checkpoint.
#[tokio::test(start_paused = true)]
async fn killed_replay_continues() {
    // One segment of the scan has several pages.
    let world = missing_objects(25_000).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let mut kills = 0;
    let outcome = loop {
        // After the first few requests, no request is answered. Half of the unanswered requests still take effect.
        let requests = AtomicUsize::new(0);
        let answered = 3 + kills % 13;
        services.faults.set(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
            number if number < answered => None,
            number if number % 2 == 0 => Some(Fault::AnswerDelayed(DAY)),
            _ => Some(Fault::RequestDelayed(DAY)),
        });
        let segments = NonZeroU32::MIN.saturating_add(u32::try_from(kills % 5).unwrap());
        let settings = ReplaySettings { segments, ..settings.clone() };
        match timeout(Duration::from_secs(2), run(services, &settings)).await {
            Ok(done) => break done.unwrap(),
            Err(_killed) => kills += 1,
        }
        assert!(kills < 200, "the replay does not make progress");
    };
    assert!(kills > 10, "killed {kills} times");
    assert!(outcome.written < 10, "the last run should have little left to do: {outcome:?}");
    services.faults.clear();
    world.assert_exactly_once().await;
}

/// If a replay and `archive-fn` run at the same time, each object is written once, by one of the two.
#[tokio::test(start_paused = true)]
async fn replay_runs_beside_archive() {
    let world = outage().await;
    let services = &world.services;
    break_s3(services);
    send(&world, "late", 0..50);
    wait_until_within(DAY * 30, "the queue is empty", || world.counts(names::QUEUE) == Counts::default()).await;

    // Both now write at the same time: the stream mapping retries `archive-fn`'s batch when its back-off ends.
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
    assert!(world.counts(names::ON_FAILURE_QUEUE).visible > 0, "only an operator deletes the pointers");
}

/// A replay writes the objects of expired claims that are still in the table. It reports a claim as gone if TTL deletes it
/// after the scan.
#[tokio::test(start_paused = true)]
async fn expired_claims_are_written() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    sleep(DAY * 17).await;
    let settings = settings(services, &folder.path().join("checkpoint"));
    let second_hour = ReplaySettings { since: Some("2027-01-15T09:00:00Z".parse().unwrap()), ..settings.clone() };
    let outcome = run(services, &second_hour).await.unwrap();
    assert_eq!((outcome.compared, outcome.written), (20, 20), "--since excludes the claims of the hour before");

    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(services.tables.sweep_ttl(), 60);
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.gone.len(), outcome.failed.len()), (0, 30, 0));
}

/// If, after the scan, a new claim replaces a claim without an object, the replay leaves the new claim to the stream.
#[tokio::test(start_paused = true)]
async fn replaced_claim_is_left_to_stream() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    world.update_claim("during-7", "SET claim_id = :v", "019bc1a2-0000-7000-8000-000000000000").await;
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.gone, outcome.failed.len()), (49, vec!["EVENT#during-7".to_owned()], 0));
    assert_eq!(world.lake().len(), 59);
}

/// The time range applies to the time in the claim id, not to `claimed_at`. So an edited `claimed_at` does not hide a claim.
#[tokio::test(start_paused = true)]
async fn edited_time_does_not_hide_a_claim() {
    let world = missing_objects(100).await;
    let folder = tempfile::tempdir().unwrap();
    world.update_claim("during-7", "SET claimed_at = :v", "2030-01-01T00:00:00.000Z").await;
    let outcome = run(&world.services, &settings(&world.services, &folder.path().join("checkpoint"))).await.unwrap();
    assert_eq!((outcome.written, outcome.failed.len()), (50, 0));
    let hours: Vec<&String> = outcome.missing.keys().collect();
    assert!(hours.iter().all(|hour| hour.starts_with("dt=2027-01-15/")), "{hours:?}");
}

/// A replay refuses the checkpoint of another table of the same name.
#[tokio::test(start_paused = true)]
async fn checkpoint_of_a_namesake_is_refused() {
    let here = missing_objects(100).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&here.services, &folder.path().join("checkpoint"));
    run(&here.services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();

    let elsewhere = start();
    let new_lake = ReplaySettings { new_lake: true, ..settings.clone() };
    let refused = run(&elsewhere.services, &new_lake).await.unwrap_err().to_string();
    assert!(
        refused.contains("belongs to the replay of arn:aws:dynamodb:") && refused.contains("table id"),
        "{refused}"
    );
    assert!(elsewhere.lake().is_empty());
    assert_eq!(run(&here.services, &settings).await.unwrap().written, 50, "the checkpoint still serves its own table");
}

/// Every later run with `write` reports gone claims again, until a dry run compares the whole table. So even after a
/// killed run, the next run does not report that every claim has its object.
#[tokio::test(start_paused = true)]
async fn gone_claims_are_reported_again() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let dry_run = ReplaySettings { write: false, ..settings.clone() };
    run(services, &dry_run).await.unwrap();
    world.update_claim("during-7", "SET claim_id = :v", "019bc1a2-0000-7000-8000-000000000000").await;
    world.update_claim("during-8", "SET body_zstd = :v", "not this").await;
    // The second run scans the table again, and so finds the claim that has replaced the gone one.
    for written in [48, 1, 0] {
        let outcome = run(services, &settings).await.unwrap();
        assert_eq!((outcome.written, outcome.failed.len()), (written, 0));
        assert_eq!(outcome.gone, ["EVENT#during-7"]);
        assert_eq!(outcome.unusable.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["EVENT#during-8"]);
    }
    let outcome = run(services, &dry_run).await.unwrap();
    assert_eq!((outcome.compared, outcome.gone.len()), (60, 0), "a dry run compares the whole table");
}

/// If somebody has repaired an unusable item since the scan, the replay archives it. If somebody has deleted the item, the
/// replay reports it as gone.
#[tokio::test(start_paused = true)]
async fn repaired_item_is_archived() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let claimed_at = world.claims().await["during-1"].claimed_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    for event_id in ["during-1", "during-2"] {
        world.update_claim(event_id, "SET claimed_at = :v", "not this").await;
    }
    let dry = run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(dry.unusable.len(), 2);
    world.update_claim("during-1", "SET claimed_at = :v", &claimed_at).await;
    delete_claim(services, "during-2").await;
    for written in [49, 0] {
        let outcome = run(services, &settings).await.unwrap();
        assert_eq!((outcome.written, &outcome.unusable[..]), (written, &[][..]));
        assert_eq!(outcome.gone, ["EVENT#during-2"]);
        assert_eq!(world.lake().len(), 10 + 49, "nothing is quarantined");
    }
}

/// If somebody repairs an item that the scan found unusable, and its object already exists, the replay counts the
/// object as already there.
#[tokio::test(start_paused = true)]
async fn repaired_item_may_have_its_object() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let claimed_at = world.claims().await["before-1"].claimed_at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    world.update_claim("before-1", "SET claimed_at = :v", "not this").await;
    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    world.update_claim("before-1", "SET claimed_at = :v", &claimed_at).await;
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.already_there, outcome.unusable.len()), (50, 1, 0));
    world.assert_exactly_once().await;
}

/// A replay refuses a prefix without objects, unless `new_lake` is set.
#[tokio::test(start_paused = true)]
async fn empty_prefix_requires_new_lake() {
    let world = missing_objects(100).await;
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

/// A replay lists the items that it cannot archive. It copies each to the quarantine as a whole, and only once.
#[tokio::test(start_paused = true)]
async fn unusable_items_are_quarantined_once() {
    let world = missing_objects(1_000).await;
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
        let quarantined: Vec<_> = lake.iter().filter(|(key, _)| key.starts_with("events/_unusable/")).collect();
        assert_eq!((lake.len(), quarantined.len()), (10 + 48 + 2, 2));
        let records: Vec<Value> =
            quarantined.iter().map(|(_, versions)| serde_json::from_str(&versions[0]).unwrap()).collect();
        let first =
            records.iter().find(|record| record["dynamodb"]["NewImage"]["pk"]["S"] == "EVENT#during-1").unwrap();
        assert_eq!(first["dynamodb"]["NewImage"]["ttl"], json!({ "S": "not this" }));
        assert!(
            first["dynamodb"]["NewImage"]["body_zstd"]["B"].as_str().unwrap().len() > 500,
            "the record includes the event"
        );
        assert!(lake.values().all(|versions| versions.len() == 1));
    }
}

/// A write that fails does not stop the others, and the next run tries it again.
#[tokio::test(start_paused = true)]
async fn failed_write_is_retried_by_next_run() {
    let world = missing_objects(1_000).await;
    let services = &world.services;
    let refused: Vec<String> = {
        let lake = world.lake();
        let keys = world.claims().await.into_values().map(|claim| object_key(&claim));
        keys.filter(|key| !lake.contains_key(key)).take(3).collect()
    };
    services.faults.set(move |call| {
        // The path is percent-encoded, but that leaves the last part of the key unchanged.
        let is_refused = refused.iter().any(|key| call.operation.ends_with(key.rsplit('/').next().unwrap()));
        is_refused.then_some(Fault::Refused(403))
    });
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.failed.len()), (47, 3));
    assert!(
        outcome.failed.iter().all(|(key, error)| key.starts_with("EVENT#during-") && error.contains("AccessDenied"))
    );
    services.faults.clear();
    let outcome = run(services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.failed.len()), (3, 0));
    world.assert_exactly_once().await;
}

/// A checkpoint folder is refused if it belongs to another replay, if a running replay uses it, or if it holds other
/// files.
#[tokio::test(start_paused = true)]
async fn foreign_checkpoint_is_refused() {
    let world = missing_objects(100).await;
    let services = &world.services;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(services, &folder.path().join("checkpoint"));
    run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    let hour = Some("2027-01-15T09:00:00Z".parse().unwrap());
    let another_table = format!("{}-restored", names::TABLE);
    let _stream = services.tables.create_claim_table(&another_table);
    for other in [
        ReplaySettings { since: hour, ..settings.clone() },
        ReplaySettings { until: hour, ..settings.clone() },
        ReplaySettings { table: another_table, ..settings.clone() },
        ReplaySettings { object_prefix: ObjectPrefix::parse("event/").unwrap(), new_lake: true, ..settings.clone() },
    ] {
        let refused = run(services, &other).await.unwrap_err().to_string();
        assert!(refused.contains("belongs to the replay of arn:aws:dynamodb:"), "{refused}");
    }

    services.faults.set(|_| Some(Fault::RequestDelayed(Duration::from_secs(1))));
    let sdk = services.sdk_config();
    let mut first = Box::pin(replay(&sdk, &settings, &|_| {}));
    assert!(timeout(Duration::from_secs(4), &mut first).await.is_err(), "the first replay is still running");
    let refused = run(services, &settings).await.unwrap_err().to_string();
    assert!(refused.starts_with("another replay is using the checkpoint folder"), "{refused}");
    assert_eq!(first.await.unwrap().written, 50);

    std::fs::write(folder.path().join("thesis.txt"), "my own").unwrap();
    let refused =
        run(services, &ReplaySettings { checkpoint: folder.path().to_owned(), ..settings }).await.unwrap_err();
    assert!(refused.to_string().contains("is not a checkpoint folder"), "{refused}");
}
