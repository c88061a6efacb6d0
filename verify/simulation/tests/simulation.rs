//! Checks all rules in many worlds, and checks that a world depends on its seed alone.

use std::time::Instant;

use simulation::shrink::shrink;
use simulation::{Scenario, campaign, history, run};

/// Number of worlds to run. `.ci/run` runs ten times as many in an optimized build.
const SEEDS: u64 = 200;

/// No rule is violated in 200 worlds, and every kind of fault and every required result occurs in them.
#[test]
fn rules_hold_in_200_worlds() {
    campaign::silence_panics();
    let begun = Instant::now();
    let totals = campaign::run_seeds(0, campaign::all_cores(), Scenario::from_seed, |totals| totals.started < SEEDS);
    println!("{} seeds, {} messages in {:.1?}", totals.seeds, totals.messages, begun.elapsed());
    println!("faults: {:?}\nresults: {:?}", totals.faults, totals.results);

    if let Some((seed, violations)) = totals.failures.first_key_value() {
        let rule = violations[0].rule;
        let shrunk = shrink(&Scenario::from_seed(*seed), |found| found.iter().any(|violation| violation.rule == rule));
        let failed: Vec<&u64> = totals.failures.keys().collect();
        panic!("seeds {failed:?} failed; seed {seed}: {violations:#?}\nto replay it: {}", shrunk.command());
    }
    // If a fault or a required result never occurred, these worlds did not test the code behind it.
    assert_eq!(totals.missing(), Vec::<String>::new());
}

/// Two runs of one seed record the same history, byte for byte.
#[test]
fn same_seed_gives_same_history() {
    campaign::silence_panics();
    for seed in 0..40 {
        let record = move || history::text(&run(&Scenario::from_seed(seed)).history);
        // Each run has its own thread, so that it starts with fresh thread-local state.
        let [first, second] = [(); 2].map(|()| std::thread::spawn(record).join().unwrap());
        let differs = first.lines().zip(second.lines()).position(|(first, second)| first != second);
        assert!(first == second, "histories of seed {seed} differ at line {differs:?}");
        assert!(first.lines().count() > 5, "the history of seed {seed} is too short");
    }
}

#[test]
fn different_seeds_give_different_histories() {
    campaign::silence_panics();
    let record = |seed| history::text(&run(&Scenario::from_seed(seed)).history);
    assert_ne!(record(2), record(3));
}

/// A shrunk scenario has fewer messages and fewer kinds of faults, and still violates the same rule.
#[test]
fn failing_seed_is_shrunk() {
    use mutants::Mutant::AcknowledgedBeforeWrite;
    use simulation::judgment::{Rule, Violation};
    campaign::silence_panics();
    let is_failure = |found: &[Violation]| found.iter().any(|violation| violation.rule == Rule::Acknowledged);
    let with_mutant = |seed| Scenario::from_seed(seed).with_mutant(AcknowledgedBeforeWrite);
    let whole = (0..100).map(with_mutant).find(|scenario| is_failure(&run(scenario).judgment.violations)).unwrap();
    let shrunk = shrink(&whole, is_failure);
    assert!(shrunk.messages.len() < whole.sent().len() && shrunk.faults.len() < whole.faults().len(), "{shrunk:?}");
    assert!(is_failure(&run(&shrunk.apply(whole)).judgment.violations));
    println!("{}", shrunk.command());
}
