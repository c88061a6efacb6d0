//! Writes the report as text: the numbers, the invariants, the verdict and the cost.

use std::io::{self, Write};

use ops::command_line::write_line;

use crate::measures::Difference;
use crate::report::RunReport;
use crate::verdict::Verdict;

/// Maximum number of offending ids that the text shows per invariant. The text also shows at most this many places in
/// which conflicts differ.
const MAX_SHOWN: usize = 5;

/// Writes the report. If `itemizes` is true, the text includes each item of the bill.
///
/// # Errors
/// Fails if `out` cannot be written to.
pub fn write(report: &RunReport, itemizes: bool, out: &mut impl Write) -> io::Result<()> {
    write_numbers(report, out)?;
    write_latency(report, out)?;
    writeln!(out)?;
    if let Some(bill) = report.bill.as_ref().filter(|_| itemizes) {
        bill.write(out)?;
        writeln!(out)?;
    }
    write_unreadable(report, out)?;
    write_differences(report, out)?;
    write_invariants(report, out)?;
    write_verdict(report, out)?;
    match &report.bill {
        Some(bill) => match bill.summary() {
            Some(summary) if itemizes => writeln!(out, "{summary}"),
            Some(summary) => writeln!(out, "{summary}; --bill itemizes it"),
            None => Ok(()),
        },
        None if itemizes => writeln!(out, "no bill: only the embedded pipeline meters its usage"),
        None => Ok(()),
    }
}

fn write_numbers(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    let unknown = if report.not_checked.is_empty() {
        "could not be read"
    } else {
        "could not be read, or the functions do not log it"
    };
    let mut row = |name: &str, number: Option<usize>, note: &str| match number {
        Some(number) => writeln!(out, "  {name:<16}{number:>9}   {note}"),
        None => writeln!(out, "  {name:<16}{:>9}   {unknown}", "null"),
    };
    let events = if report.events == 1 { "1 event".to_owned() } else { format!("{} events", report.events) };
    row("sent", Some(report.sent), &format!("messages of {events}"))?;
    if report.unconfirmed > 0 {
        row("unconfirmed", Some(report.unconfirmed), "messages that may or may not have arrived")?;
    }
    if report.refused > 0 {
        row("refused", Some(report.refused), "messages that SQS did not accept")?;
    }
    if report.unsent > 0 {
        row("unsent", Some(report.unsent), "messages not sent before the timeout or Ctrl-C")?;
    }
    let from_earlier_runs = match (report.claims, report.new_claims) {
        (Some(claims), Some(new)) if new < claims => format!(", {} of them in an earlier run", claims - new),
        _ => String::new(),
    };
    row("claims", report.claims, &format!("events claimed in the table{from_earlier_runs}"))?;
    row("duplicates", report.duplicates, "messages whose event was already claimed")?;
    row("conflicts", report.conflicts, "messages whose content differs from their event's claim")?;
    let expected = match report.to_be_rejected {
        0 => String::new(),
        messages => format!(" ({messages} expected)"),
    };
    row("rejected", report.rejected, &format!("messages that are not valid events{expected}"))?;
    if report.packs.is_some_and(|packs| packs > 0) {
        row("archived", report.archived, "claims archived in the data lake")?;
        row("packs", report.packs, "objects with the lines of many claims")?;
        row("objects", report.objects, "objects of a single claim")?;
        row("copies", report.object_versions, "copies of these claims in the lake; one each if none was doubled")?;
    } else {
        row("objects", report.objects, "claims archived in the data lake")?;
        row("object versions", report.object_versions, "versions of these objects; one each if none was overwritten")?;
    }
    row("dead letters", report.dead_letters, "messages in the dead-letter queue")?;
    row("lost", report.lost, "events with neither an object nor a dead letter")?;
    if report.pending > 0 {
        row("pending", Some(report.pending), "events not archived when the run ended; they still may be")?;
    }
    row("extra", report.extra, "objects beyond one per claim")?;
    writeln!(out, "  {:<16}{:>9.2} s from the first send until the pipeline was drained", "time", report.time)?;
    if let Some(rate) = report.sent_per_second {
        writeln!(out, "  {:<16}{rate:>9.2} messages per second", "sent at")?;
    }
    Ok(())
}

fn write_latency(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
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
        writeln!(out, "  objects per second, by tenth of the run: {}", rates.join(" "))?;
    }
    Ok(())
}

fn write_unreadable(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    for (source, problem) in &report.unreadable {
        let source = serde_json::to_string(source).map_err(io::Error::other)?;
        write_line(out, format_args!("could not read {}: {problem}", source.trim_matches('"')))?;
    }
    Ok(())
}

/// Writes the places in which conflicts differ from their claims.
fn write_differences(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    for Difference { pointer, conflicts } in report.differs.iter().take(MAX_SHOWN) {
        let plural = if *conflicts == 1 { "" } else { "s" };
        write_line(out, format_args!("differs at {pointer}: {conflicts} conflict{plural}"))?;
    }
    match report.differs.len().saturating_sub(MAX_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "differs at {more} other places (--json lists them)"),
    }
}

/// Writes the number of invariants that held, and the names of those that were not checked. Then writes each invariant
/// that was violated or is undecided, with its first offending ids.
fn write_invariants(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    let all = report.invariants.len();
    let held = report.invariants.iter().filter(|invariant| invariant.held == Some(true)).count();
    writeln!(out, "PASS  {held} of {all} invariants (--json lists them)")?;
    report.not_checked.iter().try_for_each(|name| writeln!(out, "SKIP  {name}"))?;
    for invariant in &report.invariants {
        let outcome = match invariant.held {
            Some(true) => continue,
            Some(false) => "FAIL",
            None => "????",
        };
        writeln!(out, "{outcome}  {}", invariant.name)?;
        let shown = &invariant.examples[..invariant.examples.len().min(MAX_SHOWN)];
        shown.iter().try_for_each(|id| write_line(out, format_args!("        {id}")))?;
        if invariant.offenders > shown.len() {
            writeln!(out, "        and {} more", invariant.offenders - shown.len())?;
        }
    }
    Ok(())
}

fn write_verdict(report: &RunReport, out: &mut impl Write) -> io::Result<()> {
    let verdict = match report.verdict {
        Verdict::Held => "held",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    };
    let partial = match (report.partial, report.unsent, report.refused) {
        (true, ..) => " (partial: interrupted by Ctrl-C)",
        (false, 1.., _) => " (not all messages were sent)",
        (false, 0, 1..) => " (SQS did not accept all messages)",
        (false, 0, 0) => "",
    };
    writeln!(out, "verdict: {verdict}{partial}")
}
