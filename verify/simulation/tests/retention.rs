//! Tests of the reference model at the end of each retention period. The model must accept a loss that no guarantee
//! covers, and must reject the same loss if it happens while a guarantee covers the message or the record.

use std::collections::{BTreeMap, BTreeSet};

use simulation::final_state::FinalState;
use simulation::history::{Entry, History, StoredClaim};
use simulation::judgment::Rule;
use simulation::{Scenario, reference_model};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

const CLAIM_ID: &str = "018cc251-f400-7000-8000-000000000000";

/// Returns a scenario in which a failing message is received every 185 seconds, and becomes a dead letter after 555
/// seconds.
fn scenario() -> Scenario {
    let scenario = Scenario::with_pointer(0).with_faults(&BTreeSet::new());
    Scenario { timeout_seconds: 30, batching_window_seconds: 5, skew_ms: 0, ..scenario }
}

fn final_state() -> FinalState {
    FinalState {
        table: BTreeMap::new(),
        packs: BTreeSet::new(),
        sequence_numbers: [(CLAIM_ID.to_owned(), vec!["1".to_owned()])].into(),
        objects: BTreeMap::new(),
        dead_letters: BTreeSet::new(),
        discarded: Vec::new(),
        put_by_hand: BTreeMap::new(),
        unfinished: Vec::new(),
    }
}

/// Returns the number of violations of a rule in a world with this history, and how often `result` occurred.
fn judge(history: &History, rule: Rule, result: &str) -> (usize, u64) {
    judge_final_state(history, &final_state(), rule, result)
}

fn judge_final_state(history: &History, end: &FinalState, rule: Rule, result: &str) -> (usize, u64) {
    let judgment = reference_model::judge(&scenario(), history, end);
    let violations = judgment.violations.iter().filter(|violation| violation.rule == rule).count();
    (violations, judgment.results.get(result).copied().unwrap_or_default())
}

/// Returns the history entry for the test's message, which the queue accepted with the id `m`.
fn accepted() -> Entry {
    Entry::Accepted { message: scenario().messages.len() - 1, id: "m".to_owned() }
}

fn received() -> Entry {
    let items = vec!["m".to_owned()];
    Entry::Invoked { invocation: 0, function: "ingest", sandbox: 0, wall_seconds: 0, items }
}

fn listed(ids: &[&str]) -> Entry {
    Entry::DeadLettersListed(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// While the queue mapping is disabled, a message must vanish at the end of its retention, and not earlier. If the
/// mapping was never disabled, no message may vanish.
#[test]
fn message_vanishes_only_after_its_retention() {
    let disabled_for = |until: u64, in_queue: usize| {
        let history = vec![
            (0, Entry::Disabled("ingest")),
            (SECOND, accepted()),
            (until, Entry::QueueCounted(in_queue)),
            (until, Entry::Enabled("ingest")),
        ];
        judge(&history, Rule::Message, "messages expired in the queue")
    };
    assert_eq!(disabled_for(SECOND + DAY + 1, 0), (0, 1));
    // The queue still holds the message after its retention.
    assert_eq!(disabled_for(SECOND + DAY + 1, 1).0, 1);
    // The queue deleted the message too early, so it is missing now and lost at the end.
    assert_eq!(disabled_for(DAY - HOUR / 2, 0), (2, 0));
    // The queue mapping ran all the time.
    assert_eq!(judge(&vec![(0, accepted())], Rule::Message, "messages expired in the queue"), (1, 0));
}

/// A message must not vanish if `ingest-fn` first receives it at least three visibility timeouts before its retention
/// ends. If the first receive is later, the message may vanish, but only if the queue mapping was disabled until that
/// receive.
#[test]
fn message_received_in_time_must_not_vanish() {
    let received_before_end = |left: u64, is_disabled: bool| {
        let first = DAY - left;
        let mut history = vec![(0, accepted()), (first, received())];
        if is_disabled {
            history.insert(0, (0, Entry::Disabled("ingest")));
            history.insert(2, (first, Entry::QueueCounted(1)));
            history.insert(3, (first, Entry::Enabled("ingest")));
        }
        judge(&history, Rule::Message, "messages expired between receives")
    };
    assert_eq!(received_before_end(560 * SECOND, true), (1, 0));
    assert_eq!(received_before_end(550 * SECOND, true), (0, 1));
    assert_eq!(received_before_end(550 * SECOND, false), (1, 0));
}

/// A dead letter may vanish only at the end of its own retention.
#[test]
fn dead_letter_vanishes_only_after_its_retention() {
    let kept_for = |age: u64, letters: &[&str]| {
        let history = vec![(0, accepted()), (HOUR, listed(&["m"])), (age, listed(letters))];
        let end = FinalState { dead_letters: letters.iter().map(|id| (*id).to_owned()).collect(), ..final_state() };
        let end = FinalState { put_by_hand: [("EVENT#the last event".to_owned(), false)].into(), ..end };
        judge_final_state(&history, &end, Rule::Message, "dead letters expired")
    };
    assert_eq!(kept_for(14 * DAY + 60 * SECOND, &[]), (0, 1));
    assert_eq!(kept_for(14 * DAY + 60 * SECOND, &["m"]), (1, 0));
    assert_eq!(kept_for(14 * DAY - HOUR, &[]), (2, 0));
    assert_eq!(kept_for(14 * DAY - HOUR, &["m"]), (0, 0));
}

/// A claim may have no object if its record left the stream while the stream mapping was disabled. If the record was
/// still in the stream, the mapping must deliver it, or discard it and name it in the on-failure queue.
#[test]
fn record_vanishes_only_while_mapping_is_disabled() {
    let claim = || {
        Entry::Claimed(StoredClaim {
            pk: "EVENT#the last event".to_owned(),
            claim_id: CLAIM_ID.to_owned(),
            claimed_at: String::new(),
            ttl: u64::MAX,
            digest: String::new(),
            message_id: "m".to_owned(),
            sk: "CLAIM".to_owned(),
            trace_id: String::new(),
            pack_id: String::new(),
        })
    };
    let disabled_for = |until: u64, discarded: &[(&str, &str)]| {
        let history = vec![
            (0, accepted()),
            (0, Entry::Disabled("archive")),
            (SECOND, claim()),
            (until, Entry::Enabled("archive")),
        ];
        let discarded = discarded.iter().map(|&(first, last)| (first.to_owned(), last.to_owned())).collect();
        let end = FinalState { discarded, ..final_state() };
        judge_final_state(&history, &end, Rule::Object, "records expired in the stream")
    };
    assert_eq!(disabled_for(SECOND + DAY, &[]), (0, 1));
    assert_eq!(disabled_for(DAY - 60 * SECOND, &[]), (1, 0));
    assert_eq!(disabled_for(DAY - 60 * SECOND, &[("1", "1")]), (0, 0));
    // The record was discarded, although it was far younger than 22 hours.
    assert_eq!(disabled_for(21 * HOUR, &[("1", "1")]), (1, 0));
    assert_eq!(judge(&vec![(0, accepted()), (DAY, claim())], Rule::Object, "records expired in the stream"), (1, 0));
}
