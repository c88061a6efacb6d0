//! Where the figures of speed and cost come from: this project's functions, beside the least that a function can do and
//! beside what a user would write in Python, under one Runtime API, on one back end, in turn.
//!
//! CPU time and memory are those of the function's process alone. Rounds are interleaved, so that a machine that gets
//! busier does so for all; figures are medians, and what is judged are ratios within one run.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`subject`], [`bench::traffic`] | who is measured, on what |
//! | [`build`], [`size`] | building it, and its size |
//! | [`process`], [`measure`], [`scenario`] | running and measuring it |
//! | [`results`], [`report`] | what that comes to |
//! | [`wru`] | the write request units of a claim |

mod build;
mod measure;
mod process;
mod report;
mod results;
mod scenario;
mod size;
mod subject;
mod wru;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::results::{Machine, Results, Row};
use crate::subject::{ARCHIVE, INGEST, INGEST_BATCH, Subject};
use bench::traffic::{BATCH, Relation, Size};

/// Measures the functions beside a bare one and two Python peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Warm batches of ten messages that a CPU time is the mean of.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batches: u16,
    /// See whether all of it runs: little traffic, unoptimised functions, no Python. Its figures say nothing.
    #[arg(long)]
    quick: bool,
    /// Where the compiled functions are, instead of building them.
    #[arg(long)]
    functions: Option<PathBuf>,
    /// Leave out the Python peers.
    #[arg(long)]
    no_python: bool,
    /// Where results.json goes [default: bench/ in the target folder].
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the write request units of a claim, by the size of its event.
    Wru,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(Command::Wru) = cli.command {
        return Ok(wru::write(&mut io::stdout().lock())?);
    }
    let functions = match &cli.functions {
        Some(folder) => folder.clone(),
        None => build::build_functions(cli.quick)?,
    };
    let mut subjects = subject::compiled(&functions);
    if let Err(refused) = measure::answers(subject::named(&subjects, INGEST_BATCH)) {
        note(&format!("left out: {INGEST_BATCH}, because {refused:#}"));
        subjects.retain(|subject| subject.name != INGEST_BATCH);
    }
    if !cli.no_python && !cli.quick {
        let (python, packages) = build::prepare_python()?;
        subjects.extend(subject::python(&python, &build::workspace_folder().join("bench/python"), &packages));
    }
    let mut results = measure(&cli, &subjects)?;
    results.machine.load[1] = Machine::load();
    results.judge();

    let out = cli.out.clone().map_or_else(|| build::target_folder().map(|target| target.join("bench")), Ok)?;
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let json = out.join("results.json");
    std::fs::write(&json, serde_json::to_string_pretty(&results)? + "\n")
        .with_context(|| format!("{} cannot be written", json.display()))?;
    report::write(&results, &mut io::stdout().lock())?;
    note(&format!("written: {}", json.display()));
    Ok(())
}

fn measure(cli: &Cli, subjects: &[Subject]) -> anyhow::Result<Results> {
    let machine = Machine::this();
    let (rounds, batches) = if cli.quick { (1, 5) } else { (cli.rounds, cli.batches) };
    let (duplicates, repeats, rate_batches) = if cli.quick { (10_000, 1, 1) } else { (1_000_000, 3, 6) };
    let cells: Vec<(&Subject, Size, Relation)> = [Relation::Distinct, Relation::Duplicates]
        .into_iter()
        .flat_map(|relation| Size::ALL.map(|size| (size, relation)))
        .flat_map(|(size, relation)| subjects.iter().map(move |subject| (subject, size, relation)))
        // The archive never sees a duplicate: the table's stream has no record of one.
        .filter(|(subject, _, relation)| *relation == Relation::Distinct || subject.knows_duplicates())
        .collect();
    let mut samples = vec![Vec::new(); cells.len()];
    for round in 1..=rounds {
        note(&format!("round {round} of {rounds}"));
        for ((subject, size, relation), samples) in cells.iter().zip(&mut samples) {
            samples.push(measure::run(subject, *size, *relation, batches.into())?);
        }
    }
    let rows = cells
        .into_iter()
        .zip(samples)
        .map(|((subject, size, relation), samples)| Ok(Row::new(subject, size, relation, samples, size::of(subject)?)));
    let rows = rows.collect::<anyhow::Result<_>>()?;

    note("herd, duplicates, connections, memory, rate");
    let (ingest, archive) = (subject::named(subjects, INGEST), subject::named(subjects, ARCHIVE));
    Ok(Results {
        machine,
        rounds: rounds.into(),
        messages: usize::from(batches) * BATCH,
        rows,
        herd_writes: scenario::herd_writes(ingest)?,
        duplicates,
        requests_of_duplicates: scenario::requests_of_duplicates(ingest, duplicates)?,
        connections: scenario::connections(subjects)?,
        memory: scenario::memory(ingest, archive, repeats)?,
        rates: scenario::rates(subjects, rate_batches)?,
        targets: Vec::new(),
    })
}

/// How far it is.
fn note(progress: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{progress}");
}
