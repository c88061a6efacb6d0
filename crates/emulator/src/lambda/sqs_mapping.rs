//! The event source mapping from a queue to a function: "Using Lambda with Amazon SQS" in Lambda's developer guide.
//!
//! Lambda polls with several pollers at once; here one gathers a batch at a time, and hands it over while it gathers the
//! next. Polling costs nothing and never fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fault_plan::Delivery;
use crate::lambda::batch_response::{Failures, failures};
use crate::lambda::function::Function;
use crate::lambda::payload::{MAX_PAYLOAD_BYTES, payload};
use crate::region::REGION;
use crate::services::Services;
use crate::sqs::names::queue_arn;
use crate::sqs::{Received, SqsError};

/// SQS waits this long at the most for a message.
const LONG_POLL: Duration = Duration::from_secs(20);

/// What Terraform sets of a mapping.
#[derive(Clone, Debug)]
pub struct SqsMappingSettings {
    /// Messages in a batch at the most.
    pub batch_size: usize,
    /// How long to wait for a full batch, from its first message.
    pub batching_window: Duration,
    /// Invocations at once at the most.
    pub maximum_concurrency: usize,
    /// `ReportBatchItemFailures`: without it, every answer is a success of the whole batch.
    pub report_batch_item_failures: bool,
}

/// A queue, a function, and what carries messages from one to the other.
pub struct SqsMapping {
    services: Arc<Services>,
    queue: String,
    function: Arc<Function>,
    settings: SqsMappingSettings,
}

impl SqsMapping {
    /// Does nothing until [`run`](Self::run).
    ///
    /// # Panics
    /// On settings that AWS refuses: a batch is of 1 to 10,000 messages, a window takes at the most five minutes, and at least
    /// a second if a batch may have more than ten messages, and the maximum concurrency is 2 to 1,000.
    #[must_use]
    pub fn new(services: Arc<Services>, queue: &str, function: Arc<Function>, settings: SqsMappingSettings) -> Self {
        let SqsMappingSettings { batch_size, batching_window, maximum_concurrency, .. } = settings;
        let second = Duration::from_secs(1);
        let most = Duration::from_secs(300);
        assert!((1..=10_000).contains(&batch_size), "a batch of {batch_size} messages");
        assert!(batching_window <= most, "a batching window of {batching_window:?}");
        assert!(batch_size <= 10 || batching_window >= second, "a batch of {batch_size} within {batching_window:?}");
        assert!((2..=1_000).contains(&maximum_concurrency), "a maximum concurrency of {maximum_concurrency}");
        Self { services, queue: queue.to_owned(), function, settings }
    }

    /// Runs until it is dropped. Invocations that were begun then end by themselves.
    ///
    /// # Errors
    /// When the queue does not exist.
    pub async fn run(self) -> Result<(), SqsError> {
        let this = Arc::new(self);
        let room = Arc::new(Semaphore::new(this.settings.maximum_concurrency));
        let mut pending = VecDeque::new();
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            let batch = this.next_batch(&mut pending).await?;
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                this.deliver(&batch).await;
                drop(permit);
            });
        }
    }

    /// The next batch, each message with its record: at least one, and then whatever comes until the batch is full or its
    /// window is over. What is received and does not fit waits in `pending` for the next one.
    async fn next_batch(&self, pending: &mut VecDeque<Received>) -> Result<Vec<(Received, String)>, SqsError> {
        let mut batch = Vec::new();
        let mut payload_bytes = payload(&[]).len();
        let mut window_ends = None;
        loop {
            while let Some(message) = pending.pop_front() {
                let record = self.record(&message).to_string();
                payload_bytes += record.len() + 1;
                if payload_bytes > MAX_PAYLOAD_BYTES && !batch.is_empty() {
                    pending.push_front(message);
                    return Ok(batch);
                }
                window_ends.get_or_insert_with(|| Instant::now() + self.settings.batching_window);
                batch.push((message, record));
                if batch.len() == self.settings.batch_size {
                    return Ok(batch);
                }
            }
            let wait = match window_ends.map(|ends| ends.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Ok(batch),
                Some(left) => left.min(LONG_POLL),
                None => LONG_POLL,
            };
            let max = (self.settings.batch_size - batch.len()).min(10);
            let received = self.services.sqs.receive(&self.queue, max, wait, None).await?;
            let body_bytes = received.iter().map(|message| message.body.len()).sum();
            self.services.meter.received(received.len(), body_bytes);
            pending.extend(received);
        }
    }

    async fn deliver(&self, batch: &[(Received, String)]) {
        match self.services.fault_plan.delivery(self.function.name()) {
            Delivery::Once => self.deliver_once(batch, true).await,
            Delivery::AnswerLost => self.deliver_once(batch, false).await,
            Delivery::Twice(later) => {
                let again = async {
                    tokio::time::sleep(later).await;
                    self.deliver_once(batch, true).await;
                };
                futures_util::future::join(self.deliver_once(batch, true), again).await;
            }
        }
    }

    /// Invokes the function, and deletes what it did, if its answer comes. All else becomes visible again when its timeout
    /// has run out.
    async fn deliver_once(&self, batch: &[(Received, String)], answer_comes: bool) {
        let (messages, records): (Vec<_>, Vec<_>) = batch.iter().map(|(m, r)| (m, r.as_str())).unzip();
        let invocation = self.function.invoke(payload(&records));
        let failed = match self.services.meter.invocation(self.function.name(), invocation).await {
            Err(_error) => return,
            Ok(_) if !answer_comes => return,
            Ok(_) if !self.settings.report_batch_item_failures => Vec::new(),
            Ok(answer) => {
                let in_batch = |id: &str| messages.iter().any(|message| message.message_id == id);
                match failures(&answer, in_batch) {
                    Failures::All => return,
                    Failures::Some(failed) => failed,
                }
            }
        };
        let done: Vec<_> = messages.iter().filter(|message| !failed.contains(&message.message_id)).collect();
        self.services.meter.deleted(done.len());
        for message in done {
            self.services.sqs.delete(&self.queue, &message.receipt_handle).expect("the queue gave this handle");
        }
    }

    fn record(&self, message: &Received) -> Value {
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receive_count.to_string(),
                "SentTimestamp": message.sent_ms.to_string(),
                "SenderId": "AIDAEXAMPLE",
                "ApproximateFirstReceiveTimestamp": message.first_received_ms.to_string(),
            },
            "messageAttributes": {},
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn(&self.queue),
            "awsRegion": REGION,
        })
    }
}
