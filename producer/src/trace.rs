//! `producer trace EVENT_ID`: one event's story from table, lake, queues and logs, or where it is stuck.
//!
//! Nothing is received from the ingestion queue: that would count against a message's receives. So of a message that waits
//! there, no more can be told than that the queue is not empty.

mod look;
mod place;
mod story;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use chrono::{DateTime, Utc};
use claim::{EventIdPointer, ObjectPrefix};
use serde::Deserialize;

use crate::cli::TraceArgs;
use crate::failure::Failure;
use crate::pipeline_client::PipelineClient;
use crate::target::Target;
use look::Look;
use story::rfc3339;

pub use story::{ArchiveLine, ClaimStory, DeadLetter, IngestLine, ObjectStory, Place, Story};

/// Before its claim, a message may have waited in the queue for so long (its retention).
const BEFORE_CLAIM: chrono::TimeDelta = chrono::TimeDelta::days(1);

/// Tells an event's story, prints it, and gives it.
///
/// # Errors
/// When there is no stack to ask.
pub async fn run(args: &TraceArgs) -> Result<Story, Failure> {
    let url_variable = std::env::var("SQS_QUEUE_URL").ok();
    let target = Target::resolve(&args.target, url_variable).await;
    let mut target = target.map_err(|error| Failure::Unusable(error.into()))?;
    let pointer = target.event_id_pointer(args.event_id_pointer.as_ref()).map_err(Failure::Unusable)?;
    let Some(stack) = &mut target.stack else {
        let text = "there is no stack to look at: name its queue with --queue-url or SQS_QUEUE_URL, or its Terraform folder. The \
                    embedded pipeline is kept up by `producer local`";
        return Err(Failure::Unusable(anyhow::anyhow!(text)));
    };
    stack.on_failure_url = args.on_failure_url.clone().or(stack.on_failure_url.take());
    let prefix = stack.parse_object_prefix().map_err(Failure::Unusable)?;
    let client = PipelineClient::deployed(stack).await.map_err(Failure::Unreachable)?;
    let story = trace(&client, &args.event_id, &prefix, &pointer, args.since, args.record_age, Utc::now()).await;
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, &story).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        story.write(&mut out)
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Unreachable(anyhow::Error::new(error).context("the story cannot be printed")))
        }
        _ => Ok(story),
    }
}

/// Finds out what is known of an event. `since` is where the logs are searched from, if not from a day before its claim, or now;
/// `record_age` is the age at which the stream's mapping gives a record up.
pub async fn trace(
    client: &PipelineClient,
    event_id: &str,
    prefix: &ObjectPrefix,
    pointer: &EventIdPointer,
    since: Option<DateTime<Utc>>,
    record_age: Duration,
    now: DateTime<Utc>,
) -> Story {
    let mut look = Look { client, event_id, unreadable: BTreeMap::new() };
    let item = look.claim().await;
    let claim = item.as_ref().and_then(|claim| claim.as_ref().ok());
    let since = since.unwrap_or_else(|| claim.map_or(now, |claim| claim.claimed_at.min(now)) - BEFORE_CLAIM);
    let stack = &client.stack;
    let ingest = look.log_lines("ingest log", stack.ingest_log_group.as_deref(), since).await;
    let ingest: Vec<IngestLine> = lines_of(&ingest, |line: &IngestLine| line.event_id.as_deref() == Some(event_id));
    let archive = look.log_lines("archive log", stack.archive_log_group.as_deref(), since).await;
    let archive: Vec<ArchiveLine> = lines_of(&archive, |line: &ArchiveLine| line.event_id.as_deref() == Some(event_id));
    let object = look.object(claim, &archive, prefix).await;

    let is_settled = claim.is_some() && ingest.iter().all(|line| ["won", "duplicate"].contains(&line.outcome.as_str()));
    let dead_letters = if is_settled { Vec::new() } else { look.dead_letters(pointer).await };
    let queue_depth = look.depth("queue", Some(&stack.queue_url)).await;
    let on_failure_depth = match &object {
        None if claim.is_some() => look.depth("on-failure queue", stack.on_failure_url.as_deref()).await,
        _ => None,
    };
    let mut story = Story {
        event_id: event_id.to_owned(),
        place: Place::NotSeen,
        explanation: String::new(),
        claim: claim.map(|claim| ClaimStory::new(claim, &ingest, now)),
        ingest,
        archive,
        object,
        dead_letters,
        queue_depth,
        on_failure_depth,
        logs_since: rfc3339(since),
        unreadable: look.unreadable,
    };
    (story.place, story.explanation) = story.locate(item.as_ref(), record_age, now);
    story
}

fn lines_of<'a, Line: Deserialize<'a>>(lines: &'a [String], is_ours: impl Fn(&Line) -> bool) -> Vec<Line> {
    // Summary lines and other lines that are about no message do not fit, and are not wanted.
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).filter(is_ours).collect()
}
