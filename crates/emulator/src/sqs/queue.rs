//! One queue: its settings, its messages, and where each of them is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::sqs::error::{SqsError, invalid};

/// How a queue behaves.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// After this long from its first enqueue, a message is deleted, received or not.
    pub retention: Duration,
    /// Where a message goes instead of being received once more than so often.
    pub redrive: Option<Redrive>,
}

/// A redrive policy.
#[derive(Clone, Debug)]
pub struct Redrive {
    /// Name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// Receives that a message gets.
    pub max_receive_count: u32,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Stays the same from send to dead-letter queue.
    pub message_id: String,
    /// Of this receive. A later receive makes it stale.
    pub receipt_handle: String,
    /// As sent.
    pub body: String,
    /// Lower-case hex.
    pub body_md5: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// Milliseconds since 1970.
    pub sent_ms: u64,
    /// Milliseconds since 1970.
    pub first_received_ms: u64,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting to be received.
    pub visible: usize,
    /// Received, and neither deleted nor visible again.
    pub in_flight: usize,
}

pub(crate) struct Queue {
    pub(crate) settings: QueueSettings,
    pub(crate) visible: VecDeque<u64>,
    pub(crate) hidden: BTreeSet<(Instant, u64)>,
    /// By handle, and so in the order of their first enqueue: a dead letter keeps its handle.
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) changed: Arc<Notify>,
}

pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
    pub(crate) sent_at: Instant,
    pub(crate) sent_ms: u64,
    pub(crate) first_received_ms: u64,
    pub(crate) receive_count: u32,
    pub(crate) hidden_until: Option<Instant>,
}

impl Queue {
    /// Waiting, in flight or never received: retention makes no difference.
    pub(crate) fn delete_expired(&mut self, now: Instant) {
        let mut any_visible = false;
        while let Some(oldest) = self.messages.first_entry()
            && now.duration_since(oldest.get().sent_at) > self.settings.retention
        {
            let (handle, message) = oldest.remove_entry();
            match message.hidden_until {
                Some(until) => drop(self.hidden.remove(&(until, handle))),
                None => any_visible = true,
            }
        }
        if any_visible {
            self.visible.retain(|handle| self.messages.contains_key(handle));
        }
    }

    /// Messages whose visibility timeout has run out can be received again.
    pub(crate) fn show_due(&mut self, now: Instant) {
        while let Some(&(until, handle)) = self.hidden.first()
            && until <= now
        {
            self.hidden.pop_first();
            if let Some(message) = self.messages.get_mut(&handle) {
                message.hidden_until = None;
                self.visible.push_back(handle);
            }
        }
    }

    /// The message that a receipt handle names; `None` if it is gone, or has been received again since.
    pub(crate) fn current_handle(&self, receipt_handle: &str) -> Result<Option<u64>, SqsError> {
        let parsed = receipt_handle
            .split_once('-')
            .and_then(|(handle, count)| Some((handle.parse::<u64>().ok()?, count.parse::<u32>().ok()?)));
        let (handle, count) =
            parsed.ok_or_else(|| invalid("ReceiptHandleIsInvalid", "The input receipt handle is not a valid one."))?;
        Ok(self.messages.get(&handle).filter(|message| message.receive_count == count).map(|_| handle))
    }
}
