//! The attributes that a queue reports.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;

use crate::behavior::{Behavior, behavior};
use crate::engine::Engine;
use crate::outcome::{Mismatch, Outcome, eventually, expect_eq, response_code};
use crate::sqs::requests::{LONG_POLL_SECONDS, delete, send};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Sqs, "A queue reports how many messages are visible, in flight and delayed", queue_reports_its_depth),
        behavior!(Sqs, "A queue reports its maximum message size", queue_reports_its_message_size_limit).differs(
            Engine::ElasticMq,
            r#"MaximumMessageSize: got None, expected Some("1048576")"#,
            "We trust the API reference of GetQueueAttributes. ElasticMQ does not have this attribute.",
        ),
        behavior!(
            Sqs,
            "A queue reports its redrive policy, and its dead-letter queue's URL is found by name",
            queue_reports_its_redrive_policy
        ),
        behavior!(Sqs, "Looking up a missing queue fails with `QueueDoesNotExist`", missing_queue_is_an_error),
    ]
}

async fn queue_attributes(stage: &Stage, url: &str) -> Result<HashMap<QueueAttributeName, String>, Mismatch> {
    let request = stage.operator.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    Ok(request.send().await?.attributes.unwrap_or_default())
}

/// The producer uses the reported counts to see that the queue is empty.
async fn queue_reports_its_depth(stage: Arc<Stage>) -> Outcome {
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
    expect_eq("messages received", received.len(), 1)?;
    depth("2", "1").await?;
    delete(&stage, &queue.url, &received[0]).await?;
    depth("2", "0").await
}

/// The producer refuses to send a message that exceeds the reported limit. The deployed queue has a lower limit by
/// default.
async fn queue_reports_its_message_size_limit(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, None).await?;
    let reported = queue_attributes(&stage, &queue.url).await?.remove(&QueueAttributeName::MaximumMessageSize);
    expect_eq("MaximumMessageSize", reported.as_deref(), Some("1048576"))
}

/// The producer reads the redrive policy to find the dead-letter queue.
async fn queue_reports_its_redrive_policy(stage: Arc<Stage>) -> Outcome {
    let queue = stage.queue(30, Some(3)).await?;
    let policy = queue_attributes(&stage, &queue.url).await?.remove(&QueueAttributeName::RedrivePolicy);
    let policy: serde_json::Value = serde_json::from_str(&policy.unwrap_or_default())?;
    let count = &policy["maxReceiveCount"];
    expect_eq("maxReceiveCount", count.as_u64().or_else(|| count.as_str()?.parse().ok()), Some(3))?;
    let name = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    let found = stage.operator.sqs.get_queue_url().queue_name(name).send().await?.queue_url;
    expect_eq("URL of the dead-letter queue", found, queue.dead_letters_url)
}

async fn missing_queue_is_an_error(stage: Arc<Stage>) -> Outcome {
    let name = stage.unique("nowhere");
    let found = stage.operator.sqs.get_queue_url().queue_name(name).send().await;
    expect_eq("GetQueueUrl", response_code(&found).as_str(), "QueueDoesNotExist")
}
