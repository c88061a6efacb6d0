//! The simulation can fail: it catches each fault that is planted in the code on purpose, by what comes out and not by
//! what the handlers log, and finds nothing in the same seeds without it. How many seeds it took is printed
//! (`-- --nocapture`).

#![allow(clippy::print_stdout, reason = "the number of seeds is for people")]

use lambda_support::deliberate_fault::DeliberateFault;
use simulation::judgement::Rule;
use simulation::{Scenario, campaign, run};

/// A fault that so many seeds do not catch is not caught.
const MOST_SEEDS: u64 = 300;

fn is_caught(fault: DeliberateFault) {
    campaign::silence_traps();
    for seed in 0..MOST_SEEDS {
        let scenario = Scenario::from_seed(seed);
        let judgement = run(&scenario.clone().with_deliberate_fault(Some(fault))).judgement;
        if let Some(violation) = judgement.violations.iter().find(|violation| violation.rule != Rule::Log) {
            let seeds = seed + 1;
            let what = violation.to_string().escape_debug().to_string();
            println!("{fault:?}: caught by {seeds} seeds; {what:.150}");
            let honest = run(&scenario).judgement.violations;
            assert!(honest.is_empty(), "seed {seed} fails without {fault:?} too: {honest:?}");
            return;
        }
    }
    panic!("{MOST_SEEDS} seeds did not catch {fault:?}");
}

macro_rules! caught {
    ($($name:ident $fault:ident)*) => {
        $(
            #[test]
            fn $name() {
                is_caught(DeliberateFault::$fault);
            }
        )*

        #[test]
        fn no_deliberate_fault_is_left_out() {
            assert_eq!([$(DeliberateFault::$fault),*], DeliberateFault::ALL);
        }
    };
}

caught! {
    a_claim_without_condition_is_caught ClaimWithoutCondition
    a_throttle_taken_as_duplicate_is_caught ThrottleIsDuplicate
    acknowledging_before_the_write_is_caught AcknowledgedBeforeWrite
    a_cache_filled_before_confirmation_is_caught CachedBeforeConfirmation
    acknowledging_followers_of_a_failed_leader_that_say_the_same_is_caught SameFollowersAcknowledged
    acknowledging_followers_of_a_failed_leader_that_say_something_else_is_caught OtherFollowersAcknowledged
    acknowledging_what_is_rejected_is_caught RejectedAcknowledged
    judging_a_follower_by_its_leader_is_caught FollowerJudgedByLeader
    a_fresh_claim_id_on_each_retry_is_caught FreshClaimIdOnRetry
    a_duplicate_item_taken_for_an_insert_of_our_own_is_caught DuplicateItemIsOwn
    an_error_within_a_good_answer_taken_for_success_is_caught StatementErrorIsWon
    a_fresh_claim_id_after_a_batched_insert_is_caught FreshClaimIdAfterInsert
    a_cache_timed_by_a_clock_that_stands_still_while_frozen_is_caught CacheByMonotonicClock
    a_panic_without_a_fence_is_caught PanicUnfenced
    a_put_without_if_none_match_is_caught PutWithoutIfNoneMatch
    a_conflict_taken_as_success_is_caught ConflictIsAlreadyThere
    archiving_inserts_alone_is_caught InsertOnly
    reporting_an_unusable_record_for_ever_is_caught UnusableReported
    a_checkpoint_at_the_highest_failure_is_caught CheckpointAtHighestFailure
}
