//! Queues follow the rules of the SQS developer guide. Each test checks one rule.

#![expect(clippy::unwrap_used, clippy::unchecked_time_subtraction, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeName, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
    SendMessageBatchRequestEntry,
};
use emulator::sqs::{
    Counts, MAX_MESSAGE_BYTES, MessageAttribute, OutgoingMessage, QueueSettings, Received, Redrive, Sqs,
};
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

/// Sends raw JSON to queue `q`, because the SDK refuses to send some malformed requests. Returns the HTTP status and
/// the answer.
async fn send_raw(services: &Services, operation: &str, request: &Value) -> (u16, Value) {
    let mut request = request.clone();
    request["QueueUrl"] = queue_url("q").into();
    let http = http::Request::post("/").header("x-amz-target", format!("AmazonSQS.{operation}"));
    let response = services.answer(http.body(request.to_string().into()).unwrap()).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

async fn receive(sqs: &Sqs, queue: &str) -> Vec<Received> {
    sqs.receive(queue, 10, NOW, None).await.unwrap()
}

/// A received message is hidden until its visibility timeout ends, and every receive is counted.
#[tokio::test(start_paused = true)]
async fn received_message_is_hidden_until_its_timeout() {
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

/// A stale receipt handle deletes nothing. A deleted message is not redelivered.
#[tokio::test(start_paused = true)]
async fn stale_handle_deletes_nothing() {
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

/// `ChangeMessageVisibility` determines when a message can be received again.
#[tokio::test(start_paused = true)]
async fn changed_visibility_moves_the_next_receive() {
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

/// After the last receive that the redrive policy allows, a message moves to the dead-letter queue. It keeps its id and
/// its send time.
#[tokio::test(start_paused = true)]
async fn message_moves_to_dead_letter_queue() {
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
fn dead_letter_queue_must_exist_first() {
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 3 };
    Sqs::new(Clock::real(), 1).create_queue("main", settings(Some(redrive)));
}

/// A message that was never received is deleted after the retention period. It does not become a dead letter.
#[tokio::test(start_paused = true)]
async fn expired_message_is_not_a_dead_letter() {
    let sqs = queue();
    sqs.create_queue("dlq", settings(None));
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 1 };
    sqs.create_queue("main", settings(Some(redrive)));
    sqs.send("main", "a").unwrap();
    tokio::time::advance(MINUTE * 60 + Duration::from_millis(1)).await;
    assert!(receive(&sqs, "main").await.is_empty());
    assert!(receive(&sqs, "dlq").await.is_empty());
}

/// After the retention period, SQS deletes a message even if it is in flight or was never received. The queue's message
/// counts no longer include it.
#[tokio::test(start_paused = true)]
async fn retention_deletes_visible_and_in_flight() {
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

/// The retention period of a dead letter starts when the message is sent, not when it moves to the dead-letter queue.
#[tokio::test(start_paused = true)]
async fn dead_letter_keeps_its_age() {
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

/// A long poll returns as soon as there is a message, or when its wait time is over.
#[tokio::test(start_paused = true)]
async fn long_poll_ends_with_message_or_time() {
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
    // A long poll also ends when a message becomes visible again.
    tokio::time::advance(MINUTE - Duration::from_secs(5)).await;
    let (received, after) = poll(&sqs).await.unwrap();
    assert!(received == 1 && (4..=5).contains(&after), "{received} after {after} s");
}

/// A body has 1 byte to 1 MiB, and a receive asks for 1 to 10 messages.
#[tokio::test(start_paused = true)]
async fn body_and_receive_sizes_are_limited() {
    let sqs = queue();
    assert_eq!(sqs.send("q", "").unwrap_err().code, "MissingParameter");
    sqs.send("q", &"x".repeat(MAX_MESSAGE_BYTES)).unwrap();
    assert_eq!(sqs.send("q", &"x".repeat(MAX_MESSAGE_BYTES + 1)).unwrap_err().code, "InvalidParameterValue");
    for max in [0, 11] {
        assert_eq!(sqs.receive("q", max, NOW, None).await.unwrap_err().code, "InvalidParameterValue");
    }
    sqs.send("nowhere", "a").unwrap_err();
}

/// A body may contain only the characters of XML 1.0. NUL, most other control characters, U+FFFE and U+FFFF are
/// refused.
#[tokio::test(start_paused = true)]
async fn control_characters_are_refused() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    services.sqs.send("q", "\t\n\r \u{7f}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}").unwrap();
    for refused in ["\0", "\u{1}", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        assert_eq!(services.sqs.send("q", refused).unwrap_err().code, "InvalidMessageContents", "{refused:?}");
    }
    let entries = json!([{ "Id": "good", "MessageBody": "a" }, { "Id": "bad", "MessageBody": "\u{ffff}" }]);
    let (status, answer) = send_raw(&services, "SendMessageBatch", &json!({ "Entries": entries })).await;
    assert_eq!((status, &answer["Successful"][0]["Id"]), (200, &json!("good")));
    assert_eq!(
        (&answer["Failed"][0]["Id"], &answer["Failed"][0]["Code"]),
        (&json!("bad"), &json!("InvalidMessageContents"))
    );
}

/// A batch has one to ten entries with distinct ids, and at most 1 MiB in total.
#[tokio::test(start_paused = true)]
async fn batch_size_is_limited() {
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

/// A receive returns the requested message attributes and the trace header as sent, with the digest of the requested
/// attributes. A receive from the dead-letter queue does the same.
#[tokio::test(start_paused = true)]
async fn message_attributes_come_back_as_sent() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("dlq", settings(None));
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 4 };
    services.sqs.create_queue("q", QueueSettings { visibility_timeout: NOW, ..settings(Some(redrive)) });
    let client = aws_sdk_sqs::Client::new(&services.sdk_config());
    let attribute = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let trace_parent = attribute("String").string_value("00-\u{e9}-\u{1F41F}").build().unwrap();
    let number = attribute("Number").string_value("1493147359900").build().unwrap();
    let bytes = attribute("Binary.gzip").binary_value(Blob::new([0, 255, 10])).build().unwrap();
    let header = "Root=1-65a5b2c3-000000000000000000000001;Sampled=1";
    let header_name = MessageSystemAttributeName::AwsTraceHeader;
    let header_value = MessageSystemAttributeValue::builder().data_type("String").string_value(header).build().unwrap();
    let entry = SendMessageBatchRequestEntry::builder()
        .id("1")
        .message_body("a")
        .message_attributes("trace.parent", trace_parent.clone())
        .message_attributes("timestamp", number.clone())
        .message_attributes("raw", bytes.clone())
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header_value)
        .build()
        .unwrap();
    let sent = client.send_message_batch().queue_url(queue_url("q")).entries(entry).send().await.unwrap();
    let sent_digest = sent.successful()[0].md5_of_message_attributes().unwrap().to_owned();
    assert!(sent.successful()[0].md5_of_message_system_attributes().is_some());

    let receive = async |queue: &str, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = client.receive_message().queue_url(queue_url(queue)).set_message_attribute_names(Some(names));
        let request = request.message_system_attribute_names(header_name.clone());
        let message = request.send().await.unwrap().messages.unwrap().remove(0);
        assert_eq!(message.attributes().unwrap()[&header_name], header);
        (message.message_attributes.unwrap_or_default(), message.md5_of_message_attributes)
    };
    let all = HashMap::from([
        ("trace.parent".to_owned(), trace_parent.clone()),
        ("timestamp".to_owned(), number.clone()),
        ("raw".to_owned(), bytes),
    ]);
    assert_eq!(receive("q", &["All"]).await, (all.clone(), Some(sent_digest.clone())));
    let digest_of_number = "235c5c510d26fb653d073faed50ae77c".to_owned();
    assert_eq!(receive("q", &["timestamp"]).await, ([("timestamp".to_owned(), number)].into(), Some(digest_of_number)));
    assert_eq!(receive("q", &["trace.*"]).await.0, [("trace.parent".to_owned(), trace_parent)].into());
    assert_eq!(receive("q", &[]).await, (HashMap::new(), None));
    services.sqs.receive("q", 1, NOW, None).await.unwrap();
    assert_eq!(receive("dlq", &[".*"]).await, (all, Some(sent_digest)), "the dead letter keeps them");
}

/// If the content of a dead letter is sent again, the new message has the same attributes and the same trace header.
#[tokio::test(start_paused = true)]
async fn content_of_dead_letter_can_be_sent_again() {
    let sqs = queue();
    sqs.create_queue("dlq", settings(None));
    let redrive = Redrive { dead_letter_queue: "dlq".into(), max_receive_count: 1 };
    sqs.create_queue("main", settings(Some(redrive)));
    let order = MessageAttribute::text("String.order", "7");
    let message = OutgoingMessage::new("a").with_attribute("order", order.clone()).with_trace_header("Root=1");
    sqs.send_message("main", message).unwrap();
    receive(&sqs, "main").await;
    tokio::time::advance(MINUTE).await;
    assert!(receive(&sqs, "main").await.is_empty());
    let dead = receive(&sqs, "dlq").await.remove(0);
    sqs.send_message("main", dead.content()).unwrap();
    let again = receive(&sqs, "main").await.remove(0);
    assert_eq!((again.body.as_str(), &again.attributes), ("a", &[("order".to_owned(), order)].into()));
    assert_eq!((again.trace_header.as_deref(), again.receive_count), (Some("Root=1"), 1));
    assert_ne!(again.message_id, dead.message_id);
}

/// A message has at most ten attributes with valid names, types and values. They count toward the size of a message and
/// of a batch. The emulator refuses a delay other than zero.
#[tokio::test(start_paused = true)]
async fn message_attributes_are_limited() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let numbered = |count: usize| (0..count).map(|n| (format!("n{n}"), text("v"))).collect::<serde_json::Map<_, _>>();
    let one = |name: &str, attribute: Value| json!({ "MessageBody": "a", "MessageAttributes": { name: attribute } });
    let large =
        |bytes: usize| json!({ "MessageBody": "x".repeat(bytes), "MessageAttributes": { "name": text("12345") } });
    // The name, the type `String` and the value have 15 bytes.
    let most = MAX_MESSAGE_BYTES - 15;
    for accepted in [
        json!({ "MessageBody": "a", "MessageAttributes": numbered(10), "DelaySeconds": 0 }),
        one("a-Z_0.9", json!({ "DataType": "Number.label", "StringValue": "-1.5e3" })),
        one(&"n".repeat(256), json!({ "DataType": format!("Binary.{}", "l".repeat(249)), "BinaryValue": "AA==" })),
        large(most),
        // The trace header does not count.
        json!({
            "MessageBody": "x".repeat(MAX_MESSAGE_BYTES),
            "MessageSystemAttributes": { "AWSTraceHeader": text("Root=1-65a5b2c3-000000000000000000000001") },
        }),
    ] {
        assert_eq!(send_raw(&services, "SendMessage", &accepted).await.0, 200, "{:.200}", accepted.to_string());
    }
    for (refused, code) in [
        (json!({ "MessageBody": "a", "MessageAttributes": numbered(11) }), "InvalidParameterValue"),
        (large(most + 1), "InvalidParameterValue"),
        (one("AWS.x", text("v")), "InvalidParameterValue"),
        (one("amazoN.x", text("v")), "InvalidParameterValue"),
        (one(".a", text("v")), "InvalidParameterValue"),
        (one("a.", text("v")), "InvalidParameterValue"),
        (one("", text("v")), "InvalidParameterValue"),
        (one(&"n".repeat(257), text("v")), "InvalidParameterValue"),
        (one("a..b", text("v")), "InvalidParameterValue"),
        (one("a b", text("v")), "InvalidParameterValue"),
        (one("a", text("")), "InvalidParameterValue"),
        (one("a", text("\u{1}")), "InvalidMessageContents"),
        (one("a", json!({ "StringValue": "v" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "Text", "StringValue": "v" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "string", "StringValue": "v" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "Strings", "StringValue": "v" })), "InvalidParameterValue"),
        (
            one("a", json!({ "DataType": format!("String.{}", "l".repeat(250)), "StringValue": "v" })),
            "InvalidParameterValue",
        ),
        (one("a", json!({ "DataType": "String", "BinaryValue": "AA==" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "Binary", "BinaryValue": "" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "Number", "StringValue": "v" })), "InvalidParameterValue"),
        (one("a", json!({ "DataType": "Binary", "BinaryValue": "%" })), "InvalidParameterValue"),
        (json!({ "MessageBody": "a", "MessageSystemAttributes": { "Other": text("v") } }), "InvalidParameterValue"),
        (json!({ "MessageBody": "a", "DelaySeconds": 1 }), "UnsupportedOperation"),
    ] {
        let (status, answer) = send_raw(&services, "SendMessage", &refused).await;
        let case = refused.to_string();
        assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))), "{case:.200}");
    }
    let batch = |bytes: usize| {
        let mut entries = [large(bytes), one("a", text("v"))];
        entries[0]["Id"] = "1".into();
        entries[1]["Id"] = "2".into();
        json!({ "Entries": entries })
    };
    // The second entry has 9 bytes.
    assert_eq!(send_raw(&services, "SendMessageBatch", &batch(most - 9)).await.0, 200);
    let (_, answer) = send_raw(&services, "SendMessageBatch", &batch(most - 8)).await;
    assert_eq!(answer["__type"], "com.amazonaws.sqs#BatchRequestTooLong");
}

/// The id of a batch entry has 1 to 80 letters, digits, hyphens and underscores.
#[tokio::test(start_paused = true)]
async fn batch_entry_id_is_at_most_80_safe_characters() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    let entry = |id: Value| json!({ "Entries": [{ "Id": id, "MessageBody": "a" }] });
    for id in ["a".repeat(80), "_-9Z".to_owned()] {
        assert_eq!(send_raw(&services, "SendMessageBatch", &entry(json!(id))).await.0, 200, "{id}");
    }
    for (id, code) in [
        (Value::Null, "MissingParameter"),
        (json!(""), "InvalidBatchEntryId"),
        (json!("a".repeat(81)), "InvalidBatchEntryId"),
        (json!("a b"), "InvalidBatchEntryId"),
        (json!("é"), "InvalidBatchEntryId"),
    ] {
        let (status, answer) = send_raw(&services, "SendMessageBatch", &entry(id.clone())).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))), "{id}");
    }
    assert_eq!(services.sqs.counts("q").unwrap().visible, 2);
}

/// A long poll waits at most 20 seconds, and a visibility timeout is at most 12 hours.
#[tokio::test(start_paused = true)]
async fn wait_and_visibility_timeout_are_limited() {
    let services = Services::on_clock(Clock::real(), 1);
    services.sqs.create_queue("q", settings(None));
    services.sqs.send("q", "a").unwrap();
    let handle = services.sqs.receive("q", 1, NOW, None).await.unwrap().remove(0).receipt_handle;
    let change = |timeout: Value| json!({ "ReceiptHandle": handle, "VisibilityTimeout": timeout });
    for (operation, request) in [
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 20, "VisibilityTimeout": 43_200 })),
        ("ChangeMessageVisibility", change(json!(43_200))),
    ] {
        assert_eq!(send_raw(&services, operation, &request).await.0, 200, "{request}");
    }
    for (operation, request, code) in [
        ("ReceiveMessage", json!({ "WaitTimeSeconds": 21 }), "InvalidParameterValue"),
        ("ReceiveMessage", json!({ "VisibilityTimeout": 43_201 }), "InvalidParameterValue"),
        ("ChangeMessageVisibility", change(json!(43_201)), "InvalidParameterValue"),
        ("ChangeMessageVisibility", change(Value::Null), "MissingParameter"),
    ] {
        let (status, answer) = send_raw(&services, operation, &request).await;
        assert_eq!((status, &answer["__type"]), (400, &json!(format!("com.amazonaws.sqs#{code}"))), "{request}");
    }
}
