//! What a person reads.

use std::io::{self, Write};

use crate::report::RunReport;
use crate::verdict::Verdict;

/// A person is shown as many offending ids.
const MOST_SHOWN: usize = 5;

/// Writes the numbers, then what could not be read, then each invariant, then the verdict.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    let new = match (report.claims, report.new_claims) {
        (Some(claims), Some(new)) if new < claims => format!("   ({} of an earlier run)", claims - new),
        _ => String::new(),
    };
    let mut row = |name: &str, number: Option<usize>, note: &str| match number {
        Some(number) => writeln!(out, "  {name:<16}{number:>9}{note}"),
        None => writeln!(out, "  {name:<16}{:>9}{note}", "null"),
    };
    row("sent", Some(report.sent), "")?;
    if report.unconfirmed > 0 {
        row("unconfirmed", Some(report.unconfirmed), "   (may have been sent or not)")?;
    }
    if report.refused > 0 {
        row("refused", Some(report.refused), "   (by SQS)")?;
    }
    if report.unsent > 0 {
        row("unsent", Some(report.unsent), "   (the time was up, or Ctrl-C came)")?;
    }
    row("claims", report.claims, &new)?;
    row("duplicates", report.duplicates, "")?;
    row("conflicts", report.conflicts, "")?;
    let of_these =
        if report.to_be_rejected > 0 { format!("   (of {} to be)", report.to_be_rejected) } else { String::new() };
    row("rejected", report.rejected, &of_these)?;
    row("objects", report.objects, "")?;
    row("object versions", report.object_versions, "")?;
    row("dead letters", report.dead_letters, "")?;
    row("lost", report.lost, "")?;
    if report.pending > 0 {
        row("pending", Some(report.pending), "   (not archived when the time was up, and may still be)")?;
    }
    row("extra", report.extra, "")?;
    writeln!(out, "  {:<16}{:>9.2} s", "time", report.time)?;
    if let Some(rate) = report.sent_per_second {
        writeln!(out, "  {:<16}{rate:>9.2} messages a second", "sent at")?;
    }
    if report.latency.is_known() {
        writeln!(out)?;
        writeln!(out, "  {:<22}{:>9}{:>9}{:>9}{:>9}", "latency in ms", "p50", "p90", "p99", "max")?;
    }
    for (step, percentiles) in report.latency.steps() {
        if let Some(percentiles) = percentiles {
            let columns: String = percentiles.named().iter().map(|(_, ms)| format!("{ms:>9}")).collect();
            writeln!(out, "  {step:<22}{columns}")?;
        }
    }
    if !report.objects_per_second_by_tenth.is_empty() {
        let rates: Vec<String> = report.objects_per_second_by_tenth.iter().map(u64::to_string).collect();
        writeln!(out, "  objects a second, by tenth of the run: {}", rates.join(" "))?;
    }
    writeln!(out)?;
    if let Some(bill) = &report.bill {
        bill.write(out)?;
        writeln!(out)?;
    }
    for (source, problem) in &report.unreadable {
        let source = serde_json::to_string(source).map_err(io::Error::other)?;
        writeln!(out, "could not be read: {}: {problem}", source.trim_matches('"'))?;
    }
    for invariant in &report.invariants {
        let outcome = match invariant.held {
            Some(true) => "PASS",
            Some(false) => "FAIL",
            None => "????",
        };
        let shown = &invariant.examples[..invariant.examples.len().min(MOST_SHOWN)];
        let examples = match (shown.len(), invariant.offenders - shown.len()) {
            (0, _) => String::new(),
            (_, 0) => format!(": {}", shown.join(", ")),
            (_, more) => format!(": {} and {more} more", shown.join(", ")),
        };
        writeln!(out, "{outcome}  {}{examples}", invariant.name)?;
    }
    let verdict = match report.verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    };
    let partial = match (report.partial, report.unsent) {
        (true, _) => " (partial: Ctrl-C ended the run)",
        (false, 0) => "",
        (false, _) => " (not all was sent)",
    };
    writeln!(out, "verdict: {verdict}{partial}")
}
