//! Queues, as producers send to them and as the mapping to `ingest-fn` receives from them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use emulator::Clock;
use emulator::sqs::MAX_MESSAGE_BYTES;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::dynamodb::HERD;
use crate::engine::Engine;

use crate::stage::Stage;
use crate::{Behaviour, Instead, Outcome, answer, behaviour, eventually, holds, same};

pub(crate) fn behaviours() -> Vec<Behaviour> {
    vec![
        behaviour!(Sqs, a_message_is_received_with_its_id_and_body),
        behaviour!(Sqs, fifty_equal_messages_are_fifty_messages),
        behaviour!(Sqs, receives_are_counted_and_the_fourth_is_in_the_dead_letter_queue),
        behaviour!(Sqs, a_dead_letter_keeps_its_id_body_and_first_enqueue_time),
        behaviour!(Sqs, a_received_message_is_hidden_until_its_visibility_timeout),
        behaviour!(Sqs, changing_the_visibility_to_0_shows_a_message_at_once),
        behaviour!(Sqs, changing_the_visibility_to_longer_hides_a_message_longer),
        behaviour!(Sqs, a_deleted_message_never_comes_back),
        behaviour!(Sqs, a_message_received_twice_is_deleted_by_its_latest_receipt_handle),
        behaviour!(Sqs, a_batch_delete_deletes_each),
        behaviour!(Sqs, a_long_poll_ends_as_soon_as_a_message_comes),
        behaviour!(Sqs, a_long_poll_without_a_message_ends_with_its_time),
        behaviour!(Sqs, a_receive_takes_1_to_10_messages),
        behaviour!(Sqs, system_attributes_come_as_they_are_asked_for),
        behaviour!(Sqs, a_queue_tells_its_depth),
        behaviour!(Sqs, a_queue_tells_its_largest_message).differs(Engine::ElasticMq, r#"largest message: None, not Some("1048576")"#, "The API reference of GetQueueAttributes is believed. ElasticMQ has no such attribute."),
        behaviour!(Sqs, a_queue_tells_its_redrive_policy_and_its_url_is_found_by_name),
        behaviour!(Sqs, a_queue_that_is_not_there_is_told),
        behaviour!(Sqs, a_message_of_1_mib_is_accepted_and_one_byte_more_is_refused).differs(Engine::ElasticMq, r#"a message of 1 MiB: "InvalidAttributeValue", not "accepted""#, "The quotas page is believed: 1 MiB since August 2025. ElasticMQ keeps the former 256 KB."),
        behaviour!(Sqs, an_empty_message_is_refused).differs(Engine::ElasticMq, r#"an empty message: "InvalidAttributeValue", not "MissingParameter""#, "Both refuse it, which is what counts. The code is what SQS is known to answer; nothing goes by it."),
        behaviour!(Sqs, a_message_with_characters_outside_xml_is_refused).differs(Engine::ElasticMq, r#"six such messages: ["InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAction"], not ["InvalidMessageContents"; 6]"#, "Both refuse them, which is what counts. The code is the API reference's; nothing goes by it."),
        behaviour!(Sqs, text_of_any_other_characters_comes_as_it_was_sent),
        behaviour!(Sqs, a_batch_of_ten_messages_is_sent_each_with_an_id_of_its_own),
        behaviour!(Sqs, a_batch_of_eleven_is_refused),
        behaviour!(Sqs, an_empty_batch_is_refused).differs(Engine::ElasticMq, r#"no entries: "accepted", not "EmptyBatchRequest""#, "The API reference of SendMessageBatch is believed. Nothing sends an empty batch."),
        behaviour!(Sqs, a_batch_that_repeats_an_entry_id_is_refused),
        behaviour!(Sqs, a_batch_of_1_mib_together_is_accepted_and_one_byte_more_is_refused).differs(Engine::ElasticMq, r#"524288 and 524288 bytes: "InvalidAttributeValue", not "accepted""#, "The quotas page is believed: 1 MiB since August 2025. ElasticMQ keeps the former 256 KB."),
    ]
}

/// Longer than any visibility timeout here.
const LONG_POLL_SECONDS: i32 = 5;

async fn send(stage: &Stage, url: &str, body: &str) -> Result<String, Instead> {
    let sent = stage.operator.sqs.send_message().queue_url(url).message_body(body).send().await?;
    sent.message_id.ok_or_else(|| Instead("a message without an id".to_owned()))
}

/// What is there now, or comes within so many seconds; with the attributes that a mapping asks for.
async fn receive(stage: &Stage, url: &str, wait_seconds: i32) -> Result<Vec<Message>, Instead> {
    let request = stage.ingest.sqs.receive_message().queue_url(url).max_number_of_messages(10);
    let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
    Ok(request.wait_time_seconds(wait_seconds).send().await?.messages.unwrap_or_default())
}

/// The one message that is there, or comes.
async fn receive_one(stage: &Stage, url: &str) -> Result<Message, Instead> {
    let mut messages = eventually("a message", async || {
        Ok(Some(receive(stage, url, LONG_POLL_SECONDS).await?).filter(|messages| !messages.is_empty()))
    })
    .await?;
    same("messages received", messages.len(), 1)?;
    Ok(messages.remove(0))
}

async fn delete(stage: &Stage, url: &str, message: &Message) -> Outcome {
    let handle = message.receipt_handle().unwrap_or_default();
    stage.ingest.sqs.delete_message().queue_url(url).receipt_handle(handle).send().await?;
    Ok(())
}

async fn change_visibility(stage: &Stage, url: &str, message: &Message, seconds: i32) -> Outcome {
    let request = stage.operator.sqs.change_message_visibility().queue_url(url).visibility_timeout(seconds);
    request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await?;
    Ok(())
}

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<u64> {
    message.attributes()?.get(name)?.parse().ok()
}

fn receive_count(message: &Message) -> Option<u64> {
    attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount)
}

async fn a_message_is_received_with_its_id_and_body(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let id = send(&stage, &queue.url, "{\"event_id\":\"a\"}").await?;
    let message = receive_one(&stage, &queue.url).await?;
    same("message", (message.message_id(), message.body()), (Some(id.as_str()), Some("{\"event_id\":\"a\"}")))
}

/// A standard queue deduplicates nothing: this is the herd.
async fn fifty_equal_messages_are_fifty_messages(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let sent = join_all((0..HERD).map(|_| send(&stage, &queue.url, "the same"))).await;
    let sent: HashSet<_> = sent.into_iter().collect::<Result<_, _>>()?;
    same("ids", sent.len(), HERD)?;
    let mut received = HashSet::new();
    eventually("fifty messages", async || {
        received.extend(receive(&stage, &queue.url, 1).await?.into_iter().filter_map(|message| message.message_id));
        Ok((received.len() >= HERD).then_some(()))
    })
    .await
    .or_else(|_| same("messages received", received.len(), HERD))?;
    same("ids received are those sent", received == sent, true)
}

/// Guarantee 2: a message that fails again and again is kept, and no longer in the way.
async fn receives_are_counted_and_the_fourth_is_in_the_dead_letter_queue(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(3)).await?;
    send(&stage, &queue.url, "poison").await?;
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(receive_count(&receive_one(&stage, &queue.url).await?));
    }
    same("receive counts", counts, vec![Some(1), Some(2), Some(3)])?;
    let dead = dead_letter(&stage, &queue).await?;
    same("body", dead.body(), Some("poison"))
}

/// The queue must be received from for its message to move.
async fn dead_letter(stage: &Stage, queue: &crate::stage::Queue) -> Result<Message, Instead> {
    let dead_letters_url = queue.dead_letters_url.as_deref().expect("the queue has one");
    eventually("a message in the dead-letter queue", async || {
        same("messages in the queue itself", receive(stage, &queue.url, 1).await?.len(), 0)?;
        Ok(receive(stage, dead_letters_url, 0).await?.pop())
    })
    .await
}

/// Whoever looks for a message's fate finds it in the dead-letter queue by the id that the producer was given; and its
/// retention there counts from its first enqueue.
async fn a_dead_letter_keeps_its_id_body_and_first_enqueue_time(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(1)).await?;
    let id = send(&stage, &queue.url, "poison").await?;
    let received = receive_one(&stage, &queue.url).await?;
    let dead = dead_letter(&stage, &queue).await?;
    same("id and body", (dead.message_id(), dead.body()), (Some(id.as_str()), Some("poison")))?;
    let sent = |message| attribute(message, &MessageSystemAttributeName::SentTimestamp);
    let (before, after) = (sent(&received), sent(&dead));
    holds(before.is_some() && before == after, || "a new enqueue time".to_owned())
}

async fn a_received_message_is_hidden_until_its_visibility_timeout(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(2, None).await?;
    let id = send(&stage, &queue.url, "a").await?;
    let begun = Instant::now();
    receive_one(&stage, &queue.url).await?;
    same("messages while it is hidden", receive(&stage, &queue.url, 0).await?.len(), 0)?;
    let again = receive_one(&stage, &queue.url).await?;
    let after = begun.elapsed();
    same("message", again.message_id(), Some(id.as_str()))?;
    // Engines that go by whole milliseconds may be one early.
    holds(after >= Duration::from_millis(1_990), || format!("it came again after {after:?}, not after 2 s"))
}

/// How a mapping gives back what it cannot have worked on.
async fn changing_the_visibility_to_0_shows_a_message_at_once(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    send(&stage, &queue.url, "a").await?;
    let first = receive_one(&stage, &queue.url).await?;
    change_visibility(&stage, &queue.url, &first, 0).await?;
    same("receive count", receive_count(&receive_one(&stage, &queue.url).await?), Some(2))
}

async fn changing_the_visibility_to_longer_hides_a_message_longer(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(2, None).await?;
    send(&stage, &queue.url, "a").await?;
    let begun = Instant::now();
    let first = receive_one(&stage, &queue.url).await?;
    change_visibility(&stage, &queue.url, &first, 5).await?;
    receive_one(&stage, &queue.url).await?;
    let after = begun.elapsed();
    holds(after >= Duration::from_millis(4_990), || format!("it came again after {after:?}, not after 5 s"))
}

/// Acknowledging is for good.
async fn a_deleted_message_never_comes_back(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, None).await?;
    send(&stage, &queue.url, "a").await?;
    delete(&stage, &queue.url, &receive_one(&stage, &queue.url).await?).await?;
    same("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

async fn a_message_received_twice_is_deleted_by_its_latest_receipt_handle(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, None).await?;
    send(&stage, &queue.url, "a").await?;
    let first = receive_one(&stage, &queue.url).await?;
    let second = receive_one(&stage, &queue.url).await?;
    holds(first.receipt_handle() != second.receipt_handle(), || "both receives have one handle".to_owned())?;
    delete(&stage, &queue.url, &second).await?;
    same("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

/// How a mapping acknowledges what its function did not report.
async fn a_batch_delete_deletes_each(stage: Arc<Stage>) -> Outcome {
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
    same("deleted", request.send().await?.successful.len(), 10)?;
    same("messages afterwards", receive(&stage, &queue.url, LONG_POLL_SECONDS).await?.len(), 0)
}

async fn a_long_poll_ends_as_soon_as_a_message_comes(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let begun = Instant::now();
    let sending = async {
        // The message is to come while the poll waits.
        tokio::time::sleep(Duration::from_secs(1)).await;
        send(&stage, &queue.url, "a").await
    };
    let (received, sent) = tokio::join!(receive(&stage, &queue.url, 20), sending);
    sent?;
    let after = begun.elapsed();
    same("messages received", received?.len(), 1)?;
    let in_time = Duration::from_millis(990)..Duration::from_secs(6);
    holds(in_time.contains(&after), || format!("the poll ended after {after:?}, the message was sent after 1 s"))
}

async fn a_long_poll_without_a_message_ends_with_its_time(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let begun = Instant::now();
    same("messages received", receive(&stage, &queue.url, 2).await?.len(), 0)?;
    let after = begun.elapsed();
    let in_time = Duration::from_millis(1_900)..Duration::from_secs(5);
    holds(in_time.contains(&after), || format!("it ended after {after:?}, not after 2 s"))
}

async fn a_receive_takes_1_to_10_messages(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    for (max, must_be) in [(0, false), (1, true), (10, true), (11, false)] {
        let request = stage.ingest.sqs.receive_message().queue_url(&queue.url).max_number_of_messages(max);
        same(format!("a receive of {max} is accepted"), request.send().await.is_ok(), must_be)?;
    }
    Ok(())
}

async fn system_attributes_come_as_they_are_asked_for(stage: Arc<Stage>) -> Outcome {
    use MessageSystemAttributeName as Name;
    let queue = stage.queue(600, None).await?;
    let before = Clock::real().now_ms();
    send(&stage, &queue.url, "a").await?;
    let message = receive_one(&stage, &queue.url).await?;
    for name in [Name::SentTimestamp, Name::ApproximateFirstReceiveTimestamp] {
        let at = attribute(&message, &name);
        // Engines and tests on one machine agree on the time; on AWS, clocks do by a minute.
        holds(at.is_some_and(|at| at.abs_diff(before) < 60_000), || format!("{name} is {at:?}, it is {before}"))?;
    }
    same("receive count", receive_count(&message), Some(1))?;
    change_visibility(&stage, &queue.url, &message, 0).await?;
    let messages = eventually("the message again", async || {
        let request = stage.ingest.sqs.receive_message().queue_url(&queue.url).wait_time_seconds(1);
        Ok(request.send().await?.messages.filter(|messages| !messages.is_empty()))
    })
    .await?;
    let attributes = messages[0].attributes().map_or(0, HashMap::len);
    holds(attributes == 0, || "attributes that were not asked for".to_owned())
}

async fn queue_attributes(stage: &Stage, url: &str) -> Result<HashMap<QueueAttributeName, String>, Instead> {
    let request = stage.operator.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    Ok(request.send().await?.attributes.unwrap_or_default())
}

/// How the producer knows that the queue has drained.
async fn a_queue_tells_its_depth(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let depth = async |visible: &str, in_flight: &str| {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        eventually(&format!("{visible} visible and {in_flight} in flight"), async || {
            let attributes = queue_attributes(&stage, &queue.url).await?;
            let seen = names.each_ref().map(|name| attributes.get(name).map(String::as_str));
            Ok((seen == [Some(visible), Some(in_flight), Some("0")]).then_some(()))
        })
        .await
    };
    depth("0", "0").await?;
    for body in ["a", "b", "c"] {
        send(&stage, &queue.url, body).await?;
    }
    depth("3", "0").await?;
    let request = stage.ingest.sqs.receive_message().queue_url(&queue.url).max_number_of_messages(1);
    let received = request.wait_time_seconds(LONG_POLL_SECONDS).send().await?.messages.unwrap_or_default();
    same("messages received", received.len(), 1)?;
    depth("2", "1").await?;
    delete(&stage, &queue.url, &received[0]).await?;
    depth("2", "0").await
}

/// The producer refuses what would not fit. The deployed queue says less, because Terraform sets it so.
async fn a_queue_tells_its_largest_message(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let told = queue_attributes(&stage, &queue.url).await?.remove(&QueueAttributeName::MaximumMessageSize);
    same("largest message", told.as_deref(), Some("1048576"))
}

/// How the producer finds the dead-letter queue.
async fn a_queue_tells_its_redrive_policy_and_its_url_is_found_by_name(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, Some(3)).await?;
    let told = queue_attributes(&stage, &queue.url).await?.remove(&QueueAttributeName::RedrivePolicy);
    let told: serde_json::Value = serde_json::from_str(&told.unwrap_or_default())?;
    let count = &told["maxReceiveCount"];
    same("most receives", count.as_u64().or_else(|| count.as_str()?.parse().ok()), Some(3))?;
    let name = told["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    let found = stage.operator.sqs.get_queue_url().queue_name(name).send().await?.queue_url;
    same("URL of the dead-letter queue", found, queue.dead_letters_url)
}

async fn a_queue_that_is_not_there_is_told(stage: Arc<Stage>) -> Outcome {
    let name = stage.unique("nowhere");
    let found = stage.operator.sqs.get_queue_url().queue_name(name).send().await;
    same("looking for it", answer(&found).as_str(), "QueueDoesNotExist")
}

async fn a_message_of_1_mib_is_accepted_and_one_byte_more_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    // Bytes of UTF-8, not characters.
    let body = "ä".repeat(MAX_MESSAGE_BYTES / 2);
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await;
    same("a message of 1 MiB", answer(&sent).as_str(), "accepted")?;
    same("body is the same", receive_one(&stage, &queue.url).await?.body() == Some(&body), true)?;
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(body + "x").send().await;
    same("a byte more", answer(&sent).as_str(), "InvalidParameterValue")
}

async fn an_empty_message_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body("").send().await;
    same("an empty message", answer(&sent).as_str(), "MissingParameter")
}

/// `SendMessage` in the API reference: #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD, #x10000 to #x10FFFF.
async fn a_message_with_characters_outside_xml_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let mut seen = Vec::new();
    for body in ["a\0", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(body).send().await;
        seen.push(answer(&sent));
    }
    holds(seen.iter().all(|code| code == "InvalidMessageContents"), || {
        format!("six such messages: {seen:?}, not [\"InvalidMessageContents\"; 6]")
    })
}

async fn text_of_any_other_characters_comes_as_it_was_sent(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let body = "\t\n\r \"\\/<&]]>\u{7f}\u{85}ä\u{2028}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{1F41F}\u{10ffff} ";
    send(&stage, &queue.url, body).await?;
    same("body", receive_one(&stage, &queue.url).await?.body(), Some(body))
}

async fn batch(
    stage: &Stage,
    url: &str,
    entries: impl Iterator<Item = (usize, String)>,
) -> Result<Result<SendMessageBatchOutput, SdkError<SendMessageBatchError>>, Instead> {
    let entry = |(id, body): (usize, String)| {
        SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body).build()
    };
    let entries = entries.map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(stage.operator.sqs.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await)
}

async fn a_batch_of_ten_messages_is_sent_each_with_an_id_of_its_own(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let sent = batch(&stage, &queue.url, (0..10).map(|id| (id, format!("body {id}")))).await??;
    let bodies: HashMap<_, _> =
        sent.successful.into_iter().map(|sent| (sent.message_id, format!("body {}", sent.id))).collect();
    same("ids", (bodies.len(), sent.failed.len()), (10, 0))?;
    let mut received = HashMap::new();
    eventually("ten messages", async || {
        let messages = receive(&stage, &queue.url, 1).await?;
        received.extend(messages.into_iter().filter_map(|message| Some((message.message_id?, message.body?))));
        Ok((received.len() == 10).then_some(()))
    })
    .await?;
    same("messages received", received, bodies)
}

async fn a_batch_of_eleven_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, (0..11).map(|id| (id, "a".to_owned()))).await?;
    same("eleven entries", answer(&sent).as_str(), "TooManyEntriesInBatchRequest")
}

async fn an_empty_batch_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, std::iter::empty()).await?;
    same("no entries", answer(&sent).as_str(), "EmptyBatchRequest")
}

async fn a_batch_that_repeats_an_entry_id_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, [1, 2, 1].into_iter().map(|id| (id, "a".to_owned()))).await?;
    same("a repeated id", answer(&sent).as_str(), "BatchEntryIdsNotDistinct")
}

async fn a_batch_of_1_mib_together_is_accepted_and_one_byte_more_is_refused(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let half = MAX_MESSAGE_BYTES / 2;
    for (second, must_be) in [(half, "accepted"), (half + 1, "BatchRequestTooLong")] {
        let sent =
            batch(&stage, &queue.url, [half, second].into_iter().map(|bytes| "x".repeat(bytes)).enumerate()).await?;
        same(format!("{half} and {second} bytes"), answer(&sent).as_str(), must_be)?;
    }
    Ok(())
}
