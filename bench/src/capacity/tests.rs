//! Tests of the capacity model and of docs/capacity.md.

use pipeline::PipelineSettings;

use crate::capacity::model::{Function, MILLISECOND, Model, Outcome, SECOND, Sender, simulate};
use crate::capacity::stack::{DEFAULTS, Settings};
use crate::capacity::tables::{self, Capacities};
use crate::capacity::{CapacityArgs, UNLIMITED, embedded, micros_of, number};

/// Returns a model with a maximum concurrency of 1,000 and no rate limits of the table and the lake. `change` adds the
/// limits that a test needs.
fn fast(rate: u32, seconds: u64, change: impl FnOnce(&mut Model)) -> Model {
    let settings = Settings { maximum_concurrency: 1_000, parallelization_factor: 10, ..DEFAULTS };
    let mut model = Model { table_rate: UNLIMITED, lake_rate: UNLIMITED, ..settings.burst(rate, seconds) };
    change(&mut model);
    model
}

fn assert_near(actual: f64, expected: f64, tolerance: f64, what: &str) {
    let error = (actual / expected - 1.0).abs();
    assert!(error <= tolerance, "{what} is {actual}, not {expected}");
}

/// Each message ends as an object or as a dead letter, whatever the services refuse.
#[test]
fn no_message_is_lost() {
    let refusing = fast(2_000, 20, |model| (model.table_rate, model.lake_rate) = (300, 250));
    let run = simulate(&refusing);
    assert!(run.ingest.refused > 0 && run.archive.refused > 0);
    assert!(run.dead_letters > 0 && run.archived > 0, "{} dead letters, {} objects", run.dead_letters, run.archived);
    assert_eq!(run.sent, run.archived + run.dead_letters);
    assert_eq!((run.queued(), run.unarchived()), (0, 0));
    assert_eq!((run.ingest.busy, run.archive.busy), (0, 0));
}

/// A seed gives the same outcome in every run, and another seed gives a different one.
#[test]
fn a_run_is_deterministic() {
    let model = fast(500, 10, |model| model.table_rate = 400);
    assert!(simulate(&model) == simulate(&model));
    assert!(simulate(&model) != simulate(&Model { seed: 2, ..model }));
}

/// Neither mapping runs more batches at once than its settings, the queue and the account allow.
#[test]
fn concurrency_stays_within_its_limits() {
    let run = simulate(&DEFAULTS.steady(10_000, 10));
    assert_eq!((run.ingest.most_busy, run.archive.most_busy), (10, 8));
    let run = simulate(&fast(10_000, 10, |model| model.account_concurrency = 7));
    assert!(run.ingest.most_busy + run.archive.most_busy >= 7);
    assert!(run.ingest.most_busy <= 7 && run.archive.most_busy <= 7);
    let run = simulate(&fast(10_000, 10, |model| (model.maximum_in_flight, model.shortest_slot) = (50, 0)));
    assert!((5..=6).contains(&run.ingest.most_busy), "{} batches of ten", run.ingest.most_busy);
    // After ten seconds, the ramp has reached 5 + 300 / 6.
    let run = simulate(&Model { stops_with_load: true, ..fast(100_000, 10, |_| {}) });
    assert_eq!(run.ingest.most_busy, 55);
}

/// A service accepts requests at its rate, and in addition a burst of one second's requests.
#[test]
fn services_accept_no_more_than_their_rate() {
    let run = simulate(&Model { stops_with_load: true, ..fast(5_000, 30, |model| model.table_rate = 1_000) });
    assert!(run.claimed <= 31_000 && run.claimed > 29_000, "{}", run.claimed);
    let run = simulate(&Model { stops_with_load: true, ..fast(5_000, 30, |model| model.lake_rate = 1_000) });
    let puts = run.archived + run.repeated_puts;
    assert!(puts <= 31_000 && puts > 29_000, "{puts}");
}

/// An overloaded stack works at its capacity, which follows from the duration of a full batch.
#[test]
fn throughput_is_the_capacity() {
    let model = DEFAULTS.steady(10_000, 60);
    let run = simulate(&model);
    let capacities = Capacities::of(&model);
    assert_near(number(run.second_half.0) / 30.0, capacities.queue_mapping, 0.02, "claimed per second");
    assert_near(number(run.second_half.1) / 30.0, capacities.lanes, 0.02, "archived per second");
}

/// If the stream's backlog doubles, the lag doubles too.
#[test]
fn lag_grows_with_the_backlog() {
    let lag = |seconds| simulate(&DEFAULTS.steady(900, seconds)).lag.percentile(99);
    assert_near(number(lag(80)), 2.0 * number(lag(40)), 0.1, "the lag");
}

/// The mean wait in a queue with one server and a constant service time is that of an M/D/1 queue: ρD / 2(1 - ρ). With
/// enough servers, the mean number of busy servers is the rate times the duration of a batch (Little's law).
#[test]
fn queue_matches_the_formulas() {
    let single = Function {
        batch_size: 1,
        window: 0,
        cpu_per_batch: 10 * MILLISECOND,
        cpu_per_message: 0,
        latency: 0,
        in_flight: 1,
    };
    let run = |rate: u32, maximum_concurrency: u64| {
        let model = fast(rate, 2_000, |model| {
            (model.ingest, model.maximum_concurrency, model.ramp) = (single, maximum_concurrency, (1_000, 0));
            model.shortest_slot = 0;
        });
        simulate(&model)
    };
    let busy = |run: &Outcome| number(run.ingest.occupied) / number(run.last_claim);
    let alone = run(80, 1);
    assert_near(busy(&alone), 0.8, 0.02, "the load of the server");
    assert_near(number(alone.wait) / number(alone.claimed), 0.8 * 10_000.0 / 0.4, 0.05, "the mean wait");
    assert_near(busy(&run(500, 100)), 5.0, 0.02, "the number of busy servers");
}

/// The model's defaults are those of the embedded pipeline, which has Terraform's defaults.
#[test]
fn defaults_are_those_of_the_pipeline() {
    let pipeline = PipelineSettings::default();
    let model = DEFAULTS.burst(1, 1);
    assert_eq!(model.ingest.batch_size, pipeline.sqs_mapping.batch_size);
    assert_eq!(model.ingest.window, micros_of(pipeline.sqs_mapping.batching_window));
    assert_eq!(model.maximum_concurrency, pipeline.sqs_mapping.maximum_concurrency as u64);
    assert_eq!(model.max_receive_count, pipeline.max_receive_count);
    assert_eq!(model.archive.batch_size, pipeline.stream_mapping.batch_size);
    assert_eq!(model.archive.window, micros_of(pipeline.stream_mapping.batching_window));
}

/// A batch that is not full waits until its window ends. A full batch starts at once.
#[test]
fn batch_waits_for_its_window() {
    let few = simulate(&DEFAULTS.steady(1, 600));
    let size = number(few.claimed) / number(few.ingest.batches);
    assert!((5.0..7.0).contains(&size), "a window of 5 s has {size} messages at 1 per second");
    let many = simulate(&DEFAULTS.steady(500, 10));
    assert!(number(many.claimed) / number(many.ingest.batches) > 9.9);
}

/// Functions that share cores are as fast as the cores allow, and 1.5 cores count as two slower cores.
#[test]
fn embedded_pipeline_shares_its_cores() {
    let args = CapacityArgs {
        embedded: true,
        send: Some(50),
        ingest: Some(150),
        archive: Some(200),
        ingest_batch: 0,
        archive_batch: 0,
        cores: 1.5,
        poll_interval: 250,
        rate: Vec::new(),
        seconds: 60,
    };
    let model = embedded(&args, 10_000);
    assert_eq!((model.cores, model.ingest.cpu_per_message), (2, 200));
    assert!(matches!(model.sender, Some(Sender { messages_per_request: 10, cpu_per_message: 67 | 66 })));
    let run = simulate(&model);
    // 400 µs of CPU time per message on 1.5 cores.
    assert_near(number(run.second_half.1) / 30.0, 3_750.0, 0.05, "archived per second");
    let run = simulate(&embedded(&args, 1_500));
    assert_near(number(run.second_half.1) / 30.0, 1_500.0, 0.02, "archived per second");
    assert!(run.lag.percentile(99) < SECOND);
}

/// The tables in the document are those that the command prints.
#[test]
fn document_has_the_current_tables() {
    let document = include_str!("../../../docs/capacity.md");
    for (title, table) in tables::all() {
        assert!(
            document.contains(&format!("\n\n{table}\n")),
            "docs/capacity.md does not have this table ({title}). Paste it from `cargo run -p bench -- capacity`:\n{table}"
        );
    }
}

/// The costs of SQS, DynamoDB, S3 and CloudWatch match those of distinct events in docs/cost.md. Lambda's cost differs,
/// because the model's functions wait for the services and those of docs/cost.md do not.
#[test]
fn costs_match_the_cost_document() {
    let (document, _) =
        include_str!("../../../docs/cost.md").split_once("\n## Packs\n").expect("a section about packs");
    let in_document = |start: &str| -> f64 {
        let rows = document.lines().filter(|line| line.starts_with(&format!("| {start}")));
        rows.map(|row| row.split('|').nth(3).and_then(|cell| cell.trim().parse::<f64>().ok()).expect("a price")).sum()
    };
    let costs = tables::cost_per_hour(1e6 / 3_600.0, &Outcome::default());
    let rows = [("SQS", "SQS"), ("DynamoDB", "DynamoDB"), ("S3", "S3"), ("CloudWatch", "CloudWatch: log")];
    for (name, row) in rows {
        let (_, cost) = costs.iter().find(|cost| cost.0.starts_with(name)).expect("a part of the cost");
        assert!((cost - in_document(row)).abs() <= 0.011, "{name} costs {cost}");
    }
}
