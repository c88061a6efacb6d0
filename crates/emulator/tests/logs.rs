//! `FilterLogEvents`, as far as it is embedded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use emulator::{Clock, Services};
use http::Request;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn pages_of_a_span_of_time_hold_each_of_its_events_once_from_its_start_to_before_its_end() {
    let services = Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH), 1);
    let mut writer = services.logs.writer("group");
    for n in 0..10 {
        writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let read = async |from: i64, to: i64| {
        let mut search = json!({ "logGroupName": "group", "startTime": from, "endTime": to, "limit": 2 });
        let mut messages = Vec::new();
        loop {
            let request = Request::post("/").header("x-amz-target", "Logs_20140328.FilterLogEvents");
            let answer = services.answer(request.body(search.to_string().into()).unwrap()).await.unwrap();
            let page: Value = serde_json::from_slice(answer.body()).unwrap();
            let events = page["events"].as_array().unwrap();
            messages.extend(events.iter().map(|event| event["message"].as_str().unwrap().to_owned()));
            match page.get("nextToken") {
                Some(next) => search["nextToken"] = next.clone(),
                None => return messages.join(" "),
            }
        }
    };
    assert_eq!(read(3, 8).await, "3 4 5 6 7");
    assert_eq!(read(0, 100).await, "0 1 2 3 4 5 6 7 8 9");
    assert_eq!(read(10, 100).await, "");
    assert_eq!(read(8, 3).await, "");
}
