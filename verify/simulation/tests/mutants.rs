//! Proves that the simulation detects mutants. For every mutant, there is a seed whose world violates a rule other than
//! `Log`, which means that the mutant produced a wrong result. Without the mutant, the same seed violates nothing.
//!
//! `cargo test -p simulation --test mutants -- --nocapture` prints these seeds.

#![expect(clippy::print_stdout, reason = "people read which seed catches a mutant")]

use mutants::Mutant;
use simulation::judgment::Rule;
use simulation::{Scenario, campaign, run};

/// Maximum number of seeds to try. One of them must catch the mutant.
const MAX_SEEDS: u64 = 300;

fn assert_caught(mutant: Mutant) {
    campaign::silence_panics();
    for seed in 0..MAX_SEEDS {
        let scenario = Scenario::from_seed(seed);
        let violations = run(&scenario.clone().with_mutant(mutant)).judgment.violations;
        if let Some(violation) = violations.iter().find(|violation| violation.rule != Rule::Log) {
            let text = violation.to_string().escape_debug().to_string();
            println!("{mutant:?}: caught in seed {seed} by {text:.150}");
            let others = run(&scenario).judgment.violations;
            assert!(others.is_empty(), "seed {seed} fails even without {mutant:?}: {others:?}");
            return;
        }
    }
    panic!("{MAX_SEEDS} seeds did not catch {mutant:?}");
}

macro_rules! caught {
    ($($name:ident $mutant:ident)*) => {
        $(
            #[test]
            fn $name() {
                assert_caught(Mutant::$mutant);
            }
        )*

        #[test]
        fn every_mutant_is_tested() {
            assert_eq!([$(Mutant::$mutant),*], Mutant::ALL);
        }
    };
}

caught! {
    claim_without_condition ClaimWithoutCondition
    throttle_is_duplicate ThrottleIsDuplicate
    acknowledged_before_write AcknowledgedBeforeWrite
    same_followers_acknowledged SameFollowersAcknowledged
    other_followers_acknowledged OtherFollowersAcknowledged
    rejected_acknowledged RejectedAcknowledged
    follower_judged_by_leader FollowerJudgedByLeader
    duplicate_item_is_own DuplicateItemIsOwn
    statement_error_is_won StatementErrorIsWon
    put_without_if_none_match PutWithoutIfNoneMatch
    conflict_is_already_there ConflictIsAlreadyThere
    insert_only InsertOnly
    unusable_reported UnusableReported
    checkpoint_at_highest_failure CheckpointAtHighestFailure
}
