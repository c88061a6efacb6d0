//! Receiving, hiding and deleting messages, as the mapping to `ingest-fn` does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName};
use emulator::Clock;
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::behavior::{Behavior, behavior};
use crate::claims::HERD;
use crate::outcome::{Outcome, eventually, holds, same};
use crate::sqs::requests::{
    LONG_POLL_SECONDS, attribute, batch, change_visibility, dead_letter, delete, receive, receive_count, receive_one,
    send,
};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "a message is received with its id and body", a_message_is_received_with_its_id_and_body),
        behavior!(Sqs, "fifty equal messages are fifty messages", fifty_equal_messages_are_fifty_messages),
        behavior!(
            Sqs,
            "receives are counted and the fourth is in the dead letter queue",
            receives_are_counted_and_the_fourth_is_in_the_dead_letter_queue
        ),
        behavior!(
            Sqs,
            "a dead letter keeps its id body and first enqueue time",
            a_dead_letter_keeps_its_id_body_and_first_enqueue_time
        ),
        behavior!(
            Sqs,
            "a received message is hidden until its visibility timeout",
            a_received_message_is_hidden_until_its_visibility_timeout
        ),
        behavior!(
            Sqs,
            "changing the visibility to 0 shows a message at once",
            changing_the_visibility_to_0_shows_a_message_at_once
        ),
        behavior!(
            Sqs,
            "changing the visibility to longer hides a message longer",
            changing_the_visibility_to_longer_hides_a_message_longer
        ),
        behavior!(Sqs, "a deleted message never comes back", a_deleted_message_never_comes_back),
        behavior!(
            Sqs,
            "a message received twice is deleted by its latest receipt handle",
            a_message_received_twice_is_deleted_by_its_latest_receipt_handle
        ),
        behavior!(Sqs, "a batch delete deletes each", a_batch_delete_deletes_each),
        behavior!(Sqs, "a long poll ends as soon as a message comes", a_long_poll_ends_as_soon_as_a_message_comes),
        behavior!(
            Sqs,
            "a long poll without a message ends with its time",
            a_long_poll_without_a_message_ends_with_its_time
        ),
        behavior!(Sqs, "a receive takes 1 to 10 messages", a_receive_takes_1_to_10_messages),
        behavior!(Sqs, "system attributes come as they are asked for", system_attributes_come_as_they_are_asked_for),
    ]
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

/// Whoever looks for a message's fate finds it in the dead-letter queue by the id that the producer was given; and its
/// retention there counts from its first enqueue.
async fn a_dead_letter_keeps_its_id_body_and_first_enqueue_time(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(1, Some(1)).await?;
    let id = send(&stage, &queue.url, "poison").await?;
    let received = receive_one(&stage, &queue.url).await?;
    let dead = dead_letter(&stage, &queue).await?;
    same("id and body", (dead.message_id(), dead.body()), (Some(id.as_str()), Some("poison")))?;
    let sent = |message| attribute(message, &MessageSystemAttributeName::SentTimestamp);
    let before = sent(&received);
    let after = sent(&dead);
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
