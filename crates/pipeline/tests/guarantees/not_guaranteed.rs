//! Tests of what the README lists as not guaranteed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive_fn::DataLake;
use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::function::{Function, sandbox};
use emulator::sqs::QueueSettings;
use emulator::stream_mapping::StreamMapping;
use emulator::{Fault, Service};
use pipeline::testkit::{STARTS_AT_SECONDS, World, body, services_at, wait_until};
use pipeline::{Blueprint, Decorator, PipelineSettings, WarmSandbox, names};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::traffic::{DAY, VISIBILITY, counted};

/// If a duplicate is processed after the dedup window (16 days), its event may be archived again. It is processed in
/// time, even after one redrive from the dead-letter queue, if it is sent within `late_duplicates_seconds` (one day),
/// less one visibility timeout, of its event.
#[tokio::test(start_paused = true)]
async fn event_is_new_after_the_window() {
    let world = World::start(PipelineSettings::default());
    for _ in 0..2 {
        world.send(&body("sent again"));
        world.wait_until_drained().await;
        advance(16 * DAY + VISIBILITY).await;
    }
    assert_eq!(world.lake().len(), 2);

    // A duplicate that is sent a day late and stays in the dead-letter queue for almost 14 days is still in time.
    let world = World::start(PipelineSettings::default());
    world.send(&body("redriven once"));
    world.wait_until_drained().await;
    advance(DAY).await;
    world.pipeline().ingest.scale_in();
    world.fail(Service::DynamoDb, |call| (call.operation == "PutItem").then_some(Fault::Throttled));
    world.send(&body("redriven once"));
    wait_until("the message is a dead letter", || world.dead_letters() == 1).await;
    advance(13 * DAY + Duration::from_hours(23)).await;
    world.services.faults.clear();
    for body in world.take_all(names::DEAD_LETTER_QUEUE).await.into_values() {
        world.send(&body);
    }
    world.wait_until_drained().await;
    assert_eq!(world.lake().len(), 1);

    let world = World::start(PipelineSettings::default());
    world.send(&body("redriven twice"));
    world.wait_until_drained().await;
    // A duplicate stays in the dead-letter queue for 13 days, and for another 13 days after its redrive.
    world.pipeline().ingest.scale_in();
    world.fail(Service::DynamoDb, |call| (call.operation == "PutItem").then_some(Fault::Throttled));
    world.send(&body("redriven twice"));
    for redrives in 1..=2 {
        wait_until("the message is a dead letter", || world.dead_letters() == 1).await;
        advance(13 * DAY).await;
        if redrives == 2 {
            world.services.faults.clear();
        }
        for body in world.take_all(names::DEAD_LETTER_QUEUE).await.into_values() {
            world.send(&body);
        }
    }
    world.wait_until_drained().await;
    assert_eq!(world.lake().len(), 2);
}

/// A changed `OBJECT_PREFIX` starts a new lake.
#[tokio::test(start_paused = true)]
async fn another_prefix_starts_another_lake() {
    let world = World::start(PipelineSettings::default());
    world.send(&body("a"));
    world.wait_until_drained().await;

    // A function with another prefix reads the stream from its beginning, as after a lost checkpoint.
    let services = Arc::clone(&world.services);
    let settings = PipelineSettings::default();
    let look_up = |variable: &str| match variable {
        "BUCKET_NAME" => Some(names::BUCKET.to_owned()),
        "OBJECT_PREFIX" => Some("other/".to_owned()),
        _ => None,
    };
    let config = archive_fn::Config::from_variables(&lambda_support::Variables::new(&look_up)).unwrap();
    let log = services.logs.writer("other");
    let sdk = services.sdk_config();
    let clock = services.clock;
    let log_of_sandbox = log.clone();
    let function = Function::new("other", settings.function_timeout, clock, log, move || {
        let lake = DataLake::new((&sdk).into(), names::BUCKET);
        let handler = archive_fn::Handler::new(config.clone(), lake, log_of_sandbox.clone(), clock.shared());
        let handler = Arc::new(handler);
        sandbox(move |event| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(event).await }
        })
    });
    let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let table = client.describe_table().table_name(names::TABLE).send().await.unwrap().table.unwrap();
    let stream = table.latest_stream_arn.unwrap();
    let mapping = StreamMapping::new(Arc::clone(&services), &stream, Arc::new(function), settings.stream_mapping);
    let mapping = tokio::spawn(mapping.run());
    wait_until("the event is archived again", || world.lake().len() == 2).await;
    mapping.abort();
    let keys: Vec<String> = world.lake().into_keys().collect();
    assert_eq!(keys[0].strip_prefix("events/").unwrap(), keys[1].strip_prefix("other/").unwrap());
}

/// Starts each sandbox of `ingest-fn` with the rules that the mutex contains at the cold start.
struct WithRules(Arc<Mutex<EventRules>>);

impl Decorator for WithRules {
    fn cold_start(&self, mut blueprint: Blueprint) -> WarmSandbox {
        blueprint.ingest.rules = self.0.lock().unwrap().clone();
        blueprint.build()
    }
}

/// A changed `DEDUP_KEY` starts a new key space, in which earlier events count as new.
#[tokio::test(start_paused = true)]
async fn another_dedup_key_is_another_key_space() {
    let rules = Arc::new(Mutex::new(EventRules::default()));
    let world = World::start_decorated(PipelineSettings::default(), WithRules(Arc::clone(&rules)));
    let send = |world: &World, id: &str| world.send(&json!({ "event_id": id, "id": id }).to_string());
    for id in ["a", "a", "b"] {
        send(&world, id);
    }
    world.wait_until_drained().await;

    *rules.lock().unwrap() = EventRules::new(DedupKey::parse("/id").unwrap(), ConflictIgnore::none());
    world.pipeline().ingest.scale_in();
    for id in ["a", "a", "c"] {
        send(&world, id);
    }
    world.wait_until_drained().await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 4), ("duplicate", 2)]));
    let mut archived: Vec<Value> =
        world.lake().values().map(|lines| serde_json::from_str(&lines[0]).unwrap()).collect();
    let mut archived: Vec<String> = archived.iter_mut().map(|line| line["event_id"].take().to_string()).collect();
    archived.sort_unstable();
    assert_eq!(archived, [r#""a""#, r#""a""#, r#""b""#, r#""c""#]);
}

/// Warm functions that have cached a claim do not notice a manual edit of its item until the claim's `ttl`.
#[tokio::test(start_paused = true)]
async fn warm_function_misses_manual_edit() {
    let world = World::start(PipelineSettings::default());
    world.send(&body("a"));
    world.wait_until_drained().await;
    let client = aws_sdk_dynamodb::Client::new(&world.services.sdk_config());
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let delete = client.delete_item().table_name(names::TABLE).key("pk", text("EVENT#a")).key("sk", text("CLAIM"));
    delete.send().await.unwrap();

    world.send(&body("a"));
    world.wait_until_drained().await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 1), ("duplicate", 1)]));
    world.pipeline().ingest.scale_in();
    world.send(&body("a"));
    world.wait_until_drained().await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 2), ("duplicate", 1)]));
}

/// SQS deletes messages that nobody received within the retention period.
#[tokio::test(start_paused = true)]
async fn unreceived_message_is_deleted() {
    let services = services_at(STARTS_AT_SECONDS);
    let settings = QueueSettings { visibility_timeout: VISIBILITY, retention: DAY, redrive: None };
    services.sqs.create_queue(names::QUEUE, settings);
    services.sqs.send(names::QUEUE, &body("nobody")).unwrap();
    advance(DAY + VISIBILITY).await;
    services.sqs.send(names::QUEUE, &body("somebody")).unwrap();
    let world = World::start_on(&services, PipelineSettings::default());
    world.wait_until_drained().await;
    assert_eq!(world.claims().await.into_keys().collect::<Vec<_>>(), ["somebody"]);
    assert_eq!((world.lake().len(), world.dead_letters()), (1, 0));
}

/// With `ON_CONFLICT=acknowledge`, the default, a body that differs from the winning one is dropped. Both digests are logged.
#[tokio::test(start_paused = true)]
async fn conflicting_body_is_dropped() {
    let world = World::start(PipelineSettings::default());
    world.send(&json!({ "event_id": "a", "says": "one thing" }).to_string());
    world.wait_until_drained().await;
    let other = world.send(&json!({ "event_id": "a", "says": "another" }).to_string());
    world.wait_until_drained().await;
    world.assert_exactly_once().await;
    assert_eq!((world.lake().len(), world.dead_letters()), (1, 0));
    assert!(world.lake().values().next().unwrap()[0].contains("one thing"));
    let lines = world.lines(names::INGEST_FUNCTION);
    let conflict = lines.iter().find(|line| line["outcome"] == "conflict").unwrap();
    assert_eq!(conflict["message_id"], other);
    assert!(conflict["digest"].is_string() && conflict["held_digest"].is_string());
    assert_ne!(conflict["digest"], conflict["held_digest"]);
    // The first sandbox is still warm. The cached claim does not contain the winning body.
    assert_eq!(conflict["differs"], Value::Null);
    world.pipeline().ingest.scale_in();
    let another = world.send(&json!({ "event_id": "a", "says": "another" }).to_string());
    world.wait_until_drained().await;
    let lines = world.lines(names::INGEST_FUNCTION);
    let conflict = lines.iter().find(|line| line["message_id"] == another).unwrap();
    assert_eq!((&conflict["outcome"], &conflict["differs"]), (&json!("conflict"), &json!(r#"["/says"]"#)));
}
