//! The emulator's `FilterLogEvents` selects events by time and splits the answer into pages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use emulator::{Clock, Services};
use serde_json::{Value, json};

/// Sends the HTTP request that the SDK would send. The SDK's crate for CloudWatch Logs is not used here, because it
/// takes a minute to compile.
async fn filter_log_events(services: &Services, request: &Value) -> Value {
    let http = http::Request::post("/").header("x-amz-target", "Logs_20140328.FilterLogEvents");
    let response = services.answer(http.body(request.to_string().into()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_slice(response.body()).unwrap()
}

/// Together, the pages for a time range contain each event in the range once. The range includes its start and excludes
/// its end.
#[tokio::test(start_paused = true)]
async fn pages_contain_each_event_of_a_range_once() {
    let services = Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH), 1);
    let mut writer = services.logs.writer("group");
    for n in 0..10 {
        writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let read = async |from: u64, to: u64| {
        let mut messages = Vec::new();
        let mut token = Value::Null;
        loop {
            let mut request = json!({ "logGroupName": "group", "startTime": from, "endTime": to, "limit": 2 });
            if !token.is_null() {
                request["nextToken"] = token;
            }
            let mut page = filter_log_events(&services, &request).await;
            for event in page["events"].as_array().unwrap() {
                messages.push(event["message"].as_str().unwrap().to_owned());
            }
            token = page["nextToken"].take();
            if token.is_null() {
                return messages.join(" ");
            }
        }
    };
    assert_eq!(read(3, 8).await, "3 4 5 6 7");
    assert_eq!(read(0, 100).await, "0 1 2 3 4 5 6 7 8 9");
    assert_eq!(read(10, 100).await, "");
    assert_eq!(read(8, 3).await, "");
}
