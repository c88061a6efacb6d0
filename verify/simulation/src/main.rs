//! The `simulation` command. The library's documentation describes how a world works.

#![expect(clippy::print_stdout, reason = "people and scripts read the report")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use mutants::Mutant;
use simulation::campaign::{self, Totals};
use simulation::judgment::{Rule, Violation};
use simulation::shrink::shrink;
use simulation::{FaultKind, Scenario, history};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Maximum number of failing seeds to print, and maximum number of violations to print for each of them.
const MAX_SHOWN: usize = 5;

/// Runs the real Lambda handlers in simulated worlds full of faults, one world per seed, and checks the results against a
/// reference model.
#[derive(Parser)]
#[command(
    version,
    about,
    after_help = "Exits with 0 if no rule was violated, with 1 if a rule was violated, and with 2 if the arguments are \
                  invalid. With --seeds and without --until-violation, also exits with 1 if a kind of fault or a required \
                  result never occurred."
)]
struct Cli {
    /// Run seeds until their worlds have sent this many messages in total
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    messages: u64,
    /// Run seeds for this many minutes, and ignore --messages
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<f64>,
    /// Run this many seeds, and fail if a kind of fault or a required result never occurs
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "minutes"])]
    seeds: Option<u64>,
    /// Stop at the first seed whose world violates a rule other than Log, and print the violated rules
    #[arg(long, requires = "seeds")]
    until_violation: bool,
    /// Replace the correct functions with this mutant, which is wrong on purpose
    #[arg(long, value_name = "NAME", value_parser = parse_mutant, requires = "until_violation")]
    mutant: Option<Mutant>,
    /// First seed to run
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_seed: u64,
    /// Number of worlds to run at once [default: the number of cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Run only this seed and print its history
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "minutes", "seeds", "first_seed"])]
    seed: Option<u64>,
    /// Send only the messages at these positions (counted from 0). The last message is always sent
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0.., requires = "seed")]
    only_messages: Option<Vec<String>>,
    /// Limit the faults that the seed selects to the kinds in this list
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0.., requires = "seed")]
    only_faults: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    campaign::silence_panics();
    match cli.seed {
        Some(seed) => match selected_scenario(seed, &cli) {
            Ok(scenario) => replay(&scenario),
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        },
        None => match cli.seeds {
            Some(seeds) if cli.until_violation => find_violation(cli.first_seed, seeds, cli.mutant),
            _ => explore(&cli),
        },
    }
}

fn parse_mutant(name: &str) -> Result<Mutant, String> {
    let names = Mutant::ALL.map(|mutant| format!("{mutant:?}"));
    let position = names.iter().position(|known| known == name);
    position.map(|position| Mutant::ALL[position]).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

/// Runs seeds in order until one violates a rule other than [`Rule::Log`].
fn find_violation(first: u64, seeds: u64, mutant: Option<Mutant>) -> ExitCode {
    for seed in first..first + seeds {
        let scenario = Scenario { mutant, ..Scenario::from_seed(seed) };
        let violations = simulation::run(&scenario).judgment.violations;
        let rules: BTreeSet<Rule> =
            violations.iter().map(|violation| violation.rule).filter(|rule| *rule != Rule::Log).collect();
        if !rules.is_empty() {
            let names: Vec<String> = rules.iter().map(|rule| format!("{rule:?}")).collect();
            // `scripts/mutants` parses this line.
            println!("seed {seed} violates {}", names.join(", "));
            for violation in violations.iter().take(MAX_SHOWN) {
                println!("  {}", violation.to_string().escape_debug());
            }
            return ExitCode::FAILURE;
        }
    }
    println!("no violations in {seeds} seeds, starting at seed {first}");
    ExitCode::SUCCESS
}

/// Returns the scenario of `seed`, limited to the messages and faults that the arguments select.
fn selected_scenario(seed: u64, cli: &Cli) -> Result<Scenario, String> {
    use clap::ValueEnum as _;
    let mut scenario = Scenario::from_seed(seed);
    if let Some(faults) = &cli.only_faults {
        let kinds = faults.iter().filter(|name| !name.is_empty()).map(|name| FaultKind::from_str(name, false));
        scenario =
            scenario.with_faults(&kinds.collect::<Result<_, _>>().map_err(|error| format!("--only-faults: {error}"))?);
    }
    if let Some(messages) = &cli.only_messages {
        let number =
            |text: &String| text.parse::<usize>().map_err(|error| format!("--only-messages: {text:?}: {error}"));
        let messages = messages.iter().filter(|text| !text.is_empty()).map(number);
        scenario = scenario.with_messages(&messages.collect::<Result<_, _>>()?);
    }
    Ok(scenario)
}

fn replay(scenario: &Scenario) -> ExitCode {
    let outcome = simulation::run(scenario);
    print!("{}", history::text(&outcome.history));
    let violations = &outcome.judgment.violations;
    for violation in violations {
        println!("violation: {violation}");
    }
    println!("seed {}: {} violations", scenario.seed, violations.len());
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explore(cli: &Cli) -> ExitCode {
    let begun = Instant::now();
    let threads = cli.threads.unwrap_or_else(campaign::all_cores);
    let should_continue = |totals: &Totals| match (cli.seeds, cli.minutes) {
        (Some(seeds), _) => totals.started < seeds,
        (None, Some(minutes)) => begun.elapsed() < Duration::from_secs_f64(minutes * 60.0),
        (None, None) => totals.messages < cli.messages,
    };
    let totals = campaign::run_seeds(cli.first_seed, threads, Scenario::from_seed, should_continue);
    let seconds = begun.elapsed().as_secs_f64();

    println!("  seeds      {:>12}   starting at {}", totals.seeds, cli.first_seed);
    println!("  messages   {:>12}", totals.messages);
    println!("  time       {seconds:>10.1} s   on {threads} threads");
    println!("  faults     {:>12}", totals.faults.values().sum::<u64>());
    for (kind, count) in &totals.faults {
        println!("    {:<20} {count:>12}", kind.to_string());
    }
    println!("  results");
    for (result, count) in &totals.results {
        println!("    {result:<40} {count:>12}");
    }
    println!("  violations {:>12}", totals.failures.values().map(Vec::len).sum::<usize>());
    for (seed, violations) in totals.failures.iter().take(MAX_SHOWN) {
        println!("\nseed {seed}:");
        for violation in violations.iter().take(MAX_SHOWN) {
            println!("  {violation}");
        }
        println!("  to replay it:       cargo run -p simulation -- --seed {seed}");
        // Shrinking must keep this rule violated. Otherwise it could end with a different failure.
        let rule = violations[0].rule;
        let same_rule = |found: &[Violation]| found.iter().any(|violation| violation.rule == rule);
        println!("  shrunk, to replay:  {}", shrink(&Scenario::from_seed(*seed), same_rule).command());
    }
    let missing = if cli.seeds.is_some() { totals.missing() } else { Vec::new() };
    for line in &missing {
        println!("{line}");
    }
    if totals.failures.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
