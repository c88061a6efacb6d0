//! Estimates what a run on the embedded pipeline would cost on AWS, and scales the cost to a million events.
//!
//! A bill has two lists. The first has the costs that grow with the number of events. The second has the costs that AWS
//! charges each month regardless of traffic: polls of an idle queue, metrics, alarms and the dashboard. The embedded
//! pipeline counts what a run uses, such as requests and bytes. The bill assumes the defaults of the Terraform
//! variables.

use std::collections::BTreeMap;
use std::io::{self, Write};

use emulator::meter::Usage;
use serde::Serialize;

use crate::prices::{LOOKED_UP, Prices, REGIONS};

/// Memory of each function in GB (the default of the Terraform variable `functions.memory_mb`).
const FUNCTION_GB: f64 = 256.0 / 1024.0;

/// Number of bytes that DynamoDB adds to the size of each stored item for indexing (AWS documentation: "DynamoDB item sizes
/// and formats").
const INDEX_BYTES: u64 = 100;

/// Average number of days in a month.
const MONTH_DAYS: f64 = 365.0 / 12.0;

/// Lifetime of a claim in days (the default of the Terraform variable `dedup_window_seconds`). DynamoDB may delete the
/// claim a few days after it expires, but the bill ignores these days.
const CLAIM_DAYS: f64 = 16.0;

/// Share of the invocations that X-Ray's default rule samples (AWS documentation: "Configuring sampling rules"). The
/// rule also samples the first invocation of each second, but the bill ignores these traces.
const SAMPLED: f64 = 0.05;

/// Number of empty receives from an idle queue per month. Lambda keeps five long polls of 20 s open (AWS documentation:
/// "Configuring scaling behavior for SQS event source mappings").
const IDLE_POLLS: f64 = 5.0 * MONTH_DAYS * 24.0 * 60.0 * 60.0 / 20.0;

/// Number of metrics that the alarms in the Terraform module `modules/observability` watch. AWS charges for each metric
/// that an alarm watches, and an alarm on an expression may watch several. `scripts/check-alarms` checks this number.
const ALARM_METRICS: f64 = 27.0;

const GB: f64 = 1024.0 * 1024.0 * 1024.0;

const LEFT_OUT: [&str; 8] = [
    "free tiers, volume discounts and taxes",
    "Lambda's own START and REPORT log lines, about half a KB per invocation, and log storage",
    "KMS: the few requests for the bucket's key, and 1.00 per month for each customer-managed key",
    "X-Ray: the first trace of each second",
    "storage of the lake after the first month, and of old object versions",
    "dead letters and discarded records",
    "data transfer out of the region",
    "requests with which this producer reads the results back",
];

/// An amount in US dollars for each region; `None` for a region in which a price is unknown.
pub type Usd = BTreeMap<&'static str, Option<f64>>;

/// The estimated AWS cost of a run, item by item, in each region.
#[derive(Debug, Serialize)]
pub struct Bill {
    /// Date of the prices.
    pub prices_looked_up: &'static str,
    /// Items whose cost grows with the number of events. Each has its cost per million events.
    pub lines: Vec<Line>,
    /// Sum of `lines`, per million events.
    pub usd_per_million_events: Usd,
    /// Sum of `lines`, per million messages.
    pub usd_per_million_messages: Usd,
    /// Items that AWS charges each month regardless of traffic.
    pub monthly: Vec<Line>,
    /// Sum of `monthly`, per month.
    pub usd_a_month: Usd,
    /// Descriptions of costs that the bill does not include.
    pub left_out: [&'static str; 8],
}

/// One item of a bill.
#[derive(Debug, Serialize)]
pub struct Line {
    pub what: &'static str,
    /// Number of units in the run, or per month for a monthly item.
    pub units: f64,
    pub unit: &'static str,
    /// Cost per million events, or per month for a monthly item.
    pub usd: Usd,
}

impl Line {
    fn new(what: &'static str, units: f64, unit: &'static str, times: f64, price: fn(&Prices) -> Option<f64>) -> Self {
        let usd = REGIONS.iter().map(|region| (region.region, price(region).map(|price| price * units * times)));
        Self { what, units, unit, usd: usd.collect() }
    }
}

impl Bill {
    /// Computes the bill of a run that sent `messages` messages of `events` different events. Returns `None` if the run sent
    /// nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "unit counts are far below 2^52")]
    pub fn new(usage: &Usage, messages: usize, events: usize) -> Option<Self> {
        if messages == 0 || events == 0 {
            return None;
        }
        let per_million = 1e6 / events as f64;
        let run = |what, units: u64, unit, price| Line::new(what, units as f64, unit, per_million, price);
        let kept = |what, bytes: u64, months: f64, price| {
            Line::new(what, bytes as f64 / GB * months, "GB-months", per_million, price)
        };
        let claim_bytes = usage.table_bytes + INDEX_BYTES * usage.table_items;
        let claim_months = CLAIM_DAYS / MONTH_DAYS;
        let invocations: u64 = usage.functions.values().map(|function| function.number).sum();
        let milliseconds: u64 = usage.functions.values().map(|function| function.milliseconds).sum();
        let gb_seconds = milliseconds as f64 / 1e3 * FUNCTION_GB;
        let lines = vec![
            run("SQS: send", usage.sqs_sends, "requests", |p| p.sqs_request),
            run("SQS: receive", usage.sqs_receives, "requests", |p| p.sqs_request),
            run("SQS: delete", usage.sqs_deletes, "requests", |p| p.sqs_request),
            run("DynamoDB: claims written", usage.write_request_units, "WRU", |p| p.write_request_unit),
            run("DynamoDB: claims refused", usage.write_request_units_refused, "WRU", |p| p.write_request_unit),
            Line::new("DynamoDB: packs read", usage.read_request_units, "RRU", per_million, |p| p.read_request_unit),
            kept("DynamoDB: claims kept 16 days", claim_bytes, claim_months, |p| p.table_gb_month),
            kept("DynamoDB: point-in-time recovery", claim_bytes, claim_months, |p| p.pitr_gb_month),
            run("S3: objects written", usage.s3_puts, "PUTs", |p| p.s3_put),
            run("S3: objects refused", usage.s3_puts_refused, "PUTs", |p| p.s3_put),
            kept("S3: objects kept a month", usage.lake_bytes, 1.0, |p| p.lake_gb_month),
            run("Lambda: invocations", invocations, "requests", |p| p.invocation),
            Line::new("Lambda: time at 256 MB on x86", gb_seconds, "GB-seconds", per_million, |p| p.gb_second),
            Line::new("CloudWatch: log lines", usage.log_bytes as f64 / GB, "GB", per_million, |p| p.log_gb),
            Line::new("X-Ray: one in 20 invocations", invocations as f64 * SAMPLED, "traces", per_million, |p| p.trace),
        ];
        let month = |what, units, unit, price| Line::new(what, units, unit, 1.0, price);
        let monthly = vec![
            month("SQS: polls of an idle queue", IDLE_POLLS, "requests", |p| p.sqs_request),
            month("CloudWatch: custom metrics", usage.custom_metrics.len() as f64, "metrics", |p| p.metric_month),
            month("CloudWatch: alarms", ALARM_METRICS, "metrics", |p| p.alarm_month),
            month("CloudWatch: dashboard", 1.0, "dashboards", |p| p.dashboard_month),
        ];
        let usd_per_million_events = sum(&lines);
        let per_message = |usd: f64| usd * events as f64 / messages as f64;
        Some(Self {
            prices_looked_up: LOOKED_UP,
            usd_per_million_messages: map(&usd_per_million_events, per_message),
            usd_per_million_events,
            usd_a_month: sum(&monthly),
            lines,
            monthly,
            left_out: LEFT_OUT,
        })
    }

    /// Formats the cost of a million events in the first region of [`REGIONS`]. Returns `None` if a price is unknown in that
    /// region.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let region = REGIONS[0].region;
        let usd = self.usd_per_million_events[region]?;
        let decimals = usize::from(usd < 10.0);
        Some(format!("about {usd:.decimals$} USD for a million events like these ({region})"))
    }

    /// Writes the itemized bill as text.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "AWS bill in US dollars, at list prices of {}", self.prices_looked_up)?;
        row(out, "for a million events like these", "this run", |region| region.to_owned())?;
        self.lines.iter().try_for_each(|line| line.write(out))?;
        row(out, "sum", "", |region| dollars(&self.usd_per_million_events, region))?;
        if self.usd_per_million_messages != self.usd_per_million_events {
            row(out, "sum for a million messages", "", |region| dollars(&self.usd_per_million_messages, region))?;
        }
        row(out, "per month, regardless of traffic", "per month", |region| region.to_owned())?;
        self.monthly.iter().try_for_each(|line| line.write(out))?;
        row(out, "sum", "", |region| dollars(&self.usd_a_month, region))?;
        writeln!(out, "  a dash: no public document gives this region's price, so there is no sum either")?;
        writeln!(
            out,
            "  Lambda time: measured here, where services answer at once; on AWS, it includes waiting for them"
        )?;
        writeln!(out, "  left out:")?;
        self.left_out.iter().try_for_each(|what| writeln!(out, "    {what}"))
    }
}

impl Line {
    /// Writes the item as one line, or nothing if its number of units is zero.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.units == 0.0 {
            return Ok(());
        }
        // Fractional units are printed with three significant digits.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 20")]
        let digits =
            if self.units.fract() == 0.0 { 0 } else { (2.0 - self.units.log10().floor()).clamp(0.0, 20.0) as usize };
        let units = format!("{:.digits$} {}", self.units, self.unit);
        row(out, self.what, &units, |region| dollars(&self.usd, region))
    }
}

fn row(out: &mut impl Write, what: &str, units: &str, column: impl Fn(&str) -> String) -> io::Result<()> {
    write!(out, "  {what:<34}{units:>24}")?;
    REGIONS.iter().try_for_each(|region| write!(out, "{:>12}", column(region.region)))?;
    writeln!(out)
}

fn dollars(usd: &Usd, region: &str) -> String {
    usd[region].map_or("-".to_owned(), |usd| format!("{usd:.3}"))
}

/// Adds up the items in each region, except items with zero units. A region's sum is `None` if the price of one of its
/// remaining items is unknown.
fn sum(lines: &[Line]) -> Usd {
    let charged = || lines.iter().filter(|line| line.units > 0.0);
    let sum_in = |region| charged().map(|line| line.usd[region]).sum();
    REGIONS.iter().map(|region| (region.region, sum_in(region.region))).collect()
}

fn map(usd: &Usd, change: impl Fn(f64) -> f64) -> Usd {
    usd.iter().map(|(&region, &usd)| (region, usd.map(&change))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use emulator::meter::Invocations;

    /// Returns the usage of a herd: 50 messages of one event.
    fn herd() -> Usage {
        let invocations = |number, milliseconds| Invocations { number, milliseconds };
        Usage {
            sqs_sends: 50,
            sqs_receives: 5,
            sqs_deletes: 5,
            sqs_idle_polls: 3,
            write_request_units: 1,
            write_request_units_refused: 1,
            s3_puts: 1,
            functions: [("ingest".to_owned(), invocations(5, 12)), ("archive".to_owned(), invocations(1, 4))].into(),
            log_bytes: 1 << 30,
            custom_metrics: ["a".to_owned(), "b".to_owned()].into(),
            table_bytes: 924,
            table_items: 1,
            lake_bytes: 512,
            ..Usage::default()
        }
    }

    /// The bill scales the cost of one event to a million events, and the sum includes each item once.
    #[test]
    fn bill_scales_to_a_million_events() {
        let bill = Bill::new(&herd(), 50, 1).expect("messages were sent");
        let usd = |what: &str| bill.lines.iter().find(|line| line.what == what).and_then(|line| line.usd["us-east-1"]);
        let close =
            |usd: Option<f64>, to: f64| assert!(usd.is_some_and(|usd| (usd / to - 1.0).abs() < 1e-9), "{usd:?} {to}");
        close(usd("SQS: send"), 50.0 * 0.40);
        close(usd("SQS: receive"), 5.0 * 0.40);
        close(usd("DynamoDB: claims written"), 0.625);
        close(usd("DynamoDB: claims refused"), 0.625);
        close(usd("DynamoDB: claims kept 16 days"), 1e6 * 1024.0 / GB * 0.25 * 16.0 / 30.416_666_666_666_668);
        close(usd("S3: objects written"), 5.0);
        close(usd("Lambda: invocations"), 6.0 * 0.20);
        close(usd("Lambda: time at 256 MB on x86"), 1e6 * 0.016 * 0.25 * 0.000_016_666_7);
        close(usd("CloudWatch: log lines"), 1e6 * 0.50);
        let sum: f64 = bill.lines.iter().filter_map(|line| line.usd["us-east-1"]).sum();
        close(bill.usd_per_million_events["us-east-1"], sum);
        close(bill.usd_per_million_messages["us-east-1"], sum / 50.0);
    }

    #[test]
    fn monthly_cost_is_independent_of_events() {
        let one = Bill::new(&herd(), 50, 1).expect("messages were sent");
        let many = Bill::new(&herd(), 5_000, 5_000).expect("messages were sent");
        assert_eq!(one.usd_a_month, many.usd_a_month);
        let units = |what: &str| one.monthly.iter().find(|line| line.what == what).map(|line| line.units.to_string());
        assert_eq!(units("CloudWatch: custom metrics").as_deref(), Some("2"));
        // The bill ignores the idle polls of the run itself, because their number depends on how long the run lasted.
        assert_eq!(units("SQS: polls of an idle queue").as_deref(), Some("657000"));
    }

    #[test]
    fn unknown_price_leaves_no_sum() {
        let bill = Bill::new(&herd(), 50, 1).expect("messages were sent");
        assert_eq!(bill.usd_per_million_events["sa-east-1"], None);
        let mut text = Vec::new();
        bill.write(&mut text).expect("memory can be written to");
        let text = String::from_utf8(text).expect("it is text");
        let sum = text.lines().find(|line| line.trim_start().starts_with("sum")).expect("there is a sum");
        assert!(sum.ends_with('-'), "{sum}");
    }
}
