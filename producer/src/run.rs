//! A run: sending, watching, judging.

use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use claim::{EventIdPointer, ObjectPrefix};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::cli::RunArgs;
use crate::events::Plan;
use crate::function_logs::LogReader;
use crate::pipeline_client::PipelineClient;
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::send::{SendSettings, send_all};
use crate::target::Target;
use crate::verdict::{Evidence, RunReport};
use crate::watch::Watch;
use crate::{Failure, pipeline_client, pointer};

/// The functions' clocks may be so much behind ours.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// Does what the command line asks for, and says what came of it.
///
/// # Errors
/// When there is nothing to judge.
pub(crate) async fn run(args: &RunArgs, progress: &Progress) -> Result<RunReport, Failure> {
    let target = if args.local {
        Target::embedded()
    } else {
        let url_variable = std::env::var("SQS_QUEUE_URL").ok();
        Target::resolve(&args.target, url_variable).await.map_err(|error| Failure::Unusable(error.into()))?
    };
    progress.print(&target.to_string());
    let scenario = Scenario::chosen(args);
    if scenario.is_embedded_only() && target.stack.is_some() {
        let text =
            format!("{} does to its pipeline what cannot be done to a deployed one: give --local", scenario.name);
        return Err(Failure::Unusable(anyhow::anyhow!(text)));
    }
    let pointer = pointer(args.event_id_pointer.as_ref(), &target).map_err(Failure::Unusable)?;
    let mut client = PipelineClient::connect(&target, &pointer, scenario).await.map_err(Failure::Unreachable)?;
    let mut pipeline = client.take_pipeline();
    let judged = judge(&client, args, &pointer, progress);
    let mut report = tokio::select! {
        report = judged => report?,
        broken = pipeline_client::wait_for_failure(&mut pipeline) => {
            return Err(Failure::Unreachable(anyhow::anyhow!("the embedded pipeline broke: {broken}")));
        }
    };
    report.target = target.to_string();
    if let Some(pipeline) = &pipeline {
        report.bill = crate::bill::Bill::of(&pipeline.services.usage(), &report);
    }
    Ok(report)
}

/// Sends, waits until all is done or the time is up, and judges what there is then.
///
/// # Errors
/// When what is to be sent cannot be made. Nothing was sent.
pub async fn judge(
    client: &PipelineClient,
    args: &RunArgs,
    pointer: &EventIdPointer,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let scenario = Scenario::chosen(args);
    let prefix = &client.stack.object_prefix;
    let prefix = ObjectPrefix::parse(prefix)
        .with_context(|| format!("the object prefix {prefix:?}"))
        .map_err(Failure::Unusable)?;
    let plan = build_plan(args, pointer, client.max_message_bytes, progress).await?;
    let how = SendSettings {
        concurrency: args.concurrency as usize,
        batch_size: args.batch_size.unwrap_or(scenario.batch_size).into(),
        rate: args.rate.or(scenario.rate),
        slack: args.timeout,
    };
    progress.print(&announcement(&plan, how, scenario));
    let (started, started_at) = (Instant::now(), SystemTime::now());
    let since_1970 = (started_at - CLOCK_DIFFERENCE).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let read_from_ms = i64::try_from(since_1970.as_millis()).unwrap_or_default();
    let mut reader = LogReader::new(client, &plan, read_from_ms, progress, args.logs);

    let observe = async {
        let all_sent = Notify::new();
        let sending = async {
            let sent = send_all(client, &plan, how, progress).await;
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
    Ok(RunReport { seed: args.seed, ..evidence.report(started.elapsed()) })
}

/// Makes the plan in a thread of its own, which takes a while if it is a large one, so that Ctrl-C ends it. (The runtime would wait
/// for a blocking task of its own.)
async fn build_plan(
    args: &RunArgs,
    pointer: &EventIdPointer,
    max_bytes: usize,
    progress: &Progress,
) -> Result<Plan, Failure> {
    let (done, plan) = oneshot::channel();
    let (args, pointer) = (args.clone(), pointer.clone());
    thread::spawn(move || drop(done.send(Plan::new(&args, &pointer, max_bytes))));
    tokio::select! {
        plan = plan => {
            let plan = plan.context("what is to be sent could not be made").map_err(Failure::Unusable)?;
            plan.map_err(|error| Failure::Unusable(error.into()))
        }
        // Nothing was sent, and there is nothing to report.
        () = progress.stopped() => Err(Failure::Interrupted),
    }
}

fn announcement(plan: &Plan, how: SendSettings, scenario: &Scenario) -> String {
    let what = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    let (messages, events) = (what(plan.messages.len(), "message"), what(plan.event_ids.len(), "event"));
    let rejected = plan.messages.iter().filter(|message| message.event.is_none()).count();
    let rejected = if rejected == 0 { String::new() } else { format!(" and {rejected} that cannot be claimed") };
    let rate = how.rate.map(|rate| format!(", {rate} a second")).unwrap_or_default();
    let batches = if how.batch_size == 1 { String::new() } else { format!(" batches of up to {}", how.batch_size) };
    format!("{}: sending {messages} of {events}{rejected}, {}{batches} at a time{rate}", scenario.name, how.concurrency)
}
