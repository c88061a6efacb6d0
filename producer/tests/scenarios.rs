//! Each scenario holds on the embedded pipeline, and is violated where that is broken on purpose.

#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::process::Command as Process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batch::deliberate_fault::{DeliberateFault, plant};
use bytes::Bytes;
use claim::EventIdPointer;
use clap::Parser as _;
use futures_util::FutureExt as _;
use local::wire::{Call, Fault, Service};
use local::{Services, names};
use producer::cli::{Cli, Command, RunArgs};
use producer::embedded::World;
use producer::events::Plan;
use producer::progress::Progress;
use producer::run::judge;
use producer::scenario::Scenario;
use producer::stack::Connected;
use producer::verdict::{Reading, Verdict};
use serde_json::{Value, json};

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
    let reading: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &reading["verdict"]), (Some(0), &"held".into()), "{line}: {reading:#}");
    reading
}

fn assert_numbers(reading: &Value, numbers: &[(&str, u64)]) {
    for &(name, number) in numbers {
        assert_eq!(reading[name], number, "{name}: {reading:#}");
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
    let reading = held("conflicts");
    assert_numbers(&reading, &[("objects", 10), ("rejected", 0), ("dead_letters", 0)]);
    assert_eq!(reading["conflicts"].as_u64().unwrap() + reading["duplicates"].as_u64().unwrap(), 40);
    assert!(reading["conflicts"].as_u64().unwrap() >= 20);
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

/// Sees each request of the producer's and the functions', before it is done.
type Sabotage = fn(&Arc<Services>, &Call<'_>);

/// What is said of a scenario with a pipeline that has a fault in it, or whose services somebody else meddles with.
async fn broken(line: &str, fault: Option<DeliberateFault>, sabotage: Option<Sabotage>) -> Reading {
    let args = arguments(line);
    let mut world = World::new(&pointer(), Scenario::chosen(&args), 7).unwrap();
    // Else the second message of an event seldom comes as far as the table.
    world.settings.ingest.claim_cache_entries = None;
    if let Some(sabotage) = sabotage {
        let services = Arc::downgrade(&world.services);
        world.services.faults.set(move |call| {
            sabotage(&services.upgrade().unwrap(), call);
            None
        });
    }
    plant(fault);
    let _pipeline = world.start(7);
    let mut connected = Connected::inside(&world);
    connected.describe_queue().await.unwrap();
    let (pointer, progress) = (pointer(), Progress::new(true));
    let judged = judge(&connected, &args, &pointer, &progress);
    let reading = tokio::time::timeout(Duration::from_secs(120), judged).await.unwrap().unwrap();
    plant(None);
    reading
}

fn assert_violated(reading: &Reading, name: &str) {
    let violated: HashSet<&str> =
        reading.invariants.iter().filter(|invariant| invariant.held == Some(false)).map(|held| held.name).collect();
    assert!(reading.verdict == Verdict::Violated && violated.contains(name), "not {name}, but {violated:?}");
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

fn deletes_objects(services: &Arc<Services>, call: &Call<'_>) {
    if lists_versions(call) {
        each_object(services, |url| (http::Request::delete(url), Bytes::new()));
    }
}

fn replaces_objects(services: &Arc<Services>, call: &Call<'_>) {
    if lists_versions(call) {
        each_object(services, |url| (http::Request::put(url), Bytes::from_static(b"{}\n")));
    }
}

fn deletes_claims(services: &Arc<Services>, call: &Call<'_>) {
    if call.operation != "BatchGetItem" {
        return;
    }
    let asked: Value = serde_json::from_slice(call.request.body()).unwrap();
    for key in asked["RequestItems"][names::TABLE]["Keys"].as_array().unwrap() {
        let request = http::Request::post("http://127.0.0.1/").header("x-amz-target", "DynamoDB_20120810.DeleteItem");
        at_once(services, request, json!({ "TableName": names::TABLE, "Key": key }).to_string());
    }
}

fn steals_dead_letters(services: &Arc<Services>, call: &Call<'_>) {
    if call.operation == "ReceiveMessage" {
        let stolen = services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).now_or_never();
        for message in stolen.unwrap().unwrap() {
            services.sqs.delete(names::DEAD_LETTER_QUEUE, &message.receipt_handle).unwrap();
        }
    }
}

#[tokio::test]
async fn herd_is_violated_by_a_claim_without_its_condition() {
    let reading = broken("run herd", Some(DeliberateFault::ClaimWithoutCondition), None).await;
    assert_violated(&reading, "no event was won twice");
}

#[tokio::test]
async fn distinct_is_violated_by_objects_that_somebody_deletes() {
    let reading = broken("run distinct --messages 5", None, Some(deletes_objects)).await;
    assert_violated(&reading, "each claim has its object");
}

#[tokio::test]
async fn mixed_and_large_are_violated_by_objects_that_somebody_replaces() {
    for line in ["run mixed --messages 20", "run large --messages 1"] {
        let reading = broken(line, None, Some(replaces_objects)).await;
        assert_violated(&reading, "each object has one version");
        assert_violated(&reading, "each object holds its event as sent");
    }
}

#[tokio::test]
async fn soak_is_violated_by_claims_that_somebody_deletes() {
    let reading = broken("run soak --rate 20 --duration 1", None, Some(deletes_claims)).await;
    assert_violated(&reading, "each event has a claim");
}

#[tokio::test]
async fn conflicts_is_violated_by_a_follower_that_is_held_against_its_leader() {
    let reading = broken("run conflicts", Some(DeliberateFault::FollowerJudgedByLeader), None).await;
    assert_violated(&reading, "duplicates say what their claim says, and conflicts do not");
}

#[tokio::test]
async fn poison_is_violated_by_dead_letters_that_vanish() {
    let reading = broken("run poison --messages 10", None, Some(steals_dead_letters)).await;
    assert_violated(&reading, "what cannot be claimed is a dead letter, and is not acknowledged");
}

#[tokio::test]
async fn redelivery_is_violated_by_a_put_without_if_none_match() {
    let reading = broken("run redelivery", Some(DeliberateFault::PutWithoutIfNoneMatch), None).await;
    assert_violated(&reading, "each object has one version");
}

#[tokio::test]
async fn outage_is_violated_by_a_throttle_that_is_taken_for_a_duplicate() {
    let reading = broken("run outage", Some(DeliberateFault::ThrottleIsDuplicate), None).await;
    assert_violated(&reading, "each event has a claim");
}

#[test]
fn the_same_seed_makes_the_same_messages_and_another_seed_others() {
    for name in ["herd", "distinct", "mixed", "conflicts", "poison", "large", "redelivery", "outage", "soak"] {
        let bodies = |seed: u64| -> Vec<Arc<str>> {
            let args = arguments(&format!("run {name} --messages 25 --copies 2 --seed {seed}"));
            let plan = Plan::new(&args, &pointer(), 1024 * 1024).unwrap();
            plan.messages.into_iter().map(|message| message.body).collect()
        };
        let first = bodies(1);
        assert_eq!(first.len(), 50, "{name}");
        assert!(first == bodies(1), "{name}");
        assert!(first != bodies(2), "{name}");
    }
}

#[tokio::test]
async fn what_is_sent_is_what_the_seed_says_byte_for_byte() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let args = arguments("run mixed --messages 60 --seed 5");
        let world = World::new(&pointer(), Scenario::chosen(&args), fastrand::u64(..)).unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        world.services.faults.set(move |call| {
            if call.operation == "SendMessageBatch" {
                let request: Value = serde_json::from_slice(call.request.body()).unwrap();
                let entries = request["Entries"].as_array().unwrap();
                let bodies = entries.iter().map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
                seen.lock().unwrap().extend(bodies);
            }
            None
        });
        let _pipeline = world.start(1);
        let mut connected = Connected::inside(&world);
        connected.describe_queue().await.unwrap();
        judge(&connected, &args, &pointer(), &Progress::new(true)).await.unwrap();
        // Requests are made in order, and sent at once: which comes first is chance.
        let mut sent = sent.lock().unwrap().clone();
        sent.sort();
        runs.push(sent);
    }
    assert_eq!(runs[0].len(), 60);
    assert!(runs[0] == runs[1]);
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_ten_messages_of_which_nothing_is_known() {
    let args = arguments("run distinct --messages 30");
    let world = World::new(&pointer(), Scenario::chosen(&args), 7).unwrap();
    let is_first = |call: &Call<'_>| String::from_utf8_lossy(call.request.body()).contains("grid_stress_999-7\\\"");
    world
        .services
        .faults
        .set(move |call| (call.operation == "SendMessageBatch" && is_first(call)).then_some(Fault::AnswerLost));
    let _pipeline = world.start(7);
    let mut connected = Connected::inside(&world);
    connected.describe_queue().await.unwrap();
    let reading = judge(&connected, &args, &pointer(), &Progress::new(true)).await.unwrap();
    assert_eq!((reading.sent, reading.unconfirmed, reading.refused), (20, 10, 0));
    assert_eq!(reading.verdict, Verdict::Held, "they may have come, and need not: {reading:?}");
}

#[test]
fn what_sqs_refuses_of_a_batch_is_recorded_as_refused_and_the_rest_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.ndjson");
    // JSON, and yet no character of XML 1.0.
    std::fs::write(&file, "{\"event_id\":\"a\"}\n{\"event_id\":\"b\",\"x\":\"\u{fffe}\"}\n{\"event_id\":\"c\"}\n")
        .unwrap();
    let mut command = Process::new(env!("CARGO_BIN_EXE_producer"));
    let output = command.args(["--local", "--json", "--file"]).arg(&file).output().unwrap();
    let reading: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &reading["scenario"]), (Some(0), &"file".into()), "{reading:#}");
    assert_numbers(&reading, &[("sent", 2), ("refused", 1), ("unconfirmed", 0), ("objects", 2)]);
}
