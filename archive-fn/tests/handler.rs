//! Tests of the handler, which writes the claims in batches of stream records to the emulator's lake.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use archive_fn::{Config, DataLake, Handler};
use emulator::{Clock, Fault, Services};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;

const BUCKET: &str = "lake";

const NOW: u64 = 1_800_000_000;

/// A warm sandbox of the function, and the services that it calls.
struct World {
    services: Arc<Services>,
    handler: Handler,
    log: lambda_support::LogWriter,
}

impl World {
    fn new() -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        let services = Services::on_clock(clock, 1);
        services.lakes.create_bucket(BUCKET);
        let look_up = |variable: &str| (variable == "BUCKET_NAME").then(|| BUCKET.to_owned());
        let config = Config::from_variables(&lambda_support::Variables::new(&look_up)).unwrap();
        let lake = DataLake::new((&services.sdk_config()).into(), BUCKET);
        let log = services.logs.writer("log");
        let handler = Handler::new(config, lake, log.clone(), clock.shared());
        Self { services, handler, log }
    }

    /// From now on, injects `fault(n)` into the n-th request, and asserts that every request is a conditional write. Returns
    /// a counter of the requests.
    fn fail(&self, fault: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Arc<AtomicUsize> {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        self.services.faults.set(move |call| {
            assert!(call.operation.starts_with("PUT "), "{}", call.operation);
            assert_eq!(call.request.headers()["if-none-match"], "*");
            fault(count.fetch_add(1, Ordering::SeqCst))
        });
        requests
    }

    /// From now on, the code panics when it writes the object of record 2, but only the first `panics` times. All other
    /// requests get `fault`. Returns a counter of the writes of that object.
    fn panic_on_record_2(&self, panics: usize, fault: Option<Fault>) -> Arc<AtomicUsize> {
        let tries = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tries);
        self.services.faults.set(move |call| {
            if call.operation.ends_with("000000000002.json") {
                assert!(count.fetch_add(1, Ordering::SeqCst) >= panics, "on purpose");
            }
            fault
        });
        tries
    }

    /// Delivers records and returns the sequence numbers of those that the function reports as failed, sorted.
    async fn deliver(&self, records: &[Value]) -> Vec<String> {
        self.deliver_within(30_000, records).await
    }

    async fn deliver_within(&self, left_ms: u64, records: &[Value]) -> Vec<String> {
        let mut context = lambda_runtime::Context::default();
        context.deadline = self.services.clock.now_ms() + left_ms;
        let envelope = serde_json::from_str(&json!({ "Records": records }).to_string()).unwrap();
        let log = lambda_support::logs::dispatch(self.log.clone(), LevelFilter::INFO, self.services.clock.shared());
        let work = self.handler.handle(lambda_runtime::LambdaEvent::new(envelope, context)).with_subscriber(log);
        let response = work.await.unwrap();
        let mut reported: Vec<_> =
            response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        reported.sort();
        reported
    }

    fn lines(&self) -> Vec<Value> {
        self.services.logs.lines("log").iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns `sequence_number outcome` for each record of the last batch, sorted.
    fn outcomes(&self) -> Vec<String> {
        let mut lines = self.lines();
        assert_eq!(lines.pop().unwrap()["message"], "batch done");
        let batch = lines.rsplit(|line| line["message"] == "batch done").next().unwrap();
        let outcome = |line: &Value| {
            Some(format!("{} {}", line["sequence_number"].as_str().unwrap_or("-"), line["outcome"].as_str()?))
        };
        let mut outcomes: Vec<String> = batch.iter().filter_map(outcome).collect();
        outcomes.sort();
        outcomes
    }

    /// Returns the key, the number of versions and the content of each object in the lake.
    fn lake(&self) -> Vec<(String, usize, String)> {
        let text = |content: &[u8]| String::from_utf8(content.to_vec()).unwrap();
        let objects = self.services.lakes.versions(BUCKET);
        objects.into_iter().map(|(key, versions)| (key, versions.len(), text(&versions[0]))).collect()
    }
}

/// Returns the stream record of a new claim.
fn record(number: u32, body: &str) -> Value {
    json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "sa-east-1",
        "eventSourceARN": "arn:aws:dynamodb:sa-east-1:123456789012:table/t/stream/2026-11-23T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": NOW,
            "Keys": { "pk": { "S": format!("EVENT#{number}") }, "sk": { "S": "CLAIM" } },
            "NewImage": {
                "pk": { "S": format!("EVENT#{number}") },
                "sk": { "S": "CLAIM" },
                "claim_id": { "S": format!("01a3185c-4a24-7000-8000-{number:012}") },
                "claimed_at": { "S": "2027-01-15T07:59:58.500Z" },
                "ttl": { "N": "1801382398" },
                "digest": { "B": "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
                "message_id": { "S": "m" },
                "body": { "S": body },
            },
            "SequenceNumber": number.to_string(),
            "SizeBytes": 300,
            "StreamViewType": "NEW_IMAGE",
        },
    })
}

/// Returns the stream record of a new claim that was created at this time.
fn record_of_age(number: u32, created: Value) -> Value {
    let mut record = record(number, "{}");
    record["dynamodb"]["ApproximateCreationDateTime"] = created;
    record
}

/// A claim becomes an object of one line under its own key. In the line, numbers keep their text, and names keep their
/// order.
#[tokio::test(start_paused = true)]
async fn claim_becomes_one_line() {
    let world = World::new();
    assert!(world.deliver(&[record(1, "{ \"z\" : 1.50,\n \"a\": [1E400, \"\\u00e9 x\"] }")]).await.is_empty());
    let key = "events/dt=2027-01-15/hour=07/01a3185c-4a24-7000-8000-000000000001.json";
    let line = concat!(
        r#"{"event_id":"1","claim_id":"01a3185c-4a24-7000-8000-000000000001","claimed_at":"2027-01-15T07:59:58.500Z","#,
        r#""message_id":"m","event":{"z":1.50,"a":[1E400,"\u00e9 x"]}}"#,
        "\n"
    );
    assert_eq!(world.lake(), [(key.to_owned(), 1, line.to_owned())]);
    let written = &world.lines()[0];
    assert_eq!(
        (&written["outcome"], &written["key"], &written["lag_ms"]),
        (&json!("written"), &json!(key), &json!(1_500))
    );
    assert_eq!((&written["event_id"], &written["message_id"]), (&json!("1"), &json!("m")));
    assert_eq!(world.lines()[1]["LagMaxMs"], 1_500);
}

/// Only records of new claims are archived. All other records are skipped.
#[tokio::test(start_paused = true)]
async fn other_records_are_skipped() {
    let world = World::new();
    let with = |number, name: &str| {
        let mut record = record(number, "{}");
        record["eventName"] = name.into();
        record
    };
    let mut other_kind = record(4, "{}");
    other_kind["dynamodb"]["NewImage"]["sk"]["S"] = "OTHER".into();
    let mut removed = with(5, "REMOVE");
    removed["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let batch = [with(1, "INSERT"), with(2, "MODIFY"), with(3, "UNKNOWN_TO_SDK_VERSION"), other_kind, removed];
    assert!(world.deliver(&batch).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 skipped", "4 skipped", "5 skipped"]);
    assert_eq!(world.lake().len(), 2);
}

/// If a record is delivered again, its object is already there and gets no second version.
#[tokio::test(start_paused = true)]
async fn redelivered_record_is_already_there() {
    let world = World::new();
    for outcome in ["1 written", "1 already_there", "1 already_there"] {
        assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), [outcome]);
    }
    assert_eq!(world.lake()[0].1, 1);
}

#[tokio::test(start_paused = true)]
async fn lost_answer_is_already_there_on_retry() {
    let world = World::new();
    world.fail(|n| (n == 0).then_some(Fault::AnswerLost));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
    assert_eq!(world.lake()[0].1, 1);
}

/// The SDK retries an attempt that is not answered in time. The retry finds the object already there.
#[tokio::test(start_paused = true)]
async fn late_answer_is_retried() {
    let world = World::new();
    world.fail(|n| (n == 0).then_some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
    assert_eq!(begun.elapsed().as_secs(), 4, "an attempt must time out after four seconds");
}

#[tokio::test(start_paused = true)]
async fn unanswered_write_fails_after_12_seconds() {
    let world = World::new();
    world.fail(|_| Some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver(&[record(1, "{}")]).await, ["1"]);
    assert_eq!(world.outcomes(), ["1 failed"]);
    assert_eq!(begun.elapsed().as_secs(), 12, "all attempts together must end after twelve seconds");
    // The object exists nevertheless, with one version.
    world.services.faults.clear();
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!((world.outcomes(), world.lake()[0].1), (vec!["1 already_there".to_owned()], 1));
}

/// A record that makes our own code panic fails alone. If the panic was transient, a retry archives the record.
#[tokio::test(start_paused = true)]
async fn young_panicking_record_fails_alone() {
    let world = World::new();
    world.panic_on_record_2(1, None);
    let records = [record(1, "{}"), record(2, "{}"), record(3, "{}")];
    assert_eq!(world.deliver(&records).await, ["2"]);
    assert_eq!(world.outcomes(), ["1 written", "2 failed", "3 written"]);
    let failed = world.lines().into_iter().find(|line| line["outcome"] == "failed").unwrap();
    assert_eq!((&failed["event_id"], &failed["error"]), (&json!("2"), &json!("the function panicked: on purpose")));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there", "2 written", "3 already_there"]);
}

/// A record that is over an hour old is quarantined if it makes our code panic twice. Its second try begins when no other
/// record is in flight.
#[tokio::test(start_paused = true)]
async fn old_record_is_quarantined_at_second_panic() {
    let world = World::new();
    let tries = Arc::new(Mutex::new(Vec::new()));
    let tried = Arc::clone(&tries);
    let begun = tokio::time::Instant::now();
    world.services.faults.set(move |call| {
        if call.operation.ends_with("000000000002.json") {
            tried.lock().unwrap().push(begun.elapsed().as_secs());
            panic!("on purpose");
        }
        Some(Fault::RequestDelayed(Duration::from_secs(3)))
    });
    // The seven other writes in flight take three seconds.
    let mut records: Vec<Value> = (1..=20).map(|n| record(n, "{}")).collect();
    records[1] = record_of_age(2, json!(NOW - 3_601));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(*tries.lock().unwrap(), [0, 3]);
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.ends_with(" written")).count(), 19);
    assert!(outcomes.contains(&"2 quarantined".to_owned()), "{outcomes:?}");
    let lake = world.lake();
    let (_, _, kept) = lake.iter().find(|(key, ..)| key == "events/_unusable/2.json").unwrap();
    assert_eq!(serde_json::from_str::<Value>(kept).unwrap(), records[1]);
}

/// Old records that made our code panic are tried again one at a time.
#[tokio::test(start_paused = true)]
async fn old_records_are_tried_again_one_by_one() {
    let world = World::new();
    let tries = Arc::new(AtomicUsize::new(0));
    world.services.faults.set(move |_| {
        assert!(tries.fetch_add(1, Ordering::SeqCst) >= 3, "on purpose");
        Some(Fault::RequestDelayed(Duration::from_secs(1)))
    });
    let begun = tokio::time::Instant::now();
    let records = [1, 2, 3].map(|n| record_of_age(n, json!(NOW - 7_200)));
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 written"]);
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// After an outage of more than an hour, one panic does not quarantine a record.
#[tokio::test(start_paused = true)]
async fn old_record_that_panics_once_is_archived() {
    let world = World::new();
    let tries = world.panic_on_record_2(1, None);
    let records = [record(1, "{}"), record_of_age(2, json!(NOW - 80_000)), record(3, "{}")];
    assert!(world.deliver(&records).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written", "2 written", "3 written"]);
    assert_eq!((tries.load(Ordering::SeqCst), world.lake().len()), (2, 3));
}

/// A record is old if it was created more than an hour ago. A record without a usable creation time is not old.
#[tokio::test(start_paused = true)]
async fn record_without_creation_time_is_young() {
    let mut without_time = record(2, "{}");
    without_time["dynamodb"].as_object_mut().unwrap().remove("ApproximateCreationDateTime");
    let hour_ago = f64::from(u32::try_from(NOW).unwrap()) - 3_600.0;
    let unusable = [json!(null), json!("1480642020"), json!([0]), json!({}), json!(-1), json!(1e300)];
    let young = [json!(NOW), json!(NOW + 90), json!(NOW - 3_600), json!(hour_ago + 0.25)].into_iter().chain(unusable);
    for record in young.map(|created| record_of_age(2, created)).chain([without_time]) {
        let world = World::new();
        let tries = world.panic_on_record_2(2, None);
        assert_eq!(world.deliver(std::slice::from_ref(&record)).await, ["2"], "{record}");
        assert_eq!((world.outcomes(), tries.load(Ordering::SeqCst)), (vec!["2 failed".to_owned()], 1), "{record}");
        assert!(world.lake().is_empty());
    }
    for created in [json!(hour_ago - 0.25), json!(NOW - 3_601), json!(0)] {
        let world = World::new();
        world.panic_on_record_2(2, None);
        assert!(world.deliver(&[record_of_age(2, created.clone())]).await.is_empty(), "{created}");
        assert_eq!(world.outcomes(), ["2 quarantined"], "{created}");
    }
}

/// If our code panics while it stores a record in quarantine, the record fails, no matter how old it is.
#[tokio::test(start_paused = true)]
async fn panic_while_quarantining_is_reported() {
    let mut unusable = record_of_age(2, json!(NOW - 7_200));
    unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
    for (record, requests) in [(unusable, 1), (record_of_age(2, json!(NOW - 7_200)), 3)] {
        let world = World::new();
        let sent = world.fail(|_| panic!("on purpose"));
        assert_eq!(world.deliver(&[record]).await, ["2"]);
        assert_eq!((world.outcomes(), sent.load(Ordering::SeqCst)), (vec!["2 failed".to_owned()], requests));
        let line = &world.lines()[0];
        assert_eq!(line["key"], "events/_unusable/2.json");
        assert_eq!(line["error"], "the function panicked: on purpose");
    }
}

/// If the second try of an old record does not end before the deadline, the record is reported and not quarantined.
#[tokio::test(start_paused = true)]
async fn late_second_try_is_reported() {
    let old = record_of_age(2, json!(NOW - 7_200));
    let hangs = Fault::RequestDelayed(Duration::from_secs(3_600));

    let world = World::new();
    let tries = world.panic_on_record_2(1, Some(hangs));
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver_within(3_000, std::slice::from_ref(&old)).await, ["2"]);
    assert_eq!((begun.elapsed().as_secs(), tries.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(world.outcomes(), ["2 failed"]);

    // Another record in flight takes all the time, so the old record is not tried again.
    let world = World::new();
    let tries = world.panic_on_record_2(2, Some(hangs));
    assert_eq!(world.deliver_within(3_000, &[record(1, "{}"), old]).await, ["1", "2"]);
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert_eq!(world.outcomes(), ["1 failed", "2 failed"]);
}

/// An old record that makes our code panic is tried again before the rest of its batch. So even a batch that is too large
/// for one invocation cannot delay the record's quarantine.
#[tokio::test(start_paused = true)]
async fn old_panic_does_not_wait_for_the_batch() {
    let world = World::new();
    let tries = world.panic_on_record_2(2, Some(Fault::AnswerDelayed(Duration::from_millis(900))));
    let old = record_of_age(2, json!(NOW - 7_200));
    let batch: Vec<_> = [old].into_iter().chain((10..60).map(|number| record(number, "{}"))).collect();
    let reported = world.deliver_within(5_000, &batch).await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    assert!(world.outcomes().contains(&"2 quarantined".to_owned()));
    assert!(!reported.is_empty(), "the batch must be too large for one invocation");
    assert!(!reported.contains(&"2".to_owned()));
}

/// An answer that reports success but does not come from S3 does not count as a write.
#[tokio::test(start_paused = true)]
async fn success_without_etag_is_not_written() {
    for fault in [Fault::EmptyAnswer, Fault::MalformedAnswer] {
        let world = World::new();
        world.fail(move |_| Some(fault));
        assert_eq!(world.deliver(&[record(1, "{}")]).await, ["1"], "{fault:?}");
        assert_eq!(world.outcomes(), ["1 failed"], "{fault:?}");
        assert!(world.lines()[0]["error"].as_str().unwrap().ends_with("the answer has no ETag"), "{fault:?}");
        let mut unusable = record(1, "{}");
        unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
        assert_eq!(world.deliver(&[unusable]).await, ["1"], "{fault:?}");
        world.services.faults.clear();
        assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), ["1 written"], "{fault:?}");
    }
}

/// The function judges S3's answer by its HTTP status, not by the error code in its body.
#[tokio::test(start_paused = true)]
async fn answer_without_a_code_is_judged_by_status() {
    let world = World::new();
    world.deliver(&[record(1, "{}")]).await;
    world.fail(|_| Some(Fault::ErrorCodeWithheld));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 already_there"]);
}

/// A 409 is retried and never means that the object is already there.
#[tokio::test(start_paused = true)]
async fn status_409_is_never_already_there() {
    let world = World::new();
    world.fail(|n| (n < 2).then_some(Fault::Refused(409)));
    assert!(world.deliver(&[record(1, "{}")]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written"]);

    let requests = world.fail(|_| Some(Fault::Refused(409)));
    assert_eq!(world.deliver(&[record(2, "{}")]).await, ["2"]);
    assert_eq!(world.outcomes(), ["2 failed"]);
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

/// A record that may succeed later is reported, and the other records are archived.
#[tokio::test(start_paused = true)]
async fn transient_failure_is_reported_alone() {
    for fault in [Fault::Throttled, Fault::Refused(500), Fault::Refused(503), Fault::Refused(403), Fault::RequestLost] {
        let world = World::new();
        world.services.faults.set(move |call| call.operation.contains("000000000002.json").then_some(fault));
        let reported = world.deliver(&[record(1, "{}"), record(2, "{}"), record(3, "{}")]).await;
        assert_eq!(reported, ["2"], "{fault:?}");
        assert_eq!(world.outcomes(), ["1 written", "2 failed", "3 written"], "{fault:?}");
        world.services.faults.clear();
        assert!(world.deliver(&[record(2, "{}"), record(3, "{}")]).await.is_empty());
        assert_eq!(world.outcomes(), ["2 written", "3 already_there"]);
    }
}

/// A record that can never be archived is stored under `_unusable/` and not reported, so that it does not block its shard.
#[tokio::test(start_paused = true)]
async fn unusable_record_is_quarantined() {
    type Damage = fn(&mut Value);
    let damages: [Damage; 9] = [
        |record| drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("claim_id")),
        |record| drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body")),
        |record| record["dynamodb"]["NewImage"]["body_zstd"] = json!({ "B": "AAAA" }),
        |record| {
            drop(record["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body"));
            record["dynamodb"]["NewImage"]["body_zstd"] = json!({ "B": "AAAA" });
        },
        |record| record["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" }),
        |record| record["dynamodb"]["NewImage"]["claimed_at"]["S"] = "yesterday".into(),
        |record| record["dynamodb"]["NewImage"]["claim_id"]["S"] = "../../elsewhere".into(),
        |record| record["dynamodb"]["NewImage"]["body"]["S"] = "{\"a\":".into(),
        |record| drop(record.as_object_mut().unwrap().remove("eventName")),
    ];
    for (number, damage) in (10..).zip(damages) {
        let world = World::new();
        let mut unusable = record(number, "{}");
        damage(&mut unusable);
        assert!(world.deliver(&[unusable.clone(), record(1, "{}")]).await.is_empty(), "{number}");
        assert_eq!(world.outcomes(), ["1 written".to_owned(), format!("{number} quarantined")]);
        let lake = world.lake();
        let (key, versions, content) = lake.iter().find(|(key, ..)| key.contains("_unusable")).unwrap();
        assert_eq!((key, *versions), (&format!("events/_unusable/{number}.json"), 1));
        assert_eq!(serde_json::from_str::<Value>(content).unwrap(), unusable);
        assert_eq!(world.lines().pop().unwrap()["Quarantined"], 1);
    }
}

/// The log line of a quarantined record contains the error and its cause.
#[tokio::test(start_paused = true)]
async fn quarantine_is_logged_with_its_cause() {
    let world = World::new();
    let mut bad_event_name = record(1, "{}");
    bad_event_name["eventName"] = json!(7);
    let mut no_body = record(2, "{}");
    no_body["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("body");
    let not_json = record(3, "{\"a\":");
    world.services.faults.set(|call| {
        assert!(!call.operation.ends_with("000000000004.json"), "on purpose");
        None
    });
    world.deliver(&[bad_event_name, no_body, not_json, record_of_age(4, json!(NOW - 7_200))]).await;
    let line = |number: &str| world.lines().into_iter().find(|line| line["sequence_number"] == number).unwrap();
    for (number, error) in [
        ("2", "the item must have one of `body` and `body_zstd`, but has neither"),
        ("3", "the body is not JSON: EOF while parsing a value at line 1 column 5"),
        ("4", "the function panicked: on purpose"),
    ] {
        assert_eq!(line(number)["error"], error);
    }
    let error = line("1")["error"].as_str().unwrap().to_owned();
    let cause =
        "the record is not a DynamoDB stream record: invalid type: integer `7`, expected a string at line 1 column ";
    assert!(error.starts_with(cause), "{error}");
    // Record 1 was never decoded into a claim, so its line has no ids. Record 4 panicked after it was decoded, so its line
    // has them.
    assert_eq!(line("1").get("event_id"), None);
    assert_eq!(
        (&line("4")["event_id"], &line("4")["claim_id"]),
        (&json!("4"), &json!("01a3185c-4a24-7000-8000-000000000004"))
    );
}

/// Malformed fields have no effect if the function does not need them.
#[tokio::test(start_paused = true)]
async fn unused_fields_are_ignored() {
    let world = World::new();
    let mut odd = record(1, "{}");
    odd["dynamodb"]["SizeBytes"] = "many".into();
    odd["dynamodb"]["Keys"] = Value::Null;
    odd["eventVersion"] = json!([2]);
    assert!(world.deliver(&[odd]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 written"]);
}

/// A log line stays short even if the error quotes a very long input.
#[tokio::test(start_paused = true)]
async fn long_bad_record_has_short_log_line() {
    let world = World::new();
    let long = "x".repeat(300_000);
    let mut bad_value = record(1, "{}");
    let mut bad_type = record(2, "{}");
    bad_value["dynamodb"]["NewImage"]["claimed_at"]["S"] = long.as_str().into();
    // serde_json's error quotes the text that it found instead of an attribute.
    bad_type["dynamodb"]["NewImage"]["another"] = long.as_str().into();
    assert!(world.deliver(&[bad_value, bad_type]).await.is_empty());
    assert_eq!(world.outcomes(), ["1 quarantined", "2 quarantined"]);
    for line in world.services.logs.lines("log") {
        assert!(line.len() < 2_000, "{} bytes: {}", line.len(), line.chars().take(300).collect::<String>());
    }
}

#[tokio::test(start_paused = true)]
async fn failed_quarantine_is_reported() {
    let world = World::new();
    let mut unusable = record(1, "{}");
    unusable["dynamodb"]["NewImage"]["ttl"] = json!({ "S": "soon" });
    world.fail(|_| Some(Fault::Refused(503)));
    assert_eq!(world.deliver(&[unusable]).await, ["1"]);
    assert_eq!(world.outcomes(), ["1 failed"]);
}

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

/// If no record of a batch becomes an object, the handler never waits for a request. It still stops before the deadline.
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

/// If the first tries of the records take until the deadline, no record that made our code panic is tried again.
#[tokio::test(start_paused = true)]
async fn no_second_try_after_the_deadline() {
    let world = World::new();
    let tries = world.fail(|_| {
        let _ = tokio::time::advance(Duration::from_secs(20)).now_or_never();
        panic!("on purpose")
    });
    let records = [1, 2].map(|n| record_of_age(n, json!(NOW - 7_200)));
    assert_eq!(world.deliver(&records).await, ["1", "2"]);
    assert_eq!(world.outcomes(), ["1 failed", "2 failed"]);
    assert_eq!(tries.load(Ordering::SeqCst), 2, "a record was tried again after the deadline");
}

/// With the largest batch, the handler stops two seconds before the deadline, because it takes longer to report ten thousand
/// records.
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
