//! The printed report, as Markdown.

use std::io::{self, Write};

use crate::results::{Results, Row};
use crate::scenario::Rate;
use bench::traffic::Relation;

/// Writes the machine, the tables and the targets.
pub(crate) fn write(results: &Results, out: &mut impl Write) -> io::Result<()> {
    let machine = &results.machine;
    writeln!(
        out,
        "{}, {} cores, Linux {}; load {} before, {} after.",
        machine.processor, machine.cores, machine.kernel, machine.load[0], machine.load[1]
    )?;
    writeln!(
        out,
        "Medians of {} interleaved rounds, {} warm messages per round in batches of 10. The ratio to the bare function is in \
         parentheses.",
        results.rounds, results.messages
    )?;
    for ((size, relation), rows) in results.tables() {
        let what = match relation {
            Relation::Distinct => "each message is a new event",
            Relation::Duplicates => "each message is a duplicate of an event in the first batch",
        };
        writeln!(out, "\n**{}, {what}**\n", size.name())?;
        writeln!(
            out,
            "| function | start to first /next, ms | first batch answered, ms | CPU per message, µs | requests per message | \
             peak memory, MB | binary, MB | zip, MB |"
        )?;
        writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for row in &rows {
            let baseline = rows.iter().find(|other| other.function == row.baseline);
            let cell = |of: fn(&Row) -> f64, digits: usize| match baseline {
                Some(base) if base.function != row.function => {
                    format!("{:.digits$} ({:.2})", of(row), of(row) / of(base))
                }
                _ => format!("{:.digits$}", of(row)),
            };
            writeln!(
                out,
                "| {} | {} | {} | {} | {:.2} | {} | {} | {} |",
                row.function,
                cell(|row| row.median.cold_ms, 1),
                cell(|row| row.median.first_batch_ms, 1),
                cell(|row| row.median.cpu_us, 0),
                row.median.requests,
                cell(|row| row.median.memory_mb, 1),
                cell(|row| row.artifact.megabytes(), 2),
                cell(|row| row.artifact.zip_megabytes(), 2),
            )?;
        }
    }
    if !results.rates.is_empty() {
        writeln!(out, "\n**One sandbox, batches of 1,000 readings of 250 bytes**\n")?;
        writeln!(out, "| function | messages per CPU second | in each quarter of the run |")?;
        writeln!(out, "| --- | ---: | --- |")?;
        for rate in &results.rates {
            let quarters: Vec<String> = rate.by_quarter.iter().map(|rate| format!("{rate:.0}")).collect();
            let Rate { function, messages_per_cpu_second, .. } = rate;
            writeln!(out, "| {function} | {messages_per_cpu_second:.0} | {} |", quarters.join(", "))?;
        }
    }
    writeln!(out, "\n| target | bound | measured | |")?;
    writeln!(out, "| --- | --- | --- | --- |")?;
    for target in &results.targets {
        let met = if target.met { "met" } else { "**missed**" };
        writeln!(out, "| {} | {} | {} | {met} |", target.what, target.bound, target.found)?;
    }
    Ok(())
}
