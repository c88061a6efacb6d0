//! The command: see the library.

#![expect(clippy::print_stdout, reason = "the report is what a person or a script reads")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use mutants::Mutant;
use simulation::campaign::{self, Totals};
use simulation::judgement::{Rule, Violation};
use simulation::shrink::shrink;
use simulation::{FaultKind, Scenario, history};

/// Of seeds that fail, and of what each of them violates, so many are shown.
const SHOWN: usize = 5;

/// Runs the real handlers through seeded worlds in which everything goes wrong, and holds what comes out against a reference
/// model.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Goes on until so many messages have been sent.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    messages: u64,
    /// Goes on for so long instead.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<f64>,
    /// Runs this many seeds instead, and requires that every kind of fault and every end happened in them.
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "minutes"])]
    seeds: Option<u64>,
    /// Stops at the first seed that violates a rule other than Log, and prints which it violates.
    #[arg(long, requires = "seeds")]
    until_violation: bool,
    /// Runs a mutant in the functions' place, by its name.
    #[arg(long, value_name = "NAME", value_parser = mutant, requires = "until_violation")]
    mutant: Option<Mutant>,
    /// The seed to begin with.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_seed: u64,
    /// As many worlds at once; as many as there are cores without it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Runs this one seed, and prints its history.
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "minutes", "seeds", "first_seed"])]
    seed: Option<u64>,
    /// Of this seed, only these messages of the workload, by their numbers.
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0.., requires = "seed")]
    only_messages: Option<Vec<String>>,
    /// Of this seed, only these kinds of faults.
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0.., requires = "seed")]
    only_faults: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    campaign::silence_panics();
    match cli.seed {
        Some(seed) => match replayed(seed, &cli) {
            Ok(scenario) => replay(&scenario),
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::from(2)
            }
        },
        None => match cli.seeds {
            Some(seeds) if cli.until_violation => find_violation(cli.first_seed, seeds, cli.mutant),
            _ => explore(&cli),
        },
    }
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let names = Mutant::ALL.map(|mutant| format!("{mutant:?}"));
    let position = names.iter().position(|known| known == name);
    position.map(|position| Mutant::ALL[position]).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

/// Runs seeds in order until one violates more than what is logged.
fn find_violation(first: u64, seeds: u64, mutant: Option<Mutant>) -> ExitCode {
    for seed in first..first + seeds {
        let scenario = Scenario { mutant, ..Scenario::from_seed(seed) };
        let violations = simulation::run(&scenario).judgement.violations;
        let rules: BTreeSet<Rule> =
            violations.iter().map(|violation| violation.rule).filter(|rule| *rule != Rule::Log).collect();
        if !rules.is_empty() {
            let names: Vec<String> = rules.iter().map(|rule| format!("{rule:?}")).collect();
            println!("seed {seed} violates {}", names.join(", "));
            for violation in violations.iter().take(SHOWN) {
                println!("  {}", violation.to_string().escape_debug());
            }
            return ExitCode::FAILURE;
        }
    }
    println!("no violation in {seeds} seeds from {first}");
    ExitCode::SUCCESS
}

fn replayed(seed: u64, cli: &Cli) -> Result<Scenario, String> {
    use clap::ValueEnum as _;
    let mut scenario = Scenario::from_seed(seed);
    if let Some(faults) = &cli.only_faults {
        let kinds = faults.iter().filter(|name| !name.is_empty()).map(|name| FaultKind::from_str(name, false));
        scenario =
            scenario.with_faults(&kinds.collect::<Result<_, _>>().map_err(|error| format!("--only-faults: {error}"))?);
    }
    if let Some(messages) = &cli.only_messages {
        let number =
            |text: &String| text.parse::<usize>().map_err(|error| format!("--only-messages {text:?}: {error}"));
        let messages = messages.iter().filter(|text| !text.is_empty()).map(number);
        scenario = scenario.with_messages(&messages.collect::<Result<_, _>>()?);
    }
    Ok(scenario)
}

fn replay(scenario: &Scenario) -> ExitCode {
    let outcome = simulation::run(scenario);
    print!("{}", history::text(&outcome.history));
    let violations = &outcome.judgement.violations;
    for violation in violations {
        println!("violated: {violation}");
    }
    println!("seed {}: {} violations", scenario.seed, violations.len());
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore(cli: &Cli) -> ExitCode {
    let begun = Instant::now();
    let threads = cli.threads.unwrap_or_else(campaign::all_cores);
    let goes_on = |totals: &Totals| match (cli.seeds, cli.minutes) {
        (Some(seeds), _) => totals.started < seeds,
        (None, Some(minutes)) => begun.elapsed() < Duration::from_secs_f64(minutes * 60.0),
        (None, None) => totals.messages < cli.messages,
    };
    let totals = campaign::run_seeds(cli.first_seed, threads, Scenario::from_seed, goes_on);
    let seconds = begun.elapsed().as_secs_f64();

    println!("  seeds      {:>12}   from {}", totals.seeds, cli.first_seed);
    println!("  messages   {:>12}", totals.messages);
    println!("  time       {seconds:>10.1} s   on {threads} threads");
    println!("  faults     {:>12}", totals.faults.values().sum::<u64>());
    for (kind, hits) in &totals.faults {
        println!("    {:<20} {hits:>12}", kind.to_string());
    }
    println!("  ends");
    for (how, number) in &totals.ends {
        println!("    {how:<40} {number:>12}");
    }
    println!("  violations {:>12}", totals.failures.values().map(Vec::len).sum::<usize>());
    for (seed, violations) in totals.failures.iter().take(SHOWN) {
        println!("\nseed {seed}:");
        for violation in violations.iter().take(SHOWN) {
            println!("  {violation}");
        }
        println!("  replay it:    cargo run -p simulation -- --seed {seed}");
        // What is left must violate the same rule, and not only some rule.
        let rule = violations[0].rule;
        let same_rule = |found: &[Violation]| found.iter().any(|violation| violation.rule == rule);
        println!("  and shrunk:   {}", shrink(&Scenario::from_seed(*seed), same_rule).command());
    }
    let missing = if cli.seeds.is_some() { totals.missing() } else { Vec::new() };
    for what in &missing {
        println!("{what}");
    }
    if totals.failures.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
