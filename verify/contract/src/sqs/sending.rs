//! Limits of a message and of a batch, tested with the requests that producers send.

use std::collections::HashMap;
use std::sync::Arc;

use emulator::sqs::MAX_MESSAGE_BYTES;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Outcome, ensure, eventually, expect_eq, response_code};
use crate::sqs::requests::{batch, receive, receive_one, send};
use crate::stage::Stage;

const FORMER_LIMIT: &str = "We trust the quotas page of SQS: the limit was raised to 1 MiB in August 2025. ElasticMQ \
                            still has the limit of 256 KB.";

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "A message of 1 MiB is accepted; one byte more is rejected", message_limit_is_1_mib).differs(
            Engine::ElasticMq,
            r#"a message of 1 MiB: got "InvalidAttributeValue", expected "accepted""#,
            FORMER_LIMIT,
        ),
        behavior!(Sqs, "An empty message is rejected", empty_message_is_rejected).differs(
            Engine::ElasticMq,
            r#"an empty message: got "InvalidAttributeValue", expected "MissingParameter""#,
            "ElasticMQ rejects the message too, and only that matters. SQS is known to return `MissingParameter`, but \
             nothing in this project depends on the error code.",
        ),
        behavior!(
            Sqs,
            "A message with characters that XML does not allow is rejected",
            characters_outside_xml_are_rejected
        )
        .differs(
            Engine::ElasticMq,
            "six messages with characters that XML does not allow: got [\"InvalidAttributeValue\", \
             \"InvalidAttributeValue\", \"InvalidAttributeValue\", \"InvalidAttributeValue\", \
             \"InvalidAttributeValue\", \"InvalidAction\"], expected \"InvalidMessageContents\" for each",
            "ElasticMQ rejects the messages too, and only that matters. The API reference of SendMessage names \
             `InvalidMessageContents`, but nothing in this project depends on the error code.",
        ),
        behavior!(
            Sqs,
            "A message with unusual characters that XML allows arrives unchanged",
            other_characters_arrive_unchanged
        ),
        behavior!(
            Sqs,
            "A batch of ten messages is sent, and each message gets its own id",
            batch_of_ten_gets_ten_message_ids
        ),
        behavior!(Sqs, "A batch of eleven messages is rejected", batch_of_eleven_is_rejected),
        behavior!(Sqs, "An empty batch is rejected", empty_batch_is_rejected).differs(
            Engine::ElasticMq,
            r#"a batch without entries: got "accepted", expected "EmptyBatchRequest""#,
            "We trust the API reference of SendMessageBatch. Nothing in this project sends an empty batch.",
        ),
        behavior!(Sqs, "A batch that repeats an entry id is rejected", repeated_entry_id_is_rejected),
        behavior!(
            Sqs,
            "A batch of 1 MiB in total is accepted; one byte more is rejected",
            batch_limit_is_1_mib_in_total
        )
        .differs(
            Engine::ElasticMq,
            r#"a batch of 524288 and 524288 bytes: got "InvalidAttributeValue", expected "accepted""#,
            FORMER_LIMIT,
        ),
    ]
}

async fn message_limit_is_1_mib(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    // The limit counts bytes of UTF-8, not characters.
    let body = "ä".repeat(MAX_MESSAGE_BYTES / 2);
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await;
    expect_eq("a message of 1 MiB", response_code(&sent).as_str(), "accepted")?;
    expect_eq("body is unchanged", receive_one(&stage, &queue.url).await?.body() == Some(&body), true)?;
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(body + "x").send().await;
    expect_eq("one byte more", response_code(&sent).as_str(), "InvalidParameterValue")
}

async fn empty_message_is_rejected(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body("").send().await;
    expect_eq("an empty message", response_code(&sent).as_str(), "MissingParameter")
}

/// The API reference of `SendMessage` allows only the characters #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD and
/// #x10000 to #x10FFFF.
async fn characters_outside_xml_are_rejected(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let mut seen = Vec::new();
    for body in ["a\0", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let sent = stage.operator.sqs.send_message().queue_url(&queue.url).message_body(body).send().await;
        seen.push(response_code(&sent));
    }
    ensure(seen.iter().all(|code| code == "InvalidMessageContents"), || {
        format!(
            "six messages with characters that XML does not allow: got {seen:?}, expected \"InvalidMessageContents\" for each"
        )
    })
}

async fn other_characters_arrive_unchanged(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let body = "\t\n\r \"\\/<&]]>\u{7f}\u{85}ä\u{2028}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{1F41F}\u{10ffff} ";
    send(&stage, &queue.url, body).await?;
    expect_eq("body", receive_one(&stage, &queue.url).await?.body(), Some(body))
}

async fn batch_of_ten_gets_ten_message_ids(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(600, None).await?;
    let sent = batch(&stage, &queue.url, (0..10).map(|id| (id, format!("body {id}")))).await??;
    let bodies: HashMap<_, _> =
        sent.successful.into_iter().map(|sent| (sent.message_id, format!("body {}", sent.id))).collect();
    expect_eq("ids", (bodies.len(), sent.failed.len()), (10, 0))?;
    let mut received = HashMap::new();
    eventually("ten messages", async || {
        let messages = receive(&stage, &queue.url, 1).await?;
        received.extend(messages.into_iter().filter_map(|message| Some((message.message_id?, message.body?))));
        Ok((received.len() == 10).then_some(()))
    })
    .await?;
    expect_eq("messages received", received, bodies)
}

async fn batch_of_eleven_is_rejected(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, (0..11).map(|id| (id, "a".to_owned()))).await?;
    expect_eq("eleven entries", response_code(&sent).as_str(), "TooManyEntriesInBatchRequest")
}

async fn empty_batch_is_rejected(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, std::iter::empty()).await?;
    expect_eq("a batch without entries", response_code(&sent).as_str(), "EmptyBatchRequest")
}

async fn repeated_entry_id_is_rejected(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let sent = batch(&stage, &queue.url, [1, 2, 1].into_iter().map(|id| (id, "a".to_owned()))).await?;
    expect_eq("a repeated entry id", response_code(&sent).as_str(), "BatchEntryIdsNotDistinct")
}

async fn batch_limit_is_1_mib_in_total(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let half = MAX_MESSAGE_BYTES / 2;
    for (second, expected) in [(half, "accepted"), (half + 1, "BatchRequestTooLong")] {
        let sent =
            batch(&stage, &queue.url, [half, second].into_iter().map(|bytes| "x".repeat(bytes)).enumerate()).await?;
        expect_eq(format!("a batch of {half} and {second} bytes"), response_code(&sent).as_str(), expected)?;
    }
    Ok(())
}
