//! The whole pipeline, from the queue to the lake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use emulator::sqs::Counts;
use emulator::{Clock, Fault, Services};
use ingest_fn::OnConflict;
use pipeline::{Pipeline, PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// A message is a dead letter after three visibility timeouts of three minutes.
const LONG: Duration = Duration::from_secs(3_600);

struct World {
    services: Arc<Services>,
    pipeline: Pipeline,
}

impl World {
    fn new(on_conflict: OnConflict) -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let services = Services::on_clock(clock, 7);
        let mut settings = PipelineSettings::default();
        settings.ingest.on_conflict = on_conflict;
        let pipeline = Pipeline::start(&services, settings, 7);
        Self { services, pipeline }
    }

    fn send(&self, body: &str) {
        self.services.sqs.send(names::QUEUE, body).unwrap();
    }

    /// The `event` of each object, in no order; each object has one version and stands under its claim's id.
    fn events(&self) -> Vec<Value> {
        let object = |(key, versions): (String, Vec<bytes::Bytes>)| {
            let [content] = &versions[..] else { panic!("{key} has {} versions", versions.len()) };
            let object: Value = serde_json::from_slice(content).unwrap();
            assert!(key.ends_with(&format!("/{}.json", object["claim_id"].as_str().unwrap())), "{key}");
            assert_eq!(object["event_id"], object["event"]["event_id"]);
            object["event"].clone()
        };
        self.services.lakes.versions(names::BUCKET).into_iter().map(object).collect()
    }

    fn counts(&self, queue: &str) -> Counts {
        self.services.sqs.counts(queue).unwrap()
    }

    /// How many messages `ingest-fn` logged with this outcome.
    fn outcomes(&self, outcome: &str) -> usize {
        let lines = self.services.logs.lines(&names::log_group(names::INGEST_FUNCTION));
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["outcome"] == outcome).count()
    }

    /// Waits until the queue is empty, each claim has its object, and the dead letters are so many. Nothing is under way
    /// then: no claim can come without a message.
    async fn settled(&self, dead_letters: usize) {
        let table = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let waiting = async {
            loop {
                let claims = table.scan().table_name(names::TABLE).send().await.unwrap().count();
                let objects = i32::try_from(self.services.lakes.versions(names::BUCKET).len()).unwrap();
                let dead = Counts { visible: dead_letters, in_flight: 0 };
                if self.counts(names::QUEUE) == Counts::default()
                    && claims == objects
                    && self.counts(names::DEAD_LETTER_QUEUE) == dead
                {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(LONG, waiting).await.expect("the pipeline settles");
        assert_eq!(self.counts(names::ON_FAILURE_QUEUE), Counts::default());
    }

    /// Takes the one dead letter out of its queue.
    async fn dead_letter(&self) -> String {
        let sqs = &self.services.sqs;
        let dead = sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, None).await.unwrap();
        let [dead] = &dead[..] else { panic!("{dead:?}") };
        sqs.delete(names::DEAD_LETTER_QUEUE, &dead.receipt_handle).unwrap();
        dead.body.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn fifty_identical_messages_become_one_object() {
    let world = World::new(OnConflict::Acknowledge);
    for _ in 0..50 {
        world.send(r#"{"event_id":"grid_stress_999","voltage":1.50}"#);
    }
    world.settled(0).await;
    assert_eq!(world.events(), [json!({ "event_id": "grid_stress_999", "voltage": 1.5 })]);
    assert_eq!((world.outcomes("won"), world.outcomes("duplicate")), (1, 49));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_a_dead_letter_if_that_is_what_was_asked_for() {
    let world = World::new(OnConflict::DeadLetter);
    world.send(r#"{"event_id":"a"}"#);
    world.send(r#"{"event_id":"a","x":2}"#);
    world.settled(1).await;
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
    assert_eq!(world.dead_letter().await, r#"{"event_id":"a","x":2}"#);
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_is_a_dead_letter_and_its_neighbours_become_objects() {
    let world = World::new(OnConflict::Acknowledge);
    for body in [r#"{"event_id":"a"}"#, "poison", r#"{"event_id":"b"}"#] {
        world.send(body);
    }
    world.settled(1).await;
    let mut events: Vec<String> = world.events().iter().map(Value::to_string).collect();
    events.sort();
    assert_eq!(events, [r#"{"event_id":"a"}"#, r#"{"event_id":"b"}"#]);
    assert_eq!(world.dead_letter().await, "poison");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_whose_claim_was_written_all_the_same_ends_as_a_duplicate_when_it_is_redriven() {
    let world = World::new(OnConflict::Acknowledge);
    world.services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::AnswerLost));
    world.send(r#"{"event_id":"a"}"#);
    world.settled(1).await;
    assert_eq!((world.outcomes("failed"), world.events().len()), (3, 1));

    world.services.faults.clear();
    let body = world.dead_letter().await;
    world.send(&body);
    world.settled(0).await;
    assert_eq!((world.outcomes("won"), world.outcomes("duplicate")), (0, 1));
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_killed_right_after_its_claim_leaves_one_object_and_a_duplicate() {
    let world = World::new(OnConflict::Acknowledge);
    world.services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::AnswerDelayed(LONG)));
    world.send(r#"{"event_id":"a"}"#);
    // Received by hand, before the mapping's turn comes, so that the invocation is ours to kill.
    let received = world.services.sqs.receive(names::QUEUE, 1, Duration::ZERO, None).await.unwrap().remove(0);
    let event = json!({ "Records": [{ "messageId": received.message_id, "body": received.body }] });
    let archived = async {
        while world.events().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        biased;
        answer = world.pipeline.ingest.invoke(event.to_string().into_bytes()) => panic!("it was answered: {answer:?}"),
        () = archived => {}
    }
    // The select has dropped the invocation, and with it all that its sandbox knew.
    world.services.faults.clear();
    assert_eq!(world.outcomes("won"), 0);

    world.settled(0).await;
    assert_eq!(world.outcomes("duplicate"), 1, "the message came again after its visibility timeout");
    assert_eq!(world.events(), [json!({ "event_id": "a" })]);
}
