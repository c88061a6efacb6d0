//! Measures this project's functions, and compares them with minimal ("bare") functions and with two Python functions
//! that a user might write. The functions run one after another, each with its own Runtime API and its own emulated
//! services.
//!
//! CPU time and memory are those of the function's process alone. Each round measures every function, so that other
//! load on the machine affects all functions alike. The figures are medians. A target for a time is a ratio between two
//! functions in the same run.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`subject`], [`bench::traffic`] | The functions under measurement, and their input |
//! | [`build`], [`size`] | Building the functions, and their sizes |
//! | [`process`], [`measure`], [`scenario`] | Running and measuring the functions |
//! | [`results`], [`report`] | Medians, targets and the printed tables |
//! | [`pipeline`] | Running the whole embedded pipeline |
//! | [`wru`] | The write request units of a claim |
//! | [`capacity`] | A model of a deployed stack under load |

mod build;
mod capacity;
mod instructions;
mod measure;
mod pipeline;
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

use crate::capacity::CapacityArgs;
use crate::results::{Machine, Results, Row};
use crate::subject::{ARCHIVE, INGEST, INGEST_BATCH, Subject};
use bench::traffic::{BATCH, Relation, Size};

/// Measures this project's functions, and compares them with minimal functions and with two Python functions
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Number of rounds; each round measures every function once with each kind of traffic
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=99))]
    rounds: u8,
    /// Number of warm batches of ten messages per round; CPU time is averaged over them
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batches: u16,
    /// Only check that everything runs: little traffic, unoptimized functions, no Python. The figures are meaningless
    #[arg(long)]
    quick: bool,
    /// Folder of compiled functions, or of the producer, to use instead of building them
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Leave out the Python functions
    #[arg(long)]
    no_python: bool,
    /// Folder for results.json [default: bench/ in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the write request units of a claim by the size of its event
    Wru,
    /// Print how many events per second a deployed stack can process, according to a model
    Capacity(CapacityArgs),
    /// Count the instructions per message of each function with valgrind
    Instructions {
        /// Folder of other builds of the functions to compare with
        #[arg(long, value_name = "DIR")]
        before: Option<PathBuf>,
    },
    /// Run the whole embedded pipeline with the producer, and measure rate, CPU time, lag and memory
    Pipeline {
        /// Number of distinct events in each run
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
        messages: u64,
        /// Folder of another build of the producer to compare with
        #[arg(long, value_name = "DIR")]
        before: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let folder = || -> anyhow::Result<PathBuf> {
        let folder = cli.out.clone().map_or_else(|| build::target_folder().map(|target| target.join("bench")), Ok)?;
        std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
        Ok(folder)
    };
    match &cli.command {
        Some(Command::Wru) => return Ok(wru::write(&mut io::stdout().lock())?),
        Some(Command::Capacity(args)) => return Ok(capacity::write(args, &mut io::stdout().lock())?),
        Some(Command::Pipeline { messages, before }) => {
            let producer = match &cli.functions {
                Some(folder) => folder.join("producer"),
                None => build::build_producer()?,
            };
            let before = before.as_ref().map(|folder| folder.join("producer"));
            return pipeline::measure(&producer, before, *messages, cli.rounds, &folder()?, &mut io::stdout().lock());
        }
        Some(Command::Instructions { .. }) | None => {}
    }
    let functions = match &cli.functions {
        Some(folder) => folder.clone(),
        None => build::build_functions(cli.quick)?,
    };
    if let Some(Command::Instructions { before }) = &cli.command {
        return instructions::write(&functions, before.as_deref(), &mut io::stdout().lock());
    }
    let mut subjects = subject::compiled(&functions);
    if let Err(error) = measure::try_out(subject::named(&subjects, INGEST_BATCH)) {
        print_progress(&format!("leaving out `{INGEST_BATCH}`: {error:#}"));
        subjects.retain(|subject| subject.name != INGEST_BATCH);
    }
    if !cli.no_python && !cli.quick {
        let (python, packages) = build::prepare_python()?;
        subjects.extend(subject::python(&python, &build::workspace_folder().join("bench/python"), &packages));
    }
    let mut results = measure(&cli, &subjects, &subject::with_packs(&functions))?;
    results.machine.load[1] = Machine::load();
    results.judge();

    let json = folder()?.join("results.json");
    std::fs::write(&json, serde_json::to_string_pretty(&results)? + "\n")
        .with_context(|| format!("failed to write {}", json.display()))?;
    report::write(&results, &mut io::stdout().lock())?;
    print_progress(&format!("wrote {}", json.display()));
    Ok(())
}

/// Measures all functions. Those `with_packs` are measured only with large batches.
fn measure(cli: &Cli, subjects: &[Subject], with_packs: &[Subject]) -> anyhow::Result<Results> {
    let machine = Machine::this();
    let (rounds, batches) = if cli.quick { (1, 5) } else { (cli.rounds, cli.batches) };
    let (duplicates, repeats, rate_batches) = if cli.quick { (10_000, 1, 1) } else { (1_000_000, 3, 6) };
    let cells: Vec<(&Subject, Size, Relation)> = [Relation::Distinct, Relation::Duplicates]
        .into_iter()
        .flat_map(|relation| Size::ALL.map(|size| (size, relation)))
        .flat_map(|(size, relation)| subjects.iter().map(move |subject| (subject, size, relation)))
        // archive-fn never receives a duplicate, because a duplicate does not change the table and so causes no stream
        // record.
        .filter(|(subject, _, relation)| *relation == Relation::Distinct || subject.knows_duplicates())
        .collect();
    let mut samples = vec![Vec::new(); cells.len()];
    for round in 1..=rounds {
        print_progress(&format!("round {round} of {rounds}"));
        for ((subject, size, relation), samples) in cells.iter().zip(&mut samples) {
            samples.push(measure::run(subject, *size, *relation, batches.into())?);
        }
    }
    let rows = cells
        .into_iter()
        .zip(samples)
        .map(|((subject, size, relation), samples)| Ok(Row::new(subject, size, relation, samples, size::of(subject)?)));
    let rows = rows.collect::<anyhow::Result<_>>()?;

    print_progress("measuring the herd, duplicates, connections, memory and rate");
    let ingest = subject::named(subjects, INGEST);
    let archive = subject::named(subjects, ARCHIVE);
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
        rates: scenario::rates(subjects.iter().chain(with_packs), rate_batches)?,
        targets: Vec::new(),
    })
}

/// Prints one line of progress to standard error.
fn print_progress(progress: &str) {
    // Ignore the error: standard error may be closed.
    let _ = writeln!(io::stderr(), "{progress}");
}
