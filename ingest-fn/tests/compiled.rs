//! The compiled function as a child process, under a Runtime API and an AWS endpoint on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use local::runtime_api::{RuntimeApi, serve_aws};
use local::{Services, names};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// `aws_lambda_events` 1.2.1 (MIT), `src/fixtures/example-sqs-event.json`.
const FIXTURE: &str = include_str!("fixtures/example-sqs-event.json");

/// Ten times the deployed function's: what is measured here is memory, and an unoptimised build on a busy machine is slow.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The function, without any variable but these.
fn function(set: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest-fn"));
    command.env_clear().envs(set.iter().copied()).kill_on_drop(true);
    command
}

async fn start() -> (std::sync::Arc<Services>, RuntimeApi, Child) {
    let services = Services::on_real_clock(1).unwrap();
    let _ = services.tables.create_claim_table(names::TABLE);
    let aws = format!("http://{}", serve_aws(services.clone()).await.unwrap());
    let api = RuntimeApi::start(TIMEOUT).await.unwrap();
    let child = function(&[
        ("TABLE_NAME", names::TABLE),
        ("AWS_LAMBDA_RUNTIME_API", &api.address.to_string()),
        ("AWS_ENDPOINT_URL", &aws),
        ("AWS_REGION", names::REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_LAMBDA_FUNCTION_NAME", names::INGEST_FUNCTION),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ])
    .stdout(std::process::Stdio::null())
    .spawn()
    .unwrap();
    (services, api, child)
}

/// The response to an event, within a bound.
async fn invoke(api: &RuntimeApi, request_id: &str, event: &Value) -> Value {
    let reply = tokio::time::timeout(TIMEOUT, api.invoke(request_id, event.to_string())).await;
    serde_json::from_slice(&reply.unwrap().unwrap().unwrap()).unwrap()
}

/// The fixture's record as another message.
fn message(id: &str, body: &str) -> Value {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let mut record = fixture["Records"][0].clone();
    record["messageId"] = id.into();
    record["body"] = body.into();
    record
}

#[tokio::test]
async fn the_compiled_function_claims_the_good_messages_of_a_real_event_and_reports_the_bad() {
    let (_services, api, _child) = start().await;
    let mut event: Value = serde_json::from_str(FIXTURE).unwrap();
    let bad_id = event["Records"][0]["messageId"].clone();
    event["Records"]
        .as_array_mut()
        .unwrap()
        .extend([message("a", r#"{"event_id":"a"}"#), message("b", r#"{"event_id":"a"}"#)]);
    // The fixture's own body, "Hello from SQS!" and the like, is no event.
    let response = invoke(&api, "1", &event).await;
    assert_eq!(response, json!({ "batchItemFailures": [{ "itemIdentifier": bad_id }] }));
    let response = invoke(&api, "2", &json!({ "Records": [message("c", r#"{"event_id":"b"}"#)] })).await;
    assert_eq!(response, json!({ "batchItemFailures": [] }));
}

#[tokio::test]
async fn a_missing_or_malformed_variable_ends_init_with_one_line_that_names_it() {
    for (set, variable) in [
        (&[][..], "TABLE_NAME"),
        (&[("TABLE_NAME", "t"), ("ON_CONFLICT", "maybe")][..], "ON_CONFLICT"),
        (&[("TABLE_NAME", "t"), ("AWS_LAMBDA_LOG_LEVEL", "LOUD")][..], "AWS_LAMBDA_LOG_LEVEL"),
    ] {
        let output = function(set).output().await.unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(!output.status.success() && err.is_empty(), "{err}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.contains(variable), "{out}");
    }
}

/// Largest payload of an invocation, in bytes.
const PAYLOAD: usize = 6 * 1024 * 1024;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn peak_memory_stays_under_64_mb_with_the_largest_batches_and_a_full_cache() {
    let (_services, api, child) = start().await;
    // Ten thousand small messages fill the cache.
    let small = (0..10_000).map(|n| message(&format!("m{n}"), &format!(r#"{{"event_id":"{n}"}}"#)));
    let small: Vec<Value> = small
        .map(|mut record| {
            record.as_object_mut().unwrap().retain(|name, _| name == "messageId" || name == "body");
            record
        })
        .collect();
    invoke(&api, "small", &json!({ "Records": small })).await;
    // Then messages of almost 1 MiB each that compress well, as many as a payload takes.
    let filler = "0123456789".repeat(100_000);
    let large = (0..6).map(|n| message(&format!("l{n}"), &format!(r#"{{"event_id":"l{n}","x":"{filler}"}}"#)));
    let large = json!({ "Records": large.collect::<Vec<_>>() });
    assert!(large.to_string().len() < PAYLOAD);
    for round in 0..3 {
        assert_eq!(invoke(&api, &format!("large{round}"), &large).await, json!({ "batchItemFailures": [] }));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kb: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak_kb < 64 * 1024, "{peak_kb} kB");
    println!("peak resident memory: {peak_kb} kB");
}
