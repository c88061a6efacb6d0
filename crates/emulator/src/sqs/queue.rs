//! One queue: its settings, and its messages, visible or hidden.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::sqs::attributes::{self, MessageAttribute, MessageAttributes};
use crate::sqs::error::{SqsError, invalid};

/// The settings of a queue.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// The time for which a received message stays hidden.
    pub visibility_timeout: Duration,
    /// The age at which a message is deleted, even if no one has received it. Moving a message to the dead-letter queue
    /// does not reset its age.
    pub retention: Duration,
    /// The redrive policy. Without one, a message can be received any number of times.
    pub redrive: Option<Redrive>,
}

/// A redrive policy.
#[derive(Clone, Debug)]
pub struct Redrive {
    /// Name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// Number of receives after which a message moves to the dead-letter queue instead of being received again.
    pub max_receive_count: u32,
}

/// A message as a producer sends it.
#[derive(Clone, Debug)]
pub struct OutgoingMessage {
    /// The body.
    pub body: String,
    /// The message attributes.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
}

/// A message as a consumer receives it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message id, which stays the same in the dead-letter queue.
    pub message_id: String,
    /// The receipt handle of this receive. The next receive of the message makes it stale.
    pub receipt_handle: String,
    /// The body as sent.
    pub body: String,
    /// The body's MD5 digest in lower-case hex.
    pub body_md5: String,
    /// The message attributes as sent.
    pub attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader` as sent.
    pub trace_header: Option<String>,
    /// Number of receives so far, including this one.
    pub receive_count: u32,
    /// The time at which the producer sent the message, in milliseconds since 1970.
    pub sent_ms: u64,
    /// The time of the first receive, in milliseconds since 1970.
    pub first_received_ms: u64,
}

/// Numbers of visible and in-flight messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of messages that can be received.
    pub visible: usize,
    /// Number of messages that were received and are still hidden.
    pub in_flight: usize,
}

pub(crate) struct Queue {
    pub(crate) settings: QueueSettings,
    pub(crate) visible: VecDeque<u64>,
    pub(crate) hidden: BTreeSet<(Instant, u64)>,
    /// The messages by handle, an internal number that grows with each message sent. A dead letter keeps its handle, so
    /// the oldest message always comes first. The messages are boxed, because the map's nodes are half empty.
    pub(crate) messages: BTreeMap<u64, Box<Message>>,
    pub(crate) changed: Arc<Notify>,
}

pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) content: OutgoingMessage,
    pub(crate) sent_at: Instant,
    pub(crate) sent_ms: u64,
    pub(crate) first_received_ms: u64,
    pub(crate) receive_count: u32,
    pub(crate) hidden_until: Option<Instant>,
}

impl OutgoingMessage {
    /// Creates a message without attributes.
    #[must_use]
    pub fn new(body: &str) -> Self {
        Self { body: body.to_owned(), attributes: MessageAttributes::new(), trace_header: None }
    }

    /// Adds a message attribute.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, attribute: MessageAttribute) -> Self {
        self.attributes.insert(name.to_owned(), attribute);
        self
    }

    /// Sets the system attribute `AWSTraceHeader`.
    #[must_use]
    pub fn with_trace_header(mut self, header: &str) -> Self {
        self.trace_header = Some(header.to_owned());
        self
    }

    /// Returns the number of bytes that count toward the maximum size of a message. The trace header does not count.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + attributes::size(&self.attributes)
    }
}

impl Received {
    /// Returns the message as it was sent. To redrive a dead letter, send exactly this message to the source queue.
    #[must_use]
    pub fn content(&self) -> OutgoingMessage {
        OutgoingMessage {
            body: self.body.clone(),
            attributes: self.attributes.clone(),
            trace_header: self.trace_header.clone(),
        }
    }

    /// Returns the number of bytes that count toward the maximum size of a message.
    pub(crate) fn size(&self) -> usize {
        self.body.len() + attributes::size(&self.attributes)
    }
}

impl Queue {
    /// Deletes the messages whose retention period is over, visible or in flight.
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

    /// Makes every message visible whose visibility timeout is over.
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

    /// Returns the key in `messages` for the message that a receipt handle identifies. Returns `None` if the message
    /// has left the queue, or if a later receive has made the receipt handle stale.
    pub(crate) fn current_handle(&self, receipt_handle: &str) -> Result<Option<u64>, SqsError> {
        let parsed = receipt_handle
            .split_once('-')
            .and_then(|(handle, count)| Some((handle.parse::<u64>().ok()?, count.parse::<u32>().ok()?)));
        let (handle, count) =
            parsed.ok_or_else(|| invalid("ReceiptHandleIsInvalid", "The input receipt handle is invalid."))?;
        Ok(self.messages.get(&handle).filter(|message| message.receive_count == count).map(|_| handle))
    }
}
