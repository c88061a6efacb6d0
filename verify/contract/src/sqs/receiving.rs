//! Receiving, hiding and deleting messages, tested with the requests that the queue mapping sends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};
use emulator::Clock;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::behavior::{Behavior, behavior};
use crate::claims::HERD;
use crate::engine::Engine;
use crate::outcome::{Mismatch, Outcome, ensure, eventually, expect_eq};
use crate::sqs::requests::{
    LONG_POLL_SECONDS, attribute, batch, change_visibility, dead_letter, delete, receive, receive_count, receive_one,
    send,
};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "A message is received with its id and body", message_is_received_with_id_and_body),
        behavior!(
            Sqs,
            "50 messages with the same body are delivered as 50 messages",
            equal_messages_are_not_deduplicated
        ),
        behavior!(
            Sqs,
            "A message's receives are counted; after three, the message moves to the dead-letter queue",
            message_is_dead_letter_after_three_receives
        ),
        behavior!(
            Sqs,
            "A dead letter keeps its message id, body and first enqueue time",
            dead_letter_keeps_id_body_and_enqueue_time
        ),
        behavior!(
            Sqs,
            "A received message stays hidden until its visibility timeout ends",
            received_message_is_hidden_until_timeout
        ),
        behavior!(
            Sqs,
            "A visibility timeout of 0 makes a message visible at once",
            zero_visibility_shows_message_at_once
        ),
        behavior!(
            Sqs,
            "Extending the visibility timeout keeps a message hidden longer",
            longer_visibility_hides_message_longer
        ),
        behavior!(Sqs, "A deleted message is never received again", deleted_message_is_never_received),
        behavior!(
            Sqs,
            "The latest receipt handle deletes a message that was received twice",
            latest_receipt_handle_deletes_message
        ),
        behavior!(Sqs, "A batch delete deletes each of its messages", batch_delete_deletes_every_message),
        behavior!(Sqs, "A long poll ends as soon as a message arrives", long_poll_ends_when_message_arrives),
        behavior!(
            Sqs,
            "A long poll without a message ends after its wait time",
            empty_long_poll_ends_after_its_wait_time
        ),
        behavior!(
            Sqs,
            "A receive may ask for 1 to 10 messages; other numbers are rejected",
            receive_takes_1_to_10_messages
        ),
        behavior!(
            Sqs,
            "The system attributes of a message are returned only if they are requested",
            system_attributes_come_on_request
        ),
        behavior!(
            Sqs,
            "Message attributes of the types `String`, `Number` and `Binary` are received as they were sent, if they \
             are requested",
            message_attributes_come_back_as_sent
        ),
        behavior!(
            Sqs,
            "The trace header of a message is received as the system attribute `AWSTraceHeader`",
            trace_header_is_a_system_attribute
        ),
        behavior!(
            Sqs,
            "An entry of a batch keeps its message attributes and its trace header",
            batch_entry_keeps_attributes_and_trace_header
        )
        .differs(
            Engine::Ministack,
            "trace header of a batch entry: got None, \
             expected Some(\"Root=1-65a5b2c3-4bf92f3577b34da6a3ce929d;Parent=53995c3f42cd8ad8;Sampled=1\")",
            "We trust the API reference of SendMessageBatchRequestEntry. ministack drops the trace header of batch \
             entries, so claims from them have no trace id.",
        ),
        behavior!(
            Sqs,
            "A dead letter keeps its message attributes and its trace header",
            dead_letter_keeps_attributes_and_trace_header
        ),
    ]
}

async fn message_is_received_with_id_and_body(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let id = send(&stage, &queue.url, "{\"event_id\":\"a\"}").await?;
    let message = receive_one(&stage, &queue.url).await?;
    expect_eq("message", (message.message_id(), message.body()), (Some(id.as_str()), Some("{\"event_id\":\"a\"}")))
}

/// A standard queue does not deduplicate, so `ingest-fn` receives every message of a herd.
async fn equal_messages_are_not_deduplicated(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let sent = join_all((0..HERD).map(|_| send(&stage, &queue.url, "the same"))).await;
    let sent: HashSet<_> = sent.into_iter().collect::<Result<_, _>>()?;
    expect_eq("ids", sent.len(), HERD)?;
    let mut received = HashSet::new();
    eventually("fifty messages", async || {
        received.extend(receive(&stage, &queue.url, 1).await?.into_iter().filter_map(|message| message.message_id));
        Ok((received.len() >= HERD).then_some(()))
    })
    .await
    .or_else(|_| expect_eq("messages received", received.len(), HERD))?;
    expect_eq("ids received are those sent", received == sent, true)
}

/// Guarantee 2 depends on this behavior: a message that fails every time is kept in the dead-letter queue. There, it does
/// not delay other messages.
async fn message_is_dead_letter_after_three_receives(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(3)).await?;
    send(&stage, &queue.url, "poison").await?;
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(receive_count(&receive_one(&stage, &queue.url).await?));
    }
    expect_eq("receive counts", counts, vec![Some(1), Some(2), Some(3)])?;
    let dead = dead_letter(&stage, &queue).await?;
    expect_eq("body", dead.body(), Some("poison"))
}

/// An operator can find the dead letter by the message id that the producer received. The retention period of a dead
/// letter starts when the message is first enqueued.
async fn dead_letter_keeps_id_body_and_enqueue_time(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(1)).await?;
    let id = send(&stage, &queue.url, "poison").await?;
    let received = receive_one(&stage, &queue.url).await?;
    let dead = dead_letter(&stage, &queue).await?;
    expect_eq("id and body", (dead.message_id(), dead.body()), (Some(id.as_str()), Some("poison")))?;
    let sent = |message| attribute(message, &MessageSystemAttributeName::SentTimestamp);
    let before = sent(&received);
    let after = sent(&dead);
    ensure(before.is_some() && before == after, || "a new enqueue time".to_owned())
}

async fn received_message_is_hidden_until_timeout(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(2, None).await?;
    let id = send(&stage, &queue.url, "a").await?;
    let begun = Instant::now();
    receive_one(&stage, &queue.url).await?;
    expect_eq("messages while it is hidden", receive(&stage, &queue.url, 0).await?.len(), 0)?;
    let again = receive_one(&stage, &queue.url).await?;
    let after = begun.elapsed();
    expect_eq("message", again.message_id(), Some(id.as_str()))?;
    // An engine that counts whole milliseconds can be one millisecond early.
    ensure(after >= Duration::from_millis(1_990), || format!("visible after {after:?}, expected 2 s"))
}

/// The queue mapping uses a visibility timeout of 0 to return messages that it cannot pass to the function.
async fn zero_visibility_shows_message_at_once(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    send(&stage, &queue.url, "a").await?;
    let first = receive_one(&stage, &queue.url).await?;
    change_visibility(&stage, &queue.url, &first, 0).await?;
    expect_eq("receive count", receive_count(&receive_one(&stage, &queue.url).await?), Some(2))
}

async fn longer_visibility_hides_message_longer(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(2, None).await?;
    send(&stage, &queue.url, "a").await?;
    let begun = Instant::now();
    let first = receive_one(&stage, &queue.url).await?;
    change_visibility(&stage, &queue.url, &first, 5).await?;
    receive_one(&stage, &queue.url).await?;
    let after = begun.elapsed();
    ensure(after >= Duration::from_millis(4_990), || format!("visible after {after:?}, expected 5 s"))
}

/// An acknowledged message must not be redelivered.
async fn deleted_message_is_never_received(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, None).await?;
    send(&stage, &queue.url, "a").await?;
    delete(&stage, &queue.url, &receive_one(&stage, &queue.url).await?).await?;
    expect_eq("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

async fn latest_receipt_handle_deletes_message(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, None).await?;
    send(&stage, &queue.url, "a").await?;
    let first = receive_one(&stage, &queue.url).await?;
    let second = receive_one(&stage, &queue.url).await?;
    ensure(first.receipt_handle() != second.receipt_handle(), || {
        "both receives returned the same receipt handle".to_owned()
    })?;
    delete(&stage, &queue.url, &second).await?;
    expect_eq("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

/// The queue mapping uses a batch delete to acknowledge the messages that the function does not report as failed.
async fn batch_delete_deletes_every_message(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(2, None).await?;
    let entries = (0..10).map(|index| (index, "a".to_owned()));
    batch(&stage, &queue.url, entries).await??;
    let mut received = HashMap::new();
    eventually("ten messages", async || {
        let messages = receive(&stage, &queue.url, 1).await?;
        received.extend(messages.into_iter().filter_map(|it| Some((it.message_id?, it.receipt_handle?))));
        Ok((received.len() == 10).then_some(()))
    })
    .await?;
    let entries = received.values().enumerate().map(|(index, handle)| {
        DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle).build()
    });
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let request = stage.ingest.sqs.delete_message_batch().queue_url(&queue.url).set_entries(Some(entries));
    expect_eq("deleted", request.send().await?.successful.len(), 10)?;
    expect_eq("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

async fn long_poll_ends_when_message_arrives(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let begun = Instant::now();
    let sending = async {
        // The message must arrive while the poll waits.
        tokio::time::sleep(Duration::from_secs(1)).await;
        send(&stage, &queue.url, "a").await
    };
    let (received, sent) = tokio::join!(receive(&stage, &queue.url, 20), sending);
    sent?;
    let after = begun.elapsed();
    expect_eq("messages received", received?.len(), 1)?;
    let in_time = Duration::from_millis(990)..Duration::from_secs(6);
    ensure(in_time.contains(&after), || format!("the poll ended after {after:?}, and the message was sent after 1 s"))
}

async fn empty_long_poll_ends_after_its_wait_time(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let begun = Instant::now();
    expect_eq("messages received", receive(&stage, &queue.url, 2).await?.len(), 0)?;
    let after = begun.elapsed();
    let in_time = Duration::from_millis(1_900)..Duration::from_secs(5);
    ensure(in_time.contains(&after), || format!("the poll ended after {after:?}, expected 2 s"))
}

async fn receive_takes_1_to_10_messages(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    for (max, expected) in [(0, false), (1, true), (10, true), (11, false)] {
        let request = stage.ingest.sqs.receive_message().queue_url(&queue.url).max_number_of_messages(max);
        expect_eq(format!("a receive of {max} is accepted"), request.send().await.is_ok(), expected)?;
    }
    Ok(())
}

async fn system_attributes_come_on_request(stage: Arc<Stage>) -> Outcome {
    use MessageSystemAttributeName as Name;
    let queue = stage.queue(600, None).await?;
    let before = Clock::real().now_ms();
    send(&stage, &queue.url, "a").await?;
    let message = receive_one(&stage, &queue.url).await?;
    for name in [Name::SentTimestamp, Name::ApproximateFirstReceiveTimestamp] {
        let at = attribute(&message, &name);
        // A local engine uses the clock of this machine. The clock of AWS is assumed to be at most a minute off.
        ensure(at.is_some_and(|at| at.abs_diff(before) < 60_000), || {
            format!("{name} is {at:?}, expected about {before}")
        })?;
    }
    expect_eq("receive count", receive_count(&message), Some(1))?;
    change_visibility(&stage, &queue.url, &message, 0).await?;
    let messages = eventually("the message on its second receive", async || {
        let request = stage.ingest.sqs.receive_message().queue_url(&queue.url).wait_time_seconds(1);
        Ok(request.send().await?.messages.filter(|messages| !messages.is_empty()))
    })
    .await?;
    let attributes = messages[0].attributes().map_or(0, HashMap::len);
    ensure(attributes == 0, || "attributes were returned that were not requested".to_owned())
}

/// Returns message attributes of each data type, without and with a custom label.
fn all_types() -> Result<HashMap<String, MessageAttributeValue>, Mismatch> {
    let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    Ok(HashMap::from([
        ("trace.parent".to_owned(), value("String").string_value("00-\u{e9}-\u{1F41F}").build()?),
        ("order".to_owned(), value("String.order").string_value("7").build()?),
        ("timestamp".to_owned(), value("Number").string_value("1493147359901").build()?),
        ("weight".to_owned(), value("Number.float").string_value("-1.25").build()?),
        ("raw".to_owned(), value("Binary").binary_value(Blob::new([0, 255, 10])).build()?),
        ("picture".to_owned(), value("Binary.png").binary_value(Blob::new([137])).build()?),
    ]))
}

/// The MD5 digest of [`all_types`], calculated by hand as the developer guide describes. Some SDKs verify the digest in
/// SQS's response.
const DIGEST_OF_ALL_TYPES: &str = "92bc0e877bae8de86ad49a92bdc5124a";

const TRACE_HEADER: &str = "Root=1-65a5b2c3-4bf92f3577b34da6a3ce929d;Parent=53995c3f42cd8ad8;Sampled=1";

fn trace_header_attribute() -> Result<MessageSystemAttributeValue, Mismatch> {
    Ok(MessageSystemAttributeValue::builder().data_type("String").string_value(TRACE_HEADER).build()?)
}

fn trace_header(message: &Message) -> Option<&str> {
    message.attributes()?.get(&MessageSystemAttributeName::AwsTraceHeader).map(String::as_str)
}

/// Waits for a message and receives it with all its system attributes. If `requested` is true, also receives the
/// message attributes.
async fn receive_attributes(stage: &Stage, url: &str, requested: bool) -> Result<Message, Mismatch> {
    eventually("the message", async || {
        let request = stage.ingest.sqs.receive_message().queue_url(url).wait_time_seconds(1);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        let request = request.set_message_attribute_names(requested.then(|| vec!["All".to_owned()]));
        Ok(request.send().await?.messages.and_then(|mut messages| messages.pop()))
    })
    .await
}

/// An attribute can be the dedup key. Instrumented producers send message attributes with every message.
async fn message_attributes_come_back_as_sent(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let attributes = all_types()?;
    let request = stage.operator.sqs.send_message().queue_url(&queue.url).message_body("a");
    let sent = request.set_message_attributes(Some(attributes.clone())).send().await?;
    expect_eq("digest of the sent attributes", sent.md5_of_message_attributes(), Some(DIGEST_OF_ALL_TYPES))?;
    for requested in [true, false] {
        let message = receive_attributes(&stage, &queue.url, requested).await?;
        change_visibility(&stage, &queue.url, &message, 0).await?;
        let expected = if requested { attributes.clone() } else { HashMap::new() };
        expect_eq("attributes", message.message_attributes.clone().unwrap_or_default(), expected)?;
        let digest = requested.then_some(DIGEST_OF_ALL_TYPES);
        expect_eq("digest of the attributes", message.md5_of_message_attributes(), digest)?;
    }
    Ok(())
}

/// Producers that use X-Ray send this attribute. `ingest-fn` reads the trace id from it.
async fn trace_header_is_a_system_attribute(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let request = stage.operator.sqs.send_message().queue_url(&queue.url).message_body("a");
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    let sent = request.message_system_attributes(name, trace_header_attribute()?).send().await?;
    expect_eq("digest of the message attributes", sent.md5_of_message_attributes(), None)?;
    let message = receive_attributes(&stage, &queue.url, true).await?;
    expect_eq("trace header", trace_header(&message), Some(TRACE_HEADER))?;
    expect_eq("message attributes", message.message_attributes.unwrap_or_default(), HashMap::new())
}

/// Most producers send batches.
async fn batch_entry_keeps_attributes_and_trace_header(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let entry = SendMessageBatchRequestEntry::builder()
        .id("0")
        .message_body("a")
        .set_message_attributes(Some(all_types()?))
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace_header_attribute()?)
        .build()?;
    let sent = stage.operator.sqs.send_message_batch().queue_url(&queue.url).entries(entry).send().await?;
    let digests: Vec<_> = sent.successful().iter().map(|sent| sent.md5_of_message_attributes()).collect();
    expect_eq("digests of the sent attributes", digests, vec![Some(DIGEST_OF_ALL_TYPES)])?;
    let message = receive_attributes(&stage, &queue.url, true).await?;
    expect_eq("attributes", message.message_attributes.clone().unwrap_or_default(), all_types()?)?;
    expect_eq("trace header of a batch entry", trace_header(&message), Some(TRACE_HEADER))
}

/// After a redrive, the message must get the same event id and the same trace as before.
async fn dead_letter_keeps_attributes_and_trace_header(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(1)).await?;
    let request = stage.operator.sqs.send_message().queue_url(&queue.url).message_body("poison");
    let request = request.set_message_attributes(Some(all_types()?));
    let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
    request.message_system_attributes(name, trace_header_attribute()?).send().await?;
    receive_one(&stage, &queue.url).await?;
    let dead_letters_url = queue.dead_letters_url.as_deref().unwrap_or_default();
    let letter = dead_letter(&stage, &queue).await?;
    change_visibility(&stage, dead_letters_url, &letter, 0).await?;
    let letter = receive_attributes(&stage, dead_letters_url, true).await?;
    expect_eq("trace header", trace_header(&letter), Some(TRACE_HEADER))?;
    expect_eq("attributes", letter.message_attributes.unwrap_or_default(), all_types()?)
}
