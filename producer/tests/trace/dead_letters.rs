//! Tests of events whose messages are in the queue or in the dead-letter queue.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::{Fault, Service};
use pipeline::names;
use producer::trace::Place;
use tokio::time::sleep;

use crate::traced_pipeline::{HOUR, TracedPipeline, outcomes, text};

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

/// If a dead letter is not a valid event, `trace` finds it even if its id contains JSON escapes or is an integer.
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

/// If a dead letter is a valid event, `trace` parses the body as `ingest-fn` does and finds the event by its id.
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

/// A dead letter that is a valid event with another id is ignored, even if its content contains the id that `trace`
/// searches for.
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

/// After a dead letter that merely contains the id, `trace` keeps searching, because that message may belong to another
/// event.
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

/// In a large dead-letter queue, the first messages become visible again before the last ones are received. The search
/// still ends once it has received every message.
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

/// `trace` waits for dead letters that another consumer hides. If it cannot read all of them, it does not say "never
/// sent".
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

/// The search of the dead-letter queue uses long polling, because short polling may miss messages. One empty receive
/// does not end the search.
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
