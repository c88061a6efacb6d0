//! Sending.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};

use crate::events::Plan;
use crate::stack::Connected;

/// What became of the sends.
#[derive(Default)]
pub struct Sent {
    /// Message id → index into [`Plan::messages`]: SQS said that it has them.
    pub confirmed: HashMap<String, usize>,
    /// The same the other way round: by index, the message id.
    pub message_ids: Vec<Option<String>>,
    /// Indices of messages that SQS did not confirm, and why. They may be in the queue or not.
    pub unconfirmed: Vec<(usize, String)>,
}

/// Sends all messages of a plan, each by itself, so many at once: this is the herd.
pub async fn send_all(connected: &Connected, plan: &Plan, concurrency: usize) -> Sent {
    let (sqs, queue_url) = (&connected.sqs, &connected.stack.queue_url);
    let mut sends = stream::iter(0..plan.messages.len())
        .map(|index| async move {
            let request = sqs.send_message().queue_url(queue_url).message_body(&*plan.messages[index].body);
            match request.send().await {
                Ok(answer) => (index, answer.message_id.ok_or("the answer has no message id".to_owned())),
                Err(error) => (index, Err(format!("{:#}", anyhow::Error::new(error)))),
            }
        })
        .buffer_unordered(concurrency);
    let mut sent = Sent { message_ids: vec![None; plan.messages.len()], ..Sent::default() };
    while let Some((index, outcome)) = sends.next().await {
        match outcome {
            Ok(message_id) => {
                sent.message_ids[index] = Some(message_id.clone());
                sent.confirmed.insert(message_id, index);
            }
            Err(problem) => sent.unconfirmed.push((index, problem)),
        }
    }
    sent
}
