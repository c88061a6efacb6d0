//! Requests to SQS that several tests send.

use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry};

use crate::outcome::{Mismatch, Outcome, eventually, expect_eq};
use crate::stage::{Queue, Stage};

/// Wait time of a long poll. Some tests check that a deleted message does not become visible again. The wait time must
/// exceed the visibility timeouts in those tests, or the poll ends too early to notice.
pub(crate) const LONG_POLL_SECONDS: i32 = 5;

pub(crate) async fn send(stage: &Stage, url: &str, body: &str) -> Result<String, Mismatch> {
    let sent = stage.operator.sqs.send_message().queue_url(url).message_body(body).send().await?;
    sent.message_id.ok_or_else(|| Mismatch("SendMessage returned no message id".to_owned()))
}

/// Receives up to ten messages with all their system attributes, as the queue mapping does. Waits up to `wait_seconds`
/// for the first message.
pub(crate) async fn receive(stage: &Stage, url: &str, wait_seconds: i32) -> Result<Vec<Message>, Mismatch> {
    let request = stage.ingest.sqs.receive_message().queue_url(url).max_number_of_messages(10);
    let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
    Ok(request.wait_time_seconds(wait_seconds).send().await?.messages.unwrap_or_default())
}

/// Waits for one message. Fails if more than one message arrives.
pub(crate) async fn receive_one(stage: &Stage, url: &str) -> Result<Message, Mismatch> {
    let mut messages = eventually("a message", async || {
        Ok(Some(receive(stage, url, LONG_POLL_SECONDS).await?).filter(|messages| !messages.is_empty()))
    })
    .await?;
    expect_eq("messages received", messages.len(), 1)?;
    Ok(messages.remove(0))
}

pub(crate) async fn delete(stage: &Stage, url: &str, message: &Message) -> Outcome {
    let handle = message.receipt_handle().unwrap_or_default();
    stage.ingest.sqs.delete_message().queue_url(url).receipt_handle(handle).send().await?;
    Ok(())
}

pub(crate) async fn change_visibility(stage: &Stage, url: &str, message: &Message, seconds: i32) -> Outcome {
    let request = stage.operator.sqs.change_message_visibility().queue_url(url).visibility_timeout(seconds);
    request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await?;
    Ok(())
}

pub(crate) fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<u64> {
    message.attributes()?.get(name)?.parse().ok()
}

pub(crate) fn receive_count(message: &Message) -> Option<u64> {
    attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount)
}

/// Waits until a message is in the dead-letter queue, and receives it. SQS moves a message there only when its original
/// queue is polled, so this function also polls that queue.
pub(crate) async fn dead_letter(stage: &Stage, queue: &Queue) -> Result<Message, Mismatch> {
    let dead_letters_url = queue.dead_letters_url.as_deref().expect("the queue has a dead-letter queue");
    eventually("a message in the dead-letter queue", async || {
        expect_eq("messages in the queue itself", receive(stage, &queue.url, 1).await?.len(), 0)?;
        Ok(receive(stage, dead_letters_url, 0).await?.pop())
    })
    .await
}

pub(crate) async fn batch(
    stage: &Stage,
    url: &str,
    entries: impl Iterator<Item = (usize, String)>,
) -> Result<Result<SendMessageBatchOutput, SdkError<SendMessageBatchError>>, Mismatch> {
    let entry = |(id, body): (usize, String)| {
        SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body).build()
    };
    let entries = entries.map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(stage.operator.sqs.send_message_batch().queue_url(url).set_entries(Some(entries)).send().await)
}
