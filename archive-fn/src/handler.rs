//! Handles a batch of stream records and returns the partial batch response.

use std::convert::Infallible;

use aws_smithy_async::time::SharedTimeSource;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lambda_runtime::LambdaEvent;
use lambda_support::deadline::DeadlineReached;
use lambda_support::{BatchResponse, Deadline, Envelope, LogWriter, Summary, metrics};

use crate::archiver::{Archiver, ArchiverError, MAX_IN_FLIGHT};
use crate::config::Config;
use crate::data_lake::DataLake;
use crate::record::sequence_number;
use crate::report::Report;

/// The function's state, which a Lambda sandbox keeps between batches.
pub struct Handler {
    archiver: Archiver,
    log_routine_outcomes: bool,
    summary: Summary,
    clock: SharedTimeSource,
}

impl Handler {
    /// Creates a handler. It writes summary lines to `log` and all other lines through `tracing`. `clock` is the wall clock.
    #[must_use]
    pub fn new(config: Config, lake: DataLake, log: LogWriter, clock: SharedTimeSource) -> Self {
        let summary = Summary::new(log, &config.function_name);
        let archiver = Archiver::new(lake, config.object_prefix, clock.clone());
        Self { archiver, log_routine_outcomes: config.log_routine_outcomes, summary, clock }
    }

    /// Writes the object of each new claim in a batch. The response names the records that failed.
    pub async fn handle(&self, event: LambdaEvent<Envelope>) -> Result<BatchResponse, Infallible> {
        let deadline = Deadline::before(event.context.deadline(), self.clock.now(), event.payload.records.len());
        let mut report = Report::new(self.log_routine_outcomes);

        let records: Vec<_> = event.payload.records.iter().map(|record| (record, sequence_number(record))).collect();

        // The order of the writes does not matter, because two claims of one event have different claim ids and so different
        // keys. A failure does not stop the batch. Lambda retries the first failed record and all records after it. For a
        // record whose object was written, the retry ends as `already_there`.
        let mut done = vec![false; records.len()];
        let archiving = async {
            let mut next = 0;
            let mut in_flight = FuturesUnordered::new();
            let mut panicked = Vec::new();
            loop {
                // After a panic of an old record, no other record starts until its second try is over. A large batch could
                // otherwise use up the time again and again, and the record would block its shard.
                while next < records.len() && in_flight.len() < MAX_IN_FLIGHT && panicked.is_empty() {
                    let index = next;
                    let (record, sequence_number) = &records[index];
                    let archived = self.archiver.archive(record, sequence_number.as_deref(), deadline);
                    in_flight.push(async move { (index, archived.await) });
                    next += 1;
                }
                if let Some((index, (claim, outcome))) = in_flight.next().await {
                    let (record, sequence_number) = &records[index];
                    if matches!(outcome, Err(ArchiverError::Panicked(_))) && self.archiver.may_quarantine_panic(record)
                    {
                        panicked.push(index);
                    } else {
                        done[index] = true;
                        report.add_record(record, sequence_number.as_deref(), claim.as_deref(), &outcome);
                    }
                    continue;
                }
                if panicked.is_empty() {
                    break;
                }
                // In the order of the stream, so that Lambda's next batch starts after a quarantined record. No other record
                // is in flight now, so a second panic is caused by the record itself.
                panicked.sort_unstable();
                for index in panicked.drain(..) {
                    let (record, sequence_number) = &records[index];
                    let again = self.archiver.archive_or_quarantine(record, sequence_number.as_deref(), deadline);
                    let (claim, outcome) = again.await;
                    done[index] = true;
                    report.add_record(record, sequence_number.as_deref(), claim.as_deref(), &outcome);
                }
            }
        };
        let in_time = deadline.limit(archiving).await;
        debug_assert!(in_time.is_err() || done.iter().all(|done| *done), "only the deadline leaves records undecided");
        for ((record, sequence_number), _) in records.iter().zip(done).filter(|(_, done)| !done) {
            report.add_record(record, sequence_number.as_deref(), None, &Err(DeadlineReached.into()));
        }

        self.summary.write(&metrics::Batch {
            request_id: &event.context.request_id,
            ended_at: self.clock.now(),
            counts: &report.counts(),
            lag_max_ms: report.lag_max_ms,
        });
        Ok(report.response)
    }
}
