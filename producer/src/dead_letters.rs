//! Receives the messages of a dead-letter queue, without deleting them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use tokio::time::Instant;

use crate::pipeline_client::PipelineClient;
use crate::read_back;

/// Maximum number of receives in one call of [`DeadLetterSearch::run`]. Each receive returns at most ten messages.
const MAX_RECEIVES: usize = 1_000;

/// Number of consecutive empty receives that end a round of the search. One is not enough, because SQS may return no
/// messages although the queue has some.
const EMPTY_RECEIVES: usize = 3;

/// Visibility timeout, in seconds, with which the search receives messages. During this time, other consumers cannot receive
/// a message that the search has received.
const HIDDEN_SECONDS: u16 = 20;

/// Maximum number of rounds in which a search waits for messages that other consumers hide. On a deployed stack, each
/// round ends with [`EMPTY_RECEIVES`] receives that wait one second each. So all rounds together take longer than
/// another search hides the messages ([`HIDDEN_SECONDS`]), and longer than SQS's default visibility timeout of 30
/// seconds.
pub(crate) const MAX_ROUNDS: usize = 11;

/// A search of a dead-letter queue. [`run`](Self::run) may be called several times.
pub(crate) struct DeadLetterSearch<'a> {
    client: &'a PipelineClient,
    url: &'a str,
    /// Name of the message attribute to receive, if any.
    attribute: Option<&'a str>,
    /// Maps each message id to the time at which the search last received the message. In a large queue, the search receives
    /// some messages several times, because the first ones become visible again before it has received the last ones.
    received: HashMap<String, Instant>,
    receives: usize,
    /// Number of consecutive receives without any message.
    empty: usize,
}

impl<'a> DeadLetterSearch<'a> {
    pub(crate) fn new(client: &'a PipelineClient, url: &'a str, attribute: Option<&'a str>) -> Self {
        Self { client, url, attribute, received: HashMap::new(), receives: 0, empty: 0 }
    }

    /// Receives all messages of the queue and passes them to `take`, except messages that the previous call received
    /// and that are still hidden. `take` returns true once the caller has found enough. If other consumers hide
    /// messages, the search takes up to `rounds` rounds, but starts no further round once `take` has returned true.
    ///
    /// # Errors
    /// Fails if the queue cannot be read. Unless `take` has returned true, also fails if some messages could not be
    /// received.
    pub(crate) async fn run(
        &mut self,
        rounds: usize,
        mut take: impl FnMut(Vec<Message>) -> bool,
    ) -> anyhow::Result<()> {
        // Forget the messages that are visible again, because they may have left the queue. Those that are still in the
        // queue will be received and counted again.
        self.received.retain(|_, at| at.elapsed() < Duration::from_secs(HIDDEN_SECONDS.into()));
        self.receives = 0;
        let mut is_enough = false;
        for _ in 0..rounds {
            self.empty = 0;
            while let Some(messages) = self.receive().await? {
                is_enough |= take(messages);
            }
            if is_enough || self.is_complete().await? {
                return Ok(());
            }
            if self.receives >= MAX_RECEIVES {
                let received = self.received.len();
                anyhow::bail!(
                    "the dead-letter queue {} has more messages than the {received} that {MAX_RECEIVES} receives returned",
                    self.url
                );
            }
        }
        anyhow::bail!("other consumers hide messages of the dead-letter queue {}: try again later", self.url)
    }

    /// Receives messages that the search has not returned yet. Returns `None` if no more can be received now, or after
    /// [`MAX_RECEIVES`] receives.
    async fn receive(&mut self) -> anyhow::Result<Option<Vec<Message>>> {
        while self.empty < EMPTY_RECEIVES && self.receives < MAX_RECEIVES {
            self.receives += 1;
            // Long polling asks all of SQS's servers. Short polling asks only some of them, and misses the messages on the
            // others.
            let request = self.client.sqs.receive_message().queue_url(self.url).max_number_of_messages(10);
            let request = request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let request = request.set_message_attribute_names(self.attribute.map(|name| vec![name.to_owned()]));
            let request =
                request.visibility_timeout(HIDDEN_SECONDS.into()).wait_time_seconds(self.client.receive_wait_seconds);
            let answer = request.send().await;
            let answer = answer.with_context(|| format!("failed to read the dead-letter queue {}", self.url))?;
            let mut messages = answer.messages.unwrap_or_default();
            let is_empty = messages.is_empty();
            self.empty = if is_empty { self.empty + 1 } else { 0 };
            let now = Instant::now();
            let mut is_new = |id: &String| self.received.insert(id.clone(), now).is_none();
            messages.retain(|message| message.message_id.as_ref().is_none_or(&mut is_new));
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
            // In a large queue, messages become visible again so fast that no receive is ever empty. The search then ends
            // when it has received as many messages as the queue has.
            if !is_empty && self.is_complete().await? {
                break;
            }
        }
        Ok(None)
    }

    /// Returns true if the search has received as many messages as the queue has. The queue's message count includes
    /// messages that other consumers hide.
    async fn is_complete(&self) -> anyhow::Result<bool> {
        let depth = read_back::depth(self.client, self.url).await?;
        Ok(self.received.len() as u64 >= depth)
    }
}
