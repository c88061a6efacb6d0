//! Tests of the whole pipeline, from the queue to the lake.

use std::time::Duration;

use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::Fault;
use emulator::sqs::{MessageAttribute, OutgoingMessage};
use ingest_fn::{LakeLayout, OnConflict};
use pipeline::testkit::{World, writes_pack};
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::sleep;

/// A delay that is longer than any wait in these tests. The longest wait is for a dead letter: it takes three
/// visibility timeouts of three minutes each.
const LONG: Duration = Duration::from_secs(3_600);

fn start(on_conflict: OnConflict) -> World {
    let mut settings = PipelineSettings::default();
    settings.ingest.on_conflict = on_conflict;
    World::start(settings)
}

/// Returns the number of messages that `ingest-fn` logged with this outcome.
fn outcomes(world: &World, outcome: &str) -> usize {
    world.outcomes(names::INGEST_FUNCTION).get(outcome).copied().unwrap_or_default()
}

/// Takes the only dead letter out of its queue and returns its body.
async fn take_dead_letter(world: &World) -> String {
    let dead = world.take_all(names::DEAD_LETTER_QUEUE).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    dead.into_values().collect()
}

#[tokio::test(start_paused = true)]
async fn fifty_identical_messages_become_one_object() {
    let world = start(OnConflict::Acknowledge);
    for _ in 0..50 {
        world.send(r#"{"event_id":"grid_stress_999","voltage":1.50}"#);
    }
    world.wait_until_settled(0).await;
    assert_eq!(world.events(), [json!({ "event_id": "grid_stress_999", "voltage": 1.5 })]);
    assert_eq!((outcomes(&world, "won"), outcomes(&world, "duplicate")), (1, 49));
}

/// With `ON_CONFLICT=dead-letter`, a conflicting message becomes a dead letter.
#[tokio::test(start_paused = true)]
async fn conflict_is_a_dead_letter_if_configured() {
    let world = start(OnConflict::DeadLetter);
    world.send(r#"{"event_id":"a"}"#);
    world.send(r#"{"event_id":"a","x":2}"#);
    world.wait_until_settled(1).await;
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
    assert_eq!(take_dead_letter(&world).await, r#"{"event_id":"a","x":2}"#);
}

/// The filter of the stream mapping passes the claims of every dedup key. An object's metadata has the trace id of its
/// message.
#[tokio::test(start_paused = true)]
async fn claim_of_other_dedup_key_becomes_an_object() {
    let mut settings = PipelineSettings::default();
    settings.ingest.rules = EventRules::new(DedupKey::parse("attribute:order").unwrap(), ConflictIgnore::none());
    let world = World::start(settings);
    let message = OutgoingMessage::new("{}")
        .with_attribute("order", MessageAttribute::text("Number.int", "7"))
        .with_trace_header("Root=1-65a5b2c3-4bf92f3577b34da6a3ce929d;Sampled=1");
    world.services.sqs.send_message(names::QUEUE, message).unwrap();
    world.wait_until_settled(0).await;
    let objects: Vec<_> = world.lake().into_iter().collect();
    let [(key, versions)] = &objects[..] else { panic!("{objects:?}") };
    let object: Value = serde_json::from_str(&versions[0]).unwrap();
    assert_eq!((&object["event_id"], &object["event"]), (&json!("7"), &json!({})));
    let trace = [("trace-id".to_owned(), "1-65a5b2c3-4bf92f3577b34da6a3ce929d".to_owned())];
    assert_eq!(world.services.lakes.metadata(names::BUCKET, key), Some(trace.into()));
}

/// A poison message becomes a dead letter. The other messages of its batch become objects.
#[tokio::test(start_paused = true)]
async fn only_the_poison_message_is_a_dead_letter() {
    let world = start(OnConflict::Acknowledge);
    for body in [r#"{"event_id":"a"}"#, "poison", r#"{"event_id":"b"}"#] {
        world.send(body);
    }
    world.wait_until_settled(1).await;
    let mut events: Vec<String> = world.events().iter().map(Value::to_string).collect();
    events.sort();
    assert_eq!(events, [r#"{"event_id":"a"}"#, r#"{"event_id":"b"}"#]);
    assert_eq!(take_dead_letter(&world).await, "poison");
}

/// If DynamoDB's answers to all writes of a claim are lost, the message becomes a dead letter, although its claim is in the
/// table. After a redrive, the message is a duplicate.
#[tokio::test(start_paused = true)]
async fn redriven_dead_letter_is_a_duplicate() {
    let world = start(OnConflict::Acknowledge);
    world.services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::AnswerLost));
    world.send(r#"{"event_id":"a"}"#);
    world.wait_until_settled(1).await;
    assert_eq!((outcomes(&world, "failed"), world.events().len()), (3, 1));

    world.services.faults.clear();
    let body = take_dead_letter(&world).await;
    world.send(&body);
    world.wait_until_settled(0).await;
    assert_eq!((outcomes(&world, "won"), outcomes(&world, "duplicate")), (0, 1));
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
}

/// If `ingest-fn` is killed right after it wrote a claim, the event still becomes one object. The redelivered message is a
/// duplicate.
#[tokio::test(start_paused = true)]
async fn killed_after_its_claim_leaves_one_object() {
    let world = start(OnConflict::Acknowledge);
    world.services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::AnswerDelayed(LONG)));
    world.send(r#"{"event_id":"a"}"#);
    // Receive the message before the queue mapping does, so that this test can kill the invocation.
    let received = world.services.sqs.receive(names::QUEUE, 1, Duration::ZERO, None).await.unwrap().remove(0);
    let event = json!({ "Records": [{ "messageId": received.message_id, "body": received.body }] });
    let archived = async {
        while world.events().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        biased;
        answer = world.pipeline().ingest.invoke(event.to_string().into_bytes()) => panic!("it was answered: {answer:?}"),
        () = archived => {}
    }
    // The select has dropped the invocation, and the state of its sandbox with it.
    world.services.faults.clear();
    assert_eq!(outcomes(&world, "won"), 0);

    world.wait_until_settled(0).await;
    assert_eq!(outcomes(&world, "duplicate"), 1, "SQS redelivers the message after its visibility timeout");
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
}

/// The test kit accepts a packed claim without a line only if all its messages are dead letters.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "has no line")]
async fn acknowledged_packed_claim_needs_a_line() {
    let mut settings = PipelineSettings::default();
    settings.ingest.lake_layout = LakeLayout::Packs;
    let world = World::start(settings);
    world.services.faults.set(|call| writes_pack(call).then_some(Fault::Throttled));
    for _ in 0..2 {
        world.send(r#"{"event_id":"a"}"#);
        sleep(Duration::from_secs(10)).await;
    }
    world.wait_until_settled(2).await;
    // Delete one of the two dead letters, as if the message had been acknowledged. The other one must be the winner's.
    let winner = world.claims().await["a"].message_id.clone();
    for message in world.services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).await.unwrap() {
        if message.message_id == winner {
            let visibility = Duration::ZERO;
            world
                .services
                .sqs
                .change_visibility(names::DEAD_LETTER_QUEUE, &message.receipt_handle, visibility)
                .unwrap();
        } else {
            world.services.sqs.delete(names::DEAD_LETTER_QUEUE, &message.receipt_handle).unwrap();
        }
    }
    assert_eq!(world.dead_letters(), 1);
    world.assert_exactly_once().await;
}
