//! Sending.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::events::Plan;
use crate::stack::Connected;
use crate::watch::PROGRESS_INTERVAL;

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

/// Sends all messages of a plan, each by itself, so many at once: this is the herd. What has not begun at `give_up` is not sent.
/// `progress` is told now and then how far it is.
pub async fn send_all(
    connected: &Connected,
    plan: &Plan,
    concurrency: usize,
    give_up: Instant,
    progress: impl Fn(&str),
) -> Sent {
    let (sqs, queue_url) = (&connected.sqs, &connected.stack.queue_url);
    let mut sends = stream::iter(0..plan.messages.len())
        .map(|index| async move {
            if Instant::now() >= give_up {
                return (index, Err("the time was up before it was sent".to_owned()));
            }
            let request = sqs.send_message().queue_url(queue_url).message_body(&*plan.messages[index].body);
            match request.send().await {
                Ok(answer) => (index, answer.message_id.ok_or("the answer has no message id".to_owned())),
                Err(error) => (index, Err(format!("{:#}", anyhow::Error::new(error)))),
            }
        })
        .buffer_unordered(concurrency);
    let mut sent = Sent { message_ids: vec![None; plan.messages.len()], ..Sent::default() };
    let mut next_progress = Instant::now() + PROGRESS_INTERVAL;
    while let Some((index, outcome)) = sends.next().await {
        if Instant::now() >= next_progress {
            next_progress = Instant::now() + PROGRESS_INTERVAL;
            progress(&format!("{} of {} messages sent", sent.confirmed.len(), plan.messages.len()));
        }
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
