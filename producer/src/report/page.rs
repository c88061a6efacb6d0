//! The HTML page: one self-contained file that starts with the verdict.

use askama::Template;

use super::charts;
use super::cost::Cost;
use crate::measures::RepeatedEvent;
use crate::report::RunReport;
use crate::verdict::{Invariant, Verdict};

/// Number of offending ids that the page shows for each invariant. The reader can unfold the others.
const MAX_SEEN: usize = 5;

/// The data that the template shows.
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

/// A count with its name and a note.
struct Number {
    name: &'static str,
    /// The count; `None` if it is unknown.
    value: Option<usize>,
    note: String,
}

/// Renders the whole page as HTML.
#[must_use]
pub fn render(report: &RunReport) -> String {
    let verdict = match report.verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    };
    let source = |source| {
        serde_json::to_string(source).expect("a source serializes to a string").trim_matches('"').replace('_', " ")
    };
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
    page.render().expect("writing to a string cannot fail")
}

fn numbers(report: &RunReport) -> Vec<Number> {
    let number = |name, value, note: &str| Number { name, value, note: note.to_owned() };
    let if_any = |name, value, note| (value > 0).then(|| number(name, Some(value), note));
    let mut numbers = vec![number("sent", Some(report.sent), "")];
    numbers.extend(if_any("unconfirmed", report.unconfirmed, "may or may not have arrived"));
    numbers.extend(if_any("refused", report.refused, "not accepted by SQS"));
    numbers.extend(if_any("unsent", report.unsent, "not sent before the timeout or Ctrl-C"));
    let claims_note = match (report.claims, report.new_claims) {
        (Some(claims), Some(new)) if new < claims => format!("{} from an earlier run", claims - new),
        _ => String::new(),
    };
    let rejected_note = match report.to_be_rejected {
        0 => String::new(),
        expected => format!("{expected} expected"),
    };
    numbers.extend([
        number("events", Some(report.events), ""),
        number("claims", report.claims, &claims_note),
        number("duplicates", report.duplicates, ""),
        number("conflicts", report.conflicts, ""),
        number("rejected", report.rejected, &rejected_note),
        number("objects", report.objects, ""),
        number("object versions", report.object_versions, ""),
        number("dead letters", report.dead_letters, ""),
        number("lost", report.lost, ""),
    ]);
    if let Some(packs) = report.packs.filter(|packs| *packs > 0) {
        numbers.extend([number("packs", Some(packs), ""), number("archived", report.archived, "")]);
    }
    numbers.extend(if_any("pending", report.pending, "not archived when the run ended"));
    numbers.push(number("extra", report.extra, ""));
    numbers
}

impl Page<'_> {
    /// Returns the length of the bar for `count` messages, as a percentage of the longest bar.
    fn bar(&self, count: usize) -> usize {
        let longest = self.report.repeated_events.first().map_or(1, RepeatedEvent::messages).max(1);
        count * 100 / longest
    }
}

/// Splits the offending ids into those that the page always shows and those that the reader can unfold.
fn shown(invariant: &Invariant) -> (&[String], &[String]) {
    invariant.examples.split_at(invariant.examples.len().min(MAX_SEEN))
}

/// Returns the CSS class and the text of an invariant's mark.
fn mark(invariant: &Invariant) -> (&'static str, &'static str) {
    match invariant.held {
        Some(true) => ("pass", "PASS"),
        Some(false) => ("fail", "FAIL"),
        None => ("open", "????"),
    }
}
