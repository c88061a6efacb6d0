//! The command `run`: sends messages, waits until the pipeline is drained, judges the result and prints the report.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use claim::EventRules;
use emulator::dynamodb::TableStorage;
use ops::command_line::{error_line, write_json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::bill::Bill;
use crate::cli::RunArgs;
use crate::cpu::{self, CpuByPart};
use crate::embedded::EmbeddedStack;
use crate::events::{self, Plan};
use crate::evidence::Evidence;
use crate::failure::Failure;
use crate::function_logs::LogReader;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::report::{RunReport, page, text};
use crate::scenario::Scenario;
use crate::send::{SendSettings, send_all};
use crate::target::{FunctionSettings, Target};
use crate::verdict::Verdict;
use crate::watch::Watch;

/// The producer assumes that the functions' clocks are at most this far behind this machine's clock. So it reads the
/// logs from this long before the start of the run.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// Maximum number of messages of a run whose embedded table is stored in memory. A million messages would need 1.8 GB.
const MAX_MESSAGES_IN_MEMORY: u64 = 200_000;

/// Runs the command, prints the report and returns the verdict.
///
/// # Errors
/// Fails if the run ends without a verdict, or if the verdict is `held` and the report cannot be written.
pub async fn run(args: &RunArgs) -> Result<Verdict, Failure> {
    if let Some(file) = &args.report {
        // Without this check, the error would come only after the run, which may take an hour.
        check_writable(file).with_context(|| failed_to_write(file)).map_err(Failure::Unusable)?;
    }
    let progress = Progress::new(args.json).on_terminal();
    let report = tokio::select! {
        // Poll the Ctrl-C handler first, so that it is installed before the run starts.
        biased;
        () = wait_for_interrupt(&progress) => return Err(Failure::Interrupted),
        report = report_run(args, &progress) => report?,
    };
    publish(&report, args, &progress)
}

/// On the first Ctrl-C, stops the run early. On the second, returns.
async fn wait_for_interrupt(progress: &Progress) {
    // If the Ctrl-C handler cannot be installed, Ctrl-C still kills the process.
    if tokio::signal::ctrl_c().await.is_ok() {
        progress.print("stopping: the report covers what was seen so far; press Ctrl-C again to exit without a report");
        progress.stop();
        if tokio::signal::ctrl_c().await.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Runs the chosen scenario on the deployed or the embedded pipeline, and returns its report.
async fn report_run(args: &RunArgs, progress: &Progress) -> Result<RunReport, Failure> {
    let scenario = args.chosen_scenario();
    let target = if args.local {
        Target::embedded()
    } else {
        let url_variable = std::env::var_os("SQS_QUEUE_URL");
        Target::resolve(&args.target, url_variable).await.map_err(|error| Failure::Unusable(error.into()))?
    };
    progress.print(&target.to_string());
    let settings = target.settings_of_run(&args.settings, scenario);
    let report = match &target.stack {
        Some(_) if scenario.is_embedded_only() => {
            let name = scenario.name;
            let text =
                format!("cannot run `{name}` on a deployed stack, because it needs injected faults: give --local");
            return Err(Failure::Unusable(anyhow::anyhow!(text)));
        }
        Some(_) if args.embedded.packs || args.embedded.batched_claims => {
            let option = if args.embedded.packs { "--packs" } else { "--batched-claims" };
            return Err(Failure::Unusable(anyhow::anyhow!("cannot use {option} on a deployed stack: give --local")));
        }
        Some(stack) => {
            let settings = settings.map_err(Failure::Unusable)?;
            let client = PipelineClient::deployed(stack).await.map_err(Failure::Unreachable)?;
            judge(&client, scenario, args, &settings, progress).await?
        }
        None => {
            let settings = FunctionSettings { embedded: args.embedded, ..settings.map_err(Failure::Unusable)? };
            run_embedded(scenario, args, &settings, progress).await?
        }
    };
    Ok(RunReport { target: target.to_string(), ..report })
}

/// Runs the scenario on a new embedded pipeline, and adds the bill to the report.
async fn run_embedded(
    scenario: &'static Scenario,
    args: &RunArgs,
    settings: &FunctionSettings,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let seed = fastrand::u64(..);
    let is_large = events::about_how_many(scenario, args) > MAX_MESSAGES_IN_MEMORY;
    let storage = if is_large { TableStorage::TemporaryFile } else { TableStorage::Memory };
    let embedded = EmbeddedStack::new(settings, scenario, storage, seed).map_err(Failure::Unreachable)?;
    let mut pipeline = embedded.start(seed).map_err(Failure::Unreachable)?;
    let mut client = PipelineClient::embedded(&embedded);
    client.describe_queue().await.map_err(Failure::Unreachable)?;
    let report = tokio::select! {
        report = judge(&client, scenario, args, settings, progress) => report?,
        cause = pipeline.wait_for_failure() => {
            return Err(Failure::Unreachable(anyhow::anyhow!("the embedded pipeline failed: {cause}")));
        }
    };
    // The bill counts unconfirmed messages as sent, because the metered usage may include them.
    let usage = embedded.services.usage();
    let bill = Bill::new(&usage, report.sent + report.unconfirmed, report.events);
    Ok(RunReport { bill, put_requests: Some(usage.s3_puts + usage.s3_puts_refused), ..report })
}

/// Sends the messages, waits until the pipeline is drained or the timeout expires, and judges the result.
///
/// # Errors
/// Fails if the object prefix is not valid, if the messages cannot be built, or if Ctrl-C is pressed before they are
/// built. In each case, no message has been sent.
pub async fn judge(
    client: &PipelineClient,
    scenario: &'static Scenario,
    args: &RunArgs,
    settings: &FunctionSettings,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let FunctionSettings { rules, log_routine_outcomes, .. } = settings;
    let prefix = client.stack.parse_object_prefix().map_err(Failure::Unusable)?;
    let plan = build_plan(scenario, args, rules, client.max_message_bytes, progress).await?;
    let send_settings = SendSettings {
        concurrency: args.concurrency as usize,
        batch_size: args.batch_size.unwrap_or(scenario.batch_size).into(),
        rate: args.rate.or(scenario.rate),
        slack: args.timeout,
    };
    progress.print(&announcement(&plan, send_settings, scenario));
    let started = Instant::now();
    let started_at = SystemTime::now();
    let since_1970 = (started_at - CLOCK_DIFFERENCE).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let read_from_ms = i64::try_from(since_1970.as_millis()).unwrap_or_default();
    let mut reader = LogReader::new(client, &plan, &prefix, read_from_ms, progress, args.logs);

    let observe = async {
        let all_sent = Notify::new();
        let sending = async {
            let sent = send_all(client, &plan, send_settings, progress).await;
            all_sent.notify_one();
            sent
        };
        let (sent, ()) = tokio::join!(sending, reader.follow(&all_sent));
        for (what, problems) in [("not confirmed", &sent.unconfirmed), ("refused", &sent.refused)] {
            if let Some((_, problem)) = problems.first() {
                progress.print(&format!("{} messages were {what}; the first error: {problem}", problems.len()));
            }
        }
        let sending = cpu::of_this_thread();
        let sent_in = started.elapsed();
        progress.print(&format!("sent in {:.2} s; waiting for the pipeline to drain", sent_in.as_secs_f64()));
        let watch = Watch::new(client, prefix.clone(), &plan, &sent, reader, *log_routine_outcomes);
        let seen = watch.until_drained(args.timeout, progress).await;
        (sent, seen, sending)
    };
    let (sent, seen, sending) = tokio::select! {
        observed = observe => observed,
        () = progress.show(plan.messages.len()) => unreachable!("`show` never returns"),
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
        log_routine_outcomes: *log_routine_outcomes,
        is_partial: progress.is_stopped(),
    };
    let report = RunReport::new(&evidence, started.elapsed());
    let cpu_ms = client.embedded.as_deref().map(|services| CpuByPart::new(services, sending));
    Ok(RunReport { seed: args.seed, lake_requests: Arc::clone(&client.lake_requests), cpu_ms, ..report })
}

/// Builds the plan in a separate thread, so that Ctrl-C can end the process while a large plan is being built. A
/// blocking task would not allow that, because the runtime waits for blocking tasks when the process exits.
async fn build_plan(
    scenario: &'static Scenario,
    args: &RunArgs,
    rules: &EventRules,
    max_bytes: usize,
    progress: &Progress,
) -> Result<Plan, Failure> {
    let (done, plan) = oneshot::channel();
    let args = args.clone();
    let rules = rules.clone();
    thread::spawn(move || drop(done.send(Plan::new(scenario, &args, &rules, max_bytes))));
    tokio::select! {
        plan = plan => {
            let plan = plan.context("failed to build the messages").map_err(Failure::Unusable)?;
            plan.map_err(|error| Failure::Unusable(error.into()))
        }
        // No message has been sent yet, so there is nothing to report.
        () = progress.stopped() => Err(Failure::Interrupted),
    }
}

fn announcement(plan: &Plan, settings: SendSettings, scenario: &Scenario) -> String {
    let count = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    let messages = count(plan.messages.len(), "message");
    let events = count(plan.event_ids.len(), "event");
    let rejected = plan.messages.iter().filter(|message| message.event.is_none()).count();
    let rejected = if rejected == 0 { String::new() } else { format!(" and {rejected} that cannot be claimed") };
    let batches =
        if settings.batch_size == 1 { String::new() } else { format!("in batches of {}, ", settings.batch_size) };
    let requests = count(settings.concurrency, "request");
    let rate = settings.rate.map(|rate| format!(", {rate} messages per second")).unwrap_or_default();
    let name = scenario.name;
    format!("{name}: sending {messages} of {events}{rejected}, {batches}{requests} at a time{rate}")
}

/// Writes the HTML page if the command line asks for one, and prints the report.
fn publish(report: &RunReport, args: &RunArgs, progress: &Progress) -> Result<Verdict, Failure> {
    // A page that cannot be written must not prevent the verdict from being printed.
    let page = args
        .report
        .as_ref()
        .map_or(Ok(()), |file| fs::write(file, page::render(report)).with_context(|| failed_to_write(file)));
    let mut out = io::stdout().lock();
    let written = if args.json {
        write_json(&mut out, report)
    } else {
        writeln!(out).and_then(|()| text::write(report, args.bill, &mut out))
    };
    let shown = match written {
        // If the reader has closed the pipe, the exit code still gives the verdict.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to print the verdict"))
        }
        _ => page,
    };
    match (report.verdict, shown) {
        (Verdict::Held, Err(problem)) => Err(Failure::Unreachable(problem)),
        (verdict, shown) => {
            // A report that cannot be written must not hide a violated invariant, so the exit code still gives the
            // verdict.
            if let Err(problem) = shown {
                progress.eprint(&format!("error: {}", error_line(problem.as_ref())));
            }
            Ok(verdict)
        }
    }
}

/// Checks that a file can be written. Does not change an existing file, and removes a file that the check created.
fn check_writable(file: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new().write(true).create_new(true).open(file)?;
            fs::remove_file(file)
        }
        opened => opened.map(drop),
    }
}

fn failed_to_write(report: &Path) -> String {
    format!("failed to write the report {}", report.display())
}
