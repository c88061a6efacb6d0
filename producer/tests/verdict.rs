//! What is said of a run, from what was seen of it: above all, when it is not well.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use claim::{Claim, Event, EventIdPointer, ObjectPrefix};
use clap::Parser as _;
use producer::cli::{Cli, Command};
use producer::events::Plan;
use producer::evidence::Evidence;
use producer::function_logs::IngestOutcome;
use producer::read_back::Object;
use producer::report::RunReport;
use producer::scenario::Scenario;
use producer::send::SendResults;
use producer::source::Source;
use producer::verdict::Verdict;
use producer::watch::Observation;

fn pointer() -> EventIdPointer {
    EventIdPointer::parse("/event_id").unwrap()
}

fn prefix() -> ObjectPrefix {
    ObjectPrefix::parse("events/").unwrap()
}

/// Makes something of a run that went well go wrong.
type Break = fn(&mut FinishedRun);

/// A run that went well: the messages `m0`, `m1`, .. were all sent, and each event was won by the first of its own.
struct FinishedRun {
    scenario: &'static Scenario,
    plan: Plan,
    sent: SendResults,
    seen: Observation,
}

impl FinishedRun {
    fn of(arguments: &[&str]) -> Self {
        let cli = Cli::try_parse_from([&["producer"], arguments].concat()).unwrap();
        let Command::Run(args) = cli.command() else { panic!("{arguments:?} is no run") };
        let scenario = args.chosen_scenario();
        let plan = Plan::new(scenario, &args, &pointer(), 1 << 20).unwrap();
        let mut sent = SendResults { message_ids: vec![None; plan.messages.len()], ..SendResults::default() };
        let mut seen = Observation { queue_settled: true, drained: true, ..Observation::default() };
        for (index, message) in plan.messages.iter().enumerate() {
            let id = format!("m{index}");
            sent.message_ids[index] = Some(id.clone());
            sent.confirmed.insert(id.clone(), index);
            let Some(of) = message.event else {
                seen.logs.outcomes.insert(id.clone(), IngestOutcome::Rejected);
                seen.dead_letters.insert(id);
                continue;
            };
            let leader = plan.messages_of[of][0];
            let outcome = match index {
                index if index == leader => IngestOutcome::Won,
                _ if plan.messages[leader].digest == message.digest => IngestOutcome::Duplicate,
                _ => IngestOutcome::Conflict,
            };
            seen.logs.outcomes.insert(id.clone(), outcome);
            if outcome == IngestOutcome::Won {
                let event = Event::parse(&message.body, &pointer()).unwrap();
                let window = Duration::from_secs(60);
                let claim = Claim::new(&event, &id, &message.body, SystemTime::now(), window, &[7; 10]).unwrap();
                let key = prefix().object_key(&claim);
                seen.logs.claim_ids.insert(event.id.clone(), Some(claim.claim_id.to_string()));
                seen.logs.keys.insert(event.id, BTreeMap::from([(key.clone(), 0)]));
                seen.claims.insert(of, claim);
                seen.objects.insert(of, Object { key, versions: 1, is_as_sent: true });
            }
        }
        Self { scenario, plan, sent, seen }
    }

    fn report(&self) -> RunReport {
        RunReport::new(&self.evidence(&prefix(), true, false), Duration::from_secs(1))
    }

    fn evidence<'a>(&'a self, prefix: &'a ObjectPrefix, faults_occurred: bool, is_partial: bool) -> Evidence<'a> {
        let started = SystemTime::now() - Duration::from_secs(5);
        let Self { scenario, plan, sent, seen } = self;
        Evidence { scenario, plan, sent, seen, prefix, started, faults_occurred, is_partial }
    }

    /// The verdict, and the invariants that were not held, with `None` where that cannot be told.
    fn judged(&self) -> (Verdict, Vec<(&'static str, Option<bool>)>) {
        let report = self.report();
        let others = report.invariants.iter().filter(|invariant| invariant.held != Some(true));
        (report.verdict, others.map(|invariant| (invariant.name, invariant.held)).collect())
    }
}

#[test]
fn a_run_in_which_all_went_well_held() {
    let run = FinishedRun::of(&["--messages", "3", "--distinct", "--copies", "2"]);
    assert_eq!(run.judged(), (Verdict::Held, vec![]));
    let report = run.report();
    assert_eq!((report.lost, report.pending, report.extra, report.new_claims), (Some(0), 0, Some(0), Some(3)));
}

#[test]
fn an_acknowledged_message_without_a_claim_is_lost() {
    let mut run = FinishedRun::of(&["--messages", "3"]);
    run.seen.claims.clear();
    run.seen.objects.clear();
    run.seen.logs.keys.clear();
    run.seen.missing_claims.insert(0);
    assert_eq!(run.judged(), (Verdict::Violated, vec![("each event has a claim", Some(false))]));
    assert_eq!(run.report().lost, Some(1));
}

#[test]
fn an_object_that_the_log_names_and_the_lake_does_not_have_is_lost_and_not_extra() {
    let mut run = FinishedRun::of(&["--messages", "3"]);
    run.seen.objects.clear();
    run.seen.missing_objects.insert(0);
    assert_eq!(run.judged(), (Verdict::Violated, vec![("each claim has its object", Some(false))]));
    assert_eq!((run.report().lost, run.report().extra), (Some(1), Some(0)));
}

#[test]
fn a_claim_that_is_not_archived_when_the_time_is_up_is_pending_and_not_lost() {
    let mut run = FinishedRun::of(&["--messages", "3"]);
    run.seen.objects.clear();
    run.seen.logs.keys.clear();
    run.seen.drained = false;
    assert_eq!(run.judged(), (Verdict::Inconclusive, vec![("each claim has its object", None)]));
    assert_eq!((run.report().lost, run.report().pending), (Some(0), 1));
}

#[test]
fn a_message_that_is_nowhere_is_lost_only_once_the_queue_has_been_empty_for_long() {
    let name = "each message was won, a duplicate or a conflict, or is a dead letter";
    let mut run = FinishedRun::of(&["--messages", "3"]);
    run.seen.logs.outcomes.remove("m2");
    assert_eq!(run.judged(), (Verdict::Violated, vec![(name, Some(false))]));
    run.seen.queue_settled = false;
    assert_eq!(run.judged(), (Verdict::Inconclusive, vec![(name, None)]));
}

#[test]
fn a_send_whose_answer_was_lost_may_have_been_delivered_and_is_no_violation() {
    let mut run = FinishedRun::of(&["--messages", "2", "--distinct"]);
    run.sent.confirmed.remove("m1");
    run.sent.message_ids[1] = None;
    run.sent.unconfirmed.push((1, "timeout".to_owned()));
    assert_eq!(run.judged(), (Verdict::Held, vec![]), "it was delivered");
    run.seen.claims.remove(&1);
    run.seen.objects.remove(&1);
    assert_eq!(run.judged(), (Verdict::Held, vec![]), "it was delivered, and its claim not looked up");
    run.seen.logs.keys.remove("grid_stress_999-2");
    assert_eq!(run.judged(), (Verdict::Held, vec![]), "it was not delivered");
}

#[test]
fn a_run_of_which_nothing_was_confirmed_shows_nothing() {
    let mut run = FinishedRun::of(&["--messages", "1"]);
    run.sent =
        SendResults { message_ids: vec![None], unconfirmed: vec![(0, "timeout".to_owned())], ..SendResults::default() };
    run.seen = Observation { drained: true, queue_settled: true, ..Observation::default() };
    assert_eq!(run.judged(), (Verdict::Inconclusive, vec![]));
}

#[test]
fn a_rejected_event_is_a_violation_even_as_a_dead_letter() {
    let mut run = FinishedRun::of(&["--messages", "1"]);
    run.seen = Observation { drained: true, queue_settled: true, ..Observation::default() };
    run.seen.logs.outcomes.insert("m0".to_owned(), IngestOutcome::Rejected);
    run.seen.dead_letters.insert("m0".to_owned());
    assert_eq!(run.judged(), (Verdict::Violated, vec![("no event was rejected", Some(false))]));
    // The same that only failed, as in an outage, is where it should be.
    run.seen.logs.outcomes.insert("m0".to_owned(), IngestOutcome::Failed);
    assert_eq!(run.judged(), (Verdict::Held, vec![]));
    assert_eq!((run.report().dead_letters, run.report().lost), (Some(1), Some(0)));
}

/// A person sees each invariant that does not hold with what it fails on, and the others as a number.
#[test]
fn failures_are_shown_in_full() {
    let mut run = FinishedRun::of(&["--messages", "7", "--distinct"]);
    run.seen.objects.values_mut().for_each(|object| object.versions = 2);
    run.seen.unreadable = BTreeMap::from([(Source::DeadLetterQueue, "no".to_owned())]);
    let report = run.report();
    let mut text = Vec::new();
    producer::report::text::write(&report, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let violated = report.invariants.iter().find(|invariant| invariant.held == Some(false)).unwrap();
    let keys: String = violated.examples[..5].iter().map(|key| format!("        {key}\n")).collect();
    let expected = [
        "could not be read: dead_letter_queue: no\n",
        "PASS  8 of 10 invariants (--json names each)\n",
        "????  each message was won, a duplicate or a conflict, or is a dead letter\n",
        "FAIL  each object has one version\n",
        &keys,
        "        and 2 more\n",
        "verdict: violated\n",
    ];
    assert!(text.ends_with(&expected.concat()), "{text}");
}

#[test]
fn whatever_is_twice_or_not_as_sent_is_a_violation() {
    let broken: [(&str, Break); 5] = [
        ("duplicates say what their claim says, and conflicts do not", |run| {
            run.seen.logs.outcomes.insert("m1".to_owned(), IngestOutcome::Conflict);
        }),
        ("no event was won twice", |run| {
            run.seen.logs.outcomes.insert("m1".to_owned(), IngestOutcome::Won);
        }),
        ("each object has one version", |run| run.seen.objects.get_mut(&0).unwrap().versions = 2),
        ("each object holds its event as sent", |run| run.seen.objects.get_mut(&0).unwrap().is_as_sent = false),
        ("there is no other object of these events", |run| {
            run.seen.logs.keys.get_mut("grid_stress_999").unwrap().insert("events/other.json".to_owned(), 0);
        }),
    ];
    for (name, break_it) in broken {
        let mut run = FinishedRun::of(&["--messages", "2"]);
        break_it(&mut run);
        assert_eq!(run.judged(), (Verdict::Violated, vec![(name, Some(false))]));
    }
}

#[test]
fn what_cannot_be_read_is_null_and_the_verdict_inconclusive() {
    for (source, name) in [
        (Source::Table, "claims"),
        (Source::Bucket, "objects"),
        (Source::IngestLog, "duplicates"),
        (Source::ArchiveLog, "extra"),
        (Source::DeadLetterQueue, "dead_letters"),
    ] {
        let mut run = FinishedRun::of(&["--messages", "2"]);
        run.seen.unreadable = BTreeMap::from([(source, "no".to_owned())]);
        let json = serde_json::to_value(run.report()).unwrap();
        assert_eq!((&json[name], &json["verdict"]), (&serde_json::Value::Null, &"inconclusive".into()), "{json}");
    }
}

#[test]
fn a_claim_of_an_earlier_run_is_said_to_be_one_and_that_of_an_unconfirmed_send_is_not() {
    let mut run = FinishedRun::of(&["--messages", "2"]);
    run.seen.logs.outcomes.insert("m0".to_owned(), IngestOutcome::Duplicate);
    let claim = run.seen.claims.get_mut(&0).unwrap();
    claim.message_id = "of another run".to_owned();
    assert_eq!(run.report().new_claims, Some(1));
    run.seen.claims.get_mut(&0).unwrap().claimed_at -= Duration::from_secs(60);
    let key = prefix().object_key(&run.seen.claims[&0]);
    run.seen.logs.keys = HashMap::new();
    run.seen.objects.get_mut(&0).unwrap().key = key;
    assert_eq!(run.judged(), (Verdict::Held, vec![]));
    assert_eq!(run.report().new_claims, Some(0));
}

#[test]
fn what_each_scenario_sends_holds_if_all_goes_well() {
    for name in ["herd", "distinct", "mixed", "conflicts", "poison", "large", "redelivery", "outage", "soak"] {
        let run = FinishedRun::of(&["run", name]);
        assert_eq!(run.judged(), (Verdict::Held, vec![]), "{name}");
    }
}

#[test]
fn a_duplicate_that_says_something_else_is_a_violation_unless_it_was_held_against_another_claim() {
    let name = "duplicates say what their claim says, and conflicts do not";
    let mut run = FinishedRun::of(&["run", "conflicts"]);
    let conflict = run.seen.logs.outcomes.values_mut().find(|outcome| **outcome == IngestOutcome::Conflict);
    *conflict.unwrap() = IngestOutcome::Duplicate;
    assert_eq!(run.judged(), (Verdict::Violated, vec![(name, Some(false))]));
    // The dedup window ended meanwhile.
    run.seen.logs.claim_ids.values_mut().for_each(|claim_id| *claim_id = None);
    assert_eq!(run.judged(), (Verdict::Held, vec![]));
}

#[test]
fn what_cannot_be_claimed_is_a_violation_if_it_is_acknowledged_or_gone_and_not_if_it_is_on_its_way() {
    let name = "what cannot be claimed is a dead letter, and is not acknowledged";
    let accounted = "each message was won, a duplicate or a conflict, or is a dead letter";
    let run = || FinishedRun::of(&["run", "poison", "--messages", "5"]);
    let mut acknowledged = run();
    acknowledged.seen.logs.outcomes.insert("m4".to_owned(), IngestOutcome::Duplicate);
    assert_eq!(acknowledged.judged(), (Verdict::Violated, vec![(name, Some(false))]));
    let mut gone = run();
    gone.seen.dead_letters.clear();
    assert_eq!(gone.judged(), (Verdict::Violated, vec![(accounted, Some(false)), (name, Some(false))]));
    gone.seen.queue_settled = false;
    assert_eq!(gone.judged(), (Verdict::Inconclusive, vec![(accounted, None), (name, None)]));
}

#[test]
fn where_only_poison_may_die_another_dead_letter_is_a_violation_and_elsewhere_it_is_not() {
    for (scenario, verdict) in [("poison", Verdict::Violated), ("distinct", Verdict::Held)] {
        let mut run = FinishedRun::of(&["run", scenario, "--messages", "5"]);
        run.seen.logs.outcomes.insert("m0".to_owned(), IngestOutcome::Failed);
        run.seen.dead_letters.insert("m0".to_owned());
        run.seen.claims.remove(&0);
        run.seen.objects.remove(&0);
        run.seen.logs.keys.remove(&run.plan.event_ids[0]);
        assert_eq!(run.judged().0, verdict, "{scenario}");
    }
}

#[test]
fn a_scenario_whose_fault_did_not_take_place_shows_nothing() {
    let run = FinishedRun::of(&["run", "outage"]);
    assert_eq!(RunReport::new(&run.evidence(&prefix(), true, false), Duration::ZERO).verdict, Verdict::Held);
    assert_eq!(RunReport::new(&run.evidence(&prefix(), false, false), Duration::ZERO).verdict, Verdict::Inconclusive);
}

#[test]
fn a_partial_run_never_holds_and_is_violated_if_something_was_seen() {
    let mut run = FinishedRun::of(&["--messages", "2"]);
    let verdict = |run: &FinishedRun| RunReport::new(&run.evidence(&prefix(), true, true), Duration::ZERO).verdict;
    assert_eq!(verdict(&run), Verdict::Inconclusive);
    run.seen.objects.get_mut(&0).unwrap().versions = 2;
    assert_eq!(verdict(&run), Verdict::Violated);
}

#[test]
fn a_run_of_which_something_was_not_sent_never_holds_says_so_and_is_violated_if_something_was_seen() {
    let mut run = FinishedRun::of(&["--messages", "2"]);
    run.sent.unsent = 1;
    assert_eq!(run.judged(), (Verdict::Inconclusive, vec![]));
    let mut text = Vec::new();
    producer::report::text::write(&run.report(), false, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().ends_with("verdict: inconclusive (not all was sent)\n"));
    run.seen.objects.get_mut(&0).unwrap().versions = 2;
    assert_eq!(run.judged().0, Verdict::Violated);
}
