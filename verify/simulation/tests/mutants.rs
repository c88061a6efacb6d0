//! The simulation can fail: it catches each mutant of the functions, by what comes out and not by what the handlers log, and
//! finds nothing in the same seed without it. How many seeds it took is printed (`-- --nocapture`).

#![allow(clippy::print_stdout, reason = "the number of seeds is for people")]

use mutants::Mutant;
use simulation::judgement::Rule;
use simulation::{Scenario, campaign, run};

/// A mutant that so many seeds do not catch is not caught.
const MOST_SEEDS: u64 = 300;

fn is_caught(mutant: Mutant) {
    campaign::silence_panics();
    for seed in 0..MOST_SEEDS {
        let scenario = Scenario::from_seed(seed);
        let judgement = run(&scenario.clone().with_mutant(mutant)).judgement;
        if let Some(violation) = judgement.violations.iter().find(|violation| violation.rule != Rule::Log) {
            let what = violation.to_string().escape_debug().to_string();
            println!("{mutant:?}: rule {:?}, seed {seed}, {} seeds; {what:.150}", violation.rule, seed + 1);
            let honest = run(&scenario).judgement.violations;
            assert!(honest.is_empty(), "seed {seed} fails without {mutant:?} too: {honest:?}");
            return;
        }
    }
    panic!("{MOST_SEEDS} seeds did not catch {mutant:?}");
}

macro_rules! caught {
    ($($name:ident $mutant:ident)*) => {
        $(
            #[test]
            fn $name() {
                is_caught(Mutant::$mutant);
            }
        )*

        #[test]
        fn no_mutant_is_left_out() {
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
