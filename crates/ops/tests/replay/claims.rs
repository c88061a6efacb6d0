//! Tests of replays without a running pipeline: the tests themselves put the claims into the table.

use std::time::SystemTime;

use claim::Claim;
use pipeline::testkit::object_key;

use super::*;

/// The first millisecond of an hour in the past: 2023-11-14T23:00:00Z.
pub(super) const HOUR_STARTS_MS: u64 = 1_700_002_800_000;

fn services() -> Arc<Services> {
    let services = services_at(STARTS_AT_SECONDS);
    services.lakes.create_bucket(names::BUCKET);
    let _stream = services.tables.create_claim_table(names::TABLE);
    services
}

/// Returns a claim of the event `e<number>`, made at `at_ms`. If two claims have the same time, the one with the higher
/// `number` has the higher id.
pub(super) fn claim_at(at_ms: u64, number: u32) -> Claim {
    claim_of(&format!("e{number}"), at_ms, number)
}

/// Returns the same claim as [`claim_at`], but of the event `event_id`.
pub(super) fn claim_of(event_id: &str, at_ms: u64, number: u32) -> Claim {
    claim_with_body(event_id, "", at_ms, number)
}

/// Returns the same claim as [`claim_of`], but its event also has the text `filler`.
pub(super) fn claim_with_body(event_id: &str, filler: &str, at_ms: u64, number: u32) -> Claim {
    let body = json!({ "event_id": event_id, "filler": filler }).to_string();
    let event = claim::EventRules::default().event(&body, None).unwrap();
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    Claim::new(
        &event,
        &claim::SourceMessage::new("m", &body),
        SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms),
        DAY,
        &random,
    )
    .unwrap()
}

pub(super) async fn put_in_table(services: &Arc<Services>, claims: impl IntoIterator<Item = Claim>) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    for claim in claims {
        dynamodb.put_item().table_name(names::TABLE).set_item(Some(claim.to_item().into())).send().await.unwrap();
    }
}

pub(super) async fn delete_claim(services: &Arc<Services>, event_id: &str) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let request = dynamodb.delete_item().table_name(names::TABLE).key("pk", text(Claim::partition_key(event_id)));
    request.key("sk", text(claim::key::SORT_KEY.to_owned())).send().await.unwrap();
}

pub(super) async fn put_in_lake(services: &Arc<Services>, claims: impl IntoIterator<Item = Claim>) {
    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    for claim in claims {
        lake.put(&object_key(&claim), claim::object::object_line(&claim).unwrap(), claim.trace_id.as_ref())
            .await
            .unwrap();
    }
}

/// Puts `claims` claims of one past hour into the table, and the object of the first claim into the lake.
pub(super) async fn put_claims(services: &Arc<Services>, claims: u32) {
    put_in_table(services, (0..claims).map(|number| claim_at(HOUR_STARTS_MS, number))).await;
    put_in_lake(services, [claim_at(HOUR_STARTS_MS, 0)]).await;
}

/// A replay reads the listing of a partition to its last page, and ignores objects whose claim is not in the table.
#[tokio::test(start_paused = true)]
async fn partition_is_listed_to_its_end() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let claims = |numbers: std::ops::Range<u32>| numbers.map(|number| claim_at(HOUR_STARTS_MS, number));
    // A page of the listing has a thousand keys.
    put_in_lake(&services, claims(0..999).chain(claims(1_000..1_003))).await;
    put_in_table(&services, claims(995..1_005)).await;
    let outcome = run(&services, &settings(&services, &folder.path().join("checkpoint"))).await.unwrap();
    assert_eq!((outcome.compared, outcome.written, outcome.already_there), (10, 3, 0));
    assert_eq!(lake(&services).len(), 1_005);
    for number in [999, 1_003, 1_004] {
        assert!(lake(&services).contains_key(&object_key(&claim_at(HOUR_STARTS_MS, number))), "{number}");
    }
}

/// `since`, `until` and the limits of a partition are exact to the millisecond. An empty time range is refused.
#[tokio::test(start_paused = true)]
async fn since_and_until_are_exact() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let times = [HOUR_STARTS_MS - 1, HOUR_STARTS_MS, HOUR_STARTS_MS + 1];
    put_in_table(&services, times.into_iter().zip(0..).map(|(at_ms, number)| claim_at(at_ms, number))).await;
    let all = ReplaySettings { new_lake: true, write: false, ..settings(&services, &folder.path().join("checkpoint")) };
    let missing = run(&services, &all).await.unwrap().missing;
    assert_eq!(
        missing,
        BTreeMap::from([("dt=2023-11-14/hour=22".to_owned(), 1), ("dt=2023-11-14/hour=23".to_owned(), 2)])
    );

    let hour = Some("2023-11-14T23:00:00Z".parse().unwrap());
    for (since, until, compared) in [(hour, all.until, 2), (None, hour, 1)] {
        let checkpoint = folder.path().join(format!("{compared}"));
        let outcome = run(&services, &ReplaySettings { since, until, checkpoint, ..all.clone() }).await.unwrap();
        assert_eq!(outcome.compared, compared, "{since:?} {until:?}");
    }
    let refused = run(&services, &ReplaySettings { since: hour, until: hour, ..all.clone() }).await;
    assert!(matches!(refused, Err(ReplayError::EmptyTimeRange { .. })), "{refused:?}");
}

/// An event that was claimed a second time gets a second object, and the first one stays.
#[tokio::test(start_paused = true)]
async fn event_claimed_again_gets_new_object() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (claim_at(HOUR_STARTS_MS - 1, 1), claim_at(HOUR_STARTS_MS, 1));
    put_in_lake(&services, [old.clone()]).await;
    put_in_table(&services, [old.clone(), new.clone()]).await;
    let outcome = run(&services, &settings(&services, &folder.path().join("checkpoint"))).await.unwrap();
    assert_eq!((outcome.compared, outcome.written), (1, 1));
    let lake = lake(&services);
    assert_eq!(lake.keys().cloned().collect::<Vec<_>>(), [object_key(&old), object_key(&new)]);
    assert!(lake.values().all(|versions| versions.len() == 1));
}

/// A replay reads pages no faster than `scan_rate` allows, and writes objects no faster than `rate` allows.
#[tokio::test(start_paused = true)]
async fn rates_limit_scan_and_writes() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_claims(&services, 41).await;
    let one = NonZeroU32::new(1).unwrap();
    let slow =
        ReplaySettings { write: false, scan_rate: one, ..settings(&services, &folder.path().join("checkpoint")) };
    let started = tokio::time::Instant::now();
    run(&services, &slow).await.unwrap();
    assert_eq!(
        started.elapsed().as_secs(),
        2,
        "each of the three segments has one page, and the first page does not wait"
    );

    let started = tokio::time::Instant::now();
    let outcome =
        run(&services, &ReplaySettings { write: true, rate: NonZeroU32::new(2).unwrap(), ..slow }).await.unwrap();
    assert_eq!(outcome.written, 40);
    assert_eq!(started.elapsed().as_secs(), 19, "40 writes at two per second, of which the first does not wait");
}

/// A write whose answer is lost counts as failed. The next run finds the object and does not write it again.
#[tokio::test(start_paused = true)]
async fn lost_answer_counts_as_failed() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_claims(&services, 41).await;
    let settings = settings(&services, &folder.path().join("checkpoint"));
    services.faults.set(|call| call.operation.starts_with("PUT").then_some(Fault::AnswerLost));
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.written, outcome.already_there, outcome.failed.len()), (0, 0, 40));
    services.faults.clear();
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.compared, outcome.missing.len(), outcome.written), (41, 0, 0));
    assert!(lake(&services).len() == 41 && lake(&services).values().all(|versions| versions.len() == 1));
}

/// If a checkpoint file is damaged, the replay fails with an error that names the file, and writes nothing.
#[tokio::test(start_paused = true)]
async fn damaged_checkpoint_is_refused() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_claims(&services, 3).await;
    let settings = settings(&services, &folder.path().join("checkpoint"));
    for file in ["checkpoint.json", "dt=2023-11-14_hour=23.ndjson"] {
        run(&services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
        std::fs::write(settings.checkpoint.join(file), "{\"scope\": 1}\n").unwrap();
        let refused = run(&services, &settings).await.unwrap_err();
        assert!(matches!(refused, ReplayError::Worklist(_)), "{refused}");
        let refused = refused.to_string();
        assert!(refused.contains(file) && refused.contains("delete its folder to start over"), "{refused}");
        assert_eq!(lake(&services).len(), 1);
        std::fs::remove_dir_all(&settings.checkpoint).unwrap();
    }
}

/// A replay refuses a checkpoint in the format of another version, and the error says so.
#[tokio::test(start_paused = true)]
async fn checkpoint_of_other_version_is_refused() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_claims(&services, 3).await;
    let settings = settings(&services, &folder.path().join("checkpoint"));
    run(&services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    let file = settings.checkpoint.join("checkpoint.json");
    let current: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    // The oldest version had the field `compared` instead of `state`. The next one had no `format`, and skipped the claims
    // of every dedup key but one. The one after that did not know packs. If its folder lists no claim, only `format` shows
    // its version.
    for (absent, added) in [
        ("state", Some(("compared", json!(true)))),
        ("format", None),
        ("format", Some(("format", json!("EveryDedupKey")))),
    ] {
        let mut checkpoint = current.clone();
        let fields = checkpoint.as_object_mut().unwrap();
        fields.remove(absent).unwrap();
        fields.extend(added.map(|(name, value)| (name.to_owned(), value)));
        std::fs::write(&file, checkpoint.to_string()).unwrap();
        let refused = run(&services, &settings).await.unwrap_err().to_string();
        assert!(refused.contains("or from another version of this command"), "{absent}: {refused}");
        assert!(refused.contains("delete its folder to start over"), "{absent}: {refused}");
    }
    assert_eq!(lake(&services).len(), 1);
}

/// If a run with `write` leaves claims without an object, the next run scans the table again, up to a new `until`.
/// Later runs also write or report the claims that the first run left, even if a run in between was killed.
#[tokio::test(start_paused = true)]
async fn left_claims_do_not_replace_the_scan() {
    const LATER_MS: u64 = HOUR_STARTS_MS + 2 * 60 * 60 * 1_000;
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_claims(&services, 4).await;
    let settings = settings(&services, &folder.path().join("checkpoint"));
    let first = ReplaySettings { until: Some("2023-11-15T00:00:00Z".parse().unwrap()), ..settings.clone() };
    run(&services, &ReplaySettings { write: false, ..first.clone() }).await.unwrap();
    delete_claim(&services, "e1").await;
    services.faults.set(|call| call.operation.ends_with("2.json").then_some(Fault::Refused(403)));
    let outcome = run(&services, &first).await.unwrap();
    assert_eq!((outcome.written, &outcome.gone[..], outcome.failed.len()), (1, &["EVENT#e1".to_owned()][..], 1));

    put_in_table(&services, [claim_at(LATER_MS, 7)]).await;
    services.faults.set(|call| call.operation.starts_with("PUT").then_some(Fault::RequestDelayed(DAY)));
    timeout(Duration::from_secs(2), run(&services, &settings)).await.expect_err("its writes hang");
    services.faults.clear();
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.written, &outcome.gone[..], outcome.failed.len()), (2, &["EVENT#e1".to_owned()][..], 0));
    assert_eq!(outcome.until, settings.until.unwrap());
    assert!(lake(&services).contains_key(&object_key(&claim_at(LATER_MS, 7))));

    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.compared, outcome.written, outcome.gone.len()), (5, 0, 1), "each claim counts once");
}

/// If a dry run is killed while it removes the claims of an earlier run from the folder, the next run scans the table
/// again and finds them.
#[tokio::test(start_paused = true)]
async fn killed_removal_misses_no_claim() {
    const HOURS: u32 = 10;
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    put_in_lake(&services, [claim_at(HOUR_STARTS_MS, 99)]).await;
    let hour_ms = |hour: u32| HOUR_STARTS_MS + u64::from(hour) * 60 * 60 * 1_000;
    put_in_table(&services, (0..HOURS).map(|hour| claim_at(hour_ms(hour), hour))).await;
    let settings = settings(&services, &folder.path().join("checkpoint"));
    let dry_run = ReplaySettings { write: false, ..settings.clone() };
    assert_eq!(run(&services, &dry_run).await.unwrap().missing.len(), HOURS as usize);

    // A folder cannot be removed like a file, so the removal stops there.
    let obstacle = settings.checkpoint.join("dt=2024-01-01_hour=00.ndjson");
    std::fs::create_dir(&obstacle).unwrap();
    let stopped = run(&services, &dry_run).await.unwrap_err().to_string();
    assert!(stopped.contains("dt=2024-01-01_hour=00.ndjson"), "{stopped}");
    assert!(!settings.checkpoint.join("dt=2023-11-14_hour=23.ndjson").exists(), "the first hour was removed before");
    std::fs::remove_dir(&obstacle).unwrap();

    assert_eq!(run(&services, &settings).await.unwrap().written, u64::from(HOURS));
    assert!(!settings.checkpoint.exists(), "nothing is left to do");
}

/// A scan can be killed at any of its requests. The next run continues after the last saved page, so it misses no claim
/// and counts no claim twice.
#[tokio::test(start_paused = true)]
async fn killed_scan_continues_after_saved_page() {
    const CLAIMS: u32 = 1_100;
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    // Progress is saved after 1 MiB of claims, which is about ten thousand claims with short event ids. With ids of 2,000
    // bytes, it is about five hundred claims. A page has more than four hundred of these claims.
    let claim = |number| claim_of(&format!("{number:x>2000}"), HOUR_STARTS_MS, number);
    put_in_table(&services, (0..CLAIMS).map(claim)).await;
    let dry_run = ReplaySettings {
        write: false,
        new_lake: true,
        segments: NonZeroU32::MIN,
        ..settings(&services, &folder.path().join("whole"))
    };
    let scans = Arc::new(AtomicUsize::new(0));
    let stop_after = |allowed: usize| {
        let counter = Arc::clone(&scans);
        counter.store(0, Ordering::SeqCst);
        services.faults.set(move |call| {
            let is_late = call.operation == "Scan" && counter.fetch_add(1, Ordering::SeqCst) >= allowed;
            is_late.then_some(Fault::RequestDelayed(DAY))
        });
    };
    stop_after(usize::MAX);
    assert_eq!(run(&services, &dry_run).await.unwrap().compared, u64::from(CLAIMS));
    assert_eq!(scans.load(Ordering::SeqCst), 3);

    for (kill_after, saved_pages) in [(1, 0), (2, 2)] {
        let checkpoint = folder.path().join(format!("killed-{kill_after}"));
        let settings = ReplaySettings { checkpoint, ..dry_run.clone() };
        stop_after(kill_after);
        timeout(Duration::from_secs(2), run(&services, &settings)).await.expect_err("its last scan request hangs");
        stop_after(usize::MAX);
        let outcome = run(&services, &settings).await.unwrap();
        assert_eq!(outcome.missing.values().sum::<u64>(), u64::from(CLAIMS), "killed after {kill_after} pages");
        assert_eq!(scans.load(Ordering::SeqCst), 3 - saved_pages, "killed after {kill_after} pages");
    }
}

/// If every write fails, the run ends after 200 failed writes, and the next run continues.
#[tokio::test(start_paused = true)]
async fn failing_bucket_ends_the_run() {
    let services = services();
    put_claims(&services, 210).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&services, &folder.path().join("checkpoint"));
    break_s3(&services);
    let error = run(&services, &settings).await.unwrap_err().to_string();
    assert!(error.starts_with("failed to write 200 objects in a row") && error.contains("Unavailable"), "{error}");
    services.faults.clear();
    assert_eq!(run(&services, &settings).await.unwrap().written, 209);
}

/// Without `until`, a replay leaves claims younger than 15 minutes to the stream.
#[tokio::test(start_paused = true)]
async fn young_claims_are_left_to_the_stream() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let now_ms = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap();
    let ages = [(14, "young"), (16, "old")];
    put_in_table(
        &services,
        ages.into_iter().zip(0..).map(|((minutes, id), number)| claim_of(id, now_ms - minutes * 60_000, number)),
    )
    .await;
    let all = ReplaySettings { until: None, new_lake: true, ..settings(&services, &folder.path().join("checkpoint")) };
    let outcome = run(&services, &all).await.unwrap();
    assert_eq!((outcome.compared, outcome.written), (1, 1));
    assert!(lake(&services).values().all(|versions| versions[0].contains("\"old\"")), "{:?}", lake(&services));
}

/// The scan, the comparison and the writes each report their progress, at most once every five seconds.
#[tokio::test(start_paused = true)]
async fn progress_is_reported_in_each_phase() {
    const HOURS: u32 = 12;
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let hour_ms = |hour: u32| HOUR_STARTS_MS + u64::from(hour) * 60 * 60 * 1_000;
    put_in_table(&services, (0..HOURS).map(|hour| claim_at(hour_ms(hour), hour))).await;
    put_in_lake(&services, [claim_at(hour_ms(0), 0)]).await;
    let notes = async |settings: &ReplaySettings| {
        let notes = std::sync::Mutex::new(Vec::new());
        replay(&services.sdk_config(), settings, &|note| notes.lock().unwrap().push(note.to_owned())).await.unwrap();
        notes.into_inner().unwrap()
    };
    let settings =
        ReplaySettings { scan_rate: NonZeroU32::MIN, ..settings(&services, &folder.path().join("checkpoint")) };

    // One page per second, and then four listings every two seconds.
    services.faults.set(|call| {
        let is_listing = call.service == Service::S3 && call.operation.starts_with("GET");
        is_listing.then_some(Fault::AnswerDelayed(Duration::from_secs(2)))
    });
    let segments = NonZeroU32::new(HOURS).unwrap();
    let mut dry_run = notes(&ReplaySettings { write: false, segments, ..settings.clone() }).await;
    assert_eq!(dry_run.pop().unwrap(), "compared 9 of 12 partitions: 8 objects missing, 0 objects written");
    let [first, second] = &dry_run[..] else { panic!("{dry_run:?}") };
    assert!(first.starts_with("scanned ") && first.ends_with(" so far; 6 of 12 segments are done"), "{first}");
    assert!(second.starts_with("scanned ") && second.ends_with(" so far; 11 of 12 segments are done"), "{second}");
    let scanned: u32 = second.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((1..=HOURS).contains(&scanned), "{second}");

    services.faults.clear();
    let written = notes(&ReplaySettings { rate: NonZeroU32::MIN, ..settings }).await;
    assert!(written[0].starts_with("resuming the replay of "), "{written:?}");
    assert_eq!(written[1..], ["6 objects written so far", "11 objects written so far"]);
}

/// Puts two claims of one event into the table, under two dedup keys. The second has a trace id. Returns both claims.
async fn put_claims_of_two_keys(services: &Arc<Services>) -> Vec<Claim> {
    let body = json!({ "event_id": "a", "id": "a", "x": 1.5 }).to_string();
    let trace_id = claim::TraceId::parse("1-5759e988-bd862e3fe1be46a994272793");
    let claims = ["/event_id", "/id"].iter().zip(0_u8..);
    let claims = claims.map(|(key, number)| {
        let rules = claim::EventRules::new(claim::DedupKey::parse(key).unwrap(), claim::ConflictIgnore::none());
        let event = rules.event(&body, None).unwrap();
        let message =
            claim::SourceMessage { id: "m", trace_id: trace_id.as_ref().filter(|_| number == 1), body: &body };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(HOUR_STARTS_MS);
        Claim::new(&event, &message, now, DAY, &[number; 10]).unwrap()
    });
    let claims: Vec<Claim> = claims.collect();
    put_in_table(services, claims.clone()).await;
    claims
}

/// If an event has claims under two dedup keys, a replay writes an object for each. A claim's trace id becomes metadata
/// of its object, as in `archive-fn`. The replay ignores an item with the sort key `CLAIMS`, which is not a claim.
#[tokio::test(start_paused = true)]
async fn claims_of_every_dedup_key_are_restored() {
    let services = services();
    let claims = put_claims_of_two_keys(&services).await;
    let sort_keys: Vec<_> = claims.iter().map(|claim| claim.sort_key.as_ref()).collect();
    assert_eq!(sort_keys, ["CLAIM", "CLAIM#03102162"]);
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let other = dynamodb.put_item().table_name(names::TABLE).item("pk", text("EVENT#a")).item("sk", text("CLAIMS"));
    other.send().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let dry = ReplaySettings { write: false, new_lake: true, ..settings(&services, folder.path()) };
    let found = run(&services, &dry).await.unwrap();
    assert_eq!((found.compared, found.missing.values().sum::<u64>(), found.unusable.len()), (2, 2, 0));
    // This run takes the claims from the checkpoint folder.
    let write = ReplaySettings { write: true, ..dry };
    assert_eq!(run(&services, &write).await.unwrap().written, 2);
    for claim in &claims {
        let metadata = services.lakes.metadata(names::BUCKET, &object_key(claim)).unwrap();
        let trace_id = claim.trace_id.as_ref().map(|id| ("trace-id".to_owned(), id.to_string()));
        assert_eq!(metadata, trace_id.into_iter().collect());
    }
    assert_eq!(services.lakes.versions(names::BUCKET).len(), 2);
}

/// A replay names a claim of the default dedup key by its partition key alone, and any other claim by its partition key
/// and sort key. A claim with an unknown `layout` is unusable.
#[tokio::test(start_paused = true)]
async fn claim_of_another_key_is_named_with_its_sort_key() {
    let services = services();
    let claims = put_claims_of_two_keys(&services).await;
    let mut item = claims[1].to_item().into_inner();
    item.insert("layout".to_owned(), serde_dynamo::AttributeValue::S("packs".to_owned()));
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let put = dynamodb.put_item().table_name(names::TABLE).set_item(Some(serde_dynamo::Item::from(item).into()));
    put.send().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let dry = ReplaySettings { write: false, new_lake: true, ..settings(&services, folder.path()) };
    let reason = r#"the item's `layout` is "packs", not object or pack"#;
    let expected = [("EVENT#a (CLAIM#03102162)".to_owned(), reason.to_owned())];
    let found = run(&services, &dry).await.unwrap();
    assert_eq!((found.compared, &found.unusable[..]), (1, &expected[..]));
    delete_claim(&services, "a").await;
    let written = run(&services, &ReplaySettings { write: true, ..dry }).await.unwrap();
    assert_eq!((written.gone, &written.unusable[..]), (vec!["EVENT#a".to_owned()], &expected[..]));
    let lake = lake(&services);
    let [(key, versions)] = &lake.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", lake.keys()) };
    assert!(key.starts_with("events/_unusable/") && versions.len() == 1, "{key}");
    let record: Value = serde_json::from_str(&versions[0]).unwrap();
    assert_eq!(record["dynamodb"]["NewImage"]["sk"]["S"], "CLAIM#03102162");
}

/// If a scan stops between two claims of one event, the next run continues there: it misses no claim of the event, and
/// reads no page twice.
#[tokio::test(start_paused = true)]
async fn scan_continues_within_one_event() {
    const KEYS: usize = 5;
    let services = services();
    // A page of the scan has 1 MB, so three claims of this size end the first page.
    let filler = random_text(7, 350_000);
    let names: Vec<String> = (0..KEYS).map(|number| format!("id{number}")).collect();
    let mut body: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!("a"))).collect();
    body.insert("filler".to_owned(), json!(filler));
    let body = Value::from(body).to_string();
    let claims = names.iter().zip(0_u8..).map(|(name, number)| {
        let key = claim::DedupKey::parse(&format!("/{name}")).unwrap();
        let event = claim::EventRules::new(key, claim::ConflictIgnore::none()).event(&body, None).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(HOUR_STARTS_MS);
        Claim::new(&event, &claim::SourceMessage::new("m", &body), now, DAY, &[number; 10]).unwrap()
    });
    put_in_table(&services, claims).await;

    let folder = tempfile::tempdir().unwrap();
    let settings = ReplaySettings {
        new_lake: true,
        segments: NonZeroU32::MIN,
        ..settings(&services, &folder.path().join("checkpoint"))
    };
    let scans = Arc::new(AtomicUsize::new(0));
    let refuse_from = |first_refused: usize| {
        let counter = Arc::clone(&scans);
        counter.store(0, Ordering::SeqCst);
        services.faults.set(move |call| {
            let is_refused = call.operation == "Scan" && counter.fetch_add(1, Ordering::SeqCst) >= first_refused;
            is_refused.then_some(Fault::Refused(403))
        });
    };
    refuse_from(1);
    let error = run(&services, &settings).await.unwrap_err();
    assert!(matches!(error, ReplayError::Table { .. }), "{error}");
    let lines = std::fs::read_to_string(settings.checkpoint.join("dt=2023-11-14_hour=23.ndjson")).unwrap();
    let scanned = lines.lines().count();
    assert!((1..KEYS).contains(&scanned), "the first page has {scanned} claims");

    refuse_from(usize::MAX);
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.compared, outcome.written, lake(&services).len()), (KEYS as u64, KEYS as u64, KEYS));
    assert_eq!(scans.load(Ordering::SeqCst), 1, "the first page is not read again");
}
