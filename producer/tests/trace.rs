//! Tests of `trace` against the embedded services: each way in which an event can be archived, stuck or unknown.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use claim::{EventIdPointer, ObjectPrefix};
use emulator::{Clock, Fault, Service, Services, queue_url};
use pipeline::{Pipeline, PipelineSettings, names};
use producer::pipeline_client::PipelineClient;
use producer::target::Stack;
use producer::trace::{Place, Story, trace};
use tokio::time::{sleep, timeout};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Age at which the stream mapping discards a record. It is short, so that a record is discarded after few attempts.
const RECORD_AGE: Duration = Duration::from_secs(10 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct TracedPipeline {
    services: Arc<Services>,
    pipeline: Option<Pipeline>,
}

impl TracedPipeline {
    fn start() -> Self {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let services = Services::on_clock(clock, 7);
        let mut settings = PipelineSettings::default();
        settings.stream_mapping.maximum_record_age = Some(RECORD_AGE);
        let pipeline = Pipeline::start(&services, settings, 7);
        Self { services, pipeline: Some(pipeline) }
    }

    fn send(&self, body: &str) {
        self.services.sqs.send(names::QUEUE, body).unwrap();
    }

    async fn until(&self, done: impl Fn(&Services) -> bool) {
        let waiting = async {
            while !done(&self.services) {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(DAY, waiting).await.expect("the condition is met within a day");
    }

    /// Makes every request with this operation fail with status 503.
    fn fail(&self, service: Service, operation: &'static str) {
        let fails = move |call: &emulator::Call<'_>| call.service == service && call.operation.starts_with(operation);
        self.services.faults.set(move |call| fails(call).then_some(Fault::Refused(503)));
    }

    async fn try_trace(&self, event_id: &str) -> Story {
        let dlq_url = Some(queue_url(names::DEAD_LETTER_QUEUE));
        let stack = Stack { dlq_url, ..Stack::embedded("events/".to_owned()) };
        let client = PipelineClient::new(&self.services.sdk_config(), stack);
        let prefix = ObjectPrefix::parse("events/").unwrap();
        let pointer = EventIdPointer::parse("/event_id").unwrap();
        trace(&client, event_id, &prefix, &pointer, None, RECORD_AGE, self.services.clock.now().into()).await
    }

    /// Traces an event, and asserts that every source could be read.
    async fn trace(&self, event_id: &str) -> Story {
        let story = self.try_trace(event_id).await;
        assert!(story.unreadable.is_empty(), "{:?}", story.unreadable);
        story
    }

    /// Sends an event, and waits until it is archived.
    async fn archive(&self, event_id: &str) {
        let objects = self.services.lakes.versions(names::BUCKET).len();
        self.send(&format!(r#"{{"event_id":"{event_id}"}}"#));
        self.until(|services| services.lakes.versions(names::BUCKET).len() > objects).await;
    }

    async fn set_in_claim(&self, event_id: &str, update: &str, value: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&self.services.sdk_config());
        let request = client.update_item().table_name(names::TABLE).update_expression(update);
        let request = request.key("pk", text(&format!("EVENT#{event_id}"))).key("sk", text("CLAIM"));
        request.expression_attribute_values(":v", text(value)).send().await.unwrap();
    }
}

fn outcomes(story: &Story) -> Vec<&str> {
    story.ingest.iter().map(|line| line.outcome.as_str()).collect()
}

fn text(story: &Story) -> String {
    let mut out = Vec::new();
    story.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The story has the event's duplicate, conflict and object, but no log line of another event whose id is similar.
#[tokio::test(start_paused = true)]
async fn archived_event_has_its_whole_story() {
    let traced = TracedPipeline::start();
    for id in [r#"odd "id" \ * é"#, "odd", "a"] {
        let quoted = serde_json::Value::from(id);
        for x in [1, 1, 2] {
            traced.send(&format!(r#"{{"event_id":{quoted},"x":{x}}}"#));
        }
    }
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 3).await;
    sleep(HOUR).await;
    for id in [r#"odd "id" \ * é"#, "odd", "a"] {
        let story = traced.trace(id).await;
        assert_eq!((story.place, story.event_id.as_str()), (Place::Archived, id));
        let mut outcomes = outcomes(&story);
        outcomes.sort_unstable();
        assert_eq!(outcomes, ["conflict", "duplicate", "won"], "{id}");
        let object = story.object.as_ref().unwrap();
        assert_eq!((object.versions, object.as_claimed), (1, Some(true)));
        assert_eq!(story.archive.iter().map(|line| line.outcome.as_str()).collect::<Vec<_>>(), ["written"]);
        let text = text(&story);
        for expected in [
            "claimed by message",
            ": conflict, digest ",
            " differs from the claim's ",
            "archive-fn: written",
            "1 version,",
            "content matches the claim",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn send_times_come_from_the_log() {
    let traced = TracedPipeline::start();
    sleep(HOUR).await;
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR).await;
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR).await;
    let story = traced.trace("a").await;
    let sent: Vec<&str> = story.ingest.iter().map(|line| line.sent_at.as_deref().unwrap()).collect();
    let first = sent[0];
    let second = sent[1];
    assert!(first.starts_with("2027-01-15T09:") && second.starts_with("2027-01-15T10:"), "{sent:?}");
    let claim = story.claim.as_ref().unwrap();
    assert_eq!(claim.sent_at.as_deref(), Some(first));
    let text = text(&story);
    for expected in [
        format!("  {first}  sent: message {}\n  {}  claimed by message ", claim.message_id, claim.claimed_at),
        format!(": duplicate, sent {second}\n"),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
}

/// A claim without an object is in the stream until the stream mapping discards its record.
#[tokio::test(start_paused = true)]
async fn claim_is_in_stream_until_discarded() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, outcomes(&story)), (Place::InStream, vec!["won"]));
    assert!(story.explanation.contains("ServiceUnavailable"), "{}", story.explanation);
    traced.until(|services| services.sqs.counts(names::ON_FAILURE_QUEUE).unwrap().visible == 1).await;
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::GivenUp);
    let expected = "discarded its record; the on-failure queue holds 1 pointer. Run `replay` to write the object";
    assert!(story.explanation.contains(expected), "{}", story.explanation);
}

/// If a dead letter is not a valid event, `trace` finds it by the id in the message's text.
#[tokio::test(start_paused = true)]
async fn rejected_dead_letter_is_found_by_its_text() {
    let traced = TracedPipeline::start();
    traced.send(r#"{"event_id":"a","event_id":"a"}"#);
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == 1).await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.dead_letters.len(), story.dead_letters[0].is_event), (Place::DeadLetter, 1, false));
    let expected = "the event has no claim, but a dead letter that is not a valid event contains its id";
    assert!(story.explanation.starts_with(expected), "{}", story.explanation);
    assert!(text(&story).contains("2027-01-15T08:00:00.000Z  sent: message "), "{}", text(&story));
}

#[tokio::test(start_paused = true)]
async fn failed_event_is_in_queue_then_dead_letter() {
    let traced = TracedPipeline::start();
    traced.fail(Service::DynamoDb, "PutItem");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(Duration::from_secs(60)).await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, outcomes(&story)), (Place::InQueue, vec!["failed"]));
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == 1).await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.dead_letters[0].is_event), (Place::DeadLetter, true));
}

#[tokio::test(start_paused = true)]
async fn unsent_event_is_not_seen() {
    let traced = TracedPipeline::start();
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::NotSeen);
    assert!(story.explanation.contains("the queue reports no messages"), "{}", story.explanation);
}

/// `trace` finds a dead letter that is not a valid event, whatever escapes its id contains, and also if the id is an
/// integer.
#[tokio::test(start_paused = true)]
async fn dead_letter_is_found_in_every_escape() {
    let traced = TracedPipeline::start();
    let bodies = [
        (r#"{"event_id":"th\u00e9","event_id":"y"}"#, "thé"),
        (r#"{"event_id":"c\/d","n":}"#, "c/d"),
        (r#"{"event_id":987654321,"n":}"#, "987654321"),
        (r#"{"Type":"Notification","Message":"{\"event_id\":\"in\\u002dsns\"}"}"#, "in-sns"),
    ];
    for (body, _) in bodies {
        traced.send(body);
    }
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == bodies.len()).await;
    for (body, event_id) in bodies {
        let story = traced.trace(event_id).await;
        assert_eq!((story.place, story.dead_letters.len()), (Place::DeadLetter, 1), "{body}: {}", story.explanation);
        assert!(!story.dead_letters[0].is_event);
    }
}

/// `trace` reads the id of a valid event in the dead-letter queue as `ingest-fn` does, whatever the body looks like.
#[tokio::test(start_paused = true)]
async fn failed_dead_letter_is_found_by_its_event_id() {
    let mut traced = TracedPipeline::start();
    traced.fail(Service::DynamoDb, "PutItem");
    let bodies = [(r#"{"event_id":"th\u00e9"}"#, "thé"), (r#"{"x":[{"event_id":"no"}],"event_id":-7}"#, "-7")];
    for (body, _) in bodies {
        traced.send(body);
    }
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == bodies.len()).await;
    traced.pipeline = None;
    for (body, event_id) in bodies {
        let story = traced.trace(event_id).await;
        assert_eq!((story.place, story.dead_letters.len()), (Place::DeadLetter, 1), "{body}: {}", story.explanation);
        assert!(story.dead_letters[0].is_event);
    }
}

/// A dead letter that is a valid event with another id is ignored, even if its content contains the id that `trace` searches
/// for.
#[tokio::test(start_paused = true)]
async fn dead_letter_of_another_event_is_ignored() {
    let mut traced = TracedPipeline::start();
    traced.fail(Service::DynamoDb, "PutItem");
    traced.send(r#"{"event_id":"b","quantity":7}"#);
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == 1).await;
    traced.pipeline = None;
    let story = traced.trace("7").await;
    assert_eq!((story.place, story.dead_letters.len()), (Place::NotSeen, 0), "{}", story.explanation);
    assert_eq!(traced.trace("b").await.place, Place::DeadLetter);
}

/// A dead letter that only contains the id does not end the search, because it may belong to another event.
#[tokio::test(start_paused = true)]
async fn mention_does_not_end_the_search() {
    let mut traced = TracedPipeline::start();
    traced.pipeline = None;
    let send = |body| traced.services.sqs.send(names::DEAD_LETTER_QUEUE, body).unwrap();
    send(r#"{"event_id":7}"#);
    let visibility = Some(Duration::from_secs(20));
    let hidden = traced.services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, visibility).await.unwrap();
    assert_eq!(hidden.len(), 1);
    send(r#"{"event_id":"b","quantity":7,}"#);
    let story = traced.trace("7").await;
    let found: Vec<bool> = story.dead_letters.iter().map(|letter| letter.is_event).collect();
    assert_eq!((story.place, found), (Place::DeadLetter, vec![false, true]));
}

/// In a large dead-letter queue, the first messages become visible again before the last ones are received. The search still
/// ends, and knows that it has received all messages.
#[tokio::test(start_paused = true)]
async fn large_dead_letter_queue_is_searched() {
    let mut traced = TracedPipeline::start();
    traced.pipeline = None;
    for number in 0..2_500 {
        traced.services.sqs.send(names::DEAD_LETTER_QUEUE, &format!(r#"{{"event_id":"b{number}"}}"#)).unwrap();
    }
    // 250 receives take 25 seconds, and messages stay hidden for 20 seconds.
    let delay = Fault::RequestDelayed(Duration::from_millis(100));
    traced.services.faults.set(move |call| (call.operation == "ReceiveMessage").then_some(delay));
    assert_eq!(traced.trace("a").await.place, Place::NotSeen);
}

/// `trace` waits for dead letters that another consumer hides. If it cannot read all of them, it does not say "never sent".
#[tokio::test(start_paused = true)]
async fn hidden_dead_letter_is_awaited() {
    let mut traced = TracedPipeline::start();
    traced.send(r#"{"event_id":"a","event_id":"a"}"#);
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == 1).await;
    traced.pipeline = None;
    let hide = |time| traced.services.sqs.receive(names::DEAD_LETTER_QUEUE, 10, Duration::ZERO, Some(time));
    assert_eq!(hide(Duration::from_secs(20)).await.unwrap().len(), 1);
    assert_eq!(traced.trace("a").await.place, Place::DeadLetter);
    sleep(HOUR).await;
    assert_eq!(hide(HOUR).await.unwrap().len(), 1);
    let story = traced.try_trace("a").await;
    assert_eq!((story.place, story.is_sure()), (Place::Unknown, false), "{}", story.explanation);
    assert!(!story.explanation.contains("never sent"), "{}", story.explanation);
    let why = "other consumers hide messages of the dead-letter queue";
    assert!(text(&story).contains(why), "{}", text(&story));
}

/// The search of the dead-letter queue uses long polling, because short polling may miss messages. One empty receive does
/// not end the search.
#[tokio::test(start_paused = true)]
async fn dead_letters_are_searched_by_long_polling() {
    let traced = TracedPipeline::start();
    let waits = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&waits);
    traced.services.faults.set(move |call| {
        if call.operation == "ReceiveMessage" {
            let request: serde_json::Value = serde_json::from_slice(call.request.body()).unwrap();
            seen.lock().unwrap().push(request["WaitTimeSeconds"].as_u64().unwrap());
        }
        None
    });
    assert_eq!(traced.trace("a").await.place, Place::NotSeen);
    let waits = waits.lock().unwrap();
    assert!(waits.len() > 1 && waits.iter().all(|wait| *wait > 0), "{waits:?}");
}

/// Control characters in ids, bodies and error texts never reach the terminal.
#[tokio::test(start_paused = true)]
async fn story_has_no_control_characters() {
    let traced = TracedPipeline::start();
    let id = "\u{1b}[2J\u{1b}]0;pwned\u{7}evil\ncompared 9 claims\u{9b}31m\u{202e}";
    traced.send(&serde_json::json!({ "event_id": id }).to_string());
    traced.send(&format!(r#"{{"event_id":{},"\u001b[1m":1,"\u001b[1m":2}}"#, serde_json::Value::from(id)));
    traced.until(|services| services.sqs.counts(names::DEAD_LETTER_QUEUE).unwrap().visible == 1).await;
    let line = serde_json::json!({
        "timestamp": "2027-01-15T08:10:00.000Z\u{1b}[1m", "outcome": "failed\u{85}", "event_id": id, "message_id": "\u{1b}c",
        "error": "service says \u{1b}[31mno\r",
    });
    for function in [names::INGEST_FUNCTION, names::ARCHIVE_FUNCTION] {
        let mut log = traced.services.logs.writer(&names::log_group(function));
        std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()).unwrap();
    }
    let story = traced.trace(id).await;
    assert_eq!((story.archive.len(), story.object.is_some()), (2, true));
    let text = text(&story);
    let is_allowed = |c: char| c == '\n' || !(c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    assert!(text.chars().all(is_allowed), "{text:?}");
    let first = r"event \u{1b}[2J\u{1b}]0;pwned\u{7}evil\ncompared 9 claims\u{9b}31m\u{202e}";
    assert_eq!(text.lines().next(), Some(first));
}

/// Without the claim, `trace` finds the object under the key that the log names.
#[tokio::test(start_paused = true)]
async fn archived_event_is_found_without_its_claim() {
    let traced = TracedPipeline::start();
    traced.send(r#"{"event_id":"a"}"#);
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 1).await;
    let client = aws_sdk_dynamodb::Client::new(&traced.services.sdk_config());
    let key = |text: &str| AttributeValue::S(text.to_owned());
    client
        .delete_item()
        .table_name(names::TABLE)
        .key("pk", key("EVENT#a"))
        .key("sk", key("CLAIM"))
        .send()
        .await
        .unwrap();
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.object.unwrap().as_claimed), (Place::Archived, None));
}

/// The story marks an expired claim, and its event still counts as archived.
#[tokio::test(start_paused = true)]
async fn expired_claim_is_marked() {
    let mut traced = TracedPipeline::start();
    traced.archive("a").await;
    assert!(!traced.trace("a").await.claim.unwrap().expired);
    // Stop the pipeline, because simulating 17 days of polling is slow.
    traced.pipeline = None;
    sleep(DAY * 17).await;
    let story = traced.trace("a").await;
    assert!(story.place == Place::Archived && story.claim.as_ref().unwrap().expired);
    assert!(text(&story).contains(", was valid until 2027-01-31T"), "{}", text(&story));
}

/// The pipeline never writes an object twice, so a second version means that something else wrote to the lake.
#[tokio::test(start_paused = true)]
async fn second_object_version_is_overwritten() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let key = traced.services.lakes.versions(names::BUCKET).into_keys().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    client.put_object().bucket(names::BUCKET).key(&key).body(b"other".to_vec().into()).send().await.unwrap();
    let story = traced.trace("a").await;
    let object = story.object.as_ref().unwrap();
    assert_eq!((story.place, object.versions, object.as_claimed), (Place::Overwritten, 2, Some(false)));
    let expected = "2 versions, 5 bytes, content DOES NOT match the claim";
    assert!(text(&story).contains(expected), "{}", text(&story));
}

/// An object that someone deleted and `replay` wrote again has two identical versions. Its event counts as archived, not as
/// overwritten.
#[tokio::test(start_paused = true)]
async fn restored_object_is_archived() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let (key, versions) = traced.services.lakes.versions(names::BUCKET).into_iter().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    let delete = || client.delete_object().bucket(names::BUCKET).key(&key).send();
    let write = |body: Vec<u8>| client.put_object().bucket(names::BUCKET).key(&key).body(body.into()).send();
    for times in 1..=2 {
        delete().await.unwrap();
        assert!(traced.trace("a").await.object.is_none());
        write(versions[0].to_vec()).await.unwrap();
        let story = traced.trace("a").await;
        assert_eq!(story.place, Place::Archived, "{}", story.explanation);
        assert_eq!(story.explanation, "the event is archived; its object was deleted and written again");
        let expected = format!("1 version and {times} deleted with the same content, ");
        assert!(text(&story).contains(&expected), "{}", text(&story));
    }
    // A version with other content cannot come from `replay`, even if the earlier versions were deleted first.
    delete().await.unwrap();
    write(b"other".to_vec()).await.unwrap();
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.object.unwrap().versions), (Place::Overwritten, 4));
}

/// If the first version was not deleted, a second version with the same content means that something else wrote to the lake.
#[tokio::test(start_paused = true)]
async fn repeated_object_is_overwritten() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let (key, versions) = traced.services.lakes.versions(names::BUCKET).into_iter().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    client.put_object().bucket(names::BUCKET).key(&key).body(versions[0].to_vec().into()).send().await.unwrap();
    assert_eq!(traced.trace("a").await.place, Place::Overwritten);
}

/// The explanation says why the event's item in the table is not a valid claim, and what to do about it.
#[tokio::test(start_paused = true)]
async fn invalid_claim_is_explained() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    traced.set_in_claim("a", "SET digest = :v", "text").await;
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::UnusableClaim);
    assert!(story.explanation.contains("Expected binary"), "{}", story.explanation);
    assert!(story.explanation.contains("Fix or delete the item"), "{}", story.explanation);
}

/// The explanation names the key under which `archive-fn` stored a quarantined record. It also says how to write the object,
/// and that the valid claim must not be deleted.
#[tokio::test(start_paused = true)]
async fn quarantined_record_is_explained() {
    let traced = TracedPipeline::start();
    traced.fail(Service::S3, "PUT");
    traced.send(r#"{"event_id":"a"}"#);
    sleep(HOUR / 12).await;
    let claim_id = traced.trace("a").await.claim.unwrap().claim_id;
    // `archive-fn` logs this line for a record on which its code panics.
    let line = serde_json::json!({
        "timestamp": "2027-01-15T08:10:00.000Z", "outcome": "quarantined", "event_id": "a", "claim_id": claim_id,
        "key": "events/_unusable/7.json", "error": "the function panicked: on purpose",
    });
    let mut log = traced.services.logs.writer(&names::log_group(names::ARCHIVE_FUNCTION));
    std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()).unwrap();
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::Quarantined);
    for expected in [
        "stream record (the function panicked: on purpose) and stored it whole under events/_unusable/7.json",
        "do not delete it",
        "run `ops replay --write`",
    ] {
        assert!(story.explanation.contains(expected), "{expected}: {}", story.explanation);
    }
}

/// If a source cannot be read, the story says so. The event's place is then unknown, unless the other sources show it.
#[tokio::test(start_paused = true)]
async fn unreadable_source_leaves_place_unknown() {
    use Place::{Archived, Unknown};
    let unclaimed = "the event has no claim, and what happened to it is unknown";
    let unarchived = "the event was claimed, but whether it is archived is unknown";
    for (service, operation, source, event_id, place, explanation) in [
        (Service::S3, "GET", "bucket", "a", Unknown, unarchived),
        (Service::DynamoDb, "GetItem", "table", "a", Archived, "the event is archived"),
        (Service::DynamoDb, "GetItem", "table", "b", Unknown, "whether the event was claimed is unknown"),
        (Service::Logs, "FilterLogEvents", "ingest log", "a", Archived, "the event is archived"),
        (Service::Logs, "FilterLogEvents", "ingest log", "b", Unknown, unclaimed),
        (Service::Sqs, "ReceiveMessage", "dead-letter queue", "b", Unknown, unclaimed),
    ] {
        let mut traced = TracedPipeline::start();
        traced.archive("a").await;
        traced.pipeline = None;
        traced.services.faults.set(move |call| {
            let fails = call.service == service && call.operation.starts_with(operation);
            fails.then_some(Fault::Refused(403))
        });
        let story = traced.try_trace(event_id).await;
        assert_eq!((story.place, story.is_sure()), (place, false), "{source}: {}", story.explanation);
        assert!(story.explanation.starts_with(explanation), "{source}: {}", story.explanation);
        assert!(text(&story).contains(&format!("could not read {source}: ")), "{}", text(&story));
        let send_time_is_unknown = text(&story).contains("send time unknown: no log line of the winning message");
        assert_eq!(send_time_is_unknown, (source, event_id) == ("ingest log", "a"), "{}", text(&story));
    }
}
