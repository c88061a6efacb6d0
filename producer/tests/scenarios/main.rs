//! Each scenario holds on the embedded pipeline, and is violated where that is broken on purpose.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::process::Command as Process;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claim::EventIdPointer;
use clap::Parser as _;
use emulator::{Call, Fault, Service, Services};
use futures_util::FutureExt as _;
use mutants::Mutant;
use pipeline::{Pipeline, names};
use producer::cli::{Cli, Command, RunArgs};
use producer::embedded::EmbeddedStack;
use producer::pipeline_client::PipelineClient;
use producer::progress::Progress;
use producer::report::RunReport;
use producer::run::judge;
use producer::verdict::Verdict;
use serde_json::{Value, json};

mod sending;

fn arguments(line: &str) -> Box<RunArgs> {
    let cli = Cli::try_parse_from(["producer"].into_iter().chain(line.split_whitespace())).unwrap();
    let Command::Run(args) = cli.command() else { panic!("{line} is no run") };
    args
}

fn pointer() -> EventIdPointer {
    EventIdPointer::parse("/event_id").unwrap()
}

/// What the command says of a scenario.
fn held(line: &str) -> Value {
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

#[test]
fn herd_and_distinct_and_mixed_and_soak_make_one_object_of_each_event() {
    assert_numbers(&held("herd --messages 20"), &[("sent", 20), ("objects", 1), ("duplicates", 19)]);
    assert_numbers(&held("distinct --messages 20"), &[("sent", 20), ("objects", 20), ("duplicates", 0)]);
    let mixed = held("mixed --messages 200 --duplicates 0.75 --zipf 1.5");
    assert_numbers(&mixed, &[("sent", 200), ("objects", 50), ("duplicates", 150)]);
    let soak = held("soak --rate 40 --duration 2");
    assert_numbers(&soak, &[("sent", 80), ("objects", 40), ("duplicates", 40)]);
    assert!(soak["time"].as_f64().unwrap() >= 2.0, "a rate is kept: {soak:#}");
}

#[test]
fn conflicts_are_told_from_duplicates() {
    let report = held("conflicts");
    assert_numbers(&report, &[("objects", 10), ("rejected", 0), ("dead_letters", 0)]);
    assert_eq!(report["conflicts"].as_u64().unwrap() + report["duplicates"].as_u64().unwrap(), 40);
    assert!(report["conflicts"].as_u64().unwrap() >= 20);
}

#[test]
fn poison_alone_becomes_dead_letters() {
    assert_numbers(&held("poison"), &[("objects", 40), ("rejected", 10), ("to_be_rejected", 10), ("dead_letters", 10)]);
}

#[test]
fn what_an_item_can_hold_is_archived_whatever_its_size_and_the_rest_is_a_dead_letter() {
    assert_numbers(&held("large --messages 5"), &[("objects", 3), ("rejected", 2), ("dead_letters", 2)]);
}

#[test]
fn redelivery_and_an_outage_are_made_up_for() {
    assert_numbers(&held("redelivery"), &[("objects", 100), ("object_versions", 100), ("dead_letters", 0)]);
    assert_numbers(&held("outage"), &[("objects", 50), ("object_versions", 50), ("dead_letters", 0)]);
}

/// Sees each request of the producer's and the functions', before it is done, and may say what goes wrong with it.
type ServiceFault = fn(&Arc<Services>, &Call<'_>) -> Option<Fault>;

/// What is said of a scenario with a mutant of the functions, or with services that somebody else meddles with.
async fn broken(line: &str, mutant: Option<Mutant>, service_fault: Option<ServiceFault>) -> RunReport {
    let args = arguments(line);
    let mut world = EmbeddedStack::new(&pointer(), args.chosen_scenario(), 7).unwrap();
    // Else the second message of an event seldom comes as far as the table.
    world.settings.ingest.claim_cache_entries = None;
    if let Some(service_fault) = service_fault {
        let services = Arc::downgrade(&world.services);
        world.services.faults.set(move |call| service_fault(&services.upgrade().unwrap(), call));
    }
    let _pipeline = match mutant {
        Some(mutant) => Pipeline::start_decorated(&world.services, world.settings.clone(), 7, mutant),
        None => world.start(7),
    };
    let mut client = PipelineClient::embedded(&world);
    client.describe_queue().await.unwrap();
    let (pointer, progress) = (pointer(), Progress::new(true));
    let judged = judge(&client, args.chosen_scenario(), &args, &pointer, &progress);
    tokio::time::timeout(Duration::from_secs(120), judged).await.unwrap().unwrap()
}

fn assert_violated(report: &RunReport, name: &str) {
    let violated: HashSet<&str> =
        report.invariants.iter().filter(|invariant| invariant.held == Some(false)).map(|held| held.name).collect();
    assert!(report.verdict == Verdict::Violated && violated.contains(name), "not {name}, but {violated:?}");
}

/// Does a request at once: the embedded services wait for nothing.
fn at_once(services: &Services, request: http::request::Builder, body: impl Into<Bytes>) {
    let answer = services.answer(request.body(body.into()).unwrap()).now_or_never().unwrap().unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

fn lists_versions(call: &Call<'_>) -> bool {
    call.service == Service::S3
        && call.operation.starts_with("GET ")
        && call.request.uri().query().is_some_and(|query| query.contains("versions"))
}

fn each_object(services: &Services, request: impl Fn(&str) -> (http::request::Builder, Bytes)) {
    for (key, versions) in services.lakes.versions(names::BUCKET) {
        if versions.len() == 1 {
            let (request, body) = request(&format!("http://127.0.0.1/{}/{key}", names::BUCKET));
            at_once(services, request, body);
        }
    }
}

fn deletes_objects(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        each_object(services, |url| (http::Request::delete(url), Bytes::new()));
    }
    None
}

fn replaces_objects(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if lists_versions(call) {
        each_object(services, |url| (http::Request::put(url), Bytes::from_static(b"{}\n")));
    }
    None
}

fn deletes_claims(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    if call.operation != "BatchGetItem" {
        return None;
    }
    let asked: Value = serde_json::from_slice(call.request.body()).unwrap();
    for key in asked["RequestItems"][names::TABLE]["Keys"].as_array().unwrap() {
        let request = http::Request::post("http://127.0.0.1/").header("x-amz-target", "DynamoDB_20120810.DeleteItem");
        at_once(services, request, json!({ "TableName": names::TABLE, "Key": key }).to_string());
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

/// What sound code makes up for.
fn throttles_the_first_event(_: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    let is_it =
        call.operation == "PutItem" && String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-1\"");
    is_it.then_some(Fault::Throttled)
}

/// The same.
fn loses_the_answer_to_the_first_put(services: &Arc<Services>, call: &Call<'_>) -> Option<Fault> {
    let is_put = call.service == Service::S3 && call.operation.starts_with("PUT ");
    (is_put && services.lakes.versions(names::BUCKET).is_empty()).then_some(Fault::AnswerLost)
}

#[tokio::test]
async fn herd_and_mixed_are_violated_by_a_claim_without_its_condition() {
    for line in ["run herd", "run mixed --messages 200"] {
        let report = broken(line, Some(Mutant::ClaimWithoutCondition), None).await;
        assert_violated(&report, "no event was won twice");
    }
}

#[tokio::test]
async fn distinct_is_violated_by_a_throttle_that_is_taken_for_a_duplicate() {
    let throttle_is_duplicate = Some(Mutant::ThrottleIsDuplicate);
    let report = broken("run distinct --messages 5", throttle_is_duplicate, Some(throttles_the_first_event)).await;
    assert_violated(&report, "each event has a claim");
}

#[tokio::test]
async fn conflicts_is_violated_by_a_follower_that_is_held_against_its_leader() {
    let report = broken("run conflicts", Some(Mutant::FollowerJudgedByLeader), None).await;
    assert_violated(&report, "duplicates say what their claim says, and conflicts do not");
}

#[tokio::test]
async fn poison_and_large_are_violated_by_code_that_acknowledges_what_it_rejects() {
    for (line, acknowledged) in [("run poison --messages 10", 2), ("run large --messages 5", 2)] {
        let report = broken(line, Some(Mutant::RejectedAcknowledged), None).await;
        let name = "what cannot be claimed is a dead letter, and is not acknowledged";
        assert_violated(&report, name);
        let invariant = report.invariants.iter().find(|invariant| invariant.name == name).unwrap();
        assert_eq!(invariant.offenders, acknowledged, "{line}: {invariant:?}");
    }
}

#[tokio::test]
async fn redelivery_is_violated_by_a_put_without_if_none_match() {
    let report = broken("run redelivery", Some(Mutant::PutWithoutIfNoneMatch), None).await;
    assert_violated(&report, "each object has one version");
}

#[tokio::test]
async fn outage_is_violated_by_a_throttle_that_is_taken_for_a_duplicate() {
    let report = broken("run outage", Some(Mutant::ThrottleIsDuplicate), None).await;
    assert_violated(&report, "each event has a claim");
}

#[tokio::test]
async fn soak_is_violated_by_a_put_without_if_none_match_and_a_lost_answer() {
    let line = "run soak --rate 20 --duration 1";
    let report = broken(line, Some(Mutant::PutWithoutIfNoneMatch), Some(loses_the_answer_to_the_first_put)).await;
    assert_violated(&report, "each object has one version");
}

#[tokio::test]
async fn a_run_is_violated_by_whoever_meddles_with_table_or_lake_or_queue() {
    let meddling: [(&str, ServiceFault, &[&str]); 4] = [
        ("run distinct --messages 5", deletes_objects, &["each claim has its object"]),
        (
            "run large --messages 5",
            replaces_objects,
            &["each object has one version", "each object holds its event as sent"],
        ),
        ("run soak --rate 20 --duration 1", deletes_claims, &["each event has a claim"]),
        (
            "run poison --messages 10",
            steals_dead_letters,
            &["what cannot be claimed is a dead letter, and is not acknowledged"],
        ),
    ];
    for (line, service_fault, violated) in meddling {
        let report = broken(line, None, Some(service_fault)).await;
        for name in violated {
            assert_violated(&report, name);
        }
    }
}
