//! The one loop: event in, partial batch response out.

use std::convert::Infallible;
use std::time::SystemTime;

use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use aws_smithy_async::time::SharedTimeSource;
use claim::Claim;
use futures_util::StreamExt as _;
use futures_util::stream;
use lambda_runtime::LambdaEvent;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{catch_panic, catch_panic_async};
use lambda_support::{Deadline, Envelope, LogWriter, Summary, error_chain, metrics};
use serde_json::value::RawValue;

use crate::config::Config;
use crate::data_lake::{DataLake, DataLakeError, PutOutcome};
use crate::record::{Record, sequence_number};

/// Objects in flight at once. Each may hold a body of 1 MiB twice, so this bounds memory; and more would open more connections
/// in a cold function, each a TLS handshake on a fraction of a core.
const MAX_IN_FLIGHT: usize = 8;

/// What a Lambda sandbox keeps between batches.
pub struct Handler {
    config: Config,
    lake: DataLake,
    summary: Summary,
    clock: SharedTimeSource,
}

/// What became of one record.
enum Archived {
    Skipped,
    Object { outcome: PutOutcome, key: String, lag_ms: u64 },
    Quarantined { key: String, reason: String },
    Failed { key: Option<String>, error: String },
}

impl From<DeadlineReached> for Archived {
    fn from(error: DeadlineReached) -> Self {
        Self::Failed { key: None, error: error.to_string() }
    }
}

/// What the log says of a record, apart from what became of it.
#[derive(Default)]
struct Subject {
    sequence_number: Option<String>,
    event_id: Option<String>,
    claim_id: Option<String>,
    message_id: Option<String>,
}

impl Handler {
    /// `log` takes the summary lines; the others go through `tracing`. `clock` is the wall clock.
    #[must_use]
    pub fn new(config: Config, lake: DataLake, log: LogWriter, clock: SharedTimeSource) -> Self {
        let summary = Summary::new(log, &config.function_name);
        Self { config, lake, summary, clock }
    }

    /// Writes each new claim of a batch once. The response names the records that must come again.
    ///
    /// # Errors
    /// Never: a batch does not fail as a whole.
    pub async fn handle(&self, event: LambdaEvent<Envelope>) -> Result<DynamoDbEventResponse, Infallible> {
        let deadline = Deadline::before(event.context.deadline(), self.clock.now());
        let records = &event.payload.records;
        let mut report = Report::default();

        // Order does not matter: two claims of one event have two claim ids, and so two keys. All records are tried, even
        // after a failure: Lambda sends everything from the lowest failed one again, and finds the rest already there.
        let mut done = vec![false; records.len()];
        let mut archiving = stream::iter(0..records.len())
            .map(|index| async move { (index, self.archive(&records[index], deadline).await) })
            .buffer_unordered(MAX_IN_FLIGHT);
        while let Ok(Some((index, (subject, archived)))) = deadline.limit(archiving.next()).await {
            done[index] = true;
            report.record(&subject, archived);
        }
        drop(archiving);
        for (record, _) in records.iter().zip(done).filter(|(_, done)| !done) {
            let subject = Subject { sequence_number: sequence_number(record), ..Subject::default() };
            report.record(&subject, DeadlineReached.into());
        }

        self.summary.write(&metrics::Batch {
            request_id: &event.context.request_id,
            ended_at: self.clock.now(),
            counts: &[
                ("Written", report.written),
                ("AlreadyThere", report.already_there),
                ("Skipped", report.skipped),
                ("Quarantined", report.quarantined),
                ("Failed", report.failed),
            ],
            lag_max_ms: report.lag_max_ms,
        });
        Ok(report.response)
    }

    async fn archive(&self, record: &RawValue, deadline: Deadline) -> (Subject, Archived) {
        let mut subject = Subject { sequence_number: sequence_number(record), ..Subject::default() };
        if deadline.is_reached() {
            return (subject, DeadlineReached.into());
        }
        // A record on which our own code panics would panic again and again, and hold up its shard for a day.
        let read = catch_panic(|| Record::read(record));
        let archived = match read.unwrap_or_else(|panic| Record::Unusable { reason: panic.to_string() }) {
            Record::Skipped => Archived::Skipped,
            Record::Unusable { reason } => self.quarantine(&subject, record, reason).await,
            Record::Claim { claim, line } => {
                subject.event_id = Some(claim.event_id.clone());
                subject.claim_id = Some(claim.claim_id.to_string());
                subject.message_id = Some(claim.message_id.clone());
                match catch_panic_async(self.write(&claim, line)).await {
                    Ok(archived) => archived,
                    Err(panic) => self.quarantine(&subject, record, panic.to_string()).await,
                }
            }
        };
        (subject, archived)
    }

    async fn write(&self, claim: &Claim, line: Vec<u8>) -> Archived {
        let key = self.config.object_prefix.object_key(claim);
        match self.lake.put(&key, line).await {
            Ok(outcome) => {
                let lag = self.clock.now().duration_since(SystemTime::from(claim.claimed_at)).unwrap_or_default();
                let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
                Archived::Object { outcome, key, lag_ms }
            }
            Err(error) => failed(key, &error),
        }
    }

    /// Keeps a record whole that can never be archived. It is not reported, so that it holds up nobody; but if even
    /// keeping it fails, it is.
    async fn quarantine(&self, subject: &Subject, record: &RawValue, reason: String) -> Archived {
        let key = self.config.object_prefix.quarantine_key(subject.sequence_number.as_deref(), record.get());
        match catch_panic_async(self.lake.put(&key, record.get().as_bytes().to_vec())).await {
            Ok(Ok(PutOutcome::Written | PutOutcome::AlreadyThere)) => Archived::Quarantined { key, reason },
            Ok(Err(error)) => failed(key, &error),
            Err(panic) => Archived::Failed { key: Some(key), error: panic.to_string() },
        }
    }
}

fn failed(key: String, error: &DataLakeError) -> Archived {
    Archived::Failed { key: Some(key), error: error_chain(error) }
}

/// Writes the records' log lines, and gathers the response.
#[derive(Default)]
struct Report {
    response: DynamoDbEventResponse,
    written: u64,
    already_there: u64,
    skipped: u64,
    quarantined: u64,
    failed: u64,
    lag_max_ms: Option<u64>,
}

impl Report {
    fn record(&mut self, subject: &Subject, archived: Archived) {
        let Subject { sequence_number, event_id, claim_id, message_id } = subject;
        match archived {
            Archived::Skipped => {
                self.skipped += 1;
                tracing::info!(outcome = "skipped", sequence_number);
            }
            Archived::Object { outcome, key, lag_ms } => {
                let outcome = match outcome {
                    PutOutcome::Written => {
                        self.written += 1;
                        "written"
                    }
                    PutOutcome::AlreadyThere => {
                        self.already_there += 1;
                        "already_there"
                    }
                };
                self.lag_max_ms = self.lag_max_ms.max(Some(lag_ms));
                tracing::info!(outcome, event_id, claim_id, message_id, sequence_number, key, lag_ms);
            }
            Archived::Quarantined { key, reason } => {
                self.quarantined += 1;
                let error = lambda_support::logs::truncate(reason);
                tracing::info!(outcome = "quarantined", event_id, claim_id, sequence_number, key, error);
            }
            Archived::Failed { key, error } => {
                self.failed += 1;
                let error = lambda_support::logs::truncate(error);
                tracing::info!(outcome = "failed", event_id, claim_id, sequence_number, key, error);
                // Without a sequence number the record cannot be reported by itself, and must not be passed over: an
                // empty identifier makes Lambda deliver the whole batch again.
                let mut failure = DynamoDbBatchItemFailure::default();
                failure.item_identifier = Some(sequence_number.clone().unwrap_or_default());
                self.response.batch_item_failures.push(failure);
            }
        }
    }
}
