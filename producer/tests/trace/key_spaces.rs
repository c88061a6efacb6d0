//! Tests of ids that were claimed under several dedup keys, of dedup keys in message attributes, and of trace ids.

use aws_sdk_dynamodb::types::AttributeValue;
use claim::{ConflictIgnore, DedupKey, EventRules};
use emulator::sqs::{MessageAttribute, OutgoingMessage};
use pipeline::names;
use producer::target::FunctionSettings;
use producer::trace::Place;
use serde_json::json;
use tokio::time::sleep;

use crate::traced_pipeline::{HOUR, TracedPipeline, text};

const X_RAY: &str = "1-5759e988-bd862e3fe1be46a994272793";
const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn settings(dedup_key: &str) -> FunctionSettings {
    let rules = EventRules::new(DedupKey::parse(dedup_key).unwrap(), ConflictIgnore::none());
    FunctionSettings { rules, ..FunctionSettings::default() }
}

/// The story of an event also shows claims of the same id under other dedup keys, each with its sort key. These claims
/// do not decide the event's place.
#[tokio::test(start_paused = true)]
async fn claims_of_other_keys_are_shown() {
    let mut traced = TracedPipeline::start();
    traced.archive("a").await;
    sleep(HOUR).await;
    let alone = traced.trace("a").await;
    assert!(alone.other_claims.is_empty() && !text(&alone).contains("sort key"), "{}", text(&alone));
    let claim = alone.claim.unwrap();

    traced.settings = settings("/id");
    let sort_key = traced.settings.rules.sort_key().to_string();
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.claim.is_none(), story.object.is_none()), (Place::NotSeen, true, true));
    assert!(story.ingest.is_empty() && story.archive.is_empty(), "{story:?}");
    assert_eq!(story.other_claims[0].claim.as_ref().unwrap().claim_id, claim.claim_id);
    assert!(text(&story).contains(&format!("claimed by message {} under the sort key CLAIM\n", claim.message_id)));
    assert!(story.explanation.ends_with("give --dedup-key to trace it"), "{}", story.explanation);

    // An item with a claim's sort key that is not a claim, and one with another sort key.
    for sk in [sort_key.as_str(), "CLAIM#12345678", "CLAIMS"] {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let client = aws_sdk_dynamodb::Client::new(&traced.services.sdk_config());
        let request = client.put_item().table_name(names::TABLE);
        request.item("pk", text("EVENT#a")).item("sk", text(sk)).send().await.unwrap();
    }
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::UnusableClaim, "{}", story.explanation);
    let sort_keys: Vec<&str> = story.other_claims.iter().map(|other| other.sort_key.as_str()).collect();
    assert_eq!(sort_keys, ["CLAIM", "CLAIM#12345678"]);
    assert!(text(&story).contains("the item CLAIM#12345678 is not a valid claim: "), "{}", text(&story));
}

/// A dead letter whose event id is a message attribute is found by that attribute.
#[tokio::test(start_paused = true)]
async fn dead_letter_is_found_by_its_attribute() {
    let mut traced = TracedPipeline::start();
    traced.settings = settings("attribute:order");
    for (value, body) in [("a", "{}"), ("b", r#"{"x":"a"}"#)] {
        let message = OutgoingMessage::new(body);
        let message = message.with_attribute("order", MessageAttribute::text("String", value));
        traced.services.sqs.send_message(names::DEAD_LETTER_QUEUE, message).unwrap();
    }
    let story = traced.trace("a").await;
    let is_event: Vec<bool> = story.dead_letters.iter().map(|letter| letter.is_event).collect();
    assert_eq!((story.place, is_event.as_slice()), (Place::DeadLetter, &[true][..]), "{}", story.explanation);
}

/// If a dead letter is not a valid event, `trace` finds it by its attribute or, if the dedup key has several fields, by
/// the values of all of them.
#[tokio::test(start_paused = true)]
async fn invalid_dead_letter_is_found_by_its_key() {
    for (dedup_key, event_id, others) in [
        ("attribute:order", "a", ["b", "c"]),
        (r#"["/shop","/order"]"#, r#"["a","7"]"#, [r#"["a","8"]"#, r#"["b","7"]"#]),
    ] {
        let mut traced = TracedPipeline::start();
        traced.settings = settings(dedup_key);
        let message = OutgoingMessage::new(r#"{"shop":"a","order":7,"order":7}"#);
        let message = message.with_attribute("order", MessageAttribute::text("String", "a"));
        traced.services.sqs.send_message(names::DEAD_LETTER_QUEUE, message).unwrap();
        let story = traced.trace(event_id).await;
        let is_event: Vec<bool> = story.dead_letters.iter().map(|letter| letter.is_event).collect();
        assert_eq!((story.place, is_event.as_slice()), (Place::DeadLetter, &[false][..]), "{}", story.explanation);
        for other in others {
            // Wait until the dead letter is visible again.
            sleep(HOUR).await;
            let story = traced.trace(other).await;
            assert_eq!((story.place, story.dead_letters.len()), (Place::NotSeen, 0), "{other}");
        }
    }
}

/// The story shows a trace id for each message, for the claim, for each log line of `archive-fn` and for the object.
#[tokio::test(start_paused = true)]
async fn trace_ids_are_shown() {
    let traced = TracedPipeline::start();
    let traceparent = format!("00-{W3C}-00f067aa0ba902b7-01");
    let message = |body: &str| OutgoingMessage::new(body);
    let traced_by_w3c = message(r#"{"event_id":"a"}"#);
    let attribute = MessageAttribute::text("String", &traceparent);
    traced.services.sqs.send_message(names::QUEUE, traced_by_w3c.with_attribute("traceparent", attribute)).unwrap();
    sleep(HOUR).await;
    let mut traced_by_x_ray = message(r#"{"event_id":"a"}"#);
    traced_by_x_ray.trace_header = Some(format!("Root={X_RAY};Sampled=1"));
    traced.services.sqs.send_message(names::QUEUE, traced_by_x_ray).unwrap();
    sleep(HOUR).await;
    let story = traced.trace("a").await;
    let json = serde_json::to_value(&story).unwrap();
    let ids = [&json["ingest"][0], &json["ingest"][1], &json["claim"], &json["archive"][0], &json["object"]];
    assert_eq!(json!(ids.map(|of| &of["trace_id"])), json!([W3C, X_RAY, W3C, W3C, W3C]), "{json:#}");
    let text = text(&story);
    for expected in [
        format!(": won, trace {W3C}\n"),
        format!(", trace {X_RAY}\n"),
        format!("Z, trace {W3C}\n"),
        format!(" ms after the claim, trace {W3C}\n"),
        format!("content matches the claim, trace {W3C}\n"),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    traced.archive("b").await;
    let story = serde_json::to_value(traced.trace("b").await).unwrap();
    assert!(!story.to_string().contains("trace_id"), "{story:#}");
}

/// If the functions do not log routine outcomes, the story says so, and the event still counts as archived.
#[tokio::test(start_paused = true)]
async fn unlogged_event_is_archived() {
    let mut traced = TracedPipeline::start_silent();
    traced.settings.log_routine_outcomes = false;
    traced.archive("a").await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.ingest.len(), story.archive.len()), (Place::Archived, 0, 0));
    assert!(text(&story).contains("send time unknown: ingest-fn does not log routine outcomes"), "{}", text(&story));
}

/// If the functions do not log routine outcomes, the explanation for an event without a claim says that the event may
/// have been archived before its claim expired.
#[tokio::test(start_paused = true)]
async fn unlogged_event_without_claim_may_be_archived() {
    let mut traced = TracedPipeline::start_silent();
    traced.archive("a").await;
    traced.pipeline = None;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let client = aws_sdk_dynamodb::Client::new(&traced.services.sdk_config());
    let request = client.delete_item().table_name(names::TABLE);
    request.key("pk", text("EVENT#a")).key("sk", text("CLAIM")).send().await.unwrap();
    let hint = "it was archived and its claim has expired";
    assert!(!traced.trace("a").await.explanation.contains(hint));
    traced.settings.log_routine_outcomes = false;
    let story = traced.trace("a").await;
    assert_eq!(story.place, Place::NotSeen);
    assert!(story.explanation.contains(hint), "{}", story.explanation);
}
