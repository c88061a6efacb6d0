//! What must always hold holds in every world, and a world is a function of its seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use simulation::shrink::shrink;
use simulation::{Scenario, campaign, faults, history, run};

const SEEDS: u64 = 2_000;

#[test]
fn what_must_always_hold_holds_in_2000_worlds_in_which_everything_goes_wrong() {
    campaign::silence_traps();
    let begun = Instant::now();
    let totals = campaign::run_seeds(0, campaign::all_cores(), Scenario::from_seed, |totals| totals.seeds < SEEDS);
    println!("{} seeds, {} messages in {:.1?}", totals.seeds, totals.messages, begun.elapsed());
    println!("faults: {:?}\nends: {:?}", totals.faults, totals.ends);

    if let Some((seed, violations)) = totals.failures.first_key_value() {
        let rule = violations[0].rule;
        let shrunk = shrink(&Scenario::from_seed(*seed), |found| found.iter().any(|violation| violation.rule == rule));
        let failed: Vec<&u64> = totals.failures.keys().collect();
        panic!("seeds {failed:?} fail; seed {seed}: {violations:#?}\nreplay it: {}", shrunk.command());
    }
    // A world in which nothing goes wrong shows nothing.
    for kind in faults::all() {
        assert!(totals.faults.get(kind).is_some_and(|&hits| hits > 0), "{kind} never happened");
    }
    for end in [
        "events won",
        "events won again after their window",
        "claims inserted in a batch",
        "claims put after their insert",
        "messages acknowledged",
        "dead letters: conflicts",
        "dead letters: no events",
        "objects",
        "records quarantined",
        "records given up",
    ] {
        assert!(totals.ends.contains_key(end), "there were no {end}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history_byte_for_byte() {
    campaign::silence_traps();
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
    campaign::silence_traps();
    let tell = |seed| history::text(&run(&Scenario::from_seed(seed)).history);
    assert_ne!(tell(2), tell(3));
}

#[test]
fn a_failing_seed_is_shrunk_to_a_world_that_fails_by_the_same_rule() {
    use lambda_support::deliberate_fault::DeliberateFault::AcknowledgedBeforeWrite;
    use simulation::judgement::{Rule, Violation};
    campaign::silence_traps();
    let fails = |found: &[Violation]| found.iter().any(|violation| violation.rule == Rule::Acknowledged);
    let planted = |seed| Scenario::from_seed(seed).with_deliberate_fault(Some(AcknowledgedBeforeWrite));
    let whole = (0..100).map(planted).find(|scenario| fails(&run(scenario).judgement.violations)).unwrap();
    let shrunk = shrink(&whole, fails);
    assert!(shrunk.messages.len() < whole.sent().len() && shrunk.faults.len() < whole.faults().len(), "{shrunk:?}");
    assert!(fails(&run(&shrunk.apply(whole)).judgement.violations));
    println!("{}", shrunk.command());
}
