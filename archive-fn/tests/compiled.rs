//! Tests of the compiled function. It runs as a child process, and calls an emulated Runtime API and AWS endpoint on
//! loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use emulator::Services;
use emulator::runtime_api::{RuntimeApi, serve_aws};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const BUCKET: &str = "lake";

/// A copy of the file `src/fixtures/example-dynamodb-event.json` of `aws_lambda_events` 1.2.1 (MIT).
const FIXTURE: &str = include_str!("fixtures/example-dynamodb-event.json");

/// Maximum time of an invocation: ten times the timeout of the deployed function, because an unoptimized build on a
/// busy machine is slow. No test here measures speed.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Returns the command that runs the function with only the environment variables in `set`.
fn function(set: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archive-fn"));
    command.env_clear().envs(set.iter().copied()).kill_on_drop(true);
    command
}

async fn start() -> (Arc<Services>, RuntimeApi, Child) {
    let services = Services::on_real_clock(1).unwrap();
    services.lakes.create_bucket(BUCKET);
    let aws = format!("http://{}", serve_aws(services.clone()).await.unwrap());
    let api = RuntimeApi::start(TIMEOUT).await.unwrap();
    let child = function(&[
        ("BUCKET_NAME", BUCKET),
        ("AWS_LAMBDA_RUNTIME_API", &api.address.to_string()),
        ("AWS_ENDPOINT_URL", &aws),
        ("AWS_REGION", emulator::region::REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_LAMBDA_FUNCTION_NAME", "archive-fn"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ])
    .stdout(std::process::Stdio::null())
    .spawn()
    .unwrap();
    (services, api, child)
}

/// Returns the function's response to an event. Panics if the response does not arrive in time.
async fn invoke(api: &RuntimeApi, request_id: &str, event: &Value) -> Value {
    let reply = tokio::time::timeout(TIMEOUT, api.invoke(request_id, event.to_string())).await;
    serde_json::from_slice(&reply.unwrap().unwrap().unwrap()).unwrap()
}

/// Returns the fixture's first record, changed to an INSERT with the sequence number `number`. Its new image is a claim
/// with the body `body`.
fn claim(number: u32, body: &str) -> Value {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let mut record = fixture["Records"][0].clone();
    record["eventName"] = "INSERT".into();
    record["dynamodb"]["SequenceNumber"] = number.to_string().into();
    let event = claim::EventRules::default().event(body, None).unwrap();
    let now = std::time::SystemTime::now();
    let window = Duration::from_secs(60);
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    let claim = claim::Claim::new(&event, &claim::SourceMessage::new("m", body), now, window, &random).unwrap();
    record["dynamodb"]["NewImage"] = serde_json::to_value(claim.to_item()).unwrap();
    record
}

/// Returns the stream record of a new pack with one claim for each text.
#[cfg(target_os = "linux")]
fn pack(number: u32, texts: impl Iterator<Item = String>) -> Value {
    let mut builder = claim::PackBuilder::new();
    for (n, text) in (0..).zip(texts) {
        let image = claim(number * 100 + n, &json!({ "event_id": "a", "x": text }).to_string());
        let item: serde_dynamo::Item = serde_json::from_value(image["dynamodb"]["NewImage"].clone()).unwrap();
        builder.push(&claim::Claim::from_item(item).unwrap()).unwrap();
    }
    let mut record = claim(number, r#"{"event_id":"a"}"#);
    let id = serde_json::from_value(record["dynamodb"]["NewImage"]["claim_id"]["S"].clone());
    let id: String = id.unwrap();
    let pack = builder.finish(id.parse().unwrap()).unwrap();
    record["dynamodb"]["NewImage"] = serde_json::to_value(pack.clone().into_item()).unwrap();
    record
}

/// Returns text that hardly compresses.
#[cfg(target_os = "linux")]
fn noise(seed: u32, chars: usize) -> String {
    let mut state = u64::from(2 * seed + 1);
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state % 64) as usize])
    };
    std::iter::repeat_with(next).take(chars).collect()
}

/// The compiled function archives the claim that is added to the fixture, and skips the fixture's own records.
#[tokio::test]
async fn compiled_function_handles_a_real_event() {
    let (services, api, _child) = start().await;
    let mut event: Value = serde_json::from_str(FIXTURE).unwrap();
    event["Records"].as_array_mut().unwrap().push(claim(7, r#"{"event_id":"a"}"#));
    for request in ["1", "2"] {
        assert_eq!(invoke(&api, request, &event).await, json!({ "batchItemFailures": [] }));
    }
    let lake = services.lakes.versions(BUCKET);
    assert_eq!(lake.values().map(Vec::len).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn bad_variable_ends_init_with_one_line() {
    for (set, variable) in [
        (&[][..], "BUCKET_NAME"),
        (&[("BUCKET_NAME", "b"), ("OBJECT_PREFIX", "/x")][..], "OBJECT_PREFIX"),
        (&[("BUCKET_NAME", "b"), ("AWS_LAMBDA_LOG_LEVEL", "LOUD")][..], "AWS_LAMBDA_LOG_LEVEL"),
    ] {
        let output = function(set).output().await.unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && err.is_empty(), "{err}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.contains(variable), "{out}");
    }
}

/// Largest payload of an invocation, in bytes.
const PAYLOAD: usize = 6 * 1024 * 1024;

/// Peak memory stays under 64 MB with the largest batches.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn largest_batches_stay_under_64_mb() {
    let (services, api, child) = start().await;
    // A batch of a hundred claims that decompress to almost 1 MiB each.
    let filler = "0123456789".repeat(100_000);
    let large = (0..100).map(|n| claim(n, &format!(r#"{{"event_id":"l{n}","x":"{filler}"}}"#)));
    let large = json!({ "Records": large.collect::<Vec<_>>() });
    assert_eq!(invoke(&api, "large", &large).await, json!({ "batchItemFailures": [] }));
    // A batch of 4,000 small claims, which fills most of a payload.
    let filler = "x".repeat(300);
    let small = (1_000..5_000).map(|n| claim(n, &format!(r#"{{"event_id":"s{n}","x":"{filler}{n}"}}"#)));
    let small = json!({ "Records": small.collect::<Vec<_>>() });
    assert!((PAYLOAD / 2..PAYLOAD).contains(&small.to_string().len()), "{}", small.to_string().len());
    for round in 0..3 {
        assert_eq!(invoke(&api, &format!("small{round}"), &small).await, json!({ "batchItemFailures": [] }));
    }
    assert_eq!(services.lakes.versions(BUCKET).len(), 4_100);
    // Batches of packs that are as large as possible, with lines that gzip cannot compress or that decompress to 6 MB each.
    let noisy = (5_000..5_014).map(|n| pack(n, (0..2).map(|m| noise(n * 2 + m, 160_000))));
    let long = (6_000..6_014).map(|n| pack(n, (0..6).map(|m| format!("{}{m}", noise(n, 10_000).repeat(100)))));
    for (name, packs) in [("noisy", noisy.collect::<Vec<_>>()), ("long", long.collect())] {
        assert_eq!(invoke(&api, name, &json!({ "Records": packs })).await, json!({ "batchItemFailures": [] }));
    }
    assert_eq!(services.lakes.versions(BUCKET).len(), 4_128);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kb: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak_kb < 64 * 1024, "{peak_kb} kB");
    println!("peak resident memory: {peak_kb} kB");
}
