//! Behaviors of CloudWatch Logs. Tests read log groups with the request that the producer uses to read the functions'
//! logs.

use std::collections::HashSet;
use std::sync::Arc;

use emulator::Clock;
use ops::logs::FilterLogEvents;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Outcome, ensure, eventually, expect_eq, response_code};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Logs, "Log lines are found with their ids and times", log_lines_have_ids_and_times),
        behavior!(Logs, "Log lines can be read page by page", log_lines_are_found_page_by_page).differs(
            Engine::Ministack,
            "lines found page by page: got 1, expected 3",
            "We trust the API reference of FilterLogEvents: a response that reaches the limit contains a token for the \
             next page. ministack cuts the response at the limit and returns no token. The producer is not affected, \
             because it sets no limit.",
        ),
        behavior!(Logs, "A search with a start time omits earlier lines", start_time_omits_earlier_lines),
        behavior!(
            Logs,
            "Reading a missing log group fails with `ResourceNotFoundException`",
            missing_log_group_is_an_error
        ),
    ]
}

const LINES: [&str; 3] = ["{\"outcome\":\"won\"}", "{\"outcome\":\"duplicate\"}", "ä \"quoted\""];

/// A line may become visible only some time after it was written, so the test waits for all lines.
async fn log_lines_have_ids_and_times(stage: Arc<Stage>) -> Outcome {
    let now_ms = Clock::real().now_ms();
    let group = stage.log_group(&LINES).await?;
    let events = eventually("three lines", async || {
        let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
        let events = stage.operator.logs.filter_log_events(&search).await?.events;
        Ok(Some(events).filter(|events| events.len() >= LINES.len()))
    })
    .await?;
    expect_eq("lines", events.iter().filter_map(|event| event.message.as_deref()).collect::<Vec<_>>(), LINES.to_vec())?;
    let ids: HashSet<_> = events.iter().filter_map(|event| event.event_id.as_deref()).collect();
    expect_eq("ids", ids.len(), LINES.len())?;
    let in_time = |at: Option<i64>| at.is_some_and(|at| at.unsigned_abs().abs_diff(now_ms) < 60_000);
    ensure(events.iter().all(|event| in_time(event.timestamp)), || "a time is more than a minute from now".to_owned())
}

async fn log_lines_are_found_page_by_page(stage: Arc<Stage>) -> Outcome {
    let group = stage.log_group(&LINES).await?;
    eventually("three lines", async || {
        let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
        let events = stage.operator.logs.filter_log_events(&search).await?.events;
        Ok(Some(events).filter(|events| events.len() >= LINES.len()))
    })
    .await?;
    let mut lines = Vec::new();
    let mut token = None::<String>;
    loop {
        let search = FilterLogEvents {
            log_group_name: &group,
            limit: Some(1),
            next_token: token.as_deref(),
            ..FilterLogEvents::default()
        };
        let page = stage.operator.logs.filter_log_events(&search).await?;
        let events = page.events;
        ensure(events.len() <= 1, || format!("a page of at most one line has {}", events.len()))?;
        lines.extend(events.into_iter().filter_map(|event| event.message));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    ensure(lines == LINES, || format!("lines found page by page: got {}, expected {}", lines.len(), LINES.len()))
}

async fn start_time_omits_earlier_lines(stage: Arc<Stage>) -> Outcome {
    let group = stage.log_group(&LINES).await?;
    let found = async |from_ms: i64| {
        let search =
            FilterLogEvents { log_group_name: &group, start_time: Some(from_ms), ..FilterLogEvents::default() };
        Ok::<_, crate::outcome::Mismatch>(stage.operator.logs.filter_log_events(&search).await?.events)
    };
    let all =
        eventually("three lines", async || Ok(Some(found(0).await?).filter(|events| events.len() >= LINES.len())))
            .await?;
    let last = all.iter().filter_map(|event| event.timestamp).max().unwrap_or_default();
    ensure(!found(last).await?.is_empty(), || "a start time leaves out the line of exactly that time".to_owned())?;
    expect_eq("lines after the last one", found(last + 1).await?.len(), 0)
}

async fn missing_log_group_is_an_error(stage: Arc<Stage>) -> Outcome {
    let group = format!("/{}", stage.unique("nowhere"));
    let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
    expect_eq(
        "reading the log group",
        response_code(&stage.operator.logs.filter_log_events(&search).await).as_str(),
        "ResourceNotFoundException",
    )
}
