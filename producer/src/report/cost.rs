//! The bill, as the page shows it.

use crate::bill::{Line, Usd};
use crate::report::RunReport;

/// What a run would cost on AWS.
pub(super) struct Cost {
    pub(super) looked_up: &'static str,
    pub(super) regions: Vec<&'static str>,
    pub(super) tables: Vec<Table>,
    pub(super) left_out: String,
}

/// Items, and what they come to.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
    /// What they come to, and for what.
    pub(super) sums: Vec<(&'static str, Vec<String>)>,
}

/// One item.
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) units: String,
    /// By region.
    pub(super) usd: Vec<String>,
    /// Its part of the dearest item's price, in per cent, in the first region whose prices are all known.
    pub(super) bar: f64,
}

impl Cost {
    /// Of a run on the embedded pipeline, which counts its units.
    pub(super) fn new(report: &RunReport) -> Option<Self> {
        let bill = report.bill.as_ref()?;
        let mut sums = vec![("sum for a million events", dollars(&bill.usd_per_million_events))];
        if bill.usd_per_million_messages != bill.usd_per_million_events {
            sums.push(("sum for a million messages", dollars(&bill.usd_per_million_messages)));
        }
        let monthly = vec![("sum for a month", dollars(&bill.usd_a_month))];
        Some(Self {
            looked_up: bill.prices_looked_up,
            regions: bill.usd_per_million_events.keys().rev().copied().collect(),
            tables: vec![
                Table { title: "for a million events like these", rows: rows(&bill.lines), sums },
                Table { title: "for a month, whatever is sent", rows: rows(&bill.monthly), sums: monthly },
            ],
            left_out: bill.left_out.join("; "),
        })
    }
}

/// Without the items of which there is nothing.
fn rows(lines: &[Line]) -> Vec<Row> {
    let charged = || lines.iter().filter(|line| line.units > 0.0);
    let price = |line: &Line| line.usd.get("us-east-1").copied().flatten().unwrap_or(0.0);
    let dearest = charged().map(price).fold(f64::MIN_POSITIVE, f64::max);
    let row = |line: &Line| Row {
        what: line.what,
        units: format!("{} {}", quantity(line.units), line.unit),
        usd: dollars(&line.usd),
        bar: price(line) / dearest * 100.0,
    };
    charged().map(row).collect()
}

/// Whole units as they are, and parts as far as they count.
fn quantity(units: f64) -> String {
    match units {
        whole if whole.fract() == 0.0 => format!("{whole}"),
        large if large >= 0.01 => format!("{large:.2}"),
        small => format!("{small:.2e}"),
    }
}

/// A dash where a price is not known.
fn dollars(usd: &Usd) -> Vec<String> {
    usd.values().rev().map(|usd| usd.map_or_else(|| "–".to_owned(), |usd| format!("{usd:.3}"))).collect()
}
