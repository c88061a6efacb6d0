//! The queue mapping: batches, records, concurrency and redelivery.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::Services;
use emulator::function::{Function, Sandbox};
use emulator::sqs::{MessageAttribute, OutgoingMessage, QueueSettings, Redrive};
use emulator::sqs_mapping::{SqsMapping, SqsMappingSettings};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fake_function::{Answer, Batches, FAR, TIMEOUT, function, ids, services, wait_until};

fn settings() -> SqsMappingSettings {
    SqsMappingSettings {
        batch_size: 10,
        batching_window: Duration::from_secs(5),
        maximum_concurrency: 2,
        report_batch_item_failures: true,
    }
}

/// Sends the bodies, runs the mapping until the queue is empty, and returns the services and the batches. The function
/// takes `duration` for a batch.
async fn run(
    settings: SqsMappingSettings,
    duration: Duration,
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
    let (function, batches) = function(&services, duration, answer);
    let mapping = tokio::spawn(SqsMapping::new(Arc::clone(&services), "q", function, settings).run());
    let counts = || services.sqs.counts("q").unwrap();
    wait_until(|| counts().visible + counts().in_flight == 0).await;
    mapping.abort();
    (services, batches)
}

fn dead_letters(services: &Services) -> usize {
    services.sqs.counts("dlq").unwrap().visible
}

/// The mapping delivers a batch when it is full or when its window ends.
#[tokio::test(start_paused = true)]
async fn batch_ends_with_its_size_or_window() {
    let bodies: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let (_, batches) = run(settings(), Duration::ZERO, &bodies, Arc::new(|_| Ok(Value::Null))).await;
    let (at, batches): (Vec<_>, Vec<_>) = batches.lock().unwrap().clone().into_iter().unzip();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(at.iter().map(|at| (*at - begun).as_secs()).collect::<Vec<_>>(), [0, 0, 5]);
}

#[tokio::test(start_paused = true)]
async fn payload_is_at_most_6_mb() {
    let body = "x".repeat(1024 * 1024);
    let (_, batches) = run(settings(), Duration::ZERO, &[body.as_str(); 12], Arc::new(|_| Ok(json!({})))).await;
    assert_eq!(ids(&batches).iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 2]);
}

#[test]
fn invalid_settings_are_refused() {
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

/// A record has the message's attributes in `messageAttributes`, in the format of Lambda's events. It has the trace
/// header in `attributes`.
#[tokio::test(start_paused = true)]
async fn record_has_message_attributes() {
    let services = services();
    services.sqs.create_queue("q", QueueSettings { visibility_timeout: TIMEOUT * 6, retention: FAR, redrive: None });
    let message = OutgoingMessage::new("a")
        .with_attribute("traceparent", MessageAttribute::text("String", "00-a-b-01"))
        .with_attribute("count", MessageAttribute::text("Number.int", "7"))
        .with_attribute("raw", MessageAttribute::bytes("Binary", &[0, 255]))
        .with_trace_header("Root=1-65a5b2c3-000000000000000000000001");
    services.sqs.send_message("q", message).unwrap();
    services.sqs.send("q", "plain").unwrap();

    let payloads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&payloads);
    let cold_start = move || -> Sandbox {
        let seen = Arc::clone(&seen);
        Box::new(move |_, payload| {
            seen.lock().unwrap().push(payload);
            Box::pin(async { Ok(b"{}".to_vec()) })
        })
    };
    let function = Function::new("fake", TIMEOUT, services.clock, services.logs.writer("fake"), cold_start);
    tokio::spawn(SqsMapping::new(Arc::clone(&services), "q", Arc::new(function), settings()).run());
    wait_until(|| !payloads.lock().unwrap().is_empty()).await;
    let event: Value = serde_json::from_slice(&payloads.lock().unwrap()[0]).unwrap();
    let [first, plain] = &event["Records"].as_array().unwrap()[..] else { panic!("{event}") };
    assert_eq!(
        first["messageAttributes"],
        json!({
            "traceparent": {
                "stringValue": "00-a-b-01", "stringListValues": [], "binaryListValues": [], "dataType": "String",
            },
            "count": { "stringValue": "7", "stringListValues": [], "binaryListValues": [], "dataType": "Number.int" },
            "raw": { "binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary" },
        })
    );
    assert_eq!(first["attributes"]["AWSTraceHeader"], "Root=1-65a5b2c3-000000000000000000000001");
    assert_eq!(first["md5OfMessageAttributes"].as_str().unwrap().len(), 32);
    assert_eq!(plain["messageAttributes"], json!({}));
    assert!(plain["attributes"].get("AWSTraceHeader").is_none() && plain.get("md5OfMessageAttributes").is_none());
}

#[tokio::test(start_paused = true)]
async fn maximum_concurrency_limits_invocations() {
    let begun = Instant::now();
    let answer = |_: &[String]| Ok(json!({ "batchItemFailures": [] }));
    let (_, batches) = run(settings(), Duration::from_secs(10), &["x"; 100], Arc::new(answer)).await;
    assert_eq!(ids(&batches).len(), 10);
    // There are ten batches of ten seconds each, two at a time.
    assert!((50..52).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

/// Only the messages that the function reports as failed are redelivered. They become dead letters after three
/// receives.
#[tokio::test(start_paused = true)]
async fn only_reported_messages_are_redelivered() {
    let answer = |ids: &[String]| Ok(json!({ "fail": ids.iter().filter(|id| *id == "bad").collect::<Vec<_>>() }));
    let (services, batches) = run(settings(), Duration::ZERO, &["a", "bad", "b"], Arc::new(answer)).await;
    assert_eq!(ids(&batches), [vec!["a", "bad", "b"], vec!["bad"], vec!["bad"]]);
    assert_eq!(dead_letters(&services), 1);
}

/// After an error, a timeout or an invalid answer, SQS redelivers the whole batch.
#[tokio::test(start_paused = true)]
async fn failed_invocation_redelivers_whole_batch() {
    let answers: Vec<(Duration, Result<Value, String>)> = vec![
        (Duration::ZERO, Err("unhandled".into())),
        (TIMEOUT * 2, Ok(json!({}))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": null }] }))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemidentifier": "a" }] }))),
        (Duration::ZERO, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "unknown" }] }))),
    ];
    for (duration, answer) in answers {
        let case = format!("{answer:?}");
        let (services, batches) = run(settings(), duration, &["a", "b"], Arc::new(move |_| answer.clone())).await;
        assert_eq!(ids(&batches), vec![vec!["a", "b"]; 3], "{case}");
        assert_eq!(dead_letters(&services), 2, "{case}");
    }
}

/// Without `ReportBatchItemFailures`, every answer counts as a success of the whole batch.
#[tokio::test(start_paused = true)]
async fn failures_are_ignored_if_not_enabled() {
    let settings = SqsMappingSettings { report_batch_item_failures: false, ..settings() };
    let (services, batches) = run(settings, Duration::ZERO, &["a"], Arc::new(|_| Ok(json!({ "fail": ["a"] })))).await;
    assert_eq!((ids(&batches).len(), dead_letters(&services)), (1, 0));
}
