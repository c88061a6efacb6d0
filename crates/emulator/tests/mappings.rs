//! Both event source mappings do what Lambda's developer guide says. One test a rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use emulator::filter::FilterPattern;
use emulator::function::{Function, Sandbox};
use emulator::sqs::{QueueSettings, Redrive};
use emulator::sqs_mapping::{SqsMapping, SqsMappingSettings};
use emulator::stream_mapping::{StreamMapping, StreamMappingSettings};
use emulator::{Clock, Services};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const TIMEOUT: Duration = Duration::from_secs(30);
const FAR: Duration = Duration::from_secs(7 * 86_400);

/// What a fake function answers to the ids of a batch.
type Answer = dyn Fn(&[String]) -> Result<Value, String> + Send + Sync;

/// The batches that a function got, by ids, with the moment of each.
type Batches = Arc<Mutex<Vec<(Instant, Vec<String>)>>>;

fn services() -> Arc<Services> {
    Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)), 1)
}

/// A function that notes its batches and takes `works` for each.
fn function(services: &Arc<Services>, works: Duration, answer: Arc<Answer>) -> (Arc<Function>, Batches) {
    let batches = Batches::default();
    let seen = Arc::clone(&batches);
    let cold_start = move || -> Sandbox {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        Box::new(move |_, payload| {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            let id = |record: &Value| match record.pointer("/dynamodb/NewImage/n/S") {
                Some(n) => n.as_str().unwrap().to_owned(),
                None => record["body"].as_str().unwrap().chars().take(8).collect(),
            };
            let ids: Vec<String> = event["Records"].as_array().unwrap().iter().map(id).collect();
            let of_id: std::collections::HashMap<String, Value> = event["Records"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| {
                    let name = record.pointer("/dynamodb/SequenceNumber").unwrap_or(&record["messageId"]);
                    (id(record), name.clone())
                })
                .collect();
            seen.lock().unwrap().push((Instant::now(), ids.clone()));
            let answer = answer(&ids).map(|answer| {
                // `{"fail": [..]}` is short for the failures' identifiers.
                let named = |failed: &Value| json!({ "itemIdentifier": of_id[failed.as_str().unwrap()] });
                match answer["fail"].as_array() {
                    Some(failed) => json!({ "batchItemFailures": failed.iter().map(named).collect::<Vec<_>>() }),
                    None => answer,
                }
            });
            Box::pin(async move {
                sleep(works).await;
                answer.map(|answer| answer.to_string().into_bytes())
            })
        })
    };
    let log = services.logs.writer("fake");
    (Arc::new(Function::new("fake", TIMEOUT, services.clock, log, cold_start)), batches)
}

/// Waits, in virtual time, until `done`.
async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(FAR, waiting).await.expect("the condition comes true");
}

fn ids(batches: &Batches) -> Vec<Vec<String>> {
    batches.lock().unwrap().iter().map(|(_, ids)| ids.clone()).collect()
}

mod queue {
    use super::*;

    fn settings() -> SqsMappingSettings {
        SqsMappingSettings {
            batch_size: 10,
            batching_window: Duration::from_secs(5),
            maximum_concurrency: 2,
            report_batch_item_failures: true,
        }
    }

    /// Sends bodies, runs the mapping until the queue is empty, and gives the batches.
    async fn run(
        settings: SqsMappingSettings,
        works: Duration,
        bodies: &[&str],
        answer: Arc<Answer>,
    ) -> (Arc<Services>, Batches) {
        let services = services();
        let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 3 };
        let queue = |redrive| QueueSettings { visibility_timeout: TIMEOUT * 6, retention: FAR, redrive };
        services.sqs.create_queue("dlq", queue(None));
        services.sqs.create_queue("q", queue(Some(redrive)));
        for body in bodies {
            services.sqs.send("q", body).unwrap();
        }
        let (function, batches) = function(&services, works, answer);
        let mapping = tokio::spawn(SqsMapping::new(Arc::clone(&services), "q", function, settings).run());
        let counts = || services.sqs.counts("q").unwrap();
        until(|| counts().visible + counts().in_flight == 0).await;
        mapping.abort();
        (services, batches)
    }

    fn dead(services: &Services) -> usize {
        services.sqs.counts("dlq").unwrap().visible
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_with_its_size_or_its_window() {
        let bodies: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let begun = Instant::now();
        let (_, batches) = run(settings(), Duration::ZERO, &bodies, Arc::new(|_| Ok(Value::Null))).await;
        let (at, batches): (Vec<_>, Vec<_>) = batches.lock().unwrap().clone().into_iter().unzip();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(at.iter().map(|at| (*at - begun).as_secs()).collect::<Vec<_>>(), [0, 0, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_is_never_larger_than_6_mb() {
        let body = "x".repeat(1024 * 1024);
        let (_, batches) = run(settings(), Duration::ZERO, &[body.as_str(); 12], Arc::new(|_| Ok(json!({})))).await;
        assert_eq!(ids(&batches).iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
    }

    #[test]
    fn settings_that_aws_refuses_are_refused() {
        let refused = |settings: SqsMappingSettings| {
            let new = move || {
                let services = services();
                let (function, _) = function(&services, Duration::ZERO, Arc::new(|_| Ok(Value::Null)));
                drop(SqsMapping::new(services, "q", function, settings));
            };
            std::panic::catch_unwind(new).is_err()
        };
        let with = |batch_size, window_ms, maximum_concurrency| SqsMappingSettings {
            batch_size,
            batching_window: Duration::from_millis(window_ms),
            maximum_concurrency,
            ..settings()
        };
        for (batch_size, window_ms, maximum_concurrency) in [(10, 0, 2), (11, 1_000, 2), (10_000, 300_000, 1_000)] {
            assert!(!refused(with(batch_size, window_ms, maximum_concurrency)));
        }
        for (batch_size, window_ms, maximum_concurrency) in
            [(0, 0, 2), (11, 999, 2), (10_001, 1_000, 2), (10, 300_001, 2), (10, 0, 1), (10, 0, 1_001)]
        {
            let settings = with(batch_size, window_ms, maximum_concurrency);
            assert!(refused(settings.clone()), "{settings:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_invocations_run_at_once_than_the_maximum_concurrency() {
        let begun = Instant::now();
        let answer = |_: &[String]| Ok(json!({ "batchItemFailures": [] }));
        let (_, batches) = run(settings(), Duration::from_secs(10), &["x"; 100], Arc::new(answer)).await;
        assert_eq!(ids(&batches).len(), 10);
        // Ten batches of ten seconds, two at a time.
        assert!((50..52).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_messages_that_were_reported_come_again_and_end_as_dead_letters() {
        let answer = |ids: &[String]| Ok(json!({ "fail": ids.iter().filter(|id| *id == "bad").collect::<Vec<_>>() }));
        let (services, batches) = run(settings(), Duration::ZERO, &["a", "bad", "b"], Arc::new(answer)).await;
        assert_eq!(ids(&batches), [vec!["a", "bad", "b"], vec!["bad"], vec!["bad"]]);
        assert_eq!(dead(&services), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_a_timeout_and_an_answer_that_makes_no_sense_bring_the_whole_batch_again() {
        let answers: Vec<(Duration, Result<Value, String>)> = vec![
            (Duration::ZERO, Err("unhandled".into())),
            (TIMEOUT * 2, Ok(json!({}))),
            (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }))),
            (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": null }] }))),
            (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemidentifier": "a" }] }))),
            (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "unknown" }] }))),
        ];
        for (works, answer) in answers {
            let said = format!("{answer:?}");
            let (services, batches) = run(settings(), works, &["a", "b"], Arc::new(move |_| answer.clone())).await;
            assert_eq!(ids(&batches), vec![vec!["a", "b"]; 3], "{said}");
            assert_eq!(dead(&services), 2, "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_report_batch_item_failures_every_answer_is_a_success() {
        let settings = SqsMappingSettings { report_batch_item_failures: false, ..settings() };
        let (services, batches) =
            run(settings, Duration::ZERO, &["a"], Arc::new(|_| Ok(json!({ "fail": ["a"] })))).await;
        assert_eq!((ids(&batches).len(), dead(&services)), (1, 0));
    }
}

mod stream {
    use super::*;

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
    async fn run(
        settings: StreamMappingSettings,
        records: usize,
        answer: Arc<Answer>,
    ) -> (Vec<Vec<String>>, Vec<Value>) {
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
        let expected: [&[&str]; 7] =
            [&["0", "1", "2", "3"], &["0", "1"], &["2", "3"], &["2"], &["2"], &["3"], &["end"]];
        assert_eq!(batches, expected);
        assert_eq!(told.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_bisecting_an_error_a_timeout_and_an_answer_that_makes_no_sense_bring_the_whole_batch_again() {
        let settings =
            || StreamMappingSettings { maximum_retry_attempts: Some(1), bisect_on_error: false, ..settings() };
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
}
