//! The mapping from a stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use emulator::Services;
use emulator::filter::FilterPattern;
use emulator::sqs::QueueSettings;
use emulator::stream_mapping::{StreamMapping, StreamMappingSettings};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::fake_function::{Answer, Batches, FAR, TIMEOUT, function, ids, services, until};

fn settings() -> StreamMappingSettings {
    StreamMappingSettings {
        batch_size: 4,
        batching_window: Duration::from_secs(5),
        filter: FilterPattern::default(),
        report_batch_item_failures: true,
        bisect_on_error: true,
        maximum_retry_attempts: None,
        maximum_record_age: None,
        on_failure_queue: Some("given-up".into()),
    }
}

/// A stream, and a queue that is told what was given up.
struct Stream {
    services: Arc<Services>,
    arn: String,
    client: aws_sdk_dynamodb::Client,
}

impl Stream {
    fn new() -> Self {
        let services = services();
        let long = QueueSettings { visibility_timeout: FAR, retention: FAR, redrive: None };
        services.sqs.create_queue("given-up", long);
        let arn = services.tables.create_claim_table("claims");
        let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
        Self { services, arn, client }
    }

    /// Puts a record, with a filler of so many bytes.
    async fn put(&self, n: &str, filler: usize) {
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let put = self.client.put_item().table_name("claims").item("pk", text(n)).item("sk", text("CLAIM"));
        put.item("n", text(n)).item("filler", text(&"x".repeat(filler))).send().await.unwrap();
    }

    /// Runs a mapping, until the test ends, to a function that takes `works` for a batch.
    fn map(&self, settings: StreamMappingSettings, works: Duration, answer: Arc<Answer>) -> Batches {
        let (function, batches) = function(&self.services, works, answer);
        let mapping = StreamMapping::new(Arc::clone(&self.services), &self.arn, function, settings);
        tokio::spawn(mapping.run());
        batches
    }

    /// Messages in the on-failure queue.
    async fn told(&self) -> Vec<Value> {
        let told = self.services.sqs.receive("given-up", 10, Duration::ZERO, None).await.unwrap();
        told.iter().map(|message| serde_json::from_str(&message.body).unwrap()).collect()
    }
}

fn ended(batches: &Batches) -> bool {
    batches.lock().unwrap().last().is_some_and(|(_, ids)| ids.contains(&"end".to_owned()))
}

/// Puts records `0`, `1`, .. into the stream, runs the mapping until the function did, or was told to give up, all of
/// them, and gives the batches and the messages to the on-failure queue.
async fn run(settings: StreamMappingSettings, records: usize, answer: Arc<Answer>) -> (Vec<Vec<String>>, Vec<Value>) {
    run_slowly(settings, Duration::ZERO, records, answer).await
}

async fn run_slowly(
    settings: StreamMappingSettings,
    works: Duration,
    records: usize,
    answer: Arc<Answer>,
) -> (Vec<Vec<String>>, Vec<Value>) {
    let stream = Stream::new();
    for n in 0..records {
        stream.put(&n.to_string(), 0).await;
    }
    // The last one, which ends the test, is claimed with the others and never fails.
    stream.put("end", 0).await;
    let batches = stream.map(settings, works, answer);
    let given_up = || stream.services.sqs.counts("given-up").unwrap().visible > 0;
    until(|| given_up() || ended(&batches)).await;
    // What is given up together with others, or comes after it, has its time.
    sleep(Duration::from_secs(3_600)).await;
    (ids(&batches), stream.told().await)
}

fn failing(bad: &'static str) -> Arc<Answer> {
    Arc::new(move |ids| if ids.iter().any(|id| id == bad) { Ok(json!({ "fail": [bad] })) } else { Ok(json!({})) })
}

#[tokio::test(start_paused = true)]
async fn records_come_in_order_in_batches_of_the_size() {
    let (batches, told) = run(settings(), 9, Arc::new(|_| Ok(Value::Null))).await;
    let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["4", "5", "6", "7"], &["8", "end"]];
    assert_eq!(batches, expected);
    assert!(told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_not_full_waits_for_its_window_from_its_first_record() {
    let stream = Stream::new();
    let batches = stream.map(settings(), Duration::ZERO, Arc::new(|_| Ok(Value::Null)));
    sleep(Duration::from_secs(60)).await;
    let begun = Instant::now();
    stream.put("0", 0).await;
    sleep(Duration::from_secs(3)).await;
    stream.put("1", 0).await;
    until(|| !ids(&batches).is_empty()).await;
    let (at, ids) = batches.lock().unwrap()[0].clone();
    assert_eq!(ids, ["0", "1"]);
    assert!((5..6).contains(&(at - begun).as_secs()), "{:?}", at - begun);
}

#[tokio::test(start_paused = true)]
async fn a_payload_is_never_larger_than_6_mb_and_what_did_not_fit_comes_next() {
    let stream = Stream::new();
    let names: Vec<String> = (0..20).map(|n| n.to_string()).chain(["end".to_owned()]).collect();
    for name in &names {
        stream.put(name, 390 * 1024).await;
    }
    let settings = StreamMappingSettings { batch_size: 100, ..settings() };
    let batches = stream.map(settings, Duration::ZERO, Arc::new(|_| Ok(Value::Null)));
    until(|| ended(&batches)).await;
    assert_eq!(ids(&batches), [&names[..15], &names[15..]]);
}

#[tokio::test(start_paused = true)]
async fn everything_from_the_lowest_failed_record_comes_again_before_the_shard_goes_on() {
    let tries = AtomicUsize::new(0);
    let answer = move |_: &[String]| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(json!({ "fail": ["3", "1"] })),
        _ => Ok(json!({})),
    };
    let (batches, _) = run(settings(), 4, Arc::new(answer)).await;
    let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["1", "2", "3"], &["end"]];
    assert_eq!(batches, expected);
}

#[tokio::test(start_paused = true)]
async fn a_batch_on_which_the_function_fails_is_halved_until_the_poison_is_alone() {
    let settings = StreamMappingSettings { maximum_retry_attempts: Some(1), ..settings() };
    let answer = |ids: &[String]| if ids.contains(&"2".to_owned()) { Err("poison".into()) } else { Ok(json!({})) };
    let (batches, told) = run(settings, 4, Arc::new(answer)).await;
    let expected: [&[&str]; 7] = [&["0", "1", "2", "3"], &["0", "1"], &["2", "3"], &["2"], &["2"], &["3"], &["end"]];
    assert_eq!(batches, expected);
    assert_eq!(told.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_bisecting_an_error_a_timeout_and_an_answer_that_makes_no_sense_bring_the_whole_batch_again() {
    let settings = || StreamMappingSettings { maximum_retry_attempts: Some(1), bisect_on_error: false, ..settings() };
    let answers: Vec<(Duration, Result<Value, String>)> = vec![
        (Duration::ZERO, Err("unhandled".into())),
        (TIMEOUT * 2, Ok(json!({}))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "unknown" }] }))),
    ];
    for (works, answer) in answers {
        let said = format!("{answer:?}");
        let (batches, told) = run_slowly(settings(), works, 4, Arc::new(move |_| answer.clone())).await;
        assert_eq!(batches[..2], vec![vec!["0", "1", "2", "3"]; 2], "{said}");
        assert_eq!(batches[2..], vec![vec!["end"]; 2], "{said}");
        let sizes: Vec<_> = told.iter().map(|told| &told["DDBStreamBatchInfo"]["batchSize"]).collect();
        assert_eq!(sizes, [4, 1], "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn bisecting_or_not_what_the_function_named_comes_again_from_the_lowest() {
    for bisect_on_error in [true, false] {
        let settings = StreamMappingSettings { maximum_retry_attempts: Some(1), bisect_on_error, ..settings() };
        let (batches, told) = run(settings, 4, failing("2")).await;
        let expected: [&[&str]; 3] = [&["0", "1", "2", "3"], &["2", "3"], &["end"]];
        assert_eq!(batches, expected);
        assert_eq!(told[0]["DDBStreamBatchInfo"]["batchSize"], 2);
    }
}

#[tokio::test(start_paused = true)]
async fn without_report_batch_item_failures_every_answer_is_a_success() {
    let settings = StreamMappingSettings { report_batch_item_failures: false, ..settings() };
    let (batches, told) = run(settings, 3, failing("1")).await;
    assert_eq!(batches, [["0", "1", "2", "end"]]);
    assert!(told.is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_the_last_retry_the_on_failure_queue_names_what_was_given_up() {
    let settings = StreamMappingSettings { maximum_retry_attempts: Some(2), ..settings() };
    let (batches, told) = run(settings, 4, failing("3")).await;
    let expected: [&[&str]; 4] = [&["0", "1", "2", "3"], &["3"], &["3"], &["end"]];
    assert_eq!(batches, expected);
    let [message] = &told[..] else { panic!("{told:?}") };
    assert_eq!(message["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert!(message["requestContext"]["requestId"].is_string() && message["responseContext"].is_object());
    let info = &message["DDBStreamBatchInfo"];
    assert_eq!(info["batchSize"], 1);
    assert_eq!(info["startSequenceNumber"], info["endSequenceNumber"]);
    assert!(info["shardId"].is_string() && info["streamArn"].as_str().unwrap().contains("table/claims/stream/"));
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_of_retries_a_record_is_tried_until_it_is_too_old() {
    let settings = StreamMappingSettings { maximum_record_age: Some(Duration::from_secs(79_200)), ..settings() };
    let (batches, told) = run(settings, 4, failing("0")).await;
    let whole = batches.iter().filter(|batch| batch[0] == "0").count();
    assert!(whole > 2_000, "{whole} tries in 22 hours, half a minute apart");
    // What comes after it in its shard waits for it, and grows too old as well.
    assert_eq!(told.iter().map(|told| &told["DDBStreamBatchInfo"]["batchSize"]).collect::<Vec<_>>(), [4, 1]);
    assert_eq!(told[0]["requestContext"]["condition"], "RecordAgeExceeded");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_leaves_the_stream_while_it_waits_for_its_next_try_is_named_if_there_is_a_record_age() {
    let settings = StreamMappingSettings { maximum_record_age: Some(Duration::from_secs(79_200)), ..settings() };
    let stream = Stream::new();
    stream.put("0", 0).await;
    stream.put("1", 0).await;
    let batches = stream.map(settings, Duration::ZERO, failing("0"));
    until(|| !ids(&batches).is_empty()).await;
    tokio::time::advance(Duration::from_secs(25 * 3_600)).await;
    until(|| stream.services.sqs.counts("given-up").unwrap().visible > 0).await;
    let told = stream.told().await;
    assert_eq!(told[0]["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(told[0]["DDBStreamBatchInfo"]["batchSize"], 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_record_age_what_leaves_the_stream_after_a_day_is_lost_in_silence_and_the_shard_goes_on() {
    let stream = Stream::new();
    stream.put("0", 0).await;
    let batches = stream.map(settings(), Duration::ZERO, failing("0"));
    sleep(Duration::from_secs(12 * 3_600)).await;
    stream.put("end", 0).await;
    until(|| ended(&batches)).await;
    let (last_try, _) = batches.lock().unwrap().iter().rfind(|(_, ids)| *ids == ["0"]).unwrap().clone();
    let (next, _) = batches.lock().unwrap().last().unwrap().clone();
    assert!(next - last_try < Duration::from_secs(60), "{:?}", next - last_try);
    assert!(stream.told().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_match_the_filter_is_passed_over() {
    let filter = FilterPattern::new(json!({ "dynamodb": { "NewImage": { "n": { "S": ["1", "end"] } } } })).unwrap();
    let (batches, _) = run(StreamMappingSettings { filter, ..settings() }, 8, Arc::new(|_| Ok(json!({})))).await;
    assert_eq!(batches, [["1", "end"]]);
}
