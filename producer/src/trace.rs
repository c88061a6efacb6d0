//! The command `trace EVENT_ID`: collects what the table, lake, queues and logs contain about one event, and finds
//! where the event is stuck.
//!
//! The command never receives from the ingestion queue, because SQS counts every receive, and a message becomes a dead
//! letter after three receives. So if the event's message waits in that queue, the command can only say that the queue
//! is not empty.

mod mention;
mod place;
mod search;
mod story;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use claim::ObjectPrefix;
use ops::command_line::write_json;
use serde::Deserialize;

use crate::cli::TraceArgs;
use crate::failure::Failure;
use crate::pipeline_client::PipelineClient;
use crate::target::{FunctionSettings, Target};
use search::{ClaimItem, EventSearch};
use story::rfc3339;

pub use story::{ArchiveLine, ClaimStory, DeadLetter, IngestLine, ObjectStory, OtherClaim, Place, Story};

/// By default, the log search starts this long before the claim. The value is the queue's default retention, because a
/// message may have waited in the queue this long before it was claimed.
const BEFORE_CLAIM: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Runs the command: traces an event, prints its story and returns it.
///
/// # Errors
/// Fails if there is no stack to search, if the stack's settings or the credentials cannot be used, or if the story
/// cannot be printed.
pub async fn run(args: &TraceArgs) -> Result<Story, Failure> {
    let url_variable = std::env::var_os("SQS_QUEUE_URL");
    let target = Target::resolve(&args.target, url_variable).await;
    let mut target = target.map_err(|error| Failure::Unusable(error.into()))?;
    let settings = target.settings(&args.settings).map_err(Failure::Unusable)?;
    let Some(stack) = &mut target.stack else {
        let text = "cannot trace an event without a stack: give --queue-url, SQS_QUEUE_URL or --terraform-dir, or run \
                    `producer local` and trace in its embedded pipeline";
        return Err(Failure::Unusable(anyhow::anyhow!(text)));
    };
    stack.on_failure_url = args.on_failure_url.clone().or(stack.on_failure_url.take());
    let prefix = stack.parse_object_prefix().map_err(Failure::Unusable)?;
    let client = PipelineClient::deployed(stack).await.map_err(Failure::Unreachable)?;
    let story = trace(&client, &args.event_id, &prefix, &settings, args.since, args.record_age, Utc::now()).await;
    let mut out = io::stdout().lock();
    let written = if args.json { write_json(&mut out, &story) } else { story.write(&mut out) };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Unreachable(anyhow::Error::new(error).context("failed to print the story")))
        }
        _ => Ok(story),
    }
}

/// Traces an event. The event's claim is the one under the dedup key in `settings`. `trace` searches the logs from
/// `since` on. The default of `since` is a day before the event's claim, or a day before `now` if the event has no
/// claim. `record_age` is the age at which the stream mapping discards a record.
pub async fn trace(
    client: &PipelineClient,
    event_id: &str,
    prefix: &ObjectPrefix,
    settings: &FunctionSettings,
    since: Option<DateTime<Utc>>,
    record_age: Duration,
    now: DateTime<Utc>,
) -> Story {
    let mut search = EventSearch { client, event_id, unreadable: BTreeMap::new() };
    let FunctionSettings { rules, log_routine_outcomes, .. } = settings;
    let (mut current, others): (Vec<ClaimItem>, Vec<ClaimItem>) =
        search.claims().await.into_iter().partition(|item| item.sort_key == **rules.sort_key());
    let item = current.pop().map(|item| item.claim);
    let claim = item.as_ref().and_then(|claim| claim.as_ref().ok());
    let since = since.unwrap_or_else(|| claim.map_or(now, |claim| claim.claimed_at.min(now)) - BEFORE_CLAIM);
    let stack = &client.stack;
    let ingest = search.log_lines("ingest log", stack.ingest_log_group.as_deref(), since).await;
    let mut ingest: Vec<IngestLine> =
        parse_lines(&ingest, |line: &IngestLine| line.event_id.as_deref() == Some(event_id));
    let archive = search.log_lines("archive log", stack.archive_log_group.as_deref(), since).await;
    let mut archive: Vec<ArchiveLine> =
        parse_lines(&archive, |line: &ArchiveLine| line.event_id.as_deref() == Some(event_id));
    let other_claims: Vec<OtherClaim> = others.into_iter().map(|item| OtherClaim::new(item, &ingest, now)).collect();
    // Lines about a claim under another dedup key belong to another event.
    let is_other = |claim_id: Option<&String>| {
        claim_id.is_some()
            && other_claims.iter().any(|other| other.claim.as_ref().map(|claim| &claim.claim_id) == claim_id)
    };
    ingest.retain(|line| !is_other(line.claim_id.as_ref()));
    archive.retain(|line| !is_other(line.claim_id.as_ref()));
    let object = search.object(claim, &archive, prefix).await;

    let is_settled = claim.is_some() && ingest.iter().all(|line| ["won", "duplicate"].contains(&line.outcome.as_str()));
    let dead_letters = if is_settled { Vec::new() } else { search.dead_letters(rules).await };
    let queue_depth = search.depth("queue", Some(&stack.queue_url)).await;
    let on_failure_depth = match &object {
        None if claim.is_some() => search.depth("on-failure queue", stack.on_failure_url.as_deref()).await,
        _ => None,
    };
    let mut story = Story {
        event_id: event_id.to_owned(),
        place: Place::NotSeen,
        explanation: String::new(),
        claim: claim.map(|claim| ClaimStory::new(claim, &ingest, now)),
        other_claims,
        ingest,
        archive,
        object,
        dead_letters,
        queue_depth,
        on_failure_depth,
        logs_since: rfc3339(since),
        log_routine_outcomes: *log_routine_outcomes,
        unreadable: search.unreadable,
    };
    (story.place, story.explanation) = story.locate(item.as_ref(), record_age, now);
    story
}

/// Parses log lines and keeps those for which `is_ours` is true.
fn parse_lines<'a, Line: Deserialize<'a>>(lines: &'a [String], is_ours: impl Fn(&Line) -> bool) -> Vec<Line> {
    // Lines that do not concern a single message, such as summary lines, fail to parse and are skipped.
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).filter(is_ours).collect()
}
