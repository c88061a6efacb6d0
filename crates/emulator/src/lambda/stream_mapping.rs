//! The event source mapping from a table's stream to a function, as "Using AWS Lambda with Amazon DynamoDB" in Lambda's
//! developer guide describes it.
//!
//! The mapping reads each shard in order, one batch at a time. It retries a failed batch until each record has
//! succeeded or is discarded, and only then reads the next batch of the shard. If the function reports failed records,
//! the retry starts at the first of them. If the whole batch fails, the mapping retries it, or bisects it and delivers
//! the halves separately. If the mapping has an on-failure queue, it sends a message there that names the discarded
//! records. Nothing else names them.
//!
//! The guide does not say how Lambda counts retries after a partial failure. Here, every retry of the remaining records
//! counts, and each half of a bisected batch inherits the count of the whole batch.

mod on_failure;
mod records;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::errors::DynoxideError;
use tokio::time::Instant;

use crate::call::Service;
use crate::fault_plan::Delivery;
use crate::lambda::batch_response::{Failures, parse_failures};
use crate::lambda::filter::FilterCriteria;
use crate::lambda::function::Function;
use crate::lambda::payload::{MAX_PAYLOAD_BYTES, payload};
use crate::lambda::stream_mapping::on_failure::Discarded;
use crate::lambda::stream_mapping::records::{Record, read_records};
use crate::services::Services;
use crate::sqs::SqsError;

/// Number of checkpoints that the mapping keeps, so that a fault plan can make it lose the latest ones.
const REMEMBERED_CHECKPOINTS: usize = 16;

/// The time for which the stream keeps a record.
const STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// The wait after the first failed try, and the longest wait. The wait doubles with each failed try. AWS does not
/// document Lambda's values.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// The settings of a stream mapping, as Terraform sets them.
#[derive(Clone, Debug)]
pub struct StreamMappingSettings {
    /// Maximum number of records in a batch.
    pub batch_size: usize,
    /// Maximum time to wait for a full batch, counted from the batch's first record.
    pub batching_window: Duration,
    /// The filter that a record must match. The function never sees other records.
    pub filter: FilterCriteria,
    /// True if `ReportBatchItemFailures` is set. If false, the whole batch succeeds when the function returns without
    /// an error.
    pub report_batch_item_failures: bool,
    /// True if `BisectBatchOnFunctionError` is set: if the function fails, the mapping retries the two halves of the
    /// batch separately.
    pub bisect_on_error: bool,
    /// Maximum number of retries. `None` means no limit (-1 on AWS).
    pub maximum_retry_attempts: Option<u32>,
    /// The age above which records are discarded. `None` means no limit (-1 on AWS): records are retried until they
    /// leave the stream.
    pub maximum_record_age: Option<Duration>,
    /// Name of the on-failure queue. Its messages name the discarded records.
    pub on_failure_queue: Option<String>,
}

/// A mapping that delivers a stream's records to a function.
pub struct StreamMapping {
    services: Arc<Services>,
    stream_arn: String,
    function: Arc<Function>,
    settings: StreamMappingSettings,
}

/// An error that ends a stream mapping.
#[derive(Debug, thiserror::Error)]
pub enum StreamMappingError {
    /// The stream cannot be read.
    #[error("failed to read the stream")]
    Stream(#[from] DynoxideError),
    /// The on-failure queue does not accept the message.
    #[error("failed to send to the on-failure queue")]
    OnFailure(#[from] SqsError),
}

/// Records that the mapping delivers together.
struct Batch {
    records: Vec<Record>,
    /// Number of failed tries so far. Tries after which the mapping bisected the batch do not count.
    tries: u32,
}

/// The outcome of one try of a batch.
enum TryOutcome {
    Done,
    /// The number of records before the first one that the function reported as failed. All of them succeeded.
    DoneBefore(usize),
    /// The function returned no answer, or an invalid one.
    Failed,
}

impl StreamMapping {
    /// Creates a mapping. It delivers nothing until [`run`](Self::run) is called, and then starts at the beginning of
    /// the stream (`TRIM_HORIZON`).
    #[must_use]
    pub fn new(
        services: Arc<Services>,
        stream_arn: &str,
        function: Arc<Function>,
        settings: StreamMappingSettings,
    ) -> Self {
        Self { services, stream_arn: stream_arn.to_owned(), function, settings }
    }

    /// Delivers the records of all shards, in parallel, until the returned future is dropped.
    ///
    /// # Errors
    /// Fails if the stream or the on-failure queue does not exist.
    pub async fn run(self) -> Result<(), StreamMappingError> {
        let request = DescribeStreamRequest { stream_arn: self.stream_arn.clone(), ..DescribeStreamRequest::default() };
        let stream = self.services.tables.database.describe_stream(request)?.stream_description;
        let shards = stream.shards.iter().map(|shard| self.run_shard(&shard.shard_id));
        futures_util::future::try_join_all(shards).await.map(drop)
    }

    async fn run_shard(&self, shard: &str) -> Result<(), StreamMappingError> {
        // The mapping has processed all records up to and including the last checkpoint. The first checkpoint, `None`,
        // is the shard's beginning.
        let mut checkpoints = VecDeque::from([None]);
        loop {
            let checkpoint = checkpoints.back().cloned().flatten();
            let (records, read_to) = self.next_batch(shard, checkpoint.as_deref()).await?;
            if !records.is_empty() && !self.process_batch(shard, Batch { records, tries: 0 }).await? {
                continue;
            }
            checkpoints.push_back(Some(read_to));
            let kept = checkpoints.len() - self.services.fault_plan.lost_checkpoints().min(checkpoints.len() - 1);
            checkpoints.truncate(kept);
            if checkpoints.len() > REMEMBERED_CHECKPOINTS {
                checkpoints.pop_front();
            }
        }
    }

    /// Returns the next records that match the filter, and the sequence number up to which the shard was read. The list
    /// is empty if every record that was read has left the stream or does not match the filter.
    async fn next_batch(&self, shard: &str, after: Option<&str>) -> Result<(Vec<Record>, String), StreamMappingError> {
        let mut records = Vec::new();
        let mut payload_bytes = payload(&[]).len();
        let mut window_ends: Option<Instant> = None;
        let mut read_to = after.map(str::to_owned);
        let fault_plan = &self.services.fault_plan;
        let batch_size = fault_plan.batch_size(self.settings.batch_size);
        let limit = self.settings.batch_size.min(1_000);
        loop {
            while records.is_empty() && fault_plan.is_disabled(self.function.name()) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let mut found_any = false;
            let database = &self.services.tables.database;
            let read = || read_records(database, &self.stream_arn, shard, read_to.as_deref(), limit);
            let read = self.services.meter.count_cpu(Service::DynamoDb, read)?;
            for (sequence_number, created_at, mut value) in read {
                found_any = true;
                // The emulated stream keeps every record, but the real one has already deleted this one. So the mapping
                // never sees it, and cannot name it in the on-failure queue.
                if self.has_left_stream(created_at) {
                    read_to = Some(sequence_number);
                    continue;
                }
                if self.settings.filter.matches(&value) {
                    value["eventSourceARN"] = self.stream_arn.clone().into();
                    let json = value.to_string();
                    payload_bytes += json.len() + 1;
                    if payload_bytes > MAX_PAYLOAD_BYTES
                        && !records.is_empty()
                        && let Some(read_to) = read_to
                    {
                        return Ok((records, read_to));
                    }
                    window_ends.get_or_insert_with(|| Instant::now() + self.settings.batching_window);
                    records.push(Record { sequence_number: sequence_number.clone(), created_at, json });
                }
                read_to = Some(sequence_number);
                if records.len() == batch_size {
                    break;
                }
            }
            let window_is_over = window_ends.is_none_or(|ends| Instant::now() >= ends);
            match read_to {
                Some(read_to) if records.len() == batch_size => return Ok((records, read_to)),
                Some(read_to) if window_is_over && (found_any || !records.is_empty()) => return Ok((records, read_to)),
                unfinished => read_to = unfinished,
            }
            if !found_any {
                tokio::time::sleep(fault_plan.poll_interval()).await;
            }
        }
    }

    /// Delivers a batch until every record has succeeded or is discarded. Returns false if the fault plan made the
    /// mapping drop the batch. The caller must then read the shard again from the last checkpoint.
    async fn process_batch(&self, shard: &str, batch: Batch) -> Result<bool, StreamMappingError> {
        let mut queue = VecDeque::from([batch]);
        while let Some(mut batch) = queue.pop_front() {
            self.discard_expired(shard, &mut batch)?;
            if batch.records.is_empty() {
                continue;
            }
            match self.try_batch(&batch).await {
                TryOutcome::Done => continue,
                TryOutcome::DoneBefore(done) => {
                    batch.records.drain(..done);
                }
                TryOutcome::Failed if self.settings.bisect_on_error && batch.records.len() > 1 => {
                    // Bisecting does not count as a retry.
                    let second = batch.records.split_off(batch.records.len() / 2);
                    queue.push_front(Batch { records: second, tries: batch.tries });
                    queue.push_front(batch);
                    continue;
                }
                TryOutcome::Failed => {}
            }
            if self.services.fault_plan.rereads_from_checkpoint() {
                return Ok(false);
            }
            batch.tries += 1;
            if self.settings.maximum_retry_attempts.is_some_and(|maximum| batch.tries > maximum) {
                let condition = "RetryAttemptsExhausted";
                let discarded = Discarded { shard, records: &batch.records, condition, tries: batch.tries };
                self.send_to_on_failure_queue(&discarded)?;
                continue;
            }
            let backoff = FIRST_BACKOFF.saturating_mul(1 << (batch.tries - 1).min(16)).min(LAST_BACKOFF);
            tokio::time::sleep(backoff).await;
            queue.push_front(batch);
        }
        Ok(true)
    }

    async fn try_batch(&self, batch: &Batch) -> TryOutcome {
        let records: Vec<&str> = batch.records.iter().map(|record| record.json.as_str()).collect();
        let function = &self.function;
        let invoke = || self.services.meter.invocation(function.name(), function.invoke(payload(&records)));
        let delivery = self.services.fault_plan.delivery(function.name());
        let answer = match delivery {
            Delivery::Once | Delivery::AnswerLost => invoke().await,
            Delivery::Twice(later) => {
                let again = async {
                    tokio::time::sleep(later).await;
                    invoke().await
                };
                futures_util::future::join(invoke(), again).await.0
            }
        };
        let answer = match answer {
            Ok(_) if delivery == Delivery::AnswerLost => return TryOutcome::Failed,
            Err(_error) => return TryOutcome::Failed,
            Ok(_) if !self.settings.report_batch_item_failures => return TryOutcome::Done,
            Ok(answer) => answer,
        };
        let position = |id: &str| batch.records.iter().position(|record| record.sequence_number == id);
        match parse_failures(&answer, |id| position(id).is_some()) {
            Failures::All => TryOutcome::Failed,
            // Lambda retries from the lowest failed record, including records after it that succeeded.
            Failures::Some(failed) => {
                failed.iter().filter_map(|id| position(id)).min().map_or(TryOutcome::Done, TryOutcome::DoneBefore)
            }
        }
    }

    fn discard_expired(&self, shard: &str, batch: &mut Batch) -> Result<(), StreamMappingError> {
        // Check the maximum record age first. Otherwise, records that leave the stream during a back-off would be lost
        // without a message to the on-failure queue.
        if let Some(maximum) = self.settings.maximum_record_age {
            let too_old: Vec<Record> =
                batch.records.extract_if(.., |record| self.age(record.created_at) > maximum).collect();
            if !too_old.is_empty() {
                let condition = "RecordAgeExceeded";
                let discarded = Discarded { shard, records: &too_old, condition, tries: batch.tries };
                self.send_to_on_failure_queue(&discarded)?;
            }
        }
        // Records that have left the stream are lost, whatever the mapping's settings are.
        batch.records.retain(|record| !self.has_left_stream(record.created_at));
        Ok(())
    }

    fn age(&self, created_at: SystemTime) -> Duration {
        self.services.clock.now().duration_since(created_at).unwrap_or_default()
    }

    fn has_left_stream(&self, created_at: SystemTime) -> bool {
        self.age(created_at) >= STREAM_RETENTION
    }

    fn send_to_on_failure_queue(&self, discarded: &Discarded<'_>) -> Result<(), StreamMappingError> {
        let now = self.services.clock.now();
        if let Some(queue) = &self.settings.on_failure_queue
            && let Some(message) = discarded.message(&self.function.arn(), &self.stream_arn, now)
        {
            self.services.sqs.send(queue, &message.to_string())?;
        }
        Ok(())
    }
}
