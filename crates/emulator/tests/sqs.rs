//! Queues keep the rules of the SQS developer guide. One test a rule.

#![allow(clippy::unwrap_used, clippy::unchecked_time_subtraction, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use emulator::sqs::{Counts, MAX_MESSAGE_BYTES, QueueSettings, Received, Redrive, Sqs};
use emulator::{Clock, Services, queue_url};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;

fn settings(redrive: Option<Redrive>) -> QueueSettings {
    QueueSettings { visibility_timeout: MINUTE, retention: MINUTE * 60, redrive }
}

fn queue() -> Sqs {
    let sqs = Sqs::new(Clock::real(), 1);
    sqs.create_queue("q", settings(None));
    sqs
}

/// Asks queue `q` what no SDK would send: HTTP status and answer.
async fn ask(services: &Services, operation: &str, request: &Value) -> (u16, Value) {
    let mut request = request.clone();
    request["QueueUrl"] = queue_url("q").into();
    let http = http::Request::post("/").header("x-amz-target", format!("AmazonSQS.{operation}"));
    let response = services.answer(http.body(request.to_string().into()).unwrap()).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

async fn receive(sqs: &Sqs, queue: &str) -> Vec<Received> {
    sqs.receive(queue, 10, NOW, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_received_message_is_hidden_until_its_visibility_timeout_and_its_receives_are_counted() {
    let sqs = queue();
    sqs.send("q", "a").unwrap();
    for receive_count in 1..=5 {
        let received = receive(&sqs, "q").await;
        assert_eq!((received.len(), received[0].receive_count), (1, receive_count));
        tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
        assert!(receive(&sqs, "q").await.is_empty());
        assert_eq!(sqs.counts("q").unwrap(), Counts { visible: 0, in_flight: 1 });
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_message_does_not_come_again_and_a_stale_handle_deletes_nothing() {
    let sqs = queue();
    sqs.send("q", "a").unwrap();
    let stale = receive(&sqs, "q").await.remove(0).receipt_handle;
    tokio::time::advance(MINUTE).await;
    let current = receive(&sqs, "q").await.remove(0).receipt_handle;
    sqs.delete("q", &stale).unwrap();
    assert_eq!(sqs.counts("q").unwrap().in_flight, 1);
    sqs.delete("q", &current).unwrap();
    tokio::time::advance(MINUTE).await;
    assert!(receive(&sqs, "q").await.is_empty());
    sqs.delete("q", "nonsense").unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn changing_the_visibility_moves_the_moment_at_which_a_message_comes_again() {
    let sqs = queue();
    sqs.send("q", "a").unwrap();
    let handle = receive(&sqs, "q").await.remove(0).receipt_handle;
    sqs.change_visibility("q", &handle, MINUTE * 2).unwrap();
    tokio::time::advance(MINUTE + MINUTE / 2).await;
    assert!(receive(&sqs, "q").await.is_empty());
    sqs.change_visibility("q", &handle, NOW).unwrap();
    assert_eq!(receive(&sqs, "q").await.len(), 1);
    assert_eq!(sqs.change_visibility("q", &handle, NOW).unwrap_err().code, "MessageNotInflight");
}

#[tokio::test(start_paused = true)]
async fn after_its_receives_a_message_goes_to_the_dead_letter_queue_with_its_id_and_first_enqueue_time() {
    let sqs = queue();
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 3 };
    sqs.create_queue("dlq", settings(None));
    sqs.create_queue("main", settings(Some(redrive)));
    let id = sqs.send("main", "a").unwrap();
    let mut sent_ms = 0;
    for _ in 0..3 {
        let received = receive(&sqs, "main").await.remove(0);
        sent_ms = received.sent_ms;
        tokio::time::advance(MINUTE).await;
    }
    assert!(receive(&sqs, "main").await.is_empty());
    let dead = receive(&sqs, "dlq").await.remove(0);
    assert_eq!((dead.message_id, dead.sent_ms), (id, sent_ms));
    assert_eq!(sqs.counts("main").unwrap(), Counts::default());
}

#[test]
#[should_panic(expected = "dead-letter queue dlq does not exist")]
fn a_queue_cannot_be_created_before_its_dead_letter_queue() {
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 3 };
    Sqs::new(Clock::real(), 1).create_queue("main", settings(Some(redrive)));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_received_within_the_retention_is_deleted_and_no_dead_letter() {
    let sqs = queue();
    sqs.create_queue("dlq", settings(None));
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 1 };
    sqs.create_queue("main", settings(Some(redrive)));
    sqs.send("main", "a").unwrap();
    tokio::time::advance(MINUTE * 60 + Duration::from_millis(1)).await;
    assert!(receive(&sqs, "main").await.is_empty());
    assert!(receive(&sqs, "dlq").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn retention_takes_what_is_in_flight_and_what_nobody_asked_for_and_the_counts_say_so() {
    let sqs = Sqs::new(Clock::real(), 1);
    let hour = MINUTE * 60;
    sqs.create_queue("q", QueueSettings { visibility_timeout: hour * 10, retention: hour, redrive: None });
    sqs.send("q", "in flight").unwrap();
    sqs.send("q", "never received").unwrap();
    let handle = sqs.receive("q", 1, NOW, None).await.unwrap().remove(0).receipt_handle;
    tokio::time::advance(hour).await;
    sqs.send("q", "younger").unwrap();
    assert_eq!(sqs.counts("q").unwrap(), Counts { visible: 2, in_flight: 1 });
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(sqs.counts("q").unwrap(), Counts { visible: 1, in_flight: 0 });
    assert_eq!(sqs.change_visibility("q", &handle, NOW).unwrap_err().code, "MessageNotInflight");
    sqs.delete("q", &handle).unwrap();
    assert_eq!(receive(&sqs, "q").await[0].body, "younger");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_as_old_as_it_was_in_its_first_queue() {
    let sqs = queue();
    sqs.create_queue("dlq", settings(None));
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 1 };
    sqs.create_queue("main", settings(Some(redrive)));
    sqs.send("main", "a").unwrap();
    tokio::time::advance(MINUTE * 30).await;
    receive(&sqs, "main").await;
    tokio::time::advance(MINUTE).await;
    assert!(receive(&sqs, "main").await.is_empty());
    assert_eq!(sqs.counts("dlq").unwrap().visible, 1);
    tokio::time::advance(MINUTE * 29 + Duration::from_millis(1)).await;
    assert_eq!(sqs.counts("dlq").unwrap(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_with_the_first_message_or_with_its_time() {
    let sqs = Arc::new(queue());
    let poll = |sqs: &Arc<Sqs>| {
        let sqs = Arc::clone(sqs);
        tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let received = sqs.receive("q", 10, Duration::from_secs(20), None).await.unwrap();
            (received.len(), begun.elapsed().as_secs())
        })
    };
    assert_eq!(poll(&sqs).await.unwrap(), (0, 20));
    let waiting = poll(&sqs);
    tokio::time::sleep(Duration::from_secs(7)).await;
    sqs.send("q", "a").unwrap();
    assert_eq!(waiting.await.unwrap(), (1, 7));
    // It also ends with a message that becomes visible again.
    tokio::time::advance(MINUTE - Duration::from_secs(5)).await;
    let (received, after) = poll(&sqs).await.unwrap();
    assert!(received == 1 && (4..=5).contains(&after), "{received} after {after} s");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_1_to_1_mib_and_a_receive_takes_1_to_10() {
    let sqs = queue();
    assert_eq!(sqs.send("q", "").unwrap_err().code, "MissingParameter");
    sqs.send("q", &"x".repeat(MAX_MESSAGE_BYTES)).unwrap();
    assert_eq!(sqs.send("q", &"x".repeat(MAX_MESSAGE_BYTES + 1)).unwrap_err().code, "InvalidParameterValue");
    for max in [0, 11] {
        assert_eq!(sqs.receive("q", max, NOW, None).await.unwrap_err().code, "InvalidParameterValue");
    }
    sqs.send("nowhere", "a").unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_body_has_no_control_characters_but_white_space_and_no_noncharacters() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    services.sqs.send("q", "\t\n\r \u{7f}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}").unwrap();
    for refused in ["\0", "\u{1}", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        assert_eq!(services.sqs.send("q", refused).unwrap_err().code, "InvalidMessageContents", "{refused:?}");
    }
    let entries = json!([{ "Id": "good", "MessageBody": "a" }, { "Id": "bad", "MessageBody": "\u{ffff}" }]);
    let (status, answer) = ask(&services, "SendMessageBatch", &json!({ "Entries": entries })).await;
    assert_eq!((status, &answer["Successful"][0]["Id"]), (200, &json!("good")));
    assert_eq!(
        (&answer["Failed"][0]["Id"], &answer["Failed"][0]["Code"]),
        (&json!("bad"), &json!("InvalidMessageContents"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_ten_entries_of_distinct_ids_and_1_mib_together() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    let client = aws_sdk_sqs::Client::new(&services.sdk_config());
    let send = async |entries: Vec<(usize, usize)>| {
        let entry = |(id, bytes): (usize, usize)| {
            let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body("x".repeat(bytes));
            entry.build().unwrap()
        };
        let entries = entries.into_iter().map(entry).collect();
        let sent = client.send_message_batch().queue_url(queue_url("q")).set_entries(Some(entries)).send().await;
        sent.map(|sent| sent.successful().len()).map_err(|error| format!("{:?}", error.into_service_error()))
    };
    assert_eq!(send((0..10).map(|id| (id, 1)).collect()).await, Ok(10));
    assert_eq!(send(vec![(0, MAX_MESSAGE_BYTES / 2), (1, MAX_MESSAGE_BYTES / 2)]).await, Ok(2));
    for (entries, code) in [
        (vec![], "EmptyBatchRequest"),
        ((0..11).map(|id| (id, 1)).collect(), "TooManyEntriesInBatchRequest"),
        (vec![(1, 1), (1, 1)], "BatchEntryIdsNotDistinct"),
        (vec![(0, MAX_MESSAGE_BYTES / 2), (1, MAX_MESSAGE_BYTES / 2 + 1)], "BatchRequestTooLong"),
    ] {
        let error = send(entries).await.unwrap_err();
        assert!(error.contains(code), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_entry_has_an_id_of_at_most_80_safe_characters() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    let entry = |id: Value| json!({ "Entries": [{ "Id": id, "MessageBody": "a" }] });
    for id in ["a".repeat(80), "_-9Z".to_owned()] {
        assert_eq!(ask(&services, "SendMessageBatch", &entry(json!(id))).await.0, 200, "{id}");
    }
    for (id, code) in [
        (Value::Null, "MissingParameter"),
        (json!(""), "InvalidBatchEntryId"),
        (json!("a".repeat(81)), "InvalidBatchEntryId"),
        (json!("a b"), "InvalidBatchEntryId"),
        (json!("é"), "InvalidBatchEntryId"),
    ] {
        let (status, answer) = ask(&services, "SendMessageBatch", &entry(id.clone())).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))), "{id}");
    }
    assert_eq!(services.sqs.counts("q").unwrap().visible, 2);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_20_seconds_and_a_visibility_timeout_is_12_hours_at_the_most() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    services.sqs.send("q", "a").unwrap();
    let handle = services.sqs.receive("q", 1, NOW, None).await.unwrap().remove(0).receipt_handle;
    let change = |timeout: Value| json!({ "ReceiptHandle": handle, "VisibilityTimeout": timeout });
    for (operation, request) in [
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 20, "VisibilityTimeout": 43_200 })),
        ("ChangeMessageVisibility", change(json!(43_200))),
    ] {
        assert_eq!(ask(&services, operation, &request).await.0, 200, "{request}");
    }
    for (operation, request, code) in [
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 21 }), "InvalidParameterValue"),
        ("ReceiveMessage", json!({ "VisibilityTimeout": 43_201 }), "InvalidParameterValue"),
        ("ChangeMessageVisibility", change(json!(43_201)), "InvalidParameterValue"),
        ("ChangeMessageVisibility", change(Value::Null), "MissingParameter"),
    ] {
        let (status, answer) = ask(&services, operation, &request).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))), "{request}");
    }
}
