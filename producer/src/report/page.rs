//! The page: one file that asks for nothing else, with the verdict first.

use askama::Template;

use super::charts;
use super::cost::Cost;
use crate::measures::RepeatedEvent;
use crate::report::RunReport;
use crate::verdict::{Invariant, Verdict};

/// As many offending ids are seen before the others are unfolded.
const MOST_SEEN: usize = 5;

/// All that the template needs beside the report itself.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a RunReport,
    verdict: &'static str,
    numbers: Vec<Number>,
    timeline: String,
    has_latency: bool,
    latency: String,
    unreadable: Vec<(String, &'a str)>,
    cost: Option<Cost>,
}

/// One of the counts.
struct Number {
    name: &'static str,
    /// `None` if it could not be read.
    value: Option<usize>,
    note: String,
}

/// The whole page, in HTML.
///
/// # Panics
/// Never: memory can always be written to.
#[must_use]
pub fn render(report: &RunReport) -> String {
    let verdict = match report.verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    };
    let source = |source| serde_json::to_string(source).expect("it is a name").trim_matches('"').replace('_', " ");
    let page = Page {
        report,
        verdict,
        numbers: numbers(report),
        timeline: charts::timeline(&report.timeline),
        has_latency: report.latency.is_known(),
        latency: charts::latency(&report.latency),
        cost: Cost::new(report),
        unreadable: report.unreadable.iter().map(|(of, why)| (source(of), why.as_str())).collect(),
    };
    page.render().expect("memory can be written to")
}

fn numbers(report: &RunReport) -> Vec<Number> {
    let number = |name, value, note: &str| Number { name, value, note: note.to_owned() };
    let seldom = |name, value, note| (value > 0).then(|| number(name, Some(value), note));
    let mut numbers = vec![number("sent", Some(report.sent), "")];
    numbers.extend(seldom("unconfirmed", report.unconfirmed, "may have been sent or not"));
    numbers.extend(seldom("refused", report.refused, "by SQS"));
    numbers.extend(seldom("unsent", report.unsent, "the time was up, or Ctrl-C came"));
    let of_earlier_runs = match (report.claims, report.new_claims) {
        (Some(claims), Some(new)) if new < claims => format!("{} of an earlier run", claims - new),
        _ => String::new(),
    };
    let to_be_rejected = match report.to_be_rejected {
        0 => String::new(),
        of => format!("of {of} to be"),
    };
    numbers.extend([
        number("events", Some(report.events), ""),
        number("claims", report.claims, &of_earlier_runs),
        number("duplicates", report.duplicates, ""),
        number("conflicts", report.conflicts, ""),
        number("rejected", report.rejected, &to_be_rejected),
        number("objects", report.objects, ""),
        number("object versions", report.object_versions, ""),
        number("dead letters", report.dead_letters, ""),
        number("lost", report.lost, ""),
    ]);
    numbers.extend(seldom("pending", report.pending, "not archived when the time was up"));
    numbers.push(number("extra", report.extra, ""));
    numbers
}

impl Page<'_> {
    /// The part of the longest bar, in per cent.
    fn bar(&self, count: usize) -> usize {
        let longest = self.report.repeated_events.first().map_or(1, RepeatedEvent::messages).max(1);
        count * 100 / longest
    }
}

/// The offending ids that are seen at once, and those that are unfolded.
fn shown(invariant: &Invariant) -> (&[String], &[String]) {
    invariant.examples.split_at(invariant.examples.len().min(MOST_SEEN))
}

/// How an invariant is marked: a word, and a class of the style sheet.
fn mark(invariant: &Invariant) -> (&'static str, &'static str) {
    match invariant.held {
        Some(true) => ("pass", "PASS"),
        Some(false) => ("fail", "FAIL"),
        None => ("open", "????"),
    }
}
