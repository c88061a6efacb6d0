//! Receives the messages of a dead-letter queue, without deleting them.

use std::collections::HashSet;

use anyhow::Context as _;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};

use crate::pipeline_client::PipelineClient;

/// Maximum number of receives in one search. Each receive returns at most ten messages.
pub(crate) const MOST_RECEIVES: usize = 1_000;

/// Number of consecutive empty receives that end the search. SQS may answer a receive without messages although the queue
/// has some.
const EMPTY_RECEIVES: usize = 3;

/// Visibility timeout, in seconds, with which the search receives messages. Other consumers cannot receive these messages
/// meanwhile.
const HIDDEN_SECONDS: i32 = 20;

/// A search of a dead-letter queue.
pub(crate) struct DeadLetterSearch<'a> {
    client: &'a PipelineClient,
    url: &'a str,
    /// Ids of the messages that the search has received. In a large queue, the first messages become visible again before
    /// the search receives the last ones.
    seen: HashSet<String>,
    receives: usize,
    /// Number of consecutive receives without any message.
    empty: usize,
}

impl<'a> DeadLetterSearch<'a> {
    pub(crate) fn new(client: &'a PipelineClient, url: &'a str) -> Self {
        Self { client, url, seen: HashSet::new(), receives: 0, empty: 0 }
    }

    /// Receives messages that this search has not returned yet. Returns `None` at the end of the queue, or after
    /// [`MOST_RECEIVES`] receives.
    ///
    /// # Errors
    /// Fails if the queue cannot be read.
    pub(crate) async fn receive(&mut self) -> anyhow::Result<Option<Vec<Message>>> {
        while self.empty < EMPTY_RECEIVES && self.receives < MOST_RECEIVES {
            self.receives += 1;
            // Long polling asks all of SQS's servers. Short polling asks only some of them, and misses the messages on the
            // others.
            let request = self.client.sqs.receive_message().queue_url(self.url).max_number_of_messages(10);
            let request = request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let request =
                request.visibility_timeout(HIDDEN_SECONDS).wait_time_seconds(self.client.receive_wait_seconds);
            let answer = request.send().await;
            let answer = answer.with_context(|| format!("failed to read the dead-letter queue {}", self.url))?;
            let mut messages = answer.messages.unwrap_or_default();
            self.empty = if messages.is_empty() { self.empty + 1 } else { 0 };
            messages.retain(|message| message.message_id.as_ref().is_none_or(|id| self.seen.insert(id.clone())));
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
        }
        Ok(None)
    }

    /// Returns true if the search ended because no more messages could be received.
    pub(crate) fn reached_end(&self) -> bool {
        self.empty >= EMPTY_RECEIVES
    }

    /// Returns the number of different messages that the search has received.
    pub(crate) fn received(&self) -> usize {
        self.seen.len()
    }

    /// Lets the search receive again, until three more receives in a row are empty.
    pub(crate) fn resume(&mut self) {
        self.empty = 0;
    }
}
