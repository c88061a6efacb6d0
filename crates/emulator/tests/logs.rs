//! `FilterLogEvents`, as far as it is embedded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use emulator::{Clock, Services};

#[tokio::test(start_paused = true)]
async fn pages_of_a_span_of_time_hold_each_of_its_events_once_from_its_start_to_before_its_end() {
    let services = Services::on_clock(Clock::starting_at(SystemTime::UNIX_EPOCH), 1);
    let mut writer = services.logs.writer("group");
    for n in 0..10 {
        writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let client = aws_sdk_cloudwatchlogs::Client::new(&services.sdk_config());
    let read = async |from: i64, to: i64| {
        let (mut messages, mut token) = (Vec::new(), None);
        loop {
            let page = client.filter_log_events().log_group_name("group").start_time(from).end_time(to).limit(2);
            let page = page.set_next_token(token.take()).send().await.unwrap();
            messages.extend(page.events().iter().map(|event| event.message().unwrap().to_owned()));
            match page.next_token() {
                Some(next) => token = Some(next.to_owned()),
                None => return messages.join(" "),
            }
        }
    };
    assert_eq!(read(3, 8).await, "3 4 5 6 7");
    assert_eq!(read(0, 100).await, "0 1 2 3 4 5 6 7 8 9");
    assert_eq!(read(10, 100).await, "");
    assert_eq!(read(8, 3).await, "");
}
