//! What a queue says about itself.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Instead, Outcome, answer, eventually, same};
use crate::sqs::requests::{LONG_POLL_SECONDS, delete, send};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "a queue tells its depth", a_queue_tells_its_depth),
        behavior!(Sqs, "a queue tells its largest message", a_queue_tells_its_largest_message).differs(
            Engine::ElasticMq,
            r#"largest message: None, not Some("1048576")"#,
            "The API reference of GetQueueAttributes is believed. ElasticMQ has no such attribute.",
        ),
        behavior!(
            Sqs,
            "a queue tells its redrive policy and its url is found by name",
            a_queue_tells_its_redrive_policy_and_its_url_is_found_by_name
        ),
        behavior!(Sqs, "a queue that is not there is told", a_queue_that_is_not_there_is_told),
    ]
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
