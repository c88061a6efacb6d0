//! What a message and a batch of messages may be, as producers send them.

use std::collections::HashMap;
use std::sync::Arc;

use emulator::sqs::MAX_MESSAGE_BYTES;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Outcome, answer, eventually, holds, same};
use crate::sqs::requests::{batch, receive, receive_one, send};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "a message of 1 mib is accepted and one byte more is refused", a_message_of_1_mib_is_accepted_and_one_byte_more_is_refused).differs(Engine::ElasticMq, r#"a message of 1 MiB: "InvalidAttributeValue", not "accepted""#, "The quotas page is believed: 1 MiB since August 2025. ElasticMQ keeps the former 256 KB."),
        behavior!(Sqs, "an empty message is refused", an_empty_message_is_refused).differs(Engine::ElasticMq, r#"an empty message: "InvalidAttributeValue", not "MissingParameter""#, "Both refuse it, which is what counts. The code is what SQS is known to answer; nothing goes by it."),
        behavior!(Sqs, "a message with characters outside xml is refused", a_message_with_characters_outside_xml_is_refused).differs(Engine::ElasticMq, r#"six such messages: ["InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAttributeValue", "InvalidAction"], not ["InvalidMessageContents"; 6]"#, "Both refuse them, which is what counts. The code is the API reference's; nothing goes by it."),
        behavior!(Sqs, "text of any other characters comes as it was sent", text_of_any_other_characters_comes_as_it_was_sent),
        behavior!(Sqs, "a batch of ten messages is sent each with an id of its own", a_batch_of_ten_messages_is_sent_each_with_an_id_of_its_own),
        behavior!(Sqs, "a batch of eleven is refused", a_batch_of_eleven_is_refused),
        behavior!(Sqs, "an empty batch is refused", an_empty_batch_is_refused).differs(Engine::ElasticMq, r#"no entries: "accepted", not "EmptyBatchRequest""#, "The API reference of SendMessageBatch is believed. Nothing sends an empty batch."),
        behavior!(Sqs, "a batch that repeats an entry id is refused", a_batch_that_repeats_an_entry_id_is_refused),
        behavior!(Sqs, "a batch of 1 mib together is accepted and one byte more is refused", a_batch_of_1_mib_together_is_accepted_and_one_byte_more_is_refused).differs(Engine::ElasticMq, r#"524288 and 524288 bytes: "InvalidAttributeValue", not "accepted""#, "The quotas page is believed: 1 MiB since August 2025. ElasticMQ keeps the former 256 KB."),
    ]
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
