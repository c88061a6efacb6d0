//! Standard SQS queues that follow the developer guide: visibility timeout, receive count, redrive, retention, long
//! polling, and the limits on messages. The wire format is in `protocol`.
//!
//! FIFO queues and delays are not supported. As in SQS, messages can arrive in any order, and a stale receipt handle
//! may have no effect.

pub(crate) mod attributes;
mod error;
pub(crate) mod names;
pub(crate) mod protocol;
mod queue;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::checksum::md5_hex;
use crate::clock::Clock;
use crate::fault_plan::{FaultPlan, NoFaults};
use crate::sqs::error::invalid;
use crate::sqs::queue::{Message, Queue};

pub use crate::sqs::attributes::{AttributeValue, MessageAttribute, MessageAttributes};
pub use crate::sqs::error::SqsError;
pub use crate::sqs::queue::{Counts, OutgoingMessage, QueueSettings, Received, Redrive};

/// The maximum size in bytes of one message, and of all messages in one batch together. SQS has had this limit since
/// August 2025.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// All queues of a region.
pub struct Sqs {
    clock: Clock,
    fault_plan: Arc<dyn FaultPlan>,
    state: Mutex<State>,
}

struct State {
    queues: HashMap<String, Queue>,
    random: fastrand::Rng,
    next: u64,
}

impl Sqs {
    /// Creates the service without queues. `seed` determines the message ids.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self::with_fault_plan(clock, seed, Arc::new(NoFaults))
    }

    /// Creates the service without queues, like [`Sqs::new`]. All its queues follow `fault_plan`.
    #[must_use]
    pub fn with_fault_plan(clock: Clock, seed: u64, fault_plan: Arc<dyn FaultPlan>) -> Self {
        let state = State { queues: HashMap::new(), random: fastrand::Rng::with_seed(seed), next: 0 };
        Self { clock, fault_plan, state: Mutex::new(state) }
    }

    /// Creates a queue. Does nothing if it already exists.
    ///
    /// # Panics
    /// Panics if the settings name a dead-letter queue that does not exist. SQS refuses such settings too.
    pub fn create_queue(&self, name: &str, settings: QueueSettings) {
        let mut state = self.lock();
        if let Some(Redrive { dead_letter_queue, .. }) = &settings.redrive {
            assert!(
                state.queues.contains_key(dead_letter_queue),
                "dead-letter queue {dead_letter_queue} does not exist"
            );
        }
        state.queues.entry(name.to_owned()).or_insert_with(|| Queue {
            settings,
            visible: VecDeque::new(),
            hidden: BTreeSet::new(),
            messages: BTreeMap::new(),
            changed: Arc::default(),
        });
    }

    /// Sends a message without attributes and returns its id.
    ///
    /// # Errors
    /// Fails if the queue does not exist, or if the body is empty, is too large or contains a character that SQS
    /// refuses.
    pub fn send(&self, queue: &str, body: &str) -> Result<String, SqsError> {
        self.send_message(queue, OutgoingMessage::new(body))
    }

    /// Sends a message and returns its id.
    ///
    /// # Errors
    /// Fails for the same reasons as [`Sqs::send`], or if an attribute is not valid.
    pub fn send_message(&self, queue: &str, content: OutgoingMessage) -> Result<String, SqsError> {
        let mut state = self.lock();
        let id = uuid::Builder::from_random_bytes(state.random.u128(..).to_be_bytes()).into_uuid().to_string();
        state.next += 1;
        let handle = state.next;
        let queue = state.queue(queue)?;
        if content.body.is_empty() {
            return Err(invalid("MissingParameter", "The request must contain the parameter MessageBody."));
        }
        attributes::check(&content.attributes)?;
        if content.size() > MAX_MESSAGE_BYTES {
            let reason = format!("Message must be shorter than {MAX_MESSAGE_BYTES} bytes.");
            return Err(invalid(
                "InvalidParameterValue",
                &format!("One or more parameters are invalid. Reason: {reason}"),
            ));
        }
        if let Some(refused) = content.body.chars().find(|c| !is_allowed(*c)) {
            let message =
                format!("Invalid binary character '#x{:X}' was found in the message body.", u32::from(refused));
            return Err(invalid("InvalidMessageContents", &message));
        }
        let message = Message {
            id: id.clone(),
            content,
            sent_at: Instant::now(),
            sent_ms: self.clock.now_ms(),
            first_received_ms: 0,
            receive_count: 0,
            hidden_until: None,
        };
        queue.messages.insert(handle, Box::new(message));
        queue.visible.push_back(handle);
        queue.changed.notify_waiters();
        Ok(id)
    }

    /// Receives up to `max` messages, and waits up to `wait` for the first. `visibility_timeout` overrides the queue's
    /// setting.
    ///
    /// # Errors
    /// Fails if the queue does not exist, or if `max` is not between 1 and 10.
    pub async fn receive(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
        visibility_timeout: Option<Duration>,
    ) -> Result<Vec<Received>, SqsError> {
        if !(1..=10).contains(&max) {
            let message =
                format!("Value {max} for parameter MaxNumberOfMessages is invalid. Must be between 1 and 10.");
            return Err(invalid("InvalidParameterValue", &message));
        }
        let deadline = Instant::now() + wait;
        let changed = self.lock().queue(queue)?.changed.clone();
        loop {
            // Subscribe before looking at the queue. Otherwise a message that is sent in between would be missed.
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();

            let received = self.receive_now(queue, max, visibility_timeout)?;
            if !received.is_empty() || Instant::now() >= deadline {
                return Ok(received);
            }
            let next_visible = self.lock().queue(queue)?.hidden.first().map_or(deadline, |(at, _)| deadline.min(*at));
            tokio::select! {
                biased;
                () = notified => {}
                () = tokio::time::sleep_until(next_visible) => {}
            }
        }
    }

    fn receive_now(
        &self,
        name: &str,
        max: usize,
        visibility_timeout: Option<Duration>,
    ) -> Result<Vec<Received>, SqsError> {
        let now = Instant::now();
        let now_ms = self.clock.now_ms();
        let mut state = self.lock();
        let queue = state.queue(name)?;
        queue.show_due(now);
        let visibility_timeout = visibility_timeout.unwrap_or(queue.settings.visibility_timeout);
        let mut received = Vec::new();
        let mut dead = Vec::new();
        while received.len() < max
            && let Some(handle) = match queue.visible.len() {
                0 => None,
                waiting => queue.visible.remove(self.fault_plan.next_message(name, waiting)),
            }
        {
            let hidden_until = now + self.fault_plan.visibility(name).unwrap_or(visibility_timeout);
            let message = queue.messages.get_mut(&handle).expect("a visible message is in the queue");
            if queue.settings.redrive.as_ref().is_some_and(|redrive| message.receive_count >= redrive.max_receive_count)
            {
                dead.extend(queue.messages.remove(&handle).map(|message| (handle, message)));
                continue;
            }
            message.receive_count += 1;
            if message.receive_count == 1 {
                message.first_received_ms = now_ms;
            }
            message.hidden_until = Some(hidden_until);
            queue.hidden.insert((hidden_until, handle));
            received.push(Received {
                message_id: message.id.clone(),
                receipt_handle: format!("{handle}-{}", message.receive_count),
                body: message.content.body.clone(),
                body_md5: md5_hex(&message.content.body),
                attributes: message.content.attributes.clone(),
                trace_header: message.content.trace_header.clone(),
                receive_count: message.receive_count,
                sent_ms: message.sent_ms,
                first_received_ms: message.first_received_ms,
            });
        }
        if let Some(redrive) = queue.settings.redrive.clone() {
            let target = state.queue(&redrive.dead_letter_queue).expect("create_queue checked the dead-letter queue");
            for (handle, message) in dead {
                // The message keeps its id, the time of its first send and its receive count.
                target.messages.insert(handle, Box::new(Message { hidden_until: None, ..*message }));
                target.visible.push_back(handle);
                target.changed.notify_waiters();
            }
        }
        Ok(received)
    }

    /// Deletes a message. A stale receipt handle is accepted and deletes nothing. On SQS, a stale handle may or may not
    /// delete the message.
    ///
    /// # Errors
    /// Fails if the queue does not exist, or if the receipt handle is malformed.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), SqsError> {
        let mut state = self.lock();
        let queue = state.queue(queue)?;
        if let Some(handle) = queue.current_handle(receipt_handle)?
            && let Some(message) = queue.messages.remove(&handle)
        {
            match message.hidden_until {
                Some(until) => drop(queue.hidden.remove(&(until, handle))),
                None => queue.visible.retain(|visible| *visible != handle),
            }
        }
        Ok(())
    }

    /// Hides a received message for `timeout` from now. A timeout of zero makes the message visible at once.
    ///
    /// # Errors
    /// Fails if the queue does not exist, if the receipt handle is malformed, or if the message is not in flight under
    /// this handle.
    pub fn change_visibility(&self, queue: &str, receipt_handle: &str, timeout: Duration) -> Result<(), SqsError> {
        let now = Instant::now();
        let mut state = self.lock();
        let queue = state.queue(queue)?;
        queue.show_due(now);
        let not_in_flight = || invalid("MessageNotInflight", "The message referred to is not in flight.");
        let handle = queue.current_handle(receipt_handle)?.ok_or_else(not_in_flight)?;
        let message = queue.messages.get_mut(&handle).ok_or_else(not_in_flight)?;
        let until = message.hidden_until.replace(now + timeout).ok_or_else(not_in_flight)?;
        queue.hidden.remove(&(until, handle));
        queue.hidden.insert((now + timeout, handle));
        queue.changed.notify_waiters();
        Ok(())
    }

    /// Returns how many messages of a queue are visible, and how many are in flight.
    ///
    /// # Errors
    /// Fails if the queue does not exist.
    pub fn counts(&self, queue: &str) -> Result<Counts, SqsError> {
        let mut state = self.lock();
        let queue = state.queue(queue)?;
        queue.show_due(Instant::now());
        Ok(Counts { visible: queue.visible.len(), in_flight: queue.hidden.len() })
    }

    /// Returns the names of all queues.
    #[must_use]
    pub fn queue_names(&self) -> BTreeSet<String> {
        self.lock().queues.keys().cloned().collect()
    }

    /// Returns the settings of a queue.
    ///
    /// # Errors
    /// Fails if the queue does not exist.
    pub fn settings(&self, queue: &str) -> Result<QueueSettings, SqsError> {
        Ok(self.lock().queue(queue)?.settings.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Deletes a queue's messages whose retention period is over, and returns the queue.
    fn queue(&mut self, name: &str) -> Result<&mut Queue, SqsError> {
        let missing = || invalid("QueueDoesNotExist", &format!("The specified queue does not exist: {name}"));
        let queue = self.queues.get_mut(name).ok_or_else(missing)?;
        queue.delete_expired(Instant::now());
        Ok(queue)
    }
}

/// Returns true if a message may contain this character. The API reference for `SendMessage` allows the characters of
/// XML 1.0.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
