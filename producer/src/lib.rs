//! The chaos generator: floods the pipeline with duplicates and shows what came out.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`target`], [`terraform`] | where to send, and why there |
//! | [`stack`] | the clients, for a deployed stack and the embedded pipeline alike |
//! | [`events`], [`send`] | what is sent, and sending it |
//! | [`watch`], [`function_logs`], [`read_back`], [`same_json`] | waiting until the pipeline is drained, and reading what came out |
//! | [`verdict`], [`report`] | what that means, and showing it |
//! | [`trace`](mod@trace) | one event's story |
//! | `explore` | the embedded pipeline, kept up for whoever wants to look around |

pub mod cli;
pub mod events;
#[cfg(feature = "embedded")]
pub mod explore;
pub mod function_logs;
pub mod read_back;
pub mod report;
pub mod same_json;
pub mod send;
pub mod stack;
pub mod target;
pub mod terraform;
pub mod trace;
pub mod verdict;
pub mod watch;

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use claim::{EventIdPointer, ObjectPrefix};

use crate::cli::{RunArgs, TraceArgs};
use crate::events::Plan;
use crate::function_logs::LogReader;
use crate::stack::Connected;
use crate::target::Target;
use crate::trace::Story;
use crate::verdict::{Run, Verdict};
use crate::watch::Watch;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, a file or the Terraform state cannot be used. Nothing was sent.
    #[error(transparent)]
    Unusable(anyhow::Error),
    /// The pipeline cannot be reached, or broke.
    #[error(transparent)]
    Unreachable(anyhow::Error),
}

/// Does what the command line asks for, prints what came of it, and gives the verdict.
///
/// # Errors
/// When there is no verdict.
pub async fn run(args: &RunArgs) -> Result<Verdict, Failure> {
    let target = if args.local {
        Target::embedded()
    } else {
        let environment_url = std::env::var("SQS_QUEUE_URL").ok();
        Target::resolve(&args.target, environment_url).await.map_err(|error| Failure::Unusable(error.into()))?
    };
    say(args, &target.to_string());
    let pointer = pointer(args.event_id_pointer.as_ref(), &target).map_err(Failure::Unusable)?;
    let mut connected = Connected::to(&target, &pointer).await.map_err(Failure::Unreachable)?;
    let prefix = &connected.stack.object_prefix;
    let prefix = ObjectPrefix::parse(prefix)
        .with_context(|| format!("the object prefix {prefix:?}"))
        .map_err(Failure::Unusable)?;
    let plan =
        Plan::new(args, &pointer, connected.max_message_bytes).map_err(|error| Failure::Unusable(error.into()))?;

    let (messages, events) = (plan.messages.len(), plan.event_ids.len());
    let what = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    let (messages, events) = (what(messages, "message"), what(events, "event"));
    say(args, &format!("sending {messages} of {events}, {} at a time", args.concurrency));
    let (started, started_at) = (tokio::time::Instant::now(), SystemTime::now());
    let mut pipeline = connected.take_pipeline();
    let connected = &connected;
    let observe = async {
        // The functions' clocks may be a little behind ours.
        let read_from = started_at - Duration::from_secs(5);
        let since_1970 = read_from.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let started_ms = i64::try_from(since_1970.as_millis()).unwrap_or_default();
        let show = |line: &str| say(args, line.trim_end());
        let mut reader = LogReader::new(connected, &plan, started_ms, args.logs.then_some(&show as &dyn Fn(&str)));

        let all_sent = tokio::sync::Notify::new();
        let sending = async {
            let give_up = started + args.timeout;
            let sent = send::send_all(connected, &plan, args.concurrency as usize, give_up, note).await;
            all_sent.notify_one();
            sent
        };
        let (sent, ()) = tokio::join!(sending, reader.follow(&all_sent));
        if let Some((_, problem)) = sent.unconfirmed.first() {
            say(args, &format!("{} sends were not confirmed, the first because: {problem}", sent.unconfirmed.len()));
        }
        say(args, &format!("sent in {:.2} s; waiting for the pipeline to drain", started.elapsed().as_secs_f64()));
        let watch = Watch::new(connected, prefix.clone(), &plan, &sent, reader);
        let seen = watch.until_drained(args.timeout, note).await;
        let run = Run { plan: &plan, sent: &sent, seen: &seen, prefix: &prefix, started: started_at };
        run.reading(started.elapsed())
    };
    let reading = tokio::select! {
        reading = observe => reading,
        broken = stack::broken(&mut pipeline) => {
            return Err(Failure::Unreachable(anyhow::anyhow!("the embedded pipeline broke: {broken}")));
        }
    };
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, &reading).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        writeln!(out).and_then(|()| report::write(&reading, &mut out))
    };
    match written {
        // Whoever stopped reading still gets the verdict, as the exit code.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Unreachable(anyhow::Error::new(error).context("the verdict cannot be printed")))
        }
        _ => Ok(reading.verdict),
    }
}

/// Tells an event's story, prints it, and gives it.
///
/// # Errors
/// When there is no stack to ask.
pub async fn trace(args: &TraceArgs) -> Result<Story, Failure> {
    let environment_url = std::env::var("SQS_QUEUE_URL").ok();
    let target = Target::resolve(&args.target, environment_url).await;
    let mut target = target.map_err(|error| Failure::Unusable(error.into()))?;
    let pointer = pointer(args.event_id_pointer.as_ref(), &target).map_err(Failure::Unusable)?;
    let Some(stack) = &mut target.stack else {
        let text = "there is no stack to look at: name its queue with --queue-url or SQS_QUEUE_URL, or its Terraform folder. The \
                    embedded pipeline is kept up by `producer local`";
        return Err(Failure::Unusable(anyhow::anyhow!(text)));
    };
    stack.on_failure_url = args.on_failure_url.clone().or(stack.on_failure_url.take());
    let prefix = ObjectPrefix::parse(&stack.object_prefix)
        .with_context(|| format!("the object prefix {:?}", stack.object_prefix))
        .map_err(Failure::Unusable)?;
    let connected = Connected::to(&target, &pointer).await.map_err(Failure::Unreachable)?;
    let (event_id, now) = (&args.event_id, chrono::Utc::now());
    let story = trace::trace(&connected, event_id, &prefix, &pointer, args.since, now).await;
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

/// Where the events' ids stand: as the command line says, else as the stack says.
fn pointer(given: Option<&EventIdPointer>, target: &Target) -> anyhow::Result<EventIdPointer> {
    if let Some(pointer) = given {
        return Ok(pointer.clone());
    }
    let of_stack = target.stack.as_ref().and_then(|stack| stack.event_id_pointer.as_deref()).unwrap_or("/event_id");
    EventIdPointer::parse(of_stack).with_context(|| format!("the stack's event id pointer {of_stack:?}"))
}

/// What a person wants to know as it happens: on standard output, unless that is for the verdict alone.
fn say(args: &RunArgs, text: &str) {
    // A closed pipe is no reason to stop: the exit code still tells the verdict.
    let _ = if args.json { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") };
}

/// How far it is.
fn note(progress: &str) {
    let _ = writeln!(io::stderr(), "{progress}");
}
