//! Events as producers send them: CloudEvents, GitHub's event format, EventBridge, SNS, S3 notifications, orders, and
//! readings without an id. Each file in `events/` has settings and a sequence of messages, each with the outcome that a
//! user expects. `docs/dedup-keys.md` explains the settings.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::sqs::{MessageAttribute, OutgoingMessage};
use pipeline::testkit::World;
use pipeline::{PipelineSettings, names};
use serde::Deserialize;
use serde_json::{Value, json};

/// One file in `events/`.
#[derive(Deserialize)]
struct Case {
    #[serde(rename = "about")]
    _about: String,
    dedup_key: String,
    conflict_ignore: Vec<String>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    body: Value,
    #[serde(default)]
    attributes: BTreeMap<String, Attribute>,
    outcome: String,
    event_id: Option<String>,
    differs: Option<Vec<String>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "type")]
    data_type: String,
    value: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/events")
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> T {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Returns the files that have settings and messages.
fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    assert_eq!(files.len(), 11);
    files
}

fn settings(dedup_key: &str, conflict_ignore: &[String]) -> PipelineSettings {
    let key = DedupKey::parse(dedup_key).unwrap();
    let ignore = ConflictIgnore::parse(&json!(conflict_ignore).to_string(), &key).unwrap();
    let mut settings = PipelineSettings::default();
    settings.ingest.rules = EventRules::new(key, ignore);
    settings
}

fn start_without_cache(mut settings: PipelineSettings) -> World {
    // The cache does not contain bodies, and `differs` needs the body of the winner.
    settings.ingest.claim_cache_entries = None;
    World::start(settings)
}

/// Sends a message and returns its id.
fn send(world: &World, message: &Message) -> String {
    let mut outgoing = OutgoingMessage::new(&message.body.to_string());
    for (name, Attribute { data_type, value }) in &message.attributes {
        let attribute = match data_type.as_str() {
            "Binary" => MessageAttribute::bytes(data_type, value.as_bytes()),
            _ => MessageAttribute::text(data_type, value),
        };
        outgoing = outgoing.with_attribute(name, attribute);
    }
    world.services.sqs.send_message(names::QUEUE, outgoing).unwrap()
}

/// Returns the first line that `ingest-fn` logged about each message.
fn first_lines(world: &World, ids: &[String]) -> Vec<Value> {
    let lines = world.lines(names::INGEST_FUNCTION);
    ids.iter().map(|id| lines.iter().find(|line| line["message_id"] == id.as_str()).unwrap().clone()).collect()
}

/// Sends the messages one after the other, and returns the first line that `ingest-fn` logged about each of them.
/// Asserts that the lake contains exactly the messages that are expected to win.
async fn send_in_order(world: &World, messages: &[Message]) -> Vec<Value> {
    let mut ids = Vec::new();
    for message in messages {
        ids.push(send(world, message));
        world.wait_until_drained().await;
    }
    let winners = messages.iter().zip(&ids).filter(|(message, _)| message.outcome == "won").map(|(_, id)| id.clone());
    assert_eq!(archived_messages(world), winners.collect());
    world.assert_exactly_once().await;
    first_lines(world, &ids)
}

/// Returns the ids of the messages in the lake.
fn archived_messages(world: &World) -> BTreeSet<String> {
    let message_id = |content: &String| {
        let mut line: Value = serde_json::from_str(content).unwrap();
        serde_json::from_value(line["message_id"].take()).unwrap()
    };
    world.lake().values().flatten().map(message_id).collect()
}

/// Every message has the outcome that its user expects, and the lake has the winners and nothing else.
#[tokio::test(start_paused = true)]
async fn users_get_the_outcomes_they_expect() {
    for file in cases() {
        let case: Case = read(&file);
        let world = start_without_cache(settings(&case.dedup_key, &case.conflict_ignore));
        let lines = send_in_order(&world, &case.messages).await;
        for (number, (message, line)) in case.messages.iter().zip(&lines).enumerate() {
            let differs = message.differs.as_ref().map(|pointers| json!(pointers).to_string());
            assert_eq!(
                (line["outcome"].as_str(), line["differs"].as_str(), line["error"].as_str()),
                (Some(message.outcome.as_str()), differs.as_deref(), message.error.as_deref()),
                "message {number} of {}",
                file.display()
            );
            if let Some(event_id) = &message.event_id {
                assert_eq!(line["event_id"], event_id.as_str(), "message {number} of {}", file.display());
            }
        }
    }
}

/// Sends all messages of a case at once, with the cache on. The lake gets as many objects as if they were sent one by
/// one, and no duplicate becomes a conflict. In a case with conflicts, a different body may win.
#[tokio::test(start_paused = true)]
async fn batches_archive_the_same_events() {
    for file in cases() {
        let case: Case = read(&file);
        let world = World::start(settings(&case.dedup_key, &case.conflict_ignore));
        let ids: Vec<String> = case.messages.iter().map(|message| send(&world, message)).collect();
        world.wait_until_drained().await;
        let mut outcomes: Vec<Value> =
            first_lines(&world, &ids).iter_mut().map(|line| line["outcome"].take()).collect();
        let mut expected: Vec<Value> = case.messages.iter().map(|message| json!(message.outcome)).collect();
        let won = expected.iter().filter(|outcome| *outcome == "won").count();
        assert_eq!(world.lake().len(), won, "{}", file.display());
        world.assert_exactly_once().await;
        if !expected.contains(&json!("conflict")) {
            outcomes.sort_unstable_by_key(Value::to_string);
            expected.sort_unstable_by_key(Value::to_string);
            assert_eq!(outcomes, expected, "{}", file.display());
        }
    }
}

/// A relay may change the time and the trace. An SDK may write null for any of the other attributes if the event does
/// not have it.
const CLOUDEVENTS_IGNORED: [&str; 6] =
    ["/datacontenttype", "/dataschema", "/subject", "/time", "/traceparent", "/tracestate"];

/// CloudEvents with the same source and id are one event, even if their times differ. Each sample of the
/// specification's conformance tests is sent as it is, and then again with another time and a trace.
#[tokio::test(start_paused = true)]
async fn cloudevents_samples_are_one_event_each() {
    let world = start_without_cache(settings(r#"["/source","/id"]"#, &CLOUDEVENTS_IGNORED.map(str::to_owned)));
    let valid: Value = read(&folder().join("cloudevents/valid-events.json"));
    let invalid: Value = read(&folder().join("cloudevents/invalid-events.json"));
    let batches = ["valid", "invalid"].map(|kind| read(&folder().join(format!("cloudevents/{kind}-batches.json"))));
    let message = |body: &Value, outcome: &str| Message {
        body: body.clone(),
        attributes: BTreeMap::new(),
        outcome: outcome.to_owned(),
        event_id: None,
        differs: None,
        error: None,
    };
    let mut messages = Vec::new();
    let mut samples = Vec::new();
    for test in valid["tests"].as_array().unwrap() {
        let sample = test["sampleId"].as_str().unwrap();
        messages.push(message(&test["event"], if samples.contains(&sample) { "duplicate" } else { "won" }));
        samples.push(sample);
        let mut restamped = test["event"].clone();
        restamped["time"] = json!("2026-11-28T09:00:00Z");
        restamped["traceparent"] = json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        messages.push(message(&restamped, "duplicate"));
    }
    // The same id from another source is another event.
    let mut elsewhere = messages[0].body.clone();
    elsewhere["source"] = json!("https://example.com");
    messages.push(message(&elsewhere, "won"));
    // Only events without a usable id or source are rejected. `ingest-fn` does not check CloudEvents' other rules. All other
    // samples have the id "invalid" or 25, so each gets an id of its own here.
    let rejected = ["invalidNoId", "invalidNoSource", "invalidEmptyId", "invalidEmptySource", "invalidObjectId"];
    for test in invalid["tests"].as_array().unwrap() {
        let name = test["id"].as_str().unwrap();
        if rejected.contains(&name) {
            messages.push(message(&test["event"], "rejected"));
            continue;
        }
        let mut event = test["event"].clone();
        if event["id"].is_string() {
            event["id"] = json!(name);
        }
        messages.push(message(&event, "won"));
    }
    // A batch is one message with several events. It has no id of its own.
    for batch in batches.iter().flat_map(|file: &Value| file["tests"].as_array().unwrap()) {
        messages.push(message(&batch["batch"], "rejected"));
    }

    let lines = send_in_order(&world, &messages).await;
    for (message, line) in messages.iter().zip(&lines) {
        assert_eq!(line["outcome"], message.outcome, "{}: {line}", message.body);
    }
    let won = messages.iter().filter(|message| message.outcome == "won").count();
    // Six samples, the one from elsewhere, and 20 that break other rules.
    assert_eq!(won, 6 + 1 + 20);
}
