//! Events as producers send them: CloudEvents, GitHub's event format, EventBridge, SNS, S3 notifications, orders and readings
//! without an id. Each file in `events/` has the settings, the messages in order, and the outcome that its user expects.
//! `docs/dedup-keys.md` explains the choices.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
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

fn start(dedup_key: &str, conflict_ignore: &[String]) -> World {
    let key = DedupKey::parse(dedup_key).unwrap();
    let ignore = ConflictIgnore::parse(&json!(conflict_ignore).to_string(), &key).unwrap();
    let mut settings = PipelineSettings::default();
    settings.ingest.rules = EventRules::new(key, ignore);
    // The cache does not contain bodies, and `differs` needs the body of the winner.
    settings.ingest.claim_cache_entries = None;
    World::start(settings)
}

/// Sends the messages one after the other, and returns the line that `ingest-fn` logged first about each of them.
async fn send(world: &World, messages: &[Message]) -> Vec<Value> {
    let mut ids = Vec::new();
    for message in messages {
        let mut outgoing = OutgoingMessage::new(&message.body.to_string());
        for (name, Attribute { data_type, value }) in &message.attributes {
            let attribute = match data_type.as_str() {
                "Binary" => MessageAttribute::bytes(data_type, value.as_bytes()),
                _ => MessageAttribute::text(data_type, value),
            };
            outgoing = outgoing.with_attribute(name, attribute);
        }
        ids.push(world.services.sqs.send_message(names::QUEUE, outgoing).unwrap());
        world.wait_until_drained().await;
    }
    let lines = world.lines(names::INGEST_FUNCTION);
    ids.iter().map(|id| lines.iter().find(|line| line["message_id"] == id.as_str()).unwrap().clone()).collect()
}

/// Every message has the outcome that its user expects, and every event is in the lake once.
#[tokio::test(start_paused = true)]
async fn users_get_the_outcomes_they_expect() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    assert_eq!(files.len(), 7);
    for file in files {
        let case: Case = read(&file);
        let world = start(&case.dedup_key, &case.conflict_ignore);
        let lines = send(&world, &case.messages).await;
        for (number, (message, line)) in case.messages.iter().zip(&lines).enumerate() {
            let differs = message.differs.as_ref().map(|pointers| json!(pointers).to_string());
            assert_eq!(
                (line["outcome"].as_str(), line["differs"].as_str(), line["error"].as_str()),
                (Some(message.outcome.as_str()), differs.as_deref(), message.error.as_deref()),
                "message {number} of {}",
                file.display()
            );
        }
        let won = case.messages.iter().filter(|message| message.outcome == "won").count();
        assert_eq!(world.lake().len(), won, "{}", file.display());
        world.assert_exactly_once().await;
    }
}

/// The attributes of a CloudEvent that a relay may add, remove or change. An SDK may write an absent attribute as null.
const CLOUDEVENTS_IGNORED: [&str; 6] =
    ["/datacontenttype", "/dataschema", "/subject", "/time", "/traceparent", "/tracestate"];

/// CloudEvents with the same source and id are one event, even if their times are written differently. The samples of the
/// specification's conformance tests are sent twice, the second time with another time and a trace.
#[tokio::test(start_paused = true)]
async fn cloudevents_samples_are_one_event_each() {
    let world = start(r#"["/source","/id"]"#, &CLOUDEVENTS_IGNORED.map(str::to_owned));
    let valid: Value = read(&folder().join("cloudevents/valid-events.json"));
    let invalid: Value = read(&folder().join("cloudevents/invalid-events.json"));
    let batches: Value = read(&folder().join("cloudevents/valid-batches.json"));
    let message = |body: &Value, outcome: &str| Message {
        body: body.clone(),
        attributes: BTreeMap::new(),
        outcome: outcome.to_owned(),
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
    // Only events without an id and a source are rejected. This function does not check CloudEvents' other rules.
    let rejected = ["invalidNoId", "invalidNoSource", "invalidEmptyId", "invalidEmptySource", "invalidObjectId"];
    for test in invalid["tests"].as_array().unwrap() {
        if rejected.contains(&test["id"].as_str().unwrap()) {
            messages.push(message(&test["event"], "rejected"));
        }
    }
    // A batch is one message with several events. It has no id of its own.
    messages.extend(batches["tests"].as_array().unwrap().iter().map(|test| message(&test["batch"], "rejected")));

    let lines = send(&world, &messages).await;
    for (message, line) in messages.iter().zip(&lines) {
        assert_eq!(line["outcome"], message.outcome, "{}: {line}", message.body);
    }
    let won = messages.iter().filter(|message| message.outcome == "won").count();
    assert_eq!((won, world.lake().len()), (7, 7));
    world.assert_exactly_once().await;
}
