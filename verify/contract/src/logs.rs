//! The functions' log groups, as the producer reads them.

use std::collections::HashSet;
use std::sync::Arc;

use emulator::Clock;
use ops::logs::FilterLogEvents;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Outcome, answer, eventually, holds, same};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Logs, "log lines are found with their ids and times", log_lines_are_found_with_their_ids_and_times),
        behavior!(Logs, "log lines are found page by page", log_lines_are_found_page_by_page).differs(
            Engine::Ministack,
            "3 lines are to be found, and the last page came after 1",
            "The API reference of FilterLogEvents is believed: what did not fit is behind a token. ministack cuts its \
             answer at the limit and gives none; the producer sets no limit.",
        ),
        behavior!(Logs, "a start time leaves out earlier lines", a_start_time_leaves_out_earlier_lines),
        behavior!(Logs, "a log group that is not there is told", a_log_group_that_is_not_there_is_told),
    ]
}

const LINES: [&str; 3] = ["{\"outcome\":\"won\"}", "{\"outcome\":\"duplicate\"}", "ä \"quoted\""];

/// A line may turn up only some time after it was written.
async fn log_lines_are_found_with_their_ids_and_times(stage: Arc<Stage>) -> Outcome {
    let now_ms = Clock::real().now_ms();
    let group = stage.log_group(&LINES).await?;
    let events = eventually("three lines", async || {
        let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
        let events = stage.operator.logs.filter_log_events(&search).await?.events;
        Ok(Some(events).filter(|events| events.len() >= LINES.len()))
    })
    .await?;
    same("lines", events.iter().filter_map(|event| event.message.as_deref()).collect::<Vec<_>>(), LINES.to_vec())?;
    let ids: HashSet<_> = events.iter().filter_map(|event| event.event_id.as_deref()).collect();
    same("ids", ids.len(), LINES.len())?;
    let in_time = |at: Option<i64>| at.is_some_and(|at| at.unsigned_abs().abs_diff(now_ms) < 60_000);
    holds(events.iter().all(|event| in_time(event.timestamp)), || "times that are not of now".to_owned())
}

async fn log_lines_are_found_page_by_page(stage: Arc<Stage>) -> Outcome {
    let group = stage.log_group(&LINES).await?;
    eventually("three lines", async || {
        let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
        let events = stage.operator.logs.filter_log_events(&search).await?.events;
        Ok(Some(events).filter(|events| events.len() >= LINES.len()))
    })
    .await?;
    let (mut lines, mut token) = (Vec::new(), None::<String>);
    loop {
        let search = FilterLogEvents {
            log_group_name: &group,
            limit: Some(1),
            next_token: token.as_deref(),
            ..FilterLogEvents::default()
        };
        let page = stage.operator.logs.filter_log_events(&search).await?;
        let events = page.events;
        holds(events.len() <= 1, || format!("a page of at most one line has {}", events.len()))?;
        lines.extend(events.into_iter().filter_map(|event| event.message));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    holds(lines == LINES, || {
        format!("{} lines are to be found, and the last page came after {}", LINES.len(), lines.len())
    })
}

async fn a_start_time_leaves_out_earlier_lines(stage: Arc<Stage>) -> Outcome {
    let group = stage.log_group(&LINES).await?;
    let found = async |from_ms: i64| {
        let search =
            FilterLogEvents { log_group_name: &group, start_time: Some(from_ms), ..FilterLogEvents::default() };
        Ok::<_, crate::outcome::Instead>(stage.operator.logs.filter_log_events(&search).await?.events)
    };
    let all =
        eventually("three lines", async || Ok(Some(found(0).await?).filter(|events| events.len() >= LINES.len())))
            .await?;
    let last = all.iter().filter_map(|event| event.timestamp).max().unwrap_or_default();
    holds(!found(last).await?.is_empty(), || "a start time leaves out the line of that very time".to_owned())?;
    same("lines later than the last", found(last + 1).await?.len(), 0)
}

async fn a_log_group_that_is_not_there_is_told(stage: Arc<Stage>) -> Outcome {
    let group = format!("/{}", stage.unique("nowhere"));
    let search = FilterLogEvents { log_group_name: &group, ..FilterLogEvents::default() };
    same(
        "reading it",
        answer(&stage.operator.logs.filter_log_events(&search).await).as_str(),
        "ResourceNotFoundException",
    )
}
