//! The tables of docs/capacity.md.

use std::fmt;

use crate::capacity::model::{Model, Outcome, SECOND, simulate};
use crate::capacity::stack::{
    ACCOUNT_CONCURRENCY, ARCHIVE_CPU, DEFAULTS, FULL_CORE_MB, INGEST_CPU, LARGEST_CONCURRENCY, LARGEST_PARALLELIZATION,
    MEMORY_MB, MESSAGES_IN_FLIGHT, NEW_TABLE_WRITES, PARTITION_WRITES, POLL_INTERVAL, PREFIX_PUTS, PUT_LATENCY,
    PUTS_IN_FLIGHT, RAMP, SANDBOX_RATE, Settings, TABLE_GROWTH_MINUTES, TABLE_QUOTA_WRITES, WRITE_LATENCY,
    WRITES_IN_FLIGHT,
};
use crate::capacity::{number, seconds};

/// Duration of a simulated run at a sustained rate, in seconds.
const STEADY_SECONDS: u64 = 30;

/// A burst of a million messages in a minute: its rate in messages per second, and its duration in seconds.
const BURST: (u32, u64) = (16_667, 60);

/// List prices of us-east-1 in US dollars, as in `producer/src/prices.rs`.
mod price {
    pub(super) const SQS_REQUEST: f64 = 0.40e-6;
    pub(super) const WRITE_UNIT: f64 = 0.625e-6;
    pub(super) const PUT: f64 = 5.00e-6;
    pub(super) const INVOCATION: f64 = 0.20e-6;
    pub(super) const GB_SECOND: f64 = 0.000_016_666_7;
    pub(super) const LOG_GB: f64 = 0.50;
    pub(super) const TRACE: f64 = 5.00e-6;
}

/// SQS requests per event. One send, one receive and one delete request handle ten messages each.
const SQS_REQUESTS: f64 = 0.3;

/// GB of log lines per million events, from the bill of 10,000 distinct events on the embedded pipeline (docs/cost.md).
const LOG_GB_PER_MILLION: f64 = 0.606;

/// US dollars per million events for 16 days of claims, and for a month of objects (docs/cost.md).
const CLAIM_STORAGE: f64 = 0.10;
const OBJECT_STORAGE: f64 = 0.01;

/// Distinct events of 250 bytes in a pack, in the run of docs/cost.md.
const EVENTS_PER_PACK: u64 = 500;

/// Share of the invocations that X-Ray samples.
const SAMPLED: f64 = 0.05;

/// The sustained rates, in events per second, each with settings that keep up with it. If a new table cannot accept the
/// rate, the settings assume a table whose previous peak was this rate. Such a table accepts twice its previous peak.
const RATES: [(u32, Settings); 4] = [
    (100, DEFAULTS),
    (1_000, Settings { maximum_concurrency: 20, parallelization_factor: 4, ..DEFAULTS }),
    (
        10_000,
        Settings {
            maximum_concurrency: 200,
            parallelization_factor: LARGEST_PARALLELIZATION,
            table_writes: 20_000,
            prefixes: 3,
            ..DEFAULTS
        },
    ),
    (
        100_000,
        Settings {
            ingest_batch_size: 100,
            maximum_concurrency: 200,
            parallelization_factor: LARGEST_PARALLELIZATION,
            table_writes: 200_000,
            prefixes: 29,
            account_concurrency: 3_000,
            ..DEFAULTS
        },
    ),
];

/// Returns the tables with their titles, in the order of the document.
pub(crate) fn all() -> [(&'static str, String); 6] {
    [
        ("Inputs", inputs()),
        ("Limits", limits()),
        ("Default settings", default_settings()),
        ("Settings that keep up", settings_that_keep_up()),
        ("A million messages in a minute", bursts()),
        ("Unmeasured inputs", unmeasured_inputs()),
    ]
}

/// A table in Markdown.
pub(crate) struct Table(String);

impl Table {
    /// Starts a table. `right` states for each column whether it is aligned to the right, as numbers are.
    pub(crate) fn new(head: &[&str], right: &[bool]) -> Self {
        let mut table = Self(String::new());
        table.row(head);
        table.row(&right.iter().map(|&right| if right { "---:" } else { "---" }).collect::<Vec<_>>());
        table
    }

    /// Starts a table with one column for each sustained rate.
    fn of_rates() -> Self {
        let rates = RATES.map(|(rate, _)| thousands(&rate));
        let mut head = vec!["events per second"];
        head.extend(rates.iter().map(String::as_str));
        Self::new(&head, &[false, true, true, true, true])
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: &[T]) {
        let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
        self.0 += &format!("| {} |\n", cells.join(" | "));
    }

    /// Adds a row with a name and one value for each item.
    fn quantity<T>(&mut self, name: &str, items: &[T], value: impl Fn(&T) -> String) {
        let cells: Vec<_> = std::iter::once(name.to_owned()).chain(items.iter().map(value)).collect();
        self.row(&cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The events per second that each part of a stack can process.
pub(crate) struct Capacities {
    pub(crate) lanes: f64,
    pub(crate) queue_mapping: f64,
    pub(crate) account: f64,
}

impl Capacities {
    /// Computes the capacities of a model from the duration of its full batches.
    pub(crate) fn of(model: &Model) -> Self {
        let per_event = |function: &crate::capacity::model::Function| {
            let slot = function.duration(function.batch_size).max(model.shortest_slot);
            seconds(slot) / number(function.batch_size as u64)
        };
        let ingest = per_event(&model.ingest);
        let archive = per_event(&model.archive);
        Self {
            lanes: number(model.lanes as u64) / archive,
            queue_mapping: number(model.maximum_concurrency) / ingest,
            account: number(model.account_concurrency) / (ingest + archive),
        }
    }

    fn of_settings(settings: &Settings) -> Self {
        Self::of(&settings.steady(1, 1))
    }
}

fn inputs() -> String {
    let link =
        |title: &str, site: &str, page: &str| format!("[{title}](https://docs.aws.amazon.com/{site}/{page}.html)");
    let lambda = |title: &str, page| link(&format!("Lambda: {title}"), "lambda/latest/dg", page);
    let dynamodb =
        |title: &str, page| link(&format!("DynamoDB: {title}"), "amazondynamodb/latest/developerguide", page);
    let s3 = link("S3: performance", "AmazonS3/latest/userguide", "optimizing-performance");
    let scaling = lambda("scaling of SQS mappings", "services-sqs-scaling");
    let quotas = lambda("quotas", "gettingstarted-limits");
    let on_demand = dynamodb("on-demand capacity", "on-demand-capacity-mode");
    let measured = "measured, [bench](../bench/README.md#results)".to_owned();
    let mut table = Table::new(&["input", "value", "source"], &[false, true, false]);
    let mut row = |name: &str, value: u64, source: &str| table.row(&[name, &thousands(&value), source]);
    row("concurrency of the queue mapping at the start", RAMP.0, &scaling);
    row("its growth per minute", RAMP.1, &scaling);
    row("largest `ingest.maximum_concurrency`", LARGEST_CONCURRENCY, &scaling);
    let queues = link("SQS: quotas", "AWSSimpleQueueService/latest/SQSDeveloperGuide", "quotas-queues");
    row("messages in flight of a queue", MESSAGES_IN_FLIGHT, &queues);
    row("concurrent invocations of an account", ACCOUNT_CONCURRENCY, &quotas);
    row("invocations per second of one sandbox", SANDBOX_RATE, &quotas);
    row("memory of each function, MB", MEMORY_MB, "[default](../terraform/modules/pipeline/README.md)");
    row("memory with which a function has one CPU, MB", FULL_CORE_MB, &lambda("memory", "configuration-memory"));
    row("CPU time of `ingest-fn` per message, µs", INGEST_CPU, &measured);
    row("CPU time of `archive-fn` per record, µs", ARCHIVE_CPU, &measured);
    row("writes in flight per batch of `ingest-fn`", WRITES_IN_FLIGHT as u64, "`ingest-fn/src/claimer.rs`");
    row("PUTs in flight per batch of `archive-fn`", PUTS_IN_FLIGHT as u64, "`archive-fn/src/archiver.rs`");
    row("writes per second of a new table", NEW_TABLE_WRITES, &on_demand);
    let growth = "[AWS re:Post: throttled on-demand tables](https://repost.aws/knowledge-center/on-demand-table-throttling-dynamodb)";
    row("minutes in which a table's capacity may double", TABLE_GROWTH_MINUTES, growth);
    row("writes per second of a table, quota", TABLE_QUOTA_WRITES, &dynamodb("quotas", "ServiceQuotas"));
    row(
        "writes per second of a partition",
        PARTITION_WRITES,
        &dynamodb("warm throughput", "warm-throughput-scenarios"),
    );
    row("stream shards per partition", 1, "assumed; AWS does not state the number");
    row("polls per second of a shard", SECOND / POLL_INTERVAL, &lambda("DynamoDB streams", "with-ddb"));
    row(
        "largest `archive.parallelization_factor`",
        LARGEST_PARALLELIZATION,
        &lambda("parameters", "services-ddb-params"),
    );
    row("PUT requests per second of a prefix", PREFIX_PUTS, &s3);
    row(
        "latency of a write, ms",
        WRITE_LATENCY / 1_000,
        &format!("assumed; AWS: single-digit milliseconds ({on_demand})"),
    );
    row("latency of a PUT, ms", PUT_LATENCY / 1_000, &format!("assumed; AWS: roughly 100 to 200 ms ({s3})"));
    table.0
}

/// A limit of the stack with default settings.
struct Limit {
    events_per_second: f64,
    name: &'static str,
    moved_by: &'static str,
    /// The limit after the change in `moved_by`.
    then: String,
}

/// Returns the limits of the stack with default settings, the lowest one first.
fn default_limits() -> Vec<Limit> {
    let now = Capacities::of_settings(&DEFAULTS);
    let largest = Capacities::of_settings(&Settings {
        ingest_batch_size: 100,
        maximum_concurrency: LARGEST_CONCURRENCY,
        parallelization_factor: LARGEST_PARALLELIZATION,
        ..DEFAULTS
    });
    let limit = |events_per_second, name, moved_by, then| Limit { events_per_second, name, moved_by, then };
    let warm = "time, or more warm throughput";
    let quota = "Service Quotas";
    let mut limits = vec![
        limit(now.lanes, "lanes of the stream", "`archive.parallelization_factor` = 10", rounded(largest.lanes)),
        limit(now.queue_mapping, "queue mapping", "`ingest.maximum_concurrency` = 1000", {
            rounded(now.queue_mapping * number(LARGEST_CONCURRENCY / DEFAULTS.maximum_concurrency))
        }),
        limit(number(PREFIX_PUTS), "PUTs of a prefix", "[packs](#packs)", thousands(&(PREFIX_PUTS * EVENTS_PER_PACK))),
        limit(number(NEW_TABLE_WRITES), "writes to a new table", warm, thousands(&TABLE_QUOTA_WRITES)),
        limit(number(TABLE_QUOTA_WRITES), "quota of a table", quota, "as granted".to_owned()),
        limit(now.account, "concurrency of the account", "`ingest.batch_size` = 100", rounded(largest.account)),
    ];
    limits.sort_by(|a, b| a.events_per_second.total_cmp(&b.events_per_second));
    limits
}

fn limits() -> String {
    let head = ["limit with default settings", "events per second", "moved by", "then"];
    let mut table = Table::new(&head, &[false, true, false, true]);
    for limit in default_limits() {
        table.row(&[limit.name, &rounded(limit.events_per_second), limit.moved_by, &limit.then]);
    }
    table.0
}

fn default_settings() -> String {
    let mut table = Table::of_rates();
    let runs = RATES.map(|(rate, _)| (rate, simulate(&DEFAULTS.steady(rate, STEADY_SECONDS))));
    table.quantity("claimed per second", &runs, |(_, run)| rounded(in_second_half(run.second_half.0)));
    table.quantity("archived per second", &runs, |(_, run)| rounded(in_second_half(run.second_half.1)));
    table.quantity("growth of the queue per hour", &runs, |(rate, run)| {
        growth_per_hour(f64::from(*rate), in_second_half(run.second_half.0))
    });
    table.quantity("growth of the stream's backlog per hour", &runs, |(_, run)| {
        growth_per_hour(in_second_half(run.second_half.0), in_second_half(run.second_half.1))
    });
    table.quantity("limit that is exceeded first", &runs, |(rate, _)| {
        let mut exceeded = default_limits().into_iter().filter(|limit| limit.events_per_second < f64::from(*rate));
        exceeded.next().map_or("none", |limit| limit.name).to_owned()
    });
    table.0
}

/// Formats the growth of a backlog in messages per hour. Growth below a twentieth of the inflow counts as 0, because
/// messages arrive at random times.
fn growth_per_hour(inflow: f64, outflow: f64) -> String {
    if outflow > inflow * 0.95 { "0".to_owned() } else { rounded((inflow - outflow) * 3_600.0) }
}

fn in_second_half(count: u64) -> f64 {
    number(count) * 2.0 / number(STEADY_SECONDS)
}

fn settings_that_keep_up() -> String {
    let mut table = Table::of_rates();
    let runs =
        RATES.map(|(rate, settings)| (f64::from(rate), settings, simulate(&settings.steady(rate, STEADY_SECONDS))));
    type Run = (f64, Settings, Outcome);
    let whole_run = |count: u64| number(count) / number(STEADY_SECONDS);
    table.quantity("`ingest.batch_size`", &runs, |(_, settings, _)| settings.ingest_batch_size.to_string());
    table.quantity("`ingest.maximum_concurrency`", &runs, |(_, settings, _)| settings.maximum_concurrency.to_string());
    table.quantity("`archive.parallelization_factor`", &runs, |(_, settings, _)| {
        settings.parallelization_factor.to_string()
    });
    table.quantity("concurrency of the account", &runs, |(_, settings, _)| thousands(&settings.account_concurrency));
    table.quantity("write units per second", &runs, |(rate, ..)| rounded(*rate));
    table.quantity("capacity of the table, write units per second", &runs, |(_, settings, _)| {
        thousands(&settings.table_writes)
    });
    table.quantity("time until a new table has that capacity, minutes", &runs, |(_, settings, _)| {
        let doublings = (0..).find(|&doublings| NEW_TABLE_WRITES << doublings >= settings.table_writes).unwrap_or(0);
        (doublings * TABLE_GROWTH_MINUTES).to_string()
    });
    table.quantity("stream shards", &runs, |(_, settings, _)| settings.shards().to_string());
    table.quantity("lanes of the stream", &runs, |(_, settings, _)| thousands(&settings.lanes()));
    table.quantity("batches of `ingest-fn` per second", &runs, |(.., run)| rounded(whole_run(run.ingest.batches)));
    table.quantity("batches of `archive-fn` per second", &runs, |(.., run)| rounded(whole_run(run.archive.batches)));
    let concurrency = |occupied: u64| rounded((seconds(occupied) / number(STEADY_SECONDS)).ceil());
    table.quantity("sandboxes of `ingest-fn`, on average", &runs, |(.., run)| concurrency(run.ingest.occupied));
    table.quantity("sandboxes of `archive-fn`, on average", &runs, |(.., run)| concurrency(run.archive.occupied));
    table.quantity("PUT requests per second", &runs, |(rate, ..)| rounded(*rate));
    table.quantity("prefixes", &runs, |(_, settings, _)| settings.prefixes.to_string());
    let log_gb_per_hour = |rate: f64| rate * 3_600.0 / 1e6 * LOG_GB_PER_MILLION;
    table.quantity("log lines, GB per hour", &runs, |(rate, ..)| format!("{:.1}", log_gb_per_hour(*rate)));
    table.quantity("archived per second", &runs, |(.., run)| rounded(in_second_half(run.second_half.1)));
    table.quantity("lag from claim to object, p50, s", &runs, |(.., run)| {
        format!("{:.1}", seconds(run.lag.percentile(50)))
    });
    table.quantity("lag from claim to object, p99, s", &runs, |(.., run)| {
        format!("{:.1}", seconds(run.lag.percentile(99)))
    });
    for (name, _) in cost_per_hour(0.0, &Outcome::default()) {
        let cost = |(rate, _, run): &Run| {
            let costs = cost_per_hour(*rate, run);
            costs.into_iter().find(|cost| cost.0 == name).map_or(0.0, |cost| cost.1)
        };
        table.quantity(&format!("{name}, USD per hour"), &runs, |run| usd(cost(run)));
    }
    let sum = |(rate, _, run): &Run| cost_per_hour(*rate, run).iter().map(|cost| cost.1).sum::<f64>();
    table.quantity("**all, USD per hour**", &runs, |run| format!("**{}**", usd(sum(run))));
    table.quantity("all, USD per million events", &runs, |run| usd(sum(run) / (run.0 * 3_600.0 / 1e6)));
    table.0
}

/// Returns what each service costs for an hour, in US dollars.
pub(crate) fn cost_per_hour(rate: f64, run: &Outcome) -> [(&'static str, f64); 6] {
    let events = rate * 3_600.0;
    let millions = events / 1e6;
    let per_hour = 3_600.0 / number(STEADY_SECONDS);
    let invocations = number(run.ingest.batches + run.archive.batches) * per_hour;
    let gb_seconds = seconds(run.ingest.duration + run.archive.duration) * per_hour * number(MEMORY_MB) / 1_024.0;
    [
        ("SQS", events * SQS_REQUESTS * price::SQS_REQUEST),
        ("DynamoDB, with claims kept 16 days", events * price::WRITE_UNIT + millions * CLAIM_STORAGE),
        ("S3, with objects kept a month", events * price::PUT + millions * OBJECT_STORAGE),
        ("Lambda", invocations * price::INVOCATION + gb_seconds * price::GB_SECOND),
        ("CloudWatch: log lines", millions * LOG_GB_PER_MILLION * price::LOG_GB),
        ("X-Ray", invocations * SAMPLED * price::TRACE),
    ]
}

fn bursts() -> String {
    let head = [
        "settings",
        "queue empty, s",
        "all archived, s",
        "longest queue",
        "longest lag, s",
        "throttled writes",
        "dead letters",
        "503 from S3",
        "repeated PUTs",
    ];
    let mut table = Table::new(&head, &[false, true, true, true, true, true, true, true, true]);
    let burst = |settings: Settings| settings.burst(BURST.0, BURST.1);
    let parallel = Settings { parallelization_factor: LARGEST_PARALLELIZATION, ..DEFAULTS };
    let unlimited = Settings { maximum_concurrency: LARGEST_CONCURRENCY, ..parallel };
    let warm = Settings { table_writes: 2 * u64::from(BURST.0), ..unlimited };
    let limited = Model { table_rate: 1_000, ..burst(unlimited) };
    let cases = [
        ("defaults", burst(DEFAULTS)),
        ("A: `archive.parallelization_factor` = 10", burst(parallel)),
        ("B: A and `ingest.maximum_concurrency` = 30", burst(Settings { maximum_concurrency: 30, ..parallel })),
        ("C: A and `ingest.maximum_concurrency` = 1000", burst(unlimited)),
        ("D: C and a table that is limited to 1,000 writes per second", limited.clone()),
        ("E: D and `ingest.maximum_concurrency` = 9", Model { maximum_concurrency: 9, ..limited }),
        ("F: C and warm throughput for the burst", burst(warm)),
        ("G: F and ten prefixes", burst(Settings { prefixes: 10, ..warm })),
    ];
    for (name, model) in cases {
        let run = simulate(&model);
        table.row(&[
            name.to_owned(),
            rounded(seconds(run.last_claim)),
            rounded(seconds(run.last_object)),
            thousands(&run.longest_queue),
            rounded(seconds(run.lag.percentile(100))),
            thousands(&run.ingest.refused),
            thousands(&run.dead_letters),
            thousands(&run.archive.refused),
            thousands(&run.repeated_puts),
        ]);
    }
    table.0
}

fn unmeasured_inputs() -> String {
    let head = ["input", "lanes of the stream", "queue mapping"];
    let mut table = Table::new(&head, &[false, true, true]);
    let model = |put_latency| Settings { put_latency, ..DEFAULTS }.steady(1, 1);
    let cases = [
        ("as above", model(PUT_LATENCY)),
        ("a PUT takes 30 ms", model(30_000)),
        ("a PUT takes 200 ms", model(200_000)),
        ("a sandbox serves any number of invocations", Model { shortest_slot: 0, ..model(PUT_LATENCY) }),
        ("a partition has two shards", Model { lanes: 2 * model(1).lanes, ..model(PUT_LATENCY) }),
    ];
    for (input, model) in cases {
        let capacities = Capacities::of(&model);
        table.row(&[input, &rounded(capacities.lanes), &rounded(capacities.queue_mapping)]);
    }
    table.0
}

fn usd(usd: f64) -> String {
    thousands(&format!("{usd:.2}"))
}

pub(crate) fn rounded(value: f64) -> String {
    thousands(&format!("{value:.0}"))
}

/// Formats a number with a comma between thousands.
pub(crate) fn thousands(value: &impl ToString) -> String {
    let text = value.to_string();
    let digits = text.find('.').unwrap_or(text.len());
    let (whole, fraction) = text.split_at(digits);
    let comma = |index: usize| if index > 0 && (whole.len() - index).is_multiple_of(3) { "," } else { "" };
    whole.char_indices().map(|(index, digit)| format!("{}{digit}", comma(index))).collect::<String>() + fraction
}
