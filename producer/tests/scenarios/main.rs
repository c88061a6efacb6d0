//! Each scenario's verdict is `held` on the embedded pipeline. With a mutant of the functions, or with tampered
//! services, the verdict is `violated`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use claim::{ConflictIgnore, DedupKey, EventRules};
use clap::Parser as _;
use emulator::dynamodb::TableStorage;
use emulator::{Call, Fault, Service, Services};
use futures_util::FutureExt as _;
use ingest_fn::OnConflict;
use mutants::Mutant;
use pipeline::{Pipeline, PipelineSettings, names};
use producer::cli::{Cli, Command, RunArgs};
use producer::embedded::EmbeddedStack;
use producer::pipeline_client::PipelineClient;
use producer::progress::Progress;
use producer::report::RunReport;
use producer::run::judge;
use producer::scenario::Scenario;
use producer::target::{FunctionSettings, Target};
use producer::verdict::Verdict;
use serde_json::{Value, json};

mod deployed;
mod packs;
mod sending;
mod shared_queue;

fn arguments(line: &str) -> Box<RunArgs> {
    let cli = Cli::try_parse_from(["producer"].into_iter().chain(line.split_whitespace())).unwrap();
    let Command::Run(args) = cli.command() else { panic!("{line} is not a run") };
    args
}

/// Returns the function settings that the command uses on the embedded pipeline.
fn settings(args: &RunArgs) -> FunctionSettings {
    let settings = Target::embedded().settings_of_run(&args.settings, args.chosen_scenario()).unwrap();
    FunctionSettings { embedded: args.embedded, ..settings }
}

/// Runs a scenario with the command, asserts that its verdict is `held`, and returns the JSON report.
fn run_and_expect_held(line: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Process::new(env!("CARGO_BIN_EXE_producer"));
    let command = command.current_dir(folder.path()).args(["run", "--local", "--json"]).args(line.split_whitespace());
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"held".into()), "{line}: {report:#}");
    report
}

fn assert_numbers(report: &Value, numbers: &[(&str, u64)]) {
    for &(name, number) in numbers {
        assert_eq!(report[name], number, "{name}: {report:#}");
    }
}

/// The scenarios `herd`, `distinct`, `mixed` and `soak` each end with one object per event.
#[test]
fn scenarios_end_with_one_object_per_event() {
    assert_numbers(&run_and_expect_held("herd --messages 20"), &[("sent", 20), ("objects", 1), ("duplicates", 19)]);
    assert_numbers(&run_and_expect_held("distinct --messages 20"), &[("sent", 20), ("objects", 20), ("duplicates", 0)]);
    let mixed = run_and_expect_held("mixed --messages 200 --duplicates 0.75 --zipf 1.5");
    assert_numbers(&mixed, &[("sent", 200), ("objects", 50), ("duplicates", 150)]);
    let soak = run_and_expect_held("soak --rate 40 --duration 2");
    assert_numbers(&soak, &[("sent", 80), ("objects", 40), ("duplicates", 40)]);
    assert!(soak["time"].as_f64().unwrap() >= 2.0, "the rate is kept: {soak:#}");
}

#[test]
fn conflicts_are_counted_apart_from_duplicates() {
    let report = run_and_expect_held("conflicts");
    assert_numbers(&report, &[("objects", 10), ("rejected", 0), ("dead_letters", 0)]);
    assert_eq!(report["conflicts"].as_u64().unwrap() + report["duplicates"].as_u64().unwrap(), 40);
    assert!(report["conflicts"].as_u64().unwrap() >= 20);
}

/// Copies that differ only in ignored members are duplicates. In `cloudevents`, the same id from two sources is two
/// events.
#[test]
fn stamped_copies_are_duplicates() {
    let cloudevents = run_and_expect_held("cloudevents");
    assert_numbers(&cloudevents, &[("sent", 63), ("objects", 21), ("duplicates", 42), ("conflicts", 0)]);
    let restamped = run_and_expect_held("restamped");
    assert_numbers(&restamped, &[("sent", 50), ("objects", 10), ("duplicates", 40), ("conflicts", 0)]);
}

/// With each kind of dedup key, the scenarios end with the expected objects and dead letters.
#[test]
fn every_kind_of_key_is_held() {
    for key in [r#"["/source","/event_id"]"#, "attribute:order-id", "content"] {
        let mixed = run_and_expect_held(&format!("mixed --messages 100 --dedup-key {key}"));
        assert_numbers(&mixed, &[("objects", 50), ("duplicates", 50)]);
    }
    let conflicts = run_and_expect_held("conflicts --dedup-key content");
    assert_numbers(&conflicts, &[("objects", 20), ("conflicts", 0)]);
    let poison = run_and_expect_held("poison --dedup-key attribute:order-id");
    assert_numbers(&poison, &[("objects", 40), ("dead_letters", 10)]);
    // Five of the ten invalid bodies are invalid only because of their event id.
    let poison = run_and_expect_held("poison --dedup-key content");
    assert_numbers(&poison, &[("objects", 45), ("dead_letters", 5)]);
    let large = run_and_expect_held("large --messages 5 --dedup-key attribute:order-id");
    assert_numbers(&large, &[("objects", 3), ("dead_letters", 2)]);
}

/// Without log lines about routine outcomes, these scenarios still end with the verdict `held`, but the command does
/// not check three invariants.
#[test]
fn scenarios_hold_without_routine_lines() {
    for (line, objects) in
        [("mixed --messages 100", 50), ("conflicts", 10), ("poison", 40), ("redelivery", 100), ("restamped", 10)]
    {
        let report = run_and_expect_held(&format!("{line} --log-routine-outcomes false"));
        assert_numbers(&report, &[("objects", objects), ("object_versions", objects)]);
        assert_eq!((&report["duplicates"], &report["extra"]), (&Value::Null, &Value::Null), "{report:#}");
        let not_checked = json!([
            "each message ended as won, duplicate, conflict or dead letter",
            "no event was won twice",
            "no event has an object other than its claim's",
        ]);
        assert_eq!(report["not_checked"], not_checked, "{report:#}");
        assert!(report["time"].as_f64().unwrap() < 60.0, "{report:#}");
    }
    assert_eq!(run_and_expect_held("herd --messages 3")["not_checked"], json!([]));
}

#[test]
fn only_poison_becomes_dead_letters() {
    assert_numbers(
        &run_and_expect_held("poison"),
        &[("objects", 40), ("rejected", 10), ("to_be_rejected", 10), ("dead_letters", 10)],
    );
}

/// Large events are archived if they fit into a DynamoDB item, and become dead letters if they do not.
#[test]
fn large_events_are_archived_or_dead_letters() {
    assert_numbers(&run_and_expect_held("large --messages 5"), &[("objects", 3), ("rejected", 2), ("dead_letters", 2)]);
}

#[test]
fn redelivery_and_outage_lose_nothing() {
    assert_numbers(
        &run_and_expect_held("redelivery"),
        &[("objects", 100), ("object_versions", 100), ("dead_letters", 0)],
    );
    assert_numbers(&run_and_expect_held("outage"), &[("objects", 50), ("object_versions", 50), ("dead_letters", 0)]);
}

/// A hook that sees each request that the producer or a function sends, before the service handles it. The hook may
/// change the services, and may return a fault for the request.
type ServiceFault = fn(&Arc<Services>, &Call<'_>) -> Option<Fault>;

/// Runs a scenario with a mutant of the functions, a service fault or both, and returns its report.
async fn run_faulty(line: &str, mutant: Option<Mutant>, service_fault: Option<ServiceFault>) -> RunReport {
    run_misconfigured(line, |_| {}, mutant, service_fault).await
}

/// Like [`run_faulty`], but applies `change` to the pipeline's settings first.
async fn run_misconfigured(
    line: &str,
    change: impl FnOnce(&mut PipelineSettings),
    mutant: Option<Mutant>,
    service_fault: Option<ServiceFault>,
) -> RunReport {
    let args = arguments(line);
    let mut stack = EmbeddedStack::new(&settings(&args), args.chosen_scenario(), TableStorage::Memory, 7).unwrap();
    change(&mut stack.settings);
    // Switch off the claim cache, because with it the second message of an event seldom reaches the table.
    stack.settings.ingest.claim_cache_entries = None;
    if let Some(service_fault) = service_fault {
        let services = Arc::downgrade(&stack.services);
        stack.services.faults.set(move |call| service_fault(&services.upgrade().unwrap(), call));
    }
    let _pipeline = match mutant {
        Some(mutant) => Pipeline::start_decorated(&stack.services, stack.settings.clone(), 7, mutant),
        None => stack.start(7).unwrap(),
    };
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    let (settings, progress) = (settings(&args), Progress::new(true));
    let judged = judge(&client, args.chosen_scenario(), &args, &settings, &progress);
    tokio::time::timeout(Duration::from_secs(120), judged).await.unwrap().unwrap()
}

fn assert_violated(report: &RunReport, name: &str) {
    let violated: HashSet<&str> = report
        .invariants
        .iter()
        .filter(|invariant| invariant.held == Some(false))
        .map(|invariant| invariant.name)
        .collect();
    assert!(
        report.verdict == Verdict::Violated && violated.contains(name),
        "{name:?} is not among the violated invariants: {violated:?}"
    );
}

/// Sends a request and asserts that it succeeds. The embedded services answer at once, so no runtime is needed to wait
/// for them.
fn call_service(services: &Services, request: http::request::Builder, body: impl Into<Bytes>) {
    let answer = services.answer(request.body(body.into()).unwrap()).now_or_never().unwrap().unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

fn lists_versions(call: &Call<'_>) -> bool {
    call.service == Service::S3
        && call.operation.starts_with("GET ")
        && call.request.uri().query().is_some_and(|query| query.contains("versions"))
}

/// For each object that still has only one version, builds a request from the object's URL and sends it.
fn change_each_object(services: &Services, request: impl Fn(&str) -> (http::request::Builder, Bytes)) {
    for (key, versions) in services.lakes.versions(names::BUCKET) {
        if versions.len() == 1 {
            let (request, body) = request(&format!("http://127.0.0.1/{}/{key}", names::BUCKET));
            call_service(services, request, body);
        }
    }
}

fn deletes_objects(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_each_object(services, |url| (http::Request::delete(url), Bytes::new()));
    }
    None
}

fn replaces_objects(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        change_each_object(services, |url| (http::Request::put(url), Bytes::from_static(b"{}\n")));
    }
    None
}

/// Returns true if an earlier call has read an object. `flag` remembers this.
fn has_read(flag: &AtomicBool, call: &Call<'_>) -> bool {
    let reads = call.service == Service::S3 && call.operation.starts_with("GET ") && !lists_versions(call);
    flag.fetch_or(reads, Ordering::Relaxed)
}

/// Replaces objects that the producer has already read.
fn replaces_read_objects(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    static HAS_READ: AtomicBool = AtomicBool::new(false);
    if has_read(&HAS_READ, call) { replaces_objects(services, call) } else { None }
}

fn deletes_claims(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if call.operation != "BatchGetItem" {
        return None;
    }
    let asked: Value = serde_json::from_slice(call.request.body()).unwrap();
    for key in asked["RequestItems"][names::TABLE]["Keys"].as_array().unwrap() {
        let request = http::Request::post("http://127.0.0.1/").header("x-amz-target", "DynamoDB_20120810.DeleteItem");
        call_service(services, request, json!({ "TableName": names::TABLE, "Key": key }).to_string());
    }
    None
}

fn steals_dead_letters(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if call.operation == "ReceiveMessage" {
        let stolen = services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).now_or_never();
        for message in stolen.unwrap().unwrap() {
            services.sqs.delete(names::DEAD_LETTER_QUEUE, &message.receipt_handle).unwrap();
        }
    }
    None
}

/// Throttles each write of the first event's claim. Correct code reports the message as failed until it becomes a dead
/// letter.
fn throttles_first_event(_: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    let is_first_event =
        call.operation == "PutItem" && String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-1\"");
    is_first_event.then_some(Fault::Throttled)
}

/// Loses the answers to S3 puts while the lake is empty. Correct code retries the put and finds that the object exists.
fn loses_answer_to_first_put(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    let is_put = call.service == Service::S3 && call.operation.starts_with("PUT ");
    (is_put && services.lakes.versions(names::BUCKET).is_empty()).then_some(Fault::AnswerLost)
}

#[tokio::test]
async fn claim_without_condition_violates_herd_and_mixed() {
    for line in ["run herd", "run mixed --messages 200"] {
        let report = run_faulty(line, Some(Mutant::ClaimWithoutCondition), None).await;
        assert_violated(&report, "no event was won twice");
    }
}

#[tokio::test]
async fn throttle_as_duplicate_violates_distinct() {
    let throttle_is_duplicate = Some(Mutant::ThrottleIsDuplicate);
    let report = run_faulty("run distinct --messages 5", throttle_is_duplicate, Some(throttles_first_event)).await;
    assert_violated(&report, "each event has a claim");
}

#[tokio::test]
async fn follower_judged_by_leader_violates_conflicts() {
    let report = run_faulty("run conflicts", Some(Mutant::FollowerJudgedByLeader), None).await;
    assert_violated(&report, "each duplicate matches its event's claim, and each conflict differs from it");
}

#[tokio::test]
async fn acknowledged_reject_violates_poison_and_large() {
    for (line, acknowledged) in [("run poison --messages 10", 2), ("run large --messages 5", 2)] {
        let report = run_faulty(line, Some(Mutant::RejectedAcknowledged), None).await;
        let name = "each message that cannot be claimed is a dead letter and was not acknowledged";
        assert_violated(&report, name);
        let invariant = report.invariants.iter().find(|invariant| invariant.name == name).unwrap();
        assert_eq!(invariant.offenders, acknowledged, "{line}: {invariant:?}");
    }
}

#[tokio::test]
async fn unconditional_put_violates_redelivery() {
    let report = run_faulty("run redelivery", Some(Mutant::PutWithoutIfNoneMatch), None).await;
    assert_violated(&report, "each object has exactly one version");
}

#[tokio::test]
async fn throttle_as_duplicate_violates_outage() {
    let report = run_faulty("run outage", Some(Mutant::ThrottleIsDuplicate), None).await;
    assert_violated(&report, "each event has a claim");
}

/// After a lost answer, the SDK retries the put. Without `If-None-Match`, the retry writes a second version.
#[tokio::test]
async fn unconditional_put_violates_soak() {
    let line = "run soak --rate 20 --duration 1";
    let report = run_faulty(line, Some(Mutant::PutWithoutIfNoneMatch), Some(loses_answer_to_first_put)).await;
    assert_violated(&report, "each object has exactly one version");
}

/// The verdict is `violated` if something other than the pipeline deletes claims, objects or dead letters, or replaces
/// objects.
#[tokio::test]
async fn tampering_with_services_is_violated() {
    let replaced = ["each object has exactly one version", "each object holds its event as sent"];
    let tampering: [(&str, ServiceFault, &[&str]); 6] = [
        ("run distinct --messages 5", deletes_objects, &["each claim has its object"]),
        // More objects than one page of S3's list.
        ("run distinct --messages 1200", deletes_objects, &["each claim has its object"]),
        ("run large --messages 5", replaces_objects, &replaced),
        ("run distinct --messages 5", replaces_read_objects, &replaced),
        ("run soak --rate 20 --duration 1", deletes_claims, &["each event has a claim"]),
        (
            "run poison --messages 10",
            steals_dead_letters,
            &["each message that cannot be claimed is a dead letter and was not acknowledged"],
        ),
    ];
    for (line, service_fault, violated) in tampering {
        let report = run_faulty(line, None, Some(service_fault)).await;
        for name in violated {
            assert_violated(&report, name);
        }
    }
}

/// `archive-fn` archives claims while `ingest-fn` still has a backlog.
#[test]
fn claims_are_archived_while_others_are_made() {
    let report = run_and_expect_held("distinct --messages 3000");
    let ms = |latency: &str, figure: &str| report["latency"][latency][figure].as_u64().unwrap();
    let (last_claim, typical_lag) = (ms("sent_to_claimed", "max_ms"), ms("claimed_to_archived", "p50_ms"));
    assert!(
        typical_lag * 4 < last_claim,
        "the last claim came after {last_claim} ms, but the lag was {typical_lag} ms"
    );
}

/// To judge a thousand events, the producer sends at most 1,010 requests to the lake.
#[tokio::test]
async fn verdict_reads_each_object_once() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let count: ServiceFault = |_, call| {
        let is_read = call.service == Service::S3 && call.operation.starts_with("GET ");
        REQUESTS.fetch_add(usize::from(is_read), Ordering::Relaxed);
        None
    };
    let report = run_faulty("run distinct --messages 1000", None, Some(count)).await;
    assert_eq!((report.verdict, report.objects), (Verdict::Held, Some(1_000)));
    let requests = REQUESTS.load(Ordering::Relaxed);
    assert!((1_000..=1_010).contains(&requests), "{requests} requests");

    let report = serde_json::to_value(&report).unwrap();
    let counted = &report["lake_requests"];
    assert_eq!((&counted["reads"], &counted["lists"]), (&json!(1_000), &json!(requests - 1_000)));
    // Only Linux reports CPU times.
    #[cfg(target_os = "linux")]
    for part in ["send", "ingest", "table", "stream", "archive", "lake", "verify"] {
        assert!(report["cpu_ms"][part].as_f64().unwrap() > 0.0, "{part}: {}", report["cpu_ms"]);
    }
}

fn rules(dedup_key: &str, conflict_ignore: &str) -> EventRules {
    let key = DedupKey::parse(dedup_key).unwrap();
    let ignore = ConflictIgnore::parse(conflict_ignore, &key).unwrap();
    EventRules::new(key, ignore)
}

/// If the functions' event rules differ from those of the run, an invariant is violated.
#[tokio::test]
async fn functions_with_other_rules_are_violated() {
    let no_claim = "each event has a claim";
    let misjudged = "each duplicate matches its event's claim, and each conflict differs from it";
    for (line, key, ignore, name) in [
        ("run cloudevents", "/id", r#"["/time","/traceparent"]"#, no_claim),
        ("run cloudevents", r#"["/id","/source"]"#, r#"["/time","/traceparent"]"#, no_claim),
        ("run cloudevents", r#"["/source","/id"]"#, r#"["/time"]"#, misjudged),
        ("run restamped", "/event_id", "[]", misjudged),
        ("run restamped", "/event_id", r#"["/attempt","/sent_at"]"#, misjudged),
        ("run conflicts", "/event_id", r#"["/sensor","/timestamp","/voltage"]"#, misjudged),
        ("run distinct --messages 5 --dedup-key content", "/event_id", "[]", no_claim),
        (
            "run distinct --messages 5 --dedup-key attribute:a --timeout 10",
            "attribute:b",
            "[]",
            "no valid event was rejected",
        ),
    ] {
        let change = |settings: &mut PipelineSettings| settings.ingest.rules = rules(key, ignore);
        let report = run_misconfigured(line, change, None, None).await;
        assert_violated(&report, name);
    }
}

/// If the run expects lines about routine outcomes and the functions do not log them, an invariant is violated.
#[tokio::test]
async fn missing_routine_lines_are_violated() {
    let silent = |settings: &mut PipelineSettings| {
        settings.ingest.log_routine_outcomes = false;
        settings.archive.log_routine_outcomes = false;
    };
    let report = run_misconfigured("run herd --messages 3 --timeout 15", silent, None, None).await;
    assert_violated(&report, "each message ended as won, duplicate, conflict or dead letter");
}

/// Without log lines about routine outcomes, the claims, the lake and the dead-letter queue still show most violations.
#[tokio::test]
async fn violations_are_found_without_routine_lines() {
    let rejected = "each message that cannot be claimed is a dead letter and was not acknowledged";
    let misjudged = "each duplicate matches its event's claim, and each conflict differs from it";
    let faults: [(&str, Option<Mutant>, Option<ServiceFault>, &str); 6] = [
        (
            "run distinct --messages 5",
            Some(Mutant::ThrottleIsDuplicate),
            Some(throttles_first_event),
            "each event has a claim",
        ),
        ("run distinct --messages 5", None, Some(deletes_claims), "each event has a claim"),
        ("run distinct --messages 5", None, Some(replaces_objects), "each object holds its event as sent"),
        ("run redelivery", Some(Mutant::PutWithoutIfNoneMatch), None, "each object has exactly one version"),
        ("run poison --messages 10", Some(Mutant::RejectedAcknowledged), None, rejected),
        ("run poison --messages 10", None, Some(steals_dead_letters), rejected),
    ];
    for (line, mutant, service_fault, name) in faults {
        let report = run_faulty(&format!("{line} --log-routine-outcomes false"), mutant, service_fault).await;
        assert_violated(&report, name);
    }
    for (ignore, line) in [("[]", "run restamped"), (r#"["/sensor","/timestamp","/voltage"]"#, "run conflicts")] {
        let change = |settings: &mut PipelineSettings| settings.ingest.rules = rules("/event_id", ignore);
        let report = run_misconfigured(&format!("{line} --log-routine-outcomes false"), change, None, None).await;
        assert_violated(&report, misjudged);
    }
}

/// The progress line counts a conflict that becomes a dead letter once, not twice.
#[tokio::test]
async fn dead_conflict_is_counted_once() {
    let args = arguments("run conflicts");
    // With the short visibility timeout of `poison`, conflicts become dead letters in seconds.
    let mut stack =
        EmbeddedStack::new(&settings(&args), Scenario::named("poison").unwrap(), TableStorage::Memory, 7).unwrap();
    stack.settings.ingest.on_conflict = OnConflict::DeadLetter;
    let _pipeline = stack.start(7).unwrap();
    let mut client = PipelineClient::embedded(&stack);
    client.describe_queue().await.unwrap();
    let progress = Progress::new(true);
    let report = judge(&client, args.chosen_scenario(), &args, &settings(&args), &progress).await.unwrap();
    assert_eq!(report.verdict, Verdict::Held, "{report:?}");
    assert!(report.dead_letters.unwrap() >= 20, "{report:?}");
    assert_eq!(progress.counts.done(), 50);
}
