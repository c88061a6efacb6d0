//! Prepares the bill for the HTML page.

use crate::bill::{Line, Usd};
use crate::report::RunReport;

/// The page's section on the cost of a run on AWS.
pub(super) struct Cost {
    /// Date on which the prices were looked up.
    pub(super) looked_up: &'static str,
    pub(super) regions: Vec<&'static str>,
    pub(super) tables: Vec<Table>,
    pub(super) left_out: String,
}

/// A table of items and their totals.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
    /// The totals, each with its label and its price in each region.
    pub(super) sums: Vec<(&'static str, Vec<String>)>,
}

/// One item of a bill.
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) units: String,
    /// The item's price in each region.
    pub(super) usd: Vec<String>,
    /// Length of the bar: the item's price in us-east-1 as a percentage of the most expensive item's price.
    pub(super) bar: f64,
}

impl Cost {
    /// Prepares the bill of a run; `None` if the run has no bill.
    pub(super) fn new(report: &RunReport) -> Option<Self> {
        let bill = report.bill.as_ref()?;
        let mut sums = vec![("sum for a million events", dollars(&bill.usd_per_million_events))];
        if bill.usd_per_million_messages != bill.usd_per_million_events {
            sums.push(("sum for a million messages", dollars(&bill.usd_per_million_messages)));
        }
        let monthly = vec![("sum per month", dollars(&bill.usd_a_month))];
        Some(Self {
            looked_up: bill.prices_looked_up,
            regions: bill.usd_per_million_events.keys().rev().copied().collect(),
            tables: vec![
                Table { title: "for a million events like these", rows: rows(&bill.lines), sums },
                Table { title: "per month, regardless of traffic", rows: rows(&bill.monthly), sums: monthly },
            ],
            left_out: bill.left_out.join("; "),
        })
    }
}

/// Returns a row for each item with more than zero units.
fn rows(lines: &[Line]) -> Vec<Row> {
    let charged = || lines.iter().filter(|line| line.units > 0.0);
    let price = |line: &Line| line.usd.get("us-east-1").copied().flatten().unwrap_or(0.0);
    let highest_price = charged().map(price).fold(f64::MIN_POSITIVE, f64::max);
    let row = |line: &Line| Row {
        what: line.what,
        units: format!("{} {}", quantity(line.units), line.unit),
        usd: dollars(&line.usd),
        bar: price(line) / highest_price * 100.0,
    };
    charged().map(row).collect()
}

/// Formats whole numbers without decimals, numbers below 0.01 in scientific notation, and other numbers with two
/// decimals.
fn quantity(units: f64) -> String {
    match units {
        whole if whole.fract() == 0.0 => format!("{whole}"),
        large if large >= 0.01 => format!("{large:.2}"),
        small => format!("{small:.2e}"),
    }
}

/// Formats the price in each region, with a dash for an unknown price.
fn dollars(usd: &Usd) -> Vec<String> {
    usd.values().rev().map(|usd| usd.map_or_else(|| "–".to_owned(), |usd| format!("{usd:.3}"))).collect()
}
