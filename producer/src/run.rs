//! The command `run`: sends messages, watches the pipeline drain, judges what came out, and shows it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use claim::EventIdPointer;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::bill::Bill;
use crate::cli::RunArgs;
use crate::embedded::EmbeddedStack;
use crate::events::Plan;
use crate::evidence::Evidence;
use crate::failure::Failure;
use crate::function_logs::LogReader;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::report::{RunReport, page, text};
use crate::scenario::Scenario;
use crate::send::{SendSettings, send_all};
use crate::target::Target;
use crate::verdict::Verdict;
use crate::watch::Watch;

/// The functions' clocks may be so much behind ours.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// Does what the command line asks for, prints what came of it, and gives the verdict.
///
/// # Errors
/// When there is no verdict.
pub async fn run(args: &RunArgs) -> Result<Verdict, Failure> {
    if let Some(file) = &args.report {
        // It is better to know before an hour of sending.
        check_writable(file).with_context(|| cannot_write(file)).map_err(Failure::Unusable)?;
    }
    let progress = Progress::new(args.json).on_terminal();
    let report = tokio::select! {
        // The handler stands before anything is done.
        biased;
        () = wait_for_interrupt(&progress) => return Err(Failure::Interrupted),
        report = report_run(args, &progress) => report?,
    };
    publish(&report, args, &progress)
}

/// Ends the run early on the first Ctrl-C, and returns on the second.
async fn wait_for_interrupt(progress: &Progress) {
    // Where signals cannot be had, Ctrl-C ends the process as it always did.
    if tokio::signal::ctrl_c().await.is_ok() {
        progress.print("ending with what has been seen; Ctrl-C again ends without a report");
        progress.stop();
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Runs the chosen scenario on the deployed or the embedded pipeline.
async fn report_run(args: &RunArgs, progress: &Progress) -> Result<RunReport, Failure> {
    let scenario = args.chosen_scenario();
    let target = if args.local {
        Target::embedded()
    } else {
        let url_variable = std::env::var("SQS_QUEUE_URL").ok();
        Target::resolve(&args.target, url_variable).await.map_err(|error| Failure::Unusable(error.into()))?
    };
    progress.print(&target.to_string());
    let pointer = target.event_id_pointer(args.event_id_pointer.as_ref());
    let report = match &target.stack {
        Some(_) if scenario.is_embedded_only() => {
            let text =
                format!("{} does to its pipeline what cannot be done to a deployed one: give --local", scenario.name);
            return Err(Failure::Unusable(anyhow::anyhow!(text)));
        }
        Some(stack) => {
            let pointer = pointer.map_err(Failure::Unusable)?;
            let client = PipelineClient::deployed(stack).await.map_err(Failure::Unreachable)?;
            judge(&client, scenario, args, &pointer, progress).await?
        }
        None => run_embedded(scenario, args, &pointer.map_err(Failure::Unusable)?, progress).await?,
    };
    Ok(RunReport { target: target.to_string(), ..report })
}

/// Starts an embedded pipeline for the run, and adds what the run would cost on AWS.
async fn run_embedded(
    scenario: &'static Scenario,
    args: &RunArgs,
    pointer: &EventIdPointer,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let seed = fastrand::u64(..);
    let embedded = EmbeddedStack::new(pointer, scenario, seed).map_err(Failure::Unreachable)?;
    let mut pipeline = embedded.start(seed);
    let mut client = PipelineClient::embedded(&embedded);
    client.describe_queue().await.map_err(Failure::Unreachable)?;
    let report = tokio::select! {
        report = judge(&client, scenario, args, pointer, progress) => report?,
        cause = pipeline.broken() => {
            return Err(Failure::Unreachable(anyhow::anyhow!("the embedded pipeline broke: {cause}")));
        }
    };
    // What may have been sent counts as sent, as it does in the units.
    let bill = Bill::new(&embedded.services.usage(), report.sent + report.unconfirmed, report.events);
    Ok(RunReport { bill, ..report })
}

/// Sends, waits until all is done or the time is up, and judges what there is then.
///
/// # Errors
/// When what is to be sent cannot be made. Nothing was sent.
pub async fn judge(
    client: &PipelineClient,
    scenario: &'static Scenario,
    args: &RunArgs,
    pointer: &EventIdPointer,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let prefix = client.stack.parse_object_prefix().map_err(Failure::Unusable)?;
    let plan = build_plan(scenario, args, pointer, client.max_message_bytes, progress).await?;
    let settings = SendSettings {
        concurrency: args.concurrency as usize,
        batch_size: args.batch_size.unwrap_or(scenario.batch_size).into(),
        rate: args.rate.or(scenario.rate),
        slack: args.timeout,
    };
    progress.print(&announcement(&plan, settings, scenario));
    let started = Instant::now();
    let started_at = SystemTime::now();
    let since_1970 = (started_at - CLOCK_DIFFERENCE).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let read_from_ms = i64::try_from(since_1970.as_millis()).unwrap_or_default();
    let mut reader = LogReader::new(client, &plan, read_from_ms, progress, args.logs);

    let observe = async {
        let all_sent = Notify::new();
        let sending = async {
            let sent = send_all(client, &plan, settings, progress).await;
            all_sent.notify_one();
            sent
        };
        let (sent, ()) = tokio::join!(sending, reader.follow(&all_sent));
        for (what, problems) in [("not confirmed", &sent.unconfirmed), ("refused", &sent.refused)] {
            if let Some((_, problem)) = problems.first() {
                progress.print(&format!("{} messages were {what}, the first because: {problem}", problems.len()));
            }
        }
        let sent_in = started.elapsed();
        progress.print(&format!("sent in {:.2} s; waiting for the pipeline to drain", sent_in.as_secs_f64()));
        let watch = Watch::new(client, prefix.clone(), &plan, &sent, reader);
        let seen = watch.until_drained(args.timeout, progress).await;
        (sent, seen)
    };
    let (sent, seen) = tokio::select! {
        observed = observe => observed,
        () = progress.show(plan.messages.len()) => unreachable!("it is shown until it is dropped"),
    };
    progress.end();
    let evidence = Evidence {
        scenario,
        plan: &plan,
        sent: &sent,
        seen: &seen,
        prefix: &prefix,
        started: started_at,
        faults_occurred: client.faults_occurred(scenario),
        is_partial: progress.is_stopped(),
    };
    Ok(RunReport { seed: args.seed, ..RunReport::new(&evidence, started.elapsed()) })
}

/// Makes the plan in a thread of its own, which takes a while if it is a large one, so that Ctrl-C ends it. (The runtime would wait
/// for a blocking task of its own.)
async fn build_plan(
    scenario: &'static Scenario,
    args: &RunArgs,
    pointer: &EventIdPointer,
    max_bytes: usize,
    progress: &Progress,
) -> Result<Plan, Failure> {
    let (done, plan) = oneshot::channel();
    let args = args.clone();
    let pointer = pointer.clone();
    thread::spawn(move || drop(done.send(Plan::new(scenario, &args, &pointer, max_bytes))));
    tokio::select! {
        plan = plan => {
            let plan = plan.context("what is to be sent could not be made").map_err(Failure::Unusable)?;
            plan.map_err(|error| Failure::Unusable(error.into()))
        }
        // Nothing was sent, and there is nothing to report.
        () = progress.stopped() => Err(Failure::Interrupted),
    }
}

fn announcement(plan: &Plan, settings: SendSettings, scenario: &Scenario) -> String {
    let count = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    let messages = count(plan.messages.len(), "message");
    let events = count(plan.event_ids.len(), "event");
    let rejected = plan.messages.iter().filter(|message| message.event.is_none()).count();
    let rejected = if rejected == 0 { String::new() } else { format!(" and {rejected} that cannot be claimed") };
    let rate = settings.rate.map(|rate| format!(", {rate} a second")).unwrap_or_default();
    let batches =
        if settings.batch_size == 1 { String::new() } else { format!("batches of {}, ", settings.batch_size) };
    let name = scenario.name;
    format!("{name}: sending {messages} of {events}{rejected}, {batches}{} at a time{rate}", settings.concurrency)
}

/// Writes the page if one is wanted, and prints the report.
fn publish(report: &RunReport, args: &RunArgs, progress: &Progress) -> Result<Verdict, Failure> {
    // Whatever becomes of the page, the verdict is printed.
    let page = args
        .report
        .as_ref()
        .map_or(Ok(()), |file| fs::write(file, page::render(report)).with_context(|| cannot_write(file)));
    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        writeln!(out).and_then(|()| text::write(report, args.bill, &mut out))
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
fn check_writable(file: &Path) -> io::Result<()> {
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
