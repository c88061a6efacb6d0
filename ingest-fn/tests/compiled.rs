//! Tests of the compiled function. It runs as a child process, and calls an emulated Runtime API and AWS endpoint on
//! loopback.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the output shows the peaks of memory")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use emulator::Services;
use emulator::runtime_api::{RuntimeApi, serve_aws};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

const TABLE: &str = "claims";

/// The file `src/fixtures/example-sqs-event.json` of `aws_lambda_events` 1.2.1 (MIT).
const FIXTURE: &str = include_str!("fixtures/example-sqs-event.json");

/// Returns the command that runs the function with only the environment variables in `set`.
fn function(set: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest-fn"));
    command.env_clear().envs(set.iter().copied()).kill_on_drop(true);
    command
}

async fn start(writes: &str, layout: &str, function_timeout: Duration) -> (Arc<Services>, RuntimeApi, Child) {
    let services = Services::on_real_clock(1).unwrap();
    let _ = services.tables.create_claim_table(TABLE);
    let (api, child) = cold_start(&services, writes, layout, function_timeout).await;
    (services, api, child)
}

async fn cold_start(
    services: &Arc<Services>,
    writes: &str,
    layout: &str,
    function_timeout: Duration,
) -> (RuntimeApi, Child) {
    let aws = format!("http://{}", serve_aws(Arc::clone(services)).await.unwrap());
    let api = RuntimeApi::start(function_timeout).await.unwrap();
    let child = function(&[
        ("TABLE_NAME", TABLE),
        ("CLAIM_WRITES", writes),
        ("LAKE_LAYOUT", layout),
        ("AWS_LAMBDA_RUNTIME_API", &api.address.to_string()),
        ("AWS_ENDPOINT_URL", &aws),
        ("AWS_REGION", emulator::region::REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_LAMBDA_FUNCTION_NAME", "ingest-fn"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ])
    .stdout(std::process::Stdio::null())
    .spawn()
    .unwrap();
    (api, child)
}

/// Lambda's longest function timeout.
const LONG: Duration = Duration::from_secs(900);

/// Returns the function's response to an event. Panics if the response does not arrive in time.
async fn invoke(api: &RuntimeApi, request_id: &str, event: &Value) -> Value {
    let reply = tokio::time::timeout(LONG, api.invoke(request_id, event.to_string())).await;
    serde_json::from_slice(&reply.unwrap().unwrap().unwrap()).unwrap()
}

/// Returns the fixture's first record, but with the given id and body.
fn message(id: &str, body: &str) -> Value {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let mut record = fixture["Records"][0].clone();
    record["messageId"] = id.into();
    record["body"] = body.into();
    record
}

/// The compiled function claims the good messages of a real SQS event and reports the bad one.
#[tokio::test]
async fn compiled_function_handles_a_real_event() {
    for writes in ["single", "batch"] {
        good_messages_are_claimed_and_bad_ones_reported(writes).await;
    }
}

async fn good_messages_are_claimed_and_bad_ones_reported(writes: &str) {
    let (services, api, _child) = start(writes, "objects", Duration::from_secs(30)).await;
    let mut event: Value = serde_json::from_str(FIXTURE).unwrap();
    let bad_id = event["Records"][0]["messageId"].clone();
    event["Records"]
        .as_array_mut()
        .unwrap()
        .extend([message("a", r#"{"event_id":"a"}"#), message("b", r#"{"event_id":"a"}"#)]);
    // The fixture's own body is plain text, not an event.
    let response = invoke(&api, "1", &event).await;
    assert_eq!(response, json!({ "batchItemFailures": [{ "itemIdentifier": bad_id }] }));
    let more = [message("c", r#"{"event_id":"b"}"#), message("d", r#"{"event_id":"c"}"#)];
    let response = invoke(&api, "2", &json!({ "Records": more })).await;
    assert_eq!(response, json!({ "batchItemFailures": [] }));

    let claims = aws_sdk_dynamodb::Client::new(&services.sdk_config()).scan().table_name(TABLE).send().await;
    let text = |item: &HashMap<String, AttributeValue>, name: &str| item[name].as_s().unwrap().clone();
    let item = |item| ["pk", "sk", "message_id", "body"].map(|name| text(item, name));
    let mut items: Vec<_> = claims.unwrap().items().iter().map(item).collect();
    items.sort();
    let expected = [
        ["EVENT#a", "CLAIM", "a", r#"{"event_id":"a"}"#].map(str::to_owned),
        ["EVENT#b", "CLAIM", "c", r#"{"event_id":"b"}"#].map(str::to_owned),
        ["EVENT#c", "CLAIM", "d", r#"{"event_id":"c"}"#].map(str::to_owned),
    ];
    assert_eq!(items, expected);
}

#[tokio::test]
async fn bad_variable_ends_init_with_one_line() {
    for (set, variable) in [
        (&[][..], "TABLE_NAME"),
        (&[("TABLE_NAME", "t"), ("ON_CONFLICT", "maybe")][..], "ON_CONFLICT"),
        (&[("TABLE_NAME", "t"), ("AWS_LAMBDA_LOG_LEVEL", "LOUD")][..], "AWS_LAMBDA_LOG_LEVEL"),
    ] {
        let output = function(set).output().await.unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && err.is_empty(), "{err}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.contains(variable), "{out}");
    }
}

/// A variable that is not UTF-8 is malformed. The function must not use the default instead.
#[cfg(unix)]
#[tokio::test]
async fn non_utf_8_variable_is_malformed() {
    let not_utf_8: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"60\xff");
    let output = function(&[("TABLE_NAME", "t")]).env("DEDUP_WINDOW_SECONDS", not_utf_8).output().await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && out.contains("environment variable DEDUP_WINDOW_SECONDS is"), "{out}");
}

/// Largest payload of an invocation, in bytes.
const PAYLOAD: usize = 6 * 1024 * 1024;

/// Returns a batch with these bodies. Panics unless it fits into the largest payload and fills nine tenths of it.
#[cfg(target_os = "linux")]
fn batch(bodies: impl Iterator<Item = String>) -> Value {
    // The records have only the fields that the function reads, so that the bodies fill most of the payload.
    let records = bodies.enumerate().map(|(n, body)| json!({ "messageId": format!("m{n}"), "body": body }));
    let batch = json!({ "Records": records.collect::<Vec<_>>() });
    let bytes = batch.to_string().len();
    assert!((PAYLOAD * 9 / 10..PAYLOAD).contains(&bytes), "{bytes} bytes");
    batch
}

/// Returns a body of random characters, which hardly compresses.
#[cfg(target_os = "linux")]
fn noise(id: &str, seed: u64, chars: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let printable: Vec<char> = (' '..='~').filter(|char| !"\"\\".contains(*char)).collect();
    let noise: String = std::iter::repeat_with(|| printable[random.usize(..printable.len())]).take(chars).collect();
    format!(r#"{{"event_id":"{id}","noise":"{noise}"}}"#)
}

/// Returns a body with 115,000 names of three characters, in descending order, so that the function must sort them.
#[cfg(target_os = "linux")]
fn many_names(id: &str) -> String {
    let letter = |n: usize| char::from(b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"[n % 64]);
    let name = |n: usize| format!(",\"{}{}{}\":1", letter(n / 4_096), letter(n / 64), letter(n));
    format!(r#"{{"event_id":"{id}"{}}}"#, (0..115_000).rev().map(name).collect::<String>())
}

/// Returns the peak resident memory of a process in kB.
#[cfg(target_os = "linux")]
fn peak_memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.split_whitespace().next().unwrap().parse().unwrap()
}

/// Peak memory stays under 64 MB with the largest batches and a full cache.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn largest_batches_stay_under_64_mb() {
    for (writes, layout) in [("single", "objects"), ("batch", "objects"), ("single", "packs"), ("batch", "packs")] {
        peak_memory_stays_under_64_mb(writes, layout).await;
    }
}

#[cfg(target_os = "linux")]
async fn peak_memory_stays_under_64_mb(writes: &str, layout: &str) {
    let nothing_failed = json!({ "batchItemFailures": [] });
    let noises =
        |first: u64, seed: u64| batch((first..first + 12).map(|n| noise(&format!("noise{n}"), seed + n, 490_000)));
    // Claim the events for which the last batches have other bodies.
    let (services, api, _child) = start(writes, layout, LONG).await;
    for first in [0, 12, 24] {
        assert_eq!(invoke(&api, &format!("noise{first}"), &noises(first, 0)).await, nothing_failed);
    }

    let names = batch((0..5).map(|n| many_names(&format!("other-names{n}"))));
    assert_eq!(invoke(&api, "names-to-conflict-with", &names).await, nothing_failed);

    // Start a sandbox that has not cached these claims.
    let (api, child) = cold_start(&services, writes, layout, LONG).await;
    let mut peaks = Vec::new();
    let mut check = |what: &str| peaks.push((what.to_owned(), peak_memory(&child)));
    let small = batch((0..10_000).map(|n| format!(r#"{{"event_id":"{n}","x":"{}"}}"#, "x".repeat(540))));
    assert_eq!(invoke(&api, "small", &small).await, nothing_failed);
    check("10,000 small messages, which fill the cache");
    let filler = "0123456789".repeat(100_000);
    let large = batch((0..6).map(|n| format!(r#"{{"event_id":"large{n}","x":"{filler}"}}"#)));
    for round in 0..3 {
        assert_eq!(invoke(&api, &format!("large{round}"), &large).await, nothing_failed);
    }
    check("6 messages of 1 MB that compress well");
    for round in 0..2 {
        let names = batch((0..5).map(|n| many_names(&format!("names{round}-{n}"))));
        assert_eq!(invoke(&api, &format!("names{round}"), &names).await, nothing_failed);
    }
    check("5 messages of 115,000 names");
    for first in [100, 112, 124] {
        assert_eq!(invoke(&api, &format!("noise{first}"), &noises(first, 0)).await, nothing_failed);
    }
    check("12 messages that hardly compress");
    // With batched claims, two bodies of this size fit into one insert request.
    for round in 0..2 {
        let noises = batch((0..45).map(|n| noise(&format!("half{round}-{n}"), n, 131_000)));
        assert_eq!(invoke(&api, &format!("half{round}"), &noises).await, nothing_failed);
    }
    check("45 messages of an eighth of a megabyte");
    // These messages are conflicts. DynamoDB's answer to each of them contains the whole item that holds the event.
    for first in [0, 12, 24] {
        assert_eq!(invoke(&api, &format!("conflicts{first}"), &noises(first, 1_000)).await, nothing_failed);
    }
    check("12 conflicts with items that hardly compress");
    let names = batch((0..5).map(|n| many_names(&format!("other-names{n}")).replacen(":1", ":2", 1)));
    assert_eq!(invoke(&api, "names-in-conflict", &names).await, nothing_failed);
    check("5 conflicts of 115,000 names");
    for (what, kb) in &peaks {
        println!("{writes} {layout}: peak resident memory after {what}: {kb} kB");
    }
    assert!(peaks.iter().all(|(_, kb)| *kb < 64 * 1024), "{peaks:?}");
}
