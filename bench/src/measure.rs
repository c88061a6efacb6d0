//! Measures one function with one kind of traffic. The function starts cold, and has its own emulated services.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use emulator::meter::Usage;
use serde::Serialize;

use crate::process::{Process, back_end, on_a_runtime};
use crate::subject::{Leaves, Subject};
use bench::traffic::{BATCH, Relation, Size, Traffic};

/// Number of warm-up batches after the first batch. They open the connections and trigger all lazy initialization, and
/// their CPU time does not count.
const WARM_UP: usize = 20;

/// Number of cold starts in a run. The run reports the median of their times, because a single time varies too much on
/// a busy machine.
const STARTS: usize = 5;

/// The figures of one run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Time from process start to the first request for an event, in milliseconds.
    pub(crate) cold_ms: f64,
    /// Time from process start to the response to the first batch, in milliseconds. The batch is available as soon as
    /// the function asks for it.
    pub(crate) first_batch_ms: f64,
    /// CPU time of the warm function per message, in microseconds.
    pub(crate) cpu_us: f64,
    /// Number of requests per message that the warm function sends to the services.
    pub(crate) requests: f64,
    /// Peak resident memory, in MB.
    pub(crate) memory_mb: f64,
}

/// Runs a function with `batches` warm batches, and checks how many items and objects it left in the services.
pub(crate) fn run(subject: &Subject, size: Size, relation: Relation, batches: usize) -> anyhow::Result<Sample> {
    on_a_runtime(drive(subject, size, relation, batches))
        .with_context(|| format!("{} with {relation:?} events of {}", subject.name, size.name()))
}

async fn drive(subject: &Subject, size: Size, relation: Relation, batches: usize) -> anyhow::Result<Sample> {
    let (services, endpoint) = back_end().await?;
    let mut traffic = Traffic::new(subject.source, size, relation);
    let mut events = 0;
    let mut next = |messages| {
        let (batch, new) = traffic.batch(messages);
        events += new;
        batch
    };

    let mut cold_ms = Vec::new();
    let mut first_batch_ms = Vec::new();
    for _ in 0..STARTS {
        let (cold, first_batch) = cold_start(subject, size, relation).await?;
        cold_ms.push(cold.as_secs_f64() * 1e3);
        first_batch_ms.push(first_batch.as_secs_f64() * 1e3);
    }
    let mut process = Process::start(subject, &endpoint).await?;
    for _ in 0..=WARM_UP {
        process.invoke(next(BATCH)).await?;
    }
    let (requests, cpu) = (requests(&services.usage()), process.cpu()?);
    for _ in 0..batches {
        process.invoke(next(BATCH)).await?;
    }
    let (cpu, memory_mb) = (process.cpu()?.saturating_sub(cpu), process.peak_memory_mb()?);
    let usage = services.usage();

    let objects = services.lakes.versions(pipeline::names::BUCKET).len();
    // The bare functions do not recognize duplicates and write every message.
    let expected = if subject.name.starts_with("bare") { (batches + WARM_UP + 1) * BATCH } else { events };
    let (items, objects_expected) = match subject.leaves {
        Leaves::Item => (expected, 0),
        Leaves::Object => (0, expected),
        Leaves::Both => (expected, expected),
    };
    ensure!(usage.table_items == items as u64, "{} items in the table, expected {items}", usage.table_items);
    ensure!(objects == objects_expected, "{objects} objects in the lake, expected {objects_expected}");
    ensure!(usage.requests.contains_key(subject.uses), "no {} request was made: {:?}", subject.uses, usage.requests);

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (messages, requests) = ((batches * BATCH) as f64, (self::requests(&usage) - requests) as f64);
    Ok(Sample {
        cold_ms: median(cold_ms),
        first_batch_ms: median(first_batch_ms),
        cpu_us: cpu.as_secs_f64() * 1e6 / messages,
        requests: requests / messages,
        memory_mb,
    })
}

/// Returns two times, both from process start: to the function's first request for an event, and to its response to the
/// first batch.
async fn cold_start(subject: &Subject, size: Size, relation: Relation) -> anyhow::Result<(Duration, Duration)> {
    let (_services, endpoint) = back_end().await?;
    let (first, _) = Traffic::new(subject.source, size, relation).batch(BATCH);
    let mut process = Process::start(subject, &endpoint).await?;
    let cold = process.cold_start().await?;
    process.invoke(first).await?;
    Ok((cold, process.age()))
}

/// Returns the median. Panics if `values` is empty.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Makes a short run of the function, to check that it works and that it calls the operation named in `subject`.
pub(crate) fn try_out(subject: &Subject) -> anyhow::Result<()> {
    run(subject, Size::Reading, Relation::Distinct, 1).map(drop)
}

fn requests(usage: &Usage) -> u64 {
    usage.requests.values().sum()
}
