//! What must always hold holds in every world, and a world is a function of its seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use simulation::shrink::shrink;
use simulation::{Scenario, campaign, history, run};

/// `.ci/run` runs ten times as many in an optimized build.
const SEEDS: u64 = 200;

#[test]
fn what_must_always_hold_holds_in_200_worlds() {
    campaign::silence_panics();
    let begun = Instant::now();
    let totals = campaign::run_seeds(0, campaign::all_cores(), Scenario::from_seed, |totals| totals.started < SEEDS);
    println!("{} seeds, {} messages in {:.1?}", totals.seeds, totals.messages, begun.elapsed());
    println!("faults: {:?}\nends: {:?}", totals.faults, totals.ends);

    if let Some((seed, violations)) = totals.failures.first_key_value() {
        let rule = violations[0].rule;
        let shrunk = shrink(&Scenario::from_seed(*seed), |found| found.iter().any(|violation| violation.rule == rule));
        let failed: Vec<&u64> = totals.failures.keys().collect();
        panic!("seeds {failed:?} fail; seed {seed}: {violations:#?}\nreplay it: {}", shrunk.command());
    }
    // A world in which nothing goes wrong shows nothing.
    assert_eq!(totals.missing(), Vec::<String>::new());
}

#[test]
fn the_same_seed_gives_the_same_history_byte_for_byte() {
    campaign::silence_panics();
    for seed in 0..40 {
        let tell = move || history::text(&run(&Scenario::from_seed(seed)).history);
        // Each in a thread of its own, whose thread-local state is new.
        let [first, second] = [(); 2].map(|()| std::thread::spawn(tell).join().unwrap());
        let differs = first.lines().zip(second.lines()).position(|(first, second)| first != second);
        assert!(first == second, "seed {seed} differs from line {differs:?} on");
        assert!(first.lines().count() > 5, "seed {seed} has no history");
    }
}

#[test]
fn another_seed_gives_another_history() {
    campaign::silence_panics();
    let tell = |seed| history::text(&run(&Scenario::from_seed(seed)).history);
    assert_ne!(tell(2), tell(3));
}

#[test]
fn a_failing_seed_is_shrunk_to_a_world_that_fails_by_the_same_rule() {
    use mutants::Mutant::AcknowledgedBeforeWrite;
    use simulation::judgement::{Rule, Violation};
    campaign::silence_panics();
    let fails = |found: &[Violation]| found.iter().any(|violation| violation.rule == Rule::Acknowledged);
    let planted = |seed| Scenario::from_seed(seed).with_mutant(AcknowledgedBeforeWrite);
    let whole = (0..100).map(planted).find(|scenario| fails(&run(scenario).judgement.violations)).unwrap();
    let shrunk = shrink(&whole, fails);
    assert!(shrunk.messages.len() < whole.sent().len() && shrunk.faults.len() < whole.faults().len(), "{shrunk:?}");
    assert!(fails(&run(&shrunk.apply(whole)).judgement.violations));
    println!("{}", shrunk.command());
}
