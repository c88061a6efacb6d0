//! The chaos generator: floods the pipeline with duplicates and shows what came out.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`target`], [`terraform`] | where to send, and why there |
//! | [`pipeline_client`] | the clients, for a deployed stack and the embedded pipeline alike |
//! | [`scenario`], [`events`], [`send`] | what is sent, and sending it |
//! | [`run`](mod@run), [`progress`] | a run from the first message to the verdict, and how far it is |
//! | [`watch`], [`function_logs`], [`read_back`], [`same_json`] | waiting until the pipeline is drained, and reading what came out |
//! | [`verdict`], [`measures`], [`report`] | what that means, what was measured, and showing it |
//! | `bill`, `prices` | what a run on the embedded pipeline would have cost on AWS |
//! | [`trace`](mod@trace) | one event's story |
//! | `embedded` | the embedded pipeline of a run, and what scenarios do to it |
//! | `explore` | the embedded pipeline, kept up for whoever wants to look around |
pub mod bill;
pub mod cli;
pub mod embedded;
pub mod events;
pub mod explore;
pub mod function_logs;
pub mod measures;
pub mod pipeline_client;
pub mod prices;
pub mod progress;
pub mod read_back;
pub mod report;
pub mod run;
pub mod same_json;
pub mod scenario;
pub mod send;
pub mod target;
pub mod terraform;
pub mod trace;
pub mod verdict;
pub mod watch;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use claim::{EventIdPointer, ObjectPrefix};

use crate::cli::{RunArgs, TraceArgs};
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::target::Target;
use crate::trace::Story;
use crate::verdict::Verdict;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, a file or the Terraform state cannot be used. Nothing was sent.
    #[error(transparent)]
    Unusable(anyhow::Error),
    /// The pipeline cannot be reached, or broke.
    #[error(transparent)]
    Unreachable(anyhow::Error),
    /// Ctrl-C came twice.
    #[error("interrupted")]
    Interrupted,
}

/// Does what the command line asks for, prints what came of it, and gives the verdict.
///
/// # Errors
/// When there is no verdict.
pub async fn run(args: &RunArgs) -> Result<Verdict, Failure> {
    if let Some(file) = &args.report {
        // It is better to know before an hour of sending.
        is_writable(file).with_context(|| cannot_write(file)).map_err(Failure::Unusable)?;
    }
    let progress = Progress::new(args.json).on_terminal();
    let until_interrupted = async {
        // Where signals cannot be had, Ctrl-C ends the process as it always did.
        if tokio::signal::ctrl_c().await.is_ok() {
            progress.print("ending with what has been seen; Ctrl-C again ends without a report");
            progress.stop();
            if tokio::signal::ctrl_c().await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        // The handler stands before anything is done.
        biased;
        () = until_interrupted => return Err(Failure::Interrupted),
        report = run::run(args, &progress) => report?,
    };
    // Whatever becomes of the page, the verdict is printed.
    let page = args
        .report
        .as_ref()
        .map_or(Ok(()), |file| fs::write(file, report::page::render(&report)).with_context(|| cannot_write(file)));
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        writeln!(out).and_then(|()| report::text::write(&report, &mut out))
    };
    let shown = match written {
        // Whoever stopped reading still gets the verdict, as the exit code.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("the verdict cannot be printed"))
        }
        _ => page,
    };
    match (report.verdict, shown) {
        (Verdict::Held, Err(problem)) => Err(Failure::Unreachable(problem)),
        (verdict, shown) => {
            // What is wrong with the pipeline is not to be hidden by what is wrong with a disk.
            if let Err(problem) = shown {
                progress.eprint(&format!("error: {problem:#}"));
            }
            Ok(verdict)
        }
    }
}

/// Tries whether a file can be written, and leaves it as it was: the same as before, or not there.
fn is_writable(file: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create_new(true).open(file)?;
            fs::remove_file(file)
        }
        opened => opened.map(drop),
    }
}

fn cannot_write(report: &Path) -> String {
    format!("the report {} cannot be written", report.display())
}

/// Tells an event's story, prints it, and gives it.
///
/// # Errors
/// When there is no stack to ask.
pub async fn trace(args: &TraceArgs) -> Result<Story, Failure> {
    let url_variable = std::env::var("SQS_QUEUE_URL").ok();
    let target = Target::resolve(&args.target, url_variable).await;
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
    // What a stack is asked for does not depend on any scenario.
    let client = PipelineClient::connect(&target, &pointer, Scenario::herd()).await.map_err(Failure::Unreachable)?;
    let (event_id, now) = (&args.event_id, chrono::Utc::now());
    let story = trace::trace(&client, event_id, &prefix, &pointer, args.since, args.record_age, now).await;
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
