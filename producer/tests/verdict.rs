//! Tests of the verdict and the report on fabricated evidence, mostly evidence of runs that went wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use claim::{Body, Claim, ObjectPrefix, SourceMessage};
use clap::Parser as _;
use producer::by_event::ByEvent;
use producer::cli::{Cli, Command};
use producer::events::{NamedEvent, Plan};
use producer::evidence::Evidence;
use producer::function_logs::{FunctionLogs, IngestOutcome, LoggedKey};
use producer::lake::Object;
use producer::message_id::MessageId;
use producer::observed_claim::{ObservedClaim, UnknownWinner, Winner};
use producer::place::Place;
use producer::report::RunReport;
use producer::scenario::Scenario;
use producer::send::SendResults;
use producer::source::Source;
use producer::target::Target;
use producer::verdict::Verdict;
use producer::watch::Observation;
use serde_json::Value;

fn prefix() -> ObjectPrefix {
    ObjectPrefix::parse("events/").unwrap()
}

/// Changes a successful run so that one invariant is violated.
type Violation = fn(&mut FinishedRun);

/// A successful run: the messages `m0`, `m1`, .. were all sent, and the first message of each event won the event.
struct FinishedRun {
    scenario: &'static Scenario,
    plan: Plan,
    log_routine_outcomes: bool,
    sent: SendResults,
    seen: Observation,
}

impl FinishedRun {
    fn new(arguments: &[&str]) -> Self {
        Self::with_claims(arguments, |_| ())
    }

    /// Creates a successful run whose claims are changed before the producer reads them.
    fn with_claims(arguments: &[&str], change: fn(&mut Claim)) -> Self {
        let cli = Cli::try_parse_from([&["producer"], arguments].concat()).unwrap();
        let Command::Run(args) = cli.command() else { panic!("{arguments:?} is not a run") };
        let scenario = args.chosen_scenario();
        let settings = Target::embedded().settings_of_run(&args.settings, scenario).unwrap();
        let plan = Plan::new(scenario, &args, &settings.rules, 1 << 20).unwrap();
        let mut sent = SendResults { message_ids: vec![None; plan.messages.len()], ..SendResults::default() };
        let mut seen = Observation { queue_settled: true, drained: true, ..Observation::default() };
        for (index, message) in plan.messages.iter().enumerate() {
            let text = format!("m{index}");
            let id = MessageId::from(text.as_str());
            sent.message_ids[index] = Some(id.clone());
            sent.confirmed.insert(id.clone(), index);
            let Some(event_index) = message.event else {
                seen.logs.outcomes.insert(id.clone(), IngestOutcome::Rejected);
                seen.dead_letters.insert(id);
                continue;
            };
            let leader = plan.messages_of[event_index][0];
            let outcome = match index {
                index if index == leader => IngestOutcome::Won,
                _ if plan.messages[leader].digest == message.digest => IngestOutcome::Duplicate,
                _ => IngestOutcome::Conflict,
            };
            seen.logs.outcomes.insert(id.clone(), outcome);
            if outcome == IngestOutcome::Won {
                let event = plan.rules.event(&message.body, None).unwrap();
                let window = Duration::from_secs(60);
                let mut claim =
                    Claim::new(&event, &SourceMessage::new(&text, &message.body), SystemTime::now(), window, &[7; 10])
                        .unwrap();
                let place = Place::Single(claim.claim_id);
                seen.logs.claim_ids.insert(event_index, Some(claim.claim_id));
                seen.logs.keys.insert(event_index, vec![(LoggedKey::At(place), 0)]);
                change(&mut claim);
                seen.claims.insert(event_index, ObservedClaim::new(claim, &plan.rules, &sent));
                seen.objects.insert(event_index, Object { place, versions: 1, is_as_sent: true, version_id: None });
            }
        }
        Self { scenario, plan, log_routine_outcomes: true, sent, seen }
    }

    fn report(&self) -> RunReport {
        RunReport::new(&self.evidence(&prefix(), true, false), Duration::from_secs(1))
    }

    fn evidence<'a>(&'a self, prefix: &'a ObjectPrefix, faults_occurred: bool, is_partial: bool) -> Evidence<'a> {
        let started = SystemTime::now() - Duration::from_secs(5);
        let Self { scenario, plan, log_routine_outcomes, sent, seen } = self;
        let log_routine_outcomes = *log_routine_outcomes;
        Evidence { scenario, plan, sent, seen, prefix, started, faults_occurred, log_routine_outcomes, is_partial }
    }

    /// Returns the verdict and the invariants that did not hold: `Some(false)` if violated, `None` if undecided.
    fn judge(&self) -> (Verdict, Vec<(&'static str, Option<bool>)>) {
        let report = self.report();
        let others = report.invariants.iter().filter(|invariant| invariant.held != Some(true));
        (report.verdict, others.map(|invariant| (invariant.name, invariant.held)).collect())
    }
}

#[test]
fn successful_run_is_held() {
    let run = FinishedRun::new(&["--messages", "3", "--distinct", "--copies", "2"]);
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    let report = run.report();
    assert_eq!((report.lost, report.pending, report.extra, report.new_claims), (Some(0), 0, Some(0), Some(3)));
}

#[test]
fn acknowledged_message_without_claim_is_lost() {
    let mut run = FinishedRun::new(&["--messages", "3"]);
    run.seen.claims = ByEvent::default();
    run.seen.objects = ByEvent::default();
    run.seen.logs.keys = ByEvent::default();
    run.seen.missing_claims.insert(0);
    assert_eq!(run.judge(), (Verdict::Violated, vec![("each event has a claim", Some(false))]));
    assert_eq!(run.report().lost, Some(1));
}

/// If `archive-fn` logged an object that is not in the lake, the event counts as lost, and the object does not count as
/// extra.
#[test]
fn logged_object_missing_from_lake_is_lost() {
    let mut run = FinishedRun::new(&["--messages", "3"]);
    run.seen.objects = ByEvent::default();
    run.seen.missing_objects.insert(0);
    assert_eq!(run.judge(), (Verdict::Violated, vec![("each claim has its object", Some(false))]));
    assert_eq!((run.report().lost, run.report().extra), (Some(1), Some(0)));
}

/// A claim without an object at the timeout is pending, not lost.
#[test]
fn unarchived_claim_at_timeout_is_pending() {
    let mut run = FinishedRun::new(&["--messages", "3"]);
    run.seen.objects = ByEvent::default();
    run.seen.logs.keys = ByEvent::default();
    run.seen.drained = false;
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![("each claim has its object", None)]));
    assert_eq!((run.report().lost, run.report().pending), (Some(0), 1));
}

/// A message without an outcome is lost only after the queue has been empty for long enough.
#[test]
fn missing_message_is_lost_once_queue_is_settled() {
    let name = "each message ended as won, duplicate, conflict or dead letter";
    let mut run = FinishedRun::new(&["--messages", "3"]);
    run.seen.logs.outcomes.remove(&"m2".into());
    assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    run.seen.queue_settled = false;
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![(name, None)]));
}

/// An unconfirmed message may or may not have been delivered. Neither case violates an invariant.
#[test]
fn unconfirmed_send_violates_nothing() {
    let mut run = FinishedRun::new(&["--messages", "2", "--distinct"]);
    run.sent.confirmed.remove(&"m1".into());
    run.sent.message_ids[1] = None;
    run.sent.unconfirmed.push((1, "timeout".to_owned()));
    assert_eq!(run.judge(), (Verdict::Held, vec![]), "it was delivered");
    run.seen.claims.remove(1);
    run.seen.objects.remove(1);
    assert_eq!(run.judge(), (Verdict::Held, vec![]), "it was delivered, and its claim was not looked up");
    run.seen.logs.keys.remove(1);
    assert_eq!(run.judge(), (Verdict::Held, vec![]), "it was not delivered");
}

#[test]
fn run_without_confirmed_send_is_inconclusive() {
    let mut run = FinishedRun::new(&["--messages", "1"]);
    run.sent =
        SendResults { message_ids: vec![None], unconfirmed: vec![(0, "timeout".to_owned())], ..SendResults::default() };
    run.seen = Observation { drained: true, queue_settled: true, ..Observation::default() };
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![]));
}

/// Rejecting a valid event is a violation even if its message becomes a dead letter.
#[test]
fn rejected_valid_event_is_a_violation() {
    let mut run = FinishedRun::new(&["--messages", "1"]);
    run.seen = Observation { drained: true, queue_settled: true, ..Observation::default() };
    run.seen.logs.outcomes.insert("m0".into(), IngestOutcome::Rejected);
    run.seen.dead_letters.insert("m0".into());
    assert_eq!(run.judge(), (Verdict::Violated, vec![("no valid event was rejected", Some(false))]));
    // `ingest-fn` may fail on a valid event, as in an outage. Such an event may become a dead letter.
    run.seen.logs.outcomes.insert("m0".into(), IngestOutcome::Failed);
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    assert_eq!((run.report().dead_letters, run.report().lost), (Some(1), Some(0)));
}

/// The text report shows up to five offending ids for each invariant that does not hold, and the number of invariants
/// that hold.
#[test]
fn failures_are_shown_in_full() {
    let mut run = FinishedRun::new(&["--messages", "7", "--distinct"]);
    (0..run.plan.event_ids.len()).for_each(|event| run.seen.objects.get_mut(event).unwrap().versions = 2);
    run.seen.unreadable = BTreeMap::from([(Source::DeadLetterQueue, "no".to_owned())]);
    let report = run.report();
    let mut text = Vec::new();
    producer::report::text::write(&report, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let violated = report.invariants.iter().find(|invariant| invariant.held == Some(false)).unwrap();
    let keys: String = violated.examples[..5].iter().map(|key| format!("        {key}\n")).collect();
    let expected = [
        "could not read dead_letter_queue: no\n",
        "PASS  8 of 10 invariants (--json lists them)\n",
        "????  each message ended as won, duplicate, conflict or dead letter\n",
        "FAIL  each object has exactly one version\n",
        &keys,
        "        and 2 more\n",
        "verdict: violated\n",
    ];
    assert!(text.ends_with(&expected.concat()), "{text}");
}

/// Control characters in ids and error texts never reach the terminal.
#[test]
fn report_has_no_control_characters() {
    let id = "\u{1b}[2Jevil\nverdict: held\u{9b}31m\u{202e}";
    let mut run = FinishedRun::new(&["--messages", "1", "--event-id", id]);
    run.seen.claims = ByEvent::default();
    run.seen.objects = ByEvent::default();
    run.seen.missing_claims.insert(0);
    run.seen.unreadable = BTreeMap::from([(Source::DeadLetterQueue, "no\u{1b}c\r".to_owned())]);
    let mut text = Vec::new();
    producer::report::text::write(&run.report(), false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text:?}");
    assert!(text.contains("\n        \\u{1b}[2Jevil\\nverdict: held\\u{9b}31m\\u{202e}\n"), "{text}");
    assert!(text.contains("could not read dead_letter_queue: no\\u{1b}c\\r\n"), "{text}");
}

/// Each of these changes to a successful run violates exactly one invariant.
#[test]
fn each_violation_is_found() {
    let violations: [(&str, Violation); 5] = [
        ("each duplicate matches its event's claim, and each conflict differs from it", |run| {
            run.seen.logs.outcomes.insert("m1".into(), IngestOutcome::Conflict);
        }),
        ("no event was won twice", |run| {
            run.seen.logs.outcomes.insert("m1".into(), IngestOutcome::Won);
        }),
        ("each object has exactly one version", |run| run.seen.objects.get_mut(0).unwrap().versions = 2),
        ("each object holds its event as sent", |run| run.seen.objects.get_mut(0).unwrap().is_as_sent = false),
        ("no event has an object other than its claim's", |run| {
            let other = LoggedKey::new("events/other.json", &prefix());
            run.seen.logs.keys.get_mut(0).unwrap().push((other, 0));
        }),
    ];
    for (name, violate) in violations {
        let mut run = FinishedRun::new(&["--messages", "2"]);
        violate(&mut run);
        assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    }
}

/// If a source could not be read, its numbers are null in the JSON report, and the verdict is inconclusive.
#[test]
fn unreadable_source_is_null_and_inconclusive() {
    for (source, name) in [
        (Source::Table, "claims"),
        (Source::Bucket, "objects"),
        (Source::IngestLog, "duplicates"),
        (Source::ArchiveLog, "extra"),
        (Source::DeadLetterQueue, "dead_letters"),
    ] {
        let mut run = FinishedRun::new(&["--messages", "2"]);
        run.seen.unreadable = BTreeMap::from([(source, "no".to_owned())]);
        let json = serde_json::to_value(run.report()).unwrap();
        assert_eq!((&json[name], &json["verdict"]), (&serde_json::Value::Null, &"inconclusive".into()), "{json}");
    }
}

/// A claim from before the run does not count as new. A claim made during the run counts as new even if it names no
/// confirmed message, because an unconfirmed message may have won it.
#[test]
fn claim_of_earlier_run_is_not_new() {
    let mut run = FinishedRun::new(&["--messages", "2"]);
    run.seen.logs.outcomes.insert("m0".into(), IngestOutcome::Duplicate);
    let body = Body::Plain(run.plan.messages[0].body.to_string());
    let winner = UnknownWinner { message_id: "of another run".into(), body };
    run.seen.claims.get_mut(0).unwrap().winner = Winner::Unknown(Box::new(winner));
    assert_eq!(run.report().new_claims, Some(1));
    run.seen.claims.get_mut(0).unwrap().claimed_at -= Duration::from_secs(60);
    run.seen.logs.keys = ByEvent::default();
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    assert_eq!(run.report().new_claims, Some(0));
}

#[test]
fn every_scenario_holds_if_successful() {
    for name in [
        "herd",
        "distinct",
        "mixed",
        "conflicts",
        "cloudevents",
        "restamped",
        "poison",
        "large",
        "redelivery",
        "outage",
        "soak",
    ] {
        let run = FinishedRun::new(&["run", name]);
        assert_eq!(run.judge(), (Verdict::Held, vec![]), "{name}");
    }
}

/// A duplicate that differs from its event's claim is a violation, unless `ingest-fn` checked it against another claim.
#[test]
fn differing_duplicate_is_a_violation() {
    let name = "each duplicate matches its event's claim, and each conflict differs from it";
    let mut run = FinishedRun::new(&["run", "conflicts"]);
    let conflict = run.seen.logs.outcomes.values_mut().find(|outcome| **outcome == IngestOutcome::Conflict);
    *conflict.unwrap() = IngestOutcome::Duplicate;
    assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    // If the dedup window ends during the run, the event has two claims one after the other.
    (0..run.plan.event_ids.len()).for_each(|event| run.seen.logs.claim_ids.insert(event, None));
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
}

/// A message that cannot be claimed violates an invariant if it is acknowledged or disappears. It violates none while
/// it may still become a dead letter.
#[test]
fn poison_must_become_a_dead_letter() {
    let name = "each message that cannot be claimed is a dead letter and was not acknowledged";
    let accounted = "each message ended as won, duplicate, conflict or dead letter";
    let run = || FinishedRun::new(&["run", "poison", "--messages", "5"]);
    let mut acknowledged = run();
    acknowledged.seen.logs.outcomes.insert("m4".into(), IngestOutcome::Duplicate);
    assert_eq!(acknowledged.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    let mut gone = run();
    gone.seen.dead_letters.clear();
    assert_eq!(gone.judge(), (Verdict::Violated, vec![(accounted, Some(false)), (name, Some(false))]));
    gone.seen.queue_settled = false;
    assert_eq!(gone.judge(), (Verdict::Inconclusive, vec![(accounted, None), (name, None)]));
}

/// A claimable message in the dead-letter queue is a violation only in scenarios that allow no such dead letters.
#[test]
fn claimable_dead_letter_may_be_a_violation() {
    for (scenario, verdict) in [("poison", Verdict::Violated), ("distinct", Verdict::Held)] {
        let mut run = FinishedRun::new(&["run", scenario, "--messages", "5"]);
        run.seen.logs.outcomes.insert("m0".into(), IngestOutcome::Failed);
        run.seen.dead_letters.insert("m0".into());
        run.seen.claims.remove(0);
        run.seen.objects.remove(0);
        run.seen.logs.keys.remove(0);
        assert_eq!(run.judge().0, verdict, "{scenario}");
    }
}

#[test]
fn scenario_without_its_fault_is_inconclusive() {
    let run = FinishedRun::new(&["run", "outage"]);
    assert_eq!(RunReport::new(&run.evidence(&prefix(), true, false), Duration::ZERO).verdict, Verdict::Held);
    assert_eq!(RunReport::new(&run.evidence(&prefix(), false, false), Duration::ZERO).verdict, Verdict::Inconclusive);
}

/// The verdict of an interrupted run is never `held`, but a violation that was seen still counts.
#[test]
fn partial_run_is_never_held() {
    let mut run = FinishedRun::new(&["--messages", "2"]);
    let verdict = |run: &FinishedRun| RunReport::new(&run.evidence(&prefix(), true, true), Duration::ZERO).verdict;
    assert_eq!(verdict(&run), Verdict::Inconclusive);
    run.seen.objects.get_mut(0).unwrap().versions = 2;
    assert_eq!(verdict(&run), Verdict::Violated);
}

/// If SQS refused a message, the verdict is never `held`, and the report says why. A violation that was seen still
/// counts.
#[test]
fn run_with_refused_message_is_never_held() {
    let mut run = FinishedRun::new(&["--messages", "2"]);
    run.sent.confirmed.remove(&"m1".into());
    run.sent.message_ids[1] = None;
    run.sent.refused.push((1, "InvalidMessageContents".to_owned()));
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![]));
    let mut text = Vec::new();
    producer::report::text::write(&run.report(), false, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().ends_with("verdict: inconclusive (SQS did not accept all messages)\n"));
    run.seen.objects.get_mut(0).unwrap().versions = 2;
    assert_eq!(run.judge().0, Verdict::Violated);
}

/// The verdict of a run with unsent messages is never `held`, and the report says why. A violation that was seen still
/// counts.
#[test]
fn run_with_unsent_messages_is_never_held() {
    let mut run = FinishedRun::new(&["--messages", "2"]);
    run.sent.unsent = 1;
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![]));
    let mut text = Vec::new();
    producer::report::text::write(&run.report(), false, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().ends_with("verdict: inconclusive (not all messages were sent)\n"));
    run.seen.objects.get_mut(0).unwrap().versions = 2;
    assert_eq!(run.judge().0, Verdict::Violated);
}

/// Returns the text report.
fn text(report: &RunReport) -> String {
    let mut text = Vec::new();
    producer::report::text::write(report, false, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// If the functions do not log routine outcomes, the report lists three invariants as skipped, and they do not count
/// for the verdict.
#[test]
fn unchecked_invariants_do_not_count() {
    let mut run = FinishedRun::new(&["--messages", "3"]);
    assert_eq!(serde_json::to_value(run.report()).unwrap()["not_checked"], serde_json::json!([]));
    assert!(!text(&run.report()).contains("SKIP"));
    run.log_routine_outcomes = false;
    run.seen.logs = FunctionLogs::default();
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    let report = run.report();
    let names = [
        "each message ended as won, duplicate, conflict or dead letter",
        "no event was won twice",
        "no event has an object other than its claim's",
    ];
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["not_checked"], serde_json::json!(names));
    let listed: Vec<_> = json["invariants"].as_array().unwrap().iter().map(|invariant| &invariant["name"]).collect();
    assert!(listed.len() == 7 && names.iter().all(|name| !listed.contains(&&serde_json::json!(name))), "{json}");
    assert_eq!((&json["duplicates"], &json["extra"], &json["conflicts"]), (&Value::Null, &Value::Null, &0.into()));
    let skipped: String = names.iter().map(|name| format!("SKIP  {name}\n")).collect();
    let expected = format!("PASS  7 of 7 invariants (--json lists them)\n{skipped}verdict: held\n");
    assert!(text(&report).ends_with(&expected), "{}", text(&report));
}

/// If the functions do not log routine outcomes, a message that differs from its event's claim must be logged as a
/// conflict or be a dead letter.
#[test]
fn unlogged_message_must_match_its_claim() {
    let name = "each duplicate matches its event's claim, and each conflict differs from it";
    let mut run = FinishedRun::new(&["run", "conflicts"]);
    run.log_routine_outcomes = false;
    let id = run.seen.logs.outcomes.iter().find(|(_, outcome)| **outcome == IngestOutcome::Conflict).unwrap().0.clone();
    run.seen.logs.outcomes.retain(|_, outcome| *outcome == IngestOutcome::Conflict);
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    run.seen.logs.outcomes.remove(&id);
    assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    // A failure that was logged before does not decide how the message ended.
    run.seen.logs.outcomes.insert(id.clone(), IngestOutcome::Failed);
    assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
    run.seen.queue_settled = false;
    assert_eq!(run.judge(), (Verdict::Inconclusive, vec![(name, None)]));
    run.seen.queue_settled = true;
    // If the dead-letter queue cannot be read, the message may be there.
    run.seen.unreadable.insert(Source::DeadLetterQueue, "no access".to_owned());
    assert!(run.judge().1.contains(&(name, None)), "{:?}", run.judge());
    assert_eq!(run.judge().0, Verdict::Inconclusive);
    run.seen.unreadable.clear();
    run.seen.dead_letters.insert(id);
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
}

/// If a claim's digest was computed with another list of ignored members, the verdict compares the claim's body
/// instead.
#[test]
fn claim_under_another_list_is_compared_by_body() {
    let mut run = FinishedRun::with_claims(&["run", "restamped"], |claim| {
        claim.digest = claim::Digest::of(&claim.body_text().unwrap()).unwrap().to_bytes();
    });
    assert_eq!(run.judge(), (Verdict::Held, vec![]));
    let name = "each duplicate matches its event's claim, and each conflict differs from it";
    let duplicate = run.seen.logs.outcomes.values_mut().find(|outcome| **outcome == IngestOutcome::Duplicate);
    *duplicate.unwrap() = IngestOutcome::Conflict;
    assert_eq!(run.judge(), (Verdict::Violated, vec![(name, Some(false))]));
}

/// The report lists the JSON Pointers that `ingest-fn` logged for the places where conflicts differ from their claims.
#[test]
fn report_says_where_conflicts_differ() {
    let mut run = FinishedRun::new(&["run", "conflicts", "--messages", "5"]);
    assert!(!text(&run.report()).contains("differs at"));
    let conflicts: Vec<MessageId> = {
        let outcomes = run.seen.logs.outcomes.iter();
        outcomes.filter(|(_, outcome)| **outcome == IngestOutcome::Conflict).map(|(id, _)| id.clone()).collect()
    };
    for id in &conflicts {
        let line = format!(
            r#"{{"outcome":"conflict","message_id":"{id}","event_id":"{}","differs":"[\"/a\",\"/b\\u001b\"]"}}"#,
            run.plan.event_ids[0]
        );
        run.seen.logs.ingest(&line, |_| NamedEvent::Planned(0));
    }
    let malformed = format!(r#"{{"outcome":"conflict","message_id":"{}","differs":"no"}}"#, conflicts[0]);
    run.seen.logs.ingest(&malformed, |_| NamedEvent::Planned(0));
    let report = run.report();
    let json = serde_json::to_value(&report).unwrap();
    let count = conflicts.len();
    let expected = serde_json::json!([
        { "pointer": "/a", "conflicts": count }, { "pointer": "/b\u{1b}", "conflicts": count }
    ]);
    assert_eq!(json["differs"], expected);
    assert_eq!(json["repeated_events"][0]["differs"], serde_json::json!(["/a", "/b\u{1b}"]));
    let expected = format!("\ndiffers at /a: {count} conflicts\ndiffers at /b\\u{{1b}}: {count} conflicts\nPASS  ");
    assert!(text(&report).contains(&expected), "{}", text(&report));
}
