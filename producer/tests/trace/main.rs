//! Tests of `trace` against the embedded services: each way in which an event can be archived, stuck or unknown.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dead_letters;
mod key_spaces;
mod objects;
mod stream_records;
mod traced_pipeline;

use emulator::{Fault, Service};
use pipeline::names;
use producer::trace::Place;
use tokio::time::sleep;

use crate::traced_pipeline::{HOUR, TracedPipeline, outcomes, text};

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
            ": conflict, differs at [\"/x\"], digest ",
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

#[tokio::test(start_paused = true)]
async fn unsent_event_is_not_seen() {
    let traced = TracedPipeline::start();
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::NotSeen);
    assert!(story.explanation.contains("the queue reports no messages"), "{}", story.explanation);
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

/// If a source cannot be read, the story says so. The event's place is then unknown, unless the other sources show it.
#[tokio::test(start_paused = true)]
async fn unreadable_source_leaves_place_unknown() {
    use Place::{Archived, Unknown};
    let unclaimed = "the event has no claim, and what happened to it is unknown";
    let unarchived = "the event was claimed, but whether it is archived is unknown";
    for (service, operation, source, event_id, place, explanation) in [
        (Service::S3, "GET", "bucket", "a", Unknown, unarchived),
        (Service::DynamoDb, "Query", "table", "a", Archived, "the event is archived"),
        (Service::DynamoDb, "Query", "table", "b", Unknown, "whether the event was claimed is unknown"),
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
