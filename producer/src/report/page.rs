//! The page: one file that asks for nothing else, with the verdict first.

use askama::Template;

use super::charts;
use super::cost::{self, Cost};
use crate::measures::RepeatedEvent;
use crate::verdict::{Invariant, Reading, Verdict};

/// As many offending ids are seen before the others are unfolded.
const MOST_SEEN: usize = 5;

/// All that the template needs beside the reading itself.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    reading: &'a Reading,
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
pub fn render(reading: &Reading) -> String {
    let verdict = match reading.verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    };
    let source = |source| serde_json::to_string(source).expect("it is a name").trim_matches('"').replace('_', " ");
    let page = Page {
        reading,
        verdict,
        numbers: numbers(reading),
        timeline: charts::timeline(&reading.timeline),
        has_latency: reading.latency.is_known(),
        latency: charts::latency(&reading.latency),
        cost: cost::of(reading),
        unreadable: reading.unreadable.iter().map(|(of, why)| (source(of), why.as_str())).collect(),
    };
    page.render().expect("memory can be written to")
}

fn numbers(reading: &Reading) -> Vec<Number> {
    let number = |name, value, note: &str| Number { name, value, note: note.to_owned() };
    let seldom = |name, value, note| (value > 0).then(|| number(name, Some(value), note));
    let mut numbers = vec![number("sent", Some(reading.sent), "")];
    numbers.extend(seldom("unconfirmed", reading.unconfirmed, "may have been sent or not"));
    numbers.extend(seldom("refused", reading.refused, "by SQS"));
    numbers.extend(seldom("unsent", reading.unsent, "the time was up, or Ctrl-C came"));
    let of_earlier_runs = match (reading.claims, reading.new_claims) {
        (Some(claims), Some(new)) if new < claims => format!("{} of an earlier run", claims - new),
        _ => String::new(),
    };
    let to_be_rejected = match reading.to_be_rejected {
        0 => String::new(),
        of => format!("of {of} to be"),
    };
    numbers.extend([
        number("events", Some(reading.events), ""),
        number("claims", reading.claims, &of_earlier_runs),
        number("duplicates", reading.duplicates, ""),
        number("conflicts", reading.conflicts, ""),
        number("rejected", reading.rejected, &to_be_rejected),
        number("objects", reading.objects, ""),
        number("object versions", reading.object_versions, ""),
        number("dead letters", reading.dead_letters, ""),
        number("lost", reading.lost, ""),
    ]);
    numbers.extend(seldom("pending", reading.pending, "not archived when the time was up"));
    numbers.push(number("extra", reading.extra, ""));
    numbers
}

impl Page<'_> {
    /// The part of the longest bar, in per cent.
    fn bar(&self, count: usize) -> usize {
        let longest = self.reading.repeated_events.first().map_or(1, RepeatedEvent::messages).max(1);
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
