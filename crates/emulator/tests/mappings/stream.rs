//! The stream mapping: batches, retries, bisecting, discarded records and filters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulator::Services;
use emulator::filter::FilterCriteria;
use emulator::sqs::QueueSettings;
use emulator::stream_mapping::{StreamMapping, StreamMappingSettings};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fake_function::{Answer, Batches, FAR, TIMEOUT, function, ids, services, wait_until};

const ON_FAILURE_QUEUE: &str = "on-failure";

fn settings() -> StreamMappingSettings {
    StreamMappingSettings {
        batch_size: 4,
        batching_window: Duration::from_secs(5),
        filter: FilterCriteria::default(),
        report_batch_item_failures: true,
        bisect_on_error: true,
        maximum_retry_attempts: None,
        maximum_record_age: None,
        on_failure_queue: Some(ON_FAILURE_QUEUE.into()),
    }
}

/// A table's stream, and an on-failure queue.
struct Stream {
    services: Arc<Services>,
    arn: String,
    client: aws_sdk_dynamodb::Client,
}

impl Stream {
    fn new() -> Self {
        let services = services();
        let long = QueueSettings { visibility_timeout: FAR, retention: FAR, redrive: None };
        services.sqs.create_queue(ON_FAILURE_QUEUE, long);
        let arn = services.tables.create_claim_table("claims");
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        Self { services, arn, client }
    }

    /// Adds a record with the attribute `n` and `filler` extra bytes to the stream.
    async fn put(&self, n: &str, filler: usize) {
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let put = self.client.put_item().table_name("claims").item("pk", text(n)).item("sk", text("CLAIM"));
        put.item("n", text(n)).item("filler", text(&"x".repeat(filler))).send().await.unwrap();
    }

    /// Starts a mapping that runs until the test ends. The mapping's function takes `duration` for a batch.
    fn map(&self, settings: StreamMappingSettings, duration: Duration, answer: Arc<Answer>) -> Batches {
        let (function, batches) = function(&self.services, duration, answer);
        let mapping = StreamMapping::new(Arc::clone(&self.services), &self.arn, function, settings);
        tokio::spawn(mapping.run());
        batches
    }

    /// Receives the messages in the on-failure queue.
    async fn on_failure_messages(&self) -> Vec<Value> {
        let messages = self.services.sqs.receive(ON_FAILURE_QUEUE, 10, Duration::ZERO, None).await.unwrap();
        messages.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }
}

/// Returns true if the last batch contains the record `end`.
fn has_ended(batches: &Batches) -> bool {
    batches.lock().unwrap().last().is_some_and(|(_, ids)| ids.contains(&"end".to_owned()))
}

/// Puts the records `0`, `1`, .. and `end` into the stream. Runs the mapping until it has delivered `end` or discarded
/// a record, and then for another hour. Returns the batches and the messages in the on-failure queue.
async fn run(settings: StreamMappingSettings, records: usize, answer: Arc<Answer>) -> (Vec<Vec<String>>, Vec<Value>) {
    run_slowly(settings, Duration::ZERO, records, answer).await
}

/// Like [`run`], with a function that takes `duration` for a batch.
async fn run_slowly(
    settings: StreamMappingSettings,
    duration: Duration,
    records: usize,
    answer: Arc<Answer>,
) -> (Vec<Vec<String>>, Vec<Value>) {
    let stream = Stream::new();
    for n in 0..records {
        stream.put(&n.to_string(), 0).await;
    }
    stream.put("end", 0).await;
    let batches = stream.map(settings, duration, answer);
    let has_discarded = || stream.services.sqs.counts(ON_FAILURE_QUEUE).unwrap().visible > 0;
    wait_until(|| has_discarded() || has_ended(&batches)).await;
    // Give the mapping time to discard more records and to deliver the records after them.
    sleep(Duration::from_secs(3_600)).await;
    (ids(&batches), stream.on_failure_messages().await)
}

fn failing(bad: &'static str) -> Arc<Answer> {
    Arc::new(move |ids| if ids.iter().any(|id| id == bad) { Ok(json!({ "fail": [bad] })) } else { Ok(json!({})) })
}

#[tokio::test(start_paused = true)]
async fn records_arrive_in_order_in_full_batches() {
    let (batches, messages) = run(settings(), 9, Arc::new(|_| Ok(Value::Null))).await;
    let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["4", "5", "6", "7"], &["8", "end"]];
    assert_eq!(batches, expected);
    assert!(messages.is_empty());
}

/// A batch that is not full is delivered at the end of its window. The window begins with the batch's first record.
#[tokio::test(start_paused = true)]
async fn window_begins_with_the_first_record() {
    let stream = Stream::new();
    let batches = stream.map(settings(), Duration::ZERO, Arc::new(|_| Ok(Value::Null)));
    sleep(Duration::from_secs(60)).await;
    let begun = Instant::now();
    stream.put("0", 0).await;
    sleep(Duration::from_secs(3)).await;
    stream.put("1", 0).await;
    wait_until(|| !ids(&batches).is_empty()).await;
    let (at, ids) = batches.lock().unwrap()[0].clone();
    assert_eq!(ids, ["0", "1"]);
    assert!((5..6).contains(&(at - begun).as_secs()), "{:?}", at - begun);
}

/// A payload is at most 6 MB. Records that do not fit go into the next batch.
#[tokio::test(start_paused = true)]
async fn payload_is_at_most_6_mb() {
    let stream = Stream::new();
    let names: Vec<String> = (0..20).map(|n| n.to_string()).chain(["end".to_owned()]).collect();
    for name in &names {
        stream.put(name, 390 * 1024).await;
    }
    let settings = StreamMappingSettings { batch_size: 100, ..settings() };
    let batches = stream.map(settings, Duration::ZERO, Arc::new(|_| Ok(Value::Null)));
    wait_until(|| has_ended(&batches)).await;
    assert_eq!(ids(&batches), [&names[..15], &names[15..]]);
}

/// The mapping retries a batch, starting at its lowest failed record. It reads further records only after the batch is
/// done.
#[tokio::test(start_paused = true)]
async fn retry_begins_at_the_lowest_failed_record() {
    let tries = AtomicUsize::new(0);
    let answer = move |_: &[String]| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(json!({ "fail": ["3", "1"] })),
        _ => Ok(json!({})),
    };
    let (batches, _) = run(settings(), 4, Arc::new(answer)).await;
    let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["1", "2", "3"], &["end"]];
    assert_eq!(batches, expected);
}

/// If the function returns an error, the mapping bisects the batch until the poison record is alone.
#[tokio::test(start_paused = true)]
async fn bisecting_isolates_a_poison_record() {
    let settings = StreamMappingSettings { maximum_retry_attempts: Some(1), ..settings() };
    let answer = |ids: &[String]| if ids.contains(&"2".to_owned()) { Err("poison".into()) } else { Ok(json!({})) };
    let (batches, messages) = run(settings, 4, Arc::new(answer)).await;
    let expected: [&[&str]; 7] = [&["0", "1", "2", "3"], &["0", "1"], &["2", "3"], &["2"], &["2"], &["3"], &["end"]];
    assert_eq!(batches, expected);
    assert_eq!(messages.len(), 1);
}

/// Without bisecting, the mapping retries the whole batch after an error, a timeout or an invalid answer.
#[tokio::test(start_paused = true)]
async fn no_bisect_retries_whole_batch() {
    let settings = || StreamMappingSettings { maximum_retry_attempts: Some(1), bisect_on_error: false, ..settings() };
    let answers: Vec<(Duration, Result<Value, String>)> = vec![
        (Duration::ZERO, Err("unhandled".into())),
        (TIMEOUT * 2, Ok(json!({}))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "unknown" }] }))),
    ];
    for (duration, answer) in answers {
        let case = format!("{answer:?}");
        let (batches, messages) = run_slowly(settings(), duration, 4, Arc::new(move |_| answer.clone())).await;
        assert_eq!(batches[..2], vec![vec!["0", "1", "2", "3"]; 2], "{case}");
        assert_eq!(batches[2..], vec![vec!["end"]; 2], "{case}");
        let sizes: Vec<_> = messages.iter().map(|message| &message["DDBStreamBatchInfo"]["batchSize"]).collect();
        assert_eq!(sizes, [4, 1], "{case}");
    }
}

/// If the function reports failed records, the mapping retries from the lowest of them, with or without
/// `bisect_on_error`.
#[tokio::test(start_paused = true)]
async fn bisecting_does_not_affect_reported_failures() {
    for bisect_on_error in [true, false] {
        let settings = StreamMappingSettings { maximum_retry_attempts: Some(1), bisect_on_error, ..settings() };
        let (batches, messages) = run(settings, 4, failing("2")).await;
        let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["2", "3"], &["end"]];
        assert_eq!(batches, expected);
        assert_eq!(messages[0]["DDBStreamBatchInfo"]["batchSize"], 2);
    }
}

/// Without `ReportBatchItemFailures`, every answer counts as a success of the whole batch.
#[tokio::test(start_paused = true)]
async fn failures_are_ignored_if_not_enabled() {
    let settings = StreamMappingSettings { report_batch_item_failures: false, ..settings() };
    let (batches, messages) = run(settings, 3, failing("1")).await;
    assert_eq!(batches, [["0", "1", "2", "end"]]);
    assert!(messages.is_empty());
}

/// After the last retry, a message in the on-failure queue names the discarded record.
#[tokio::test(start_paused = true)]
async fn record_is_discarded_after_the_last_retry() {
    let settings = StreamMappingSettings { maximum_retry_attempts: Some(2), ..settings() };
    let (batches, messages) = run(settings, 4, failing("3")).await;
    let expected: [&[&str]; 4] = [&["0", "1", "2", "3"], &["3"], &["3"], &["end"]];
    assert_eq!(batches, expected);
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert!(message["requestContext"]["requestId"].is_string() && message["responseContext"].is_object());
    let info = &message["DDBStreamBatchInfo"];
    assert_eq!(info["batchSize"], 1);
    assert_eq!(info["startSequenceNumber"], info["endSequenceNumber"]);
    assert!(info["shardId"].is_string() && info["streamArn"].as_str().unwrap().contains("table/claims/stream/"));
}

/// Without a limit on retries, a failing record is retried until it exceeds the maximum record age.
#[tokio::test(start_paused = true)]
async fn record_is_retried_until_it_is_too_old() {
    let settings = StreamMappingSettings { maximum_record_age: Some(Duration::from_secs(79_200)), ..settings() };
    let (batches, messages) = run(settings, 4, failing("0")).await;
    let whole = batches.iter().filter(|batch| batch[0] == "0").count();
    assert!(whole > 2_000, "{whole} tries in 22 hours, half a minute apart");
    // The records after the failed one wait for it, and become too old as well.
    let sizes: Vec<_> = messages.iter().map(|message| &message["DDBStreamBatchInfo"]["batchSize"]).collect();
    assert_eq!(sizes, [4, 1]);
    assert_eq!(messages[0]["requestContext"]["condition"], "RecordAgeExceeded");
}

/// With a maximum record age, a message in the on-failure queue names even a record that leaves the stream between
/// retries.
#[tokio::test(start_paused = true)]
async fn record_age_names_a_record_that_left_the_stream() {
    let settings = StreamMappingSettings { maximum_record_age: Some(Duration::from_secs(79_200)), ..settings() };
    let stream = Stream::new();
    stream.put("0", 0).await;
    stream.put("1", 0).await;
    let batches = stream.map(settings, Duration::ZERO, failing("0"));
    wait_until(|| !ids(&batches).is_empty()).await;
    tokio::time::advance(Duration::from_secs(25 * 3_600)).await;
    wait_until(|| stream.services.sqs.counts(ON_FAILURE_QUEUE).unwrap().visible > 0).await;
    let messages = stream.on_failure_messages().await;
    assert_eq!(messages[0]["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(messages[0]["DDBStreamBatchInfo"]["batchSize"], 2);
}

/// Without a maximum record age, a failing record is lost without a message when it leaves the stream after a day. The
/// mapping then continues with the shard.
#[tokio::test(start_paused = true)]
async fn no_record_age_loses_records_silently() {
    let stream = Stream::new();
    stream.put("0", 0).await;
    let batches = stream.map(settings(), Duration::ZERO, failing("0"));
    sleep(Duration::from_secs(12 * 3_600)).await;
    stream.put("end", 0).await;
    wait_until(|| has_ended(&batches)).await;
    let (last_try, _) = batches.lock().unwrap().iter().rfind(|(_, ids)| *ids == ["0"]).unwrap().clone();
    let (next, _) = batches.lock().unwrap().last().unwrap().clone();
    assert!(next - last_try < Duration::from_secs(60), "{:?}", next - last_try);
    assert!(stream.on_failure_messages().await.is_empty());
}

/// The mapping neither delivers nor reports records that left the stream before it started. If a record is still in the
/// stream but exceeds the maximum record age, a message in the on-failure queue names it.
#[tokio::test(start_paused = true)]
async fn expired_records_are_never_read() {
    let hour = Duration::from_secs(3_600);
    let stream = Stream::new();
    stream.put("30 hours old", 0).await;
    sleep(7 * hour).await;
    stream.put("23 hours old", 0).await;
    sleep(23 * hour).await;
    stream.put("end", 0).await;
    let settings = StreamMappingSettings { maximum_record_age: Some(22 * hour), ..settings() };
    let batches = stream.map(settings, Duration::ZERO, Arc::new(|_| Ok(json!({}))));
    wait_until(|| has_ended(&batches)).await;
    assert_eq!(ids(&batches), [["end"]]);
    let messages = stream.on_failure_messages().await;
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message["requestContext"]["condition"], "RecordAgeExceeded");
    let records = stream.services.tables.stream_records(&stream.arn);
    let info = &message["DDBStreamBatchInfo"];
    assert_eq!((&info["batchSize"], &info["startSequenceNumber"]), (&json!(1), &json!(records[1].0)));
}

#[tokio::test(start_paused = true)]
async fn filter_skips_other_records() {
    let pattern = |rule: Value| json!({ "dynamodb": { "NewImage": { "n": { "S": [rule] } } } });
    let filter = FilterCriteria::new([pattern(json!("1")), pattern(json!({ "prefix": "en" }))]).unwrap();
    let (batches, _) = run(StreamMappingSettings { filter, ..settings() }, 8, Arc::new(|_| Ok(json!({})))).await;
    assert_eq!(batches, [["1", "end"]]);
}
