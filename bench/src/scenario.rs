//! Measurements besides CPU time and cold start: a herd of identical messages, a million duplicates, connections,
//! memory under the largest batches, and the rate of one sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::process::{Process, back_end, on_a_runtime};
use crate::subject::{Artifact, Subject};
use bench::traffic::{Relation, Size, Traffic, queue_record, stream_record};

/// Largest payload that Lambda accepts for an invocation, in bytes.
const PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Largest batch size that the queue mapping accepts.
const LARGEST_BATCH: usize = 10_000;

/// Sends 50 identical messages to two warm sandboxes, in five batches of ten. Returns the number of write requests that
/// the sandboxes send to DynamoDB.
pub(crate) fn herd_writes(ingest: &Subject) -> anyhow::Result<u64> {
    on_a_runtime(async {
        let (services, endpoint) = back_end().await?;
        let mut sandboxes = [Process::start(ingest, &endpoint).await?, Process::start(ingest, &endpoint).await?];
        for (number, sandbox) in sandboxes.iter_mut().enumerate() {
            sandbox.invoke(batch([queue_record(number, &Size::Reading.body(&format!("warm-{number}")))])).await?;
        }
        let before = writes(&services.usage());
        let body = Size::Reading.body("grid_stress_999");
        let mut batches = (0..5).map(|number| batch((0..10).map(|n| queue_record(100 + number * 10 + n, &body))));
        let [first, second] = &mut sandboxes;
        // Both sandboxes work at the same time. The fifth batch runs alone.
        while let Some(one) = batches.next() {
            let other = batches.next();
            tokio::try_join!(first.invoke(one), async {
                match other {
                    Some(other) => second.invoke(other).await,
                    None => Ok(()),
                }
            })?;
        }
        Ok(writes(&services.usage()) - before)
    })
}

fn writes(usage: &emulator::meter::Usage) -> u64 {
    let is_write = |name: &str| name == "DynamoDb PutItem" || name == "DynamoDb BatchExecuteStatement";
    usage.requests.iter().filter(|(name, _)| is_write(name)).map(|(_, count)| count).sum()
}

/// Sends `duplicates` messages in batches of ten thousand. All messages are duplicates of a thousand events that are
/// already in the function's cache. Returns the number of requests that the function sends to the services for these
/// messages.
pub(crate) fn requests_of_duplicates(ingest: &Subject, duplicates: usize) -> anyhow::Result<u64> {
    on_a_runtime(async {
        let (services, endpoint) = back_end().await?;
        let mut process = Process::start(ingest, &endpoint).await?;
        let bodies: Vec<String> = (0..1_000).map(|event| format!(r#"{{"event_id":"{event}"}}"#)).collect();
        process.invoke(batch(bodies.iter().enumerate().map(|(n, body)| queue_record(n, body)))).await?;
        let before = services.usage().requests;
        let bodies = bodies.iter().cycle().take(LARGEST_BATCH);
        let all = batch(bodies.enumerate().map(|(n, body)| short_queue_record(n, body)));
        for _ in 0..duplicates / LARGEST_BATCH {
            process.invoke(all.clone()).await?;
        }
        let requests = |usage: &BTreeMap<String, u64>| usage.values().sum::<u64>();
        Ok(requests(&services.usage().requests) - requests(&before))
    })
}

/// The connections that one process has opened after each of three steps.
#[derive(Debug, Serialize)]
pub(crate) struct Connections {
    pub(crate) function: &'static str,
    /// Number of connections after a first batch of one message.
    pub(crate) after_one_message: u64,
    /// Number of connections after a second batch, of ten messages.
    pub(crate) after_ten: u64,
    /// Number of connections after two hundred more batches of ten messages.
    pub(crate) after_all: u64,
}

/// Counts the connections of each compiled function.
pub(crate) fn connections(subjects: &[Subject]) -> anyhow::Result<Vec<Connections>> {
    let compiled = subjects.iter().filter(|subject| matches!(subject.artifact, Artifact::Binary));
    let counted = compiled.map(|subject| {
        on_a_runtime(async {
            let (services, endpoint) = back_end().await?;
            let mut traffic = Traffic::new(subject.source, Size::Reading, Relation::Distinct);
            let mut process = Process::start(subject, &endpoint).await?;
            process.invoke(traffic.batch(1).0).await?;
            let after_one_message = services.usage().connections;
            process.invoke(traffic.batch(10).0).await?;
            let after_ten = services.usage().connections;
            for _ in 0..200 {
                process.invoke(traffic.batch(10).0).await?;
            }
            let after_all = services.usage().connections;
            Ok(Connections { function: subject.name, after_one_message, after_ten, after_all })
        })
    });
    counted.collect()
}

/// Peak memory of one process that handled one kind of large batch.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) what: &'static str,
    pub(crate) function: &'static str,
    pub(crate) peak_mb: f64,
}

/// Measures the peak memory with three kinds of large batches: five messages of 1 MiB, ten thousand small messages, and
/// a stream batch of 6 MB. For each kind, a separate process handles the batch `repeats` times.
pub(crate) fn memory(ingest: &Subject, archive: &Subject, repeats: usize) -> anyhow::Result<Vec<Memory>> {
    let large = (0..5).map(|n| {
        // The batch is JSON, so each quote in a body takes one more byte. The filler has no quotes, and it compresses
        // well.
        let head = format!(r#"{{"event_id":"large-{n}","x":""#);
        let filler = "0123456789".repeat(105_000);
        queue_record(n, &format!("{head}{}\"}}", &filler[..1024 * 1024 - head.len() - 2]))
    });
    let large = batch(large);
    let small = batch((0..LARGEST_BATCH).map(|n| short_queue_record(n, &format!(r#"{{"event_id":"small-{n}"}}"#))));
    let mut records: Vec<serde_json::Value> = Vec::new();
    let mut bytes = 0;
    while bytes < PAYLOAD_BYTES - 2_000 {
        let record = stream_record(records.len(), &Size::Reading.body(&format!("stream-{}", records.len())));
        bytes += record.to_string().len() + 1;
        records.push(record);
    }
    let stream = batch(records);
    [
        ("5 messages of 1 MiB", ingest, large),
        ("10,000 small messages", ingest, small),
        ("a stream batch of 6 MB", archive, stream),
    ]
    .into_iter()
    .map(|(what, subject, batch)| {
        let peak_mb = on_a_runtime(async {
            let (_services, endpoint) = back_end().await?;
            let mut process = Process::start(subject, &endpoint).await?;
            for _ in 0..repeats {
                process.invoke(batch.clone()).await?;
            }
            process.peak_memory_mb()
        })
        .context(what)?;
        Ok(Memory { what, function: subject.name, peak_mb })
    })
    .collect()
}

/// Rate of one sandbox with batches of a thousand messages. It is computed from the CPU time of the process, so it is
/// the rate that the process would reach with a core of its own.
#[derive(Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) function: &'static str,
    pub(crate) messages_per_cpu_second: f64,
    /// Rate in each quarter of the run.
    pub(crate) by_quarter: Vec<f64>,
}

/// Measures the rate of each function with batches of a thousand distinct readings. A Python function gets only one
/// batch in each quarter of the run, because it needs seconds for a batch.
pub(crate) fn rates<'a>(subjects: impl Iterator<Item = &'a Subject>, batches: usize) -> anyhow::Result<Vec<Rate>> {
    const MESSAGES: usize = 1_000;
    let measured = subjects.map(|subject| {
        let batches = if matches!(subject.artifact, Artifact::Binary) { batches } else { 1 };
        on_a_runtime(async {
            let (_services, endpoint) = back_end().await?;
            let mut traffic = Traffic::new(subject.source, Size::Reading, Relation::Distinct);
            let mut process = Process::start(subject, &endpoint).await?;
            process.invoke(traffic.batch(MESSAGES).0).await?;
            let began = process.cpu()?;
            let mut so_far = began;
            let mut by_quarter = Vec::new();
            for _ in 0..4 {
                for _ in 0..batches {
                    process.invoke(traffic.batch(MESSAGES).0).await?;
                }
                let now = process.cpu()?;
                by_quarter.push(per_second(batches * MESSAGES, now.saturating_sub(so_far)));
                so_far = now;
            }
            let messages_per_cpu_second = per_second(4 * batches * MESSAGES, so_far.saturating_sub(began));
            Ok(Rate { function: subject.name, messages_per_cpu_second, by_quarter })
        })
    });
    measured.collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_second(messages: usize, took: Duration) -> f64 {
    (messages as f64 / took.as_secs_f64()).round()
}

/// Returns a record with only the fields that the functions read. Ten thousand complete records would exceed Lambda's
/// payload limit.
fn short_queue_record(message: usize, body: &str) -> serde_json::Value {
    let mut record = queue_record(message, body);
    if let Some(record) = record.as_object_mut() {
        record.retain(|name, _| name == "messageId" || name == "body");
    }
    record
}

fn batch(records: impl IntoIterator<Item = serde_json::Value>) -> String {
    serde_json::json!({ "Records": records.into_iter().collect::<Vec<_>>() }).to_string()
}
