//! The event source mapping from a table's stream to a function: "Using AWS Lambda with Amazon DynamoDB" in Lambda's
//! developer guide.
//!
//! Each shard is read in order, one batch at a time. A batch that fails is sent again from the lowest record that the
//! function named, or whole, or in halves, until it succeeds or is given up; only then does its shard go on. What was given
//! up is named in a message to the on-failure queue, and nowhere else.
//!
//! The guide leaves open how retries are counted after a partial failure: here every further try of what is left of a
//! batch counts, and halves keep the count of the whole.

mod on_failure;
mod records;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::errors::DynoxideError;
use tokio::time::Instant;

use crate::fault_plan::Delivery;
use crate::lambda::batch_response::{Failures, failures};
use crate::lambda::filter::FilterPattern;
use crate::lambda::function::Function;
use crate::lambda::payload::{MAX_PAYLOAD_BYTES, payload};
use crate::lambda::stream_mapping::on_failure::Discarded;
use crate::lambda::stream_mapping::records::{Record, read_records};
use crate::services::Services;
use crate::sqs::SqsError;

/// Checkpoints that are remembered, so that a test can lose the last ones.
const REMEMBERED_CHECKPOINTS: usize = 16;

/// How long the stream keeps a record.
const STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Lambda's own back-off between tries is not documented: from half a second, doubling.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// What Terraform sets of a mapping.
#[derive(Clone, Debug)]
pub struct StreamMappingSettings {
    /// Records in a batch at the most.
    pub batch_size: usize,
    /// How long to wait for a full batch, from its first record.
    pub batching_window: Duration,
    /// Records that do not match are passed over, and the function never sees them.
    pub filter: FilterPattern,
    /// `ReportBatchItemFailures`: without it, every answer is a success of the whole batch.
    pub report_batch_item_failures: bool,
    /// `BisectBatchOnFunctionError`.
    pub bisect_on_error: bool,
    /// None is AWS's -1: without limit.
    pub maximum_retry_attempts: Option<u32>,
    /// Older records are given up. None is AWS's -1: when they leave the stream.
    pub maximum_record_age: Option<Duration>,
    /// Name of the queue that is told what was given up.
    pub on_failure_queue: Option<String>,
}

/// A stream, a function, and what carries records from one to the other.
pub struct StreamMapping {
    services: Arc<Services>,
    stream_arn: String,
    function: Arc<Function>,
    settings: StreamMappingSettings,
}

/// The mapping cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamMappingError {
    /// The stream could not be read.
    #[error("the stream could not be read")]
    Stream(#[from] DynoxideError),
    /// The on-failure queue does not take the message.
    #[error("the on-failure queue could not be written to")]
    OnFailure(#[from] SqsError),
}

/// Records that are tried together.
struct Batch {
    records: Vec<Record>,
    /// Tries that failed so far.
    tries: u32,
}

/// How one try of a batch ended.
enum TryOutcome {
    Done,
    /// The function named failures: this many records before the lowest of them are done.
    DoneBefore(usize),
    /// No answer, or one that makes no sense.
    Failed,
}

impl StreamMapping {
    /// From the beginning of the stream (`TRIM_HORIZON`). Does nothing until [`run`](Self::run).
    #[must_use]
    pub fn new(
        services: Arc<Services>,
        stream_arn: &str,
        function: Arc<Function>,
        settings: StreamMappingSettings,
    ) -> Self {
        Self { services, stream_arn: stream_arn.to_owned(), function, settings }
    }

    /// Runs until it is dropped, all shards at once.
    ///
    /// # Errors
    /// When the stream or the on-failure queue is not there.
    pub async fn run(self) -> Result<(), StreamMappingError> {
        let request = DescribeStreamRequest { stream_arn: self.stream_arn.clone(), ..DescribeStreamRequest::default() };
        let stream = self.services.tables.database.describe_stream(request)?.stream_description;
        let shards = stream.shards.iter().map(|shard| self.run_shard(&shard.shard_id));
        futures_util::future::try_join_all(shards).await.map(drop)
    }

    async fn run_shard(&self, shard: &str) -> Result<(), StreamMappingError> {
        // Everything up to and including the last checkpoint is done with. The first is the beginning of the shard.
        let mut checkpoints = VecDeque::from([None]);
        loop {
            let checkpoint = checkpoints.back().cloned().flatten();
            let (records, read_to) = self.next_batch(shard, checkpoint.as_deref()).await?;
            if !records.is_empty() && !self.process_batch(shard, Batch { records, tries: 0 }).await? {
                continue;
            }
            checkpoints.push_back(Some(read_to));
            let kept = checkpoints.len() - self.services.fault_plan.batches_back().min(checkpoints.len() - 1);
            checkpoints.truncate(kept);
            if checkpoints.len() > REMEMBERED_CHECKPOINTS {
                checkpoints.pop_front();
            }
        }
    }

    /// The next records that pass the filter: at least one, unless the filter passed over all that there was. Also gives
    /// the sequence number up to which the shard was read.
    async fn next_batch(&self, shard: &str, after: Option<&str>) -> Result<(Vec<Record>, String), StreamMappingError> {
        let mut records = Vec::new();
        let mut payload_bytes = payload(&[]).len();
        let mut window_ends: Option<Instant> = None;
        let mut read_to = after.map(str::to_owned);
        let fault_plan = &self.services.fault_plan;
        let batch_size = fault_plan.batch_size(self.settings.batch_size);
        let limit = self.settings.batch_size.min(1_000);
        loop {
            let mut found_any = false;
            let database = &self.services.tables.database;
            let read = read_records(database, &self.stream_arn, shard, read_to.as_deref(), limit)?;
            for (sequence_number, created_at, mut value) in read {
                found_any = true;
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
                still => read_to = still,
            }
            if !found_any {
                tokio::time::sleep(fault_plan.poll_interval()).await;
            }
        }
    }

    /// Tries a batch, and what is left of it, until every record is done or given up. False if the mapping stops trying,
    /// and has to read the batch anew.
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
                    // Halving does not use up a retry.
                    let second = batch.records.split_off(batch.records.len() / 2);
                    queue.push_front(Batch { records: second, tries: batch.tries });
                    queue.push_front(batch);
                    continue;
                }
                TryOutcome::Failed => {}
            }
            if self.services.fault_plan.reads_anew() {
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
        match failures(&answer, |id| position(id).is_some()) {
            Failures::All => TryOutcome::Failed,
            // Lambda goes back to the lowest, and sends everything after it again, done or not.
            Failures::Some(failed) => {
                failed.iter().filter_map(|id| position(id)).min().map_or(TryOutcome::Done, TryOutcome::DoneBefore)
            }
        }
    }

    fn discard_expired(&self, shard: &str, batch: &mut Batch) -> Result<(), StreamMappingError> {
        let now = self.services.clock.now();
        let age = |record: &Record| now.duration_since(record.created_at).unwrap_or_default();
        // The mapping's own limit comes first: what leaves the stream in the middle of a back-off is past it too, and is named.
        if let Some(maximum) = self.settings.maximum_record_age {
            let too_old: Vec<Record> = batch.records.extract_if(.., |record| age(record) > maximum).collect();
            if !too_old.is_empty() {
                let condition = "RecordAgeExceeded";
                let discarded = Discarded { shard, records: &too_old, condition, tries: batch.tries };
                self.send_to_on_failure_queue(&discarded)?;
            }
        }
        // What has left the stream is gone, whatever the mapping's settings say.
        batch.records.retain(|record| age(record) < STREAM_RETENTION);
        Ok(())
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
