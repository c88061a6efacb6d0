//! The event source mapping from a queue to a function, as "Using Lambda with Amazon SQS" in Lambda's developer guide
//! describes it.
//!
//! Lambda runs several pollers in parallel. Here, one poller collects a batch, hands it to the function, and collects
//! the next batch while the function works. The poller's requests to the queue have no latency and never fail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fault_plan::Delivery;
use crate::lambda::batch_response::{Failures, parse_failures};
use crate::lambda::function::Function;
use crate::lambda::payload::{MAX_PAYLOAD_BYTES, payload};
use crate::region::REGION;
use crate::services::Services;
use crate::sqs::attributes;
use crate::sqs::names::queue_arn;
use crate::sqs::{Received, SqsError};

/// The maximum wait of a long poll in SQS.
const LONG_POLL: Duration = Duration::from_secs(20);

/// The settings of a queue mapping, as Terraform sets them.
#[derive(Clone, Debug)]
pub struct SqsMappingSettings {
    /// Maximum number of messages in a batch.
    pub batch_size: usize,
    /// Maximum time to wait for a full batch, counted from the batch's first message.
    pub batching_window: Duration,
    /// Maximum number of invocations at the same time.
    pub maximum_concurrency: usize,
    /// True if `ReportBatchItemFailures` is set. If false, the whole batch succeeds when the function returns without
    /// an error.
    pub report_batch_item_failures: bool,
}

/// A mapping that delivers a queue's messages to a function.
pub struct SqsMapping {
    services: Arc<Services>,
    queue: String,
    function: Arc<Function>,
    settings: SqsMappingSettings,
}

impl SqsMapping {
    /// Creates a mapping. It delivers nothing until [`run`](Self::run) is called.
    ///
    /// # Panics
    /// Panics on settings that AWS refuses. The batch size must be 1 to 10,000 and the maximum concurrency 2 to 1,000.
    /// The batching window must be at most five minutes, and at least one second if the batch size is above ten.
    #[must_use]
    pub fn new(services: Arc<Services>, queue: &str, function: Arc<Function>, settings: SqsMappingSettings) -> Self {
        let SqsMappingSettings { batch_size, batching_window, maximum_concurrency, .. } = settings;
        let second = Duration::from_secs(1);
        let maximum_window = Duration::from_secs(300);
        assert!((1..=10_000).contains(&batch_size), "the batch size must be 1 to 10,000, not {batch_size}");
        assert!(
            batching_window <= maximum_window,
            "the batching window must be at most 300 s, not {batching_window:?}"
        );
        assert!(
            batch_size <= 10 || batching_window >= second,
            "the batching window must be at least 1 s for a batch size of {batch_size}, not {batching_window:?}"
        );
        assert!(
            (2..=1_000).contains(&maximum_concurrency),
            "the maximum concurrency must be 2 to 1,000, not {maximum_concurrency}"
        );
        Self { services, queue: queue.to_owned(), function, settings }
    }

    /// Delivers messages until the returned future is dropped. Invocations that have begun by then still finish.
    ///
    /// # Errors
    /// Fails if the queue does not exist.
    pub async fn run(self) -> Result<(), SqsError> {
        let this = Arc::new(self);
        let concurrency = Arc::new(Semaphore::new(this.settings.maximum_concurrency));
        let mut pending = VecDeque::new();
        loop {
            let permit = Arc::clone(&concurrency).acquire_owned().await.expect("the semaphore is never closed");
            let batch = this.next_batch(&mut pending).await?;
            let this = Arc::clone(&this);
            tokio::spawn(async move {
                this.deliver(&batch).await;
                drop(permit);
            });
        }
    }

    /// Waits for the first message, and then collects more until the batch is full or its window ends. Returns each
    /// message with the JSON record that the function receives for it. A message that would make the payload too large
    /// stays in `pending` for the next batch.
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
            while batch.is_empty() && self.services.fault_plan.is_disabled(self.function.name()) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let wait = match window_ends.map(|ends| ends.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Ok(batch),
                Some(left) => left.min(LONG_POLL),
                None => LONG_POLL,
            };
            let max = (self.settings.batch_size - batch.len()).min(10);
            let received = self.services.sqs.receive(&self.queue, max, wait, None).await?;
            let bytes = received.iter().map(Received::size).sum();
            self.services.meter.received(received.len(), bytes);
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

    /// Invokes the function. If the function's answer arrives, the mapping deletes the messages that succeeded. All
    /// other messages become visible again after their visibility timeout.
    async fn deliver_once(&self, batch: &[(Received, String)], answer_arrives: bool) {
        let (messages, records): (Vec<_>, Vec<_>) = batch.iter().map(|(m, r)| (m, r.as_str())).unzip();
        let invocation = self.function.invoke(payload(&records));
        let failed = match self.services.meter.invocation(self.function.name(), invocation).await {
            Err(_error) => return,
            Ok(_) if !answer_arrives => return,
            Ok(_) if !self.settings.report_batch_item_failures => Vec::new(),
            Ok(answer) => {
                let in_batch = |id: &str| messages.iter().any(|message| message.message_id == id);
                match parse_failures(&answer, in_batch) {
                    Failures::All => return,
                    Failures::Some(failed) => failed,
                }
            }
        };
        let succeeded: Vec<_> = messages.iter().filter(|message| !failed.contains(&message.message_id)).collect();
        self.services.meter.deleted(succeeded.len());
        for message in succeeded {
            self.services.sqs.delete(&self.queue, &message.receipt_handle).expect("the queue gave this handle");
        }
    }

    fn record(&self, message: &Received) -> Value {
        let mut record = json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receive_count.to_string(),
                "SentTimestamp": message.sent_ms.to_string(),
                "SenderId": "AIDAEXAMPLE",
                "ApproximateFirstReceiveTimestamp": message.first_received_ms.to_string(),
            },
            "messageAttributes": attributes::to_lambda_event(&message.attributes),
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": queue_arn(&self.queue),
            "awsRegion": REGION,
        });
        if let Some(trace_header) = &message.trace_header {
            record["attributes"]["AWSTraceHeader"] = trace_header.as_str().into();
        }
        if let Some(digest) = attributes::md5(&message.attributes) {
            record["md5OfMessageAttributes"] = digest.into();
        }
        record
    }
}
