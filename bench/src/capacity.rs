//! Computes and simulates how many events a deployed stack can process, and prints the tables of docs/capacity.md. Can
//! also predict the embedded pipeline. Nothing here was measured on AWS.

mod model;
mod stack;
mod tables;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use pipeline::PipelineSettings;

use crate::capacity::model::{Function, MILLISECOND, Model, SECOND, Sender, simulate};
use crate::capacity::tables::{Table, rounded, thousands};

/// The options of the command `capacity`.
#[derive(Args)]
pub(crate) struct CapacityArgs {
    /// Predict the embedded pipeline instead of a deployed stack, from times measured on this machine
    #[arg(long)]
    embedded: bool,
    /// CPU time of the sender per message, in microseconds
    #[arg(long, value_name = "US", required_if_eq("embedded", "true"), requires = "embedded")]
    send: Option<u64>,
    /// CPU time of `ingest-fn` per message, including its requests to the table, in microseconds
    #[arg(long, value_name = "US", required_if_eq("embedded", "true"), requires = "embedded")]
    ingest: Option<u64>,
    /// CPU time of `archive-fn` per record, including its requests to the lake and the reads of the stream, in
    /// microseconds
    #[arg(long, value_name = "US", required_if_eq("embedded", "true"), requires = "embedded")]
    archive: Option<u64>,
    /// CPU time per batch of `ingest-fn`, in microseconds, in addition to the time per message
    #[arg(long, value_name = "US", default_value_t = 0, requires = "embedded")]
    ingest_batch: u64,
    /// CPU time per batch of `archive-fn`, in microseconds, in addition to the time per record
    #[arg(long, value_name = "US", default_value_t = 0, requires = "embedded")]
    archive_batch: u64,
    /// Number of CPU cores that an overloaded run keeps busy: CPU time of the process divided by elapsed time
    #[arg(long, default_value_t = 2.0, requires = "embedded")]
    cores: f64,
    /// Time between two polls of the empty stream, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..), requires = "embedded")]
    poll_interval: u64,
    /// Messages sent per second; can be repeated
    #[arg(long, default_values_t = [500, 1_500, 10_000], requires = "embedded")]
    rate: Vec<u32>,
    /// Duration of the load, in seconds
    #[arg(long, default_value_t = 60, requires = "embedded")]
    seconds: u64,
}

/// Prints the tables of docs/capacity.md, or a prediction for the embedded pipeline.
pub(crate) fn write(args: &CapacityArgs, out: &mut impl Write) -> io::Result<()> {
    if args.embedded {
        return write_embedded(args, out);
    }
    for (title, table) in tables::all() {
        writeln!(out, "{title}\n\n{table}")?;
    }
    Ok(())
}

fn write_embedded(args: &CapacityArgs, out: &mut impl Write) -> io::Result<()> {
    let head = [
        "offered per second",
        "claimed per second",
        "archived per second",
        "unclaimed at the end of the load",
        "unarchived then",
        "all archived, s",
        "lag p50, s",
        "lag p99, s",
    ];
    let mut table = Table::new(&head, &[true; 8]);
    for &rate in &args.rate {
        let model = embedded(args, rate);
        let loaded = simulate(&model);
        let drained = simulate(&Model { stops_with_load: false, ..model });
        let per_second = |in_second_half: u64| rounded(number(in_second_half) * 2.0 / number(args.seconds));
        table.row(&[
            thousands(&rate),
            per_second(loaded.second_half.0),
            per_second(loaded.second_half.1),
            thousands(&loaded.queued()),
            thousands(&loaded.unarchived()),
            format!("{:.1}", seconds(drained.last_object)),
            format!("{:.3}", seconds(drained.lag.percentile(50))),
            format!("{:.3}", seconds(drained.lag.percentile(99))),
        ]);
    }
    write!(out, "{table}")
}

/// Returns a model of the embedded pipeline, whose services answer at once and share the CPU with the functions. Its
/// stream has one shard, which is processed one batch at a time.
fn embedded(args: &CapacityArgs, rate: u32) -> Model {
    let settings = PipelineSettings::default();
    let cores: u32 = (1..=1_024).find(|&cores| f64::from(cores) >= args.cores).unwrap_or(1_024);
    // 1.5 cores are modeled as two cores with three quarters of the speed.
    let on_core = |micros: u64| micros_of(Duration::from_micros(micros).mul_f64(f64::from(cores) / args.cores));
    let function = |batch_size, window, cpu_per_batch, cpu_per_message: Option<u64>| Function {
        batch_size,
        window: micros_of(window),
        cpu_per_batch: on_core(cpu_per_batch),
        cpu_per_message: on_core(cpu_per_message.unwrap_or(0)),
        latency: 0,
        in_flight: 1,
    };
    let concurrency = settings.sqs_mapping.maximum_concurrency as u64;
    // The producer sends a tenth of a second's messages at a time, at most ten.
    let messages_per_request = rate.div_ceil(10).min(10) as usize;
    Model {
        seed: 1,
        rate,
        load_time: args.seconds * SECOND,
        stops_with_load: true,
        sender: Some(Sender { messages_per_request, cpu_per_message: on_core(args.send.unwrap_or(0)) }),
        ingest: function(
            settings.sqs_mapping.batch_size,
            settings.sqs_mapping.batching_window,
            args.ingest_batch,
            args.ingest,
        ),
        maximum_concurrency: concurrency,
        ramp: (concurrency, 0),
        visibility_timeout: micros_of(settings.function_timeout * 6 + settings.sqs_mapping.batching_window),
        maximum_in_flight: UNLIMITED,
        max_receive_count: settings.max_receive_count,
        table_rate: UNLIMITED,
        archive: function(
            settings.stream_mapping.batch_size,
            settings.stream_mapping.batching_window,
            args.archive_batch,
            args.archive,
        ),
        lanes: 1,
        poll_interval: args.poll_interval * MILLISECOND,
        lake_rate: UNLIMITED,
        account_concurrency: UNLIMITED,
        shortest_slot: 0,
        cores: cores.into(),
    }
}

/// A rate or a number that is never reached.
const UNLIMITED: u64 = 1_000_000_000;

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a time is shorter than 2^64 microseconds")
}

fn seconds(micros: u64) -> f64 {
    number(micros) / number(SECOND)
}

#[expect(clippy::cast_precision_loss, reason = "all counts and times are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}
