//! Tests the CloudWatch Logs client against the emulator.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use emulator::{Clock, Fault, Services};
use ops::logs::{FilterLogEvents, LogsClient};

const SEARCH: FilterLogEvents<'static> = FilterLogEvents {
    log_group_name: "group",
    filter_pattern: None,
    start_time: Some(0),
    end_time: Some(100),
    limit: Some(2),
    next_token: None,
};

/// Returns services with one log group, and a client for them. The clock shows 1970-01-01T00:16:40Z.
fn region() -> (Arc<Services>, LogsClient) {
    let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
    let services = Services::on_clock(clock, 1);
    services.logs.writer("group").write_all(b"a line\n").unwrap();
    let client = LogsClient::new(&services.sdk_config());
    (services, client)
}

/// Searches the log group while every request fails with `fault`. Returns the error's code and the number of requests
/// that were sent.
async fn call_with_fault(fault: Fault) -> (Option<String>, usize) {
    let (services, client) = region();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    services.faults.set(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Some(fault)
    });
    let error = client.filter_log_events(&SEARCH).await.unwrap_err();
    (error.code().map(str::to_owned), requests.load(Ordering::SeqCst))
}

/// Following the page tokens returns every event exactly once, in order.
#[tokio::test(start_paused = true)]
async fn pages_hold_each_event_once() {
    let services = Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH), 1);
    let mut writer = services.logs.writer("group");
    for n in 0..5 {
        writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let client = LogsClient::new(&services.sdk_config());
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let page = client.filter_log_events(&FilterLogEvents { next_token: token.as_deref(), ..SEARCH }).await.unwrap();
        events.extend(page.events.into_iter().map(|event| (event.message.unwrap(), event.timestamp.unwrap())));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..5).map(|n| (n.to_string(), n)).collect();
    assert_eq!(events, expected);
}

/// The request has the headers and the body of the AWS JSON 1.1 protocol, and a signature for the service and region.
#[tokio::test(start_paused = true)]
async fn request_is_signed_json_1_1() {
    let (services, client) = region();
    let sent = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&sent);
    services.faults.set(move |call| {
        *seen.lock().unwrap() = Some(call.request.clone());
        None
    });
    client.filter_log_events(&SEARCH).await.unwrap();

    let request = sent.lock().unwrap().take().unwrap();
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/"));
    assert_eq!(request.body(), r#"{"logGroupName":"group","startTime":0,"endTime":100,"limit":2}"#);
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(header("x-amz-target"), "Logs_20140328.FilterLogEvents");
    assert_eq!(header("x-amz-date"), "19700101T001640Z");
    let scope =
        format!("AWS4-HMAC-SHA256 Credential=embedded/19700101/{}/logs/aws4_request, ", emulator::region::REGION);
    assert!(header("authorization").starts_with(&scope), "{}", header("authorization"));
}

/// A refused call returns the service's error code and message, and is not retried.
#[tokio::test(start_paused = true)]
async fn refusal_has_code_and_message() {
    assert_eq!(call_with_fault(Fault::Refused(403)).await, (Some("AccessDeniedException".to_owned()), 1));
    let (_services, client) = region();
    let error = client.filter_log_events(&FilterLogEvents { log_group_name: "nowhere", ..SEARCH }).await.unwrap_err();
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert_eq!(error.message(), Some("no log group nowhere"));
    assert_eq!(error.as_service_error().unwrap().to_string(), "ResourceNotFoundException: no log group nowhere");
}

/// The client retries throttling, server errors and lost requests as often as an SDK client with the same settings.
#[tokio::test(start_paused = true)]
async fn throttling_and_server_errors_are_retried() {
    let attempts = lambda_support::function::retries().max_attempts() as usize;
    assert!(attempts > 1);
    assert_eq!(call_with_fault(Fault::Throttled).await, (Some("ThrottlingException".to_owned()), attempts));
    assert_eq!(call_with_fault(Fault::Refused(500)).await, (Some("InternalServerError".to_owned()), attempts));
    assert_eq!(call_with_fault(Fault::RequestLost).await, (None, attempts));
}

#[tokio::test(start_paused = true)]
async fn slow_answer_times_out() {
    let (services, client) = region();
    services.faults.set(|_| Some(Fault::AnswerDelayed(Duration::from_secs(3_600))));
    let before = tokio::time::Instant::now();
    client.filter_log_events(&SEARCH).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(600), "{:?}", before.elapsed());
}
