//! Logs the outcome of each record, counts the outcomes, and builds the partial batch response.

use claim::Claim;
use lambda_support::{BatchResponse, logs};
use serde_json::value::RawValue;
use tracing::field::display;

use crate::archiver::{ArchiveOutcome, ArchivedClaim, ArchiverError};
use crate::data_lake::PutOutcome;
use crate::pack_object::LineIds;
use crate::record::RecordIds;

/// The result of a batch: its response, the longest lag between a claim and its object, and the number of records with
/// each outcome. A pack counts as `written` or `already_there` once for each of its claims.
pub(crate) struct Report {
    pub(crate) response: BatchResponse,
    log_routine_outcomes: bool,
    pub(crate) lag_max_ms: Option<u64>,
    written: u64,
    already_there: u64,
    skipped: u64,
    quarantined: u64,
    failed: u64,
    packs: u64,
    pack_bytes: u64,
}

impl Report {
    pub(crate) fn new(log_routine_outcomes: bool) -> Self {
        Self {
            response: BatchResponse::default(),
            log_routine_outcomes,
            lag_max_ms: None,
            written: 0,
            already_there: 0,
            skipped: 0,
            quarantined: 0,
            failed: 0,
            packs: 0,
            pack_bytes: 0,
        }
    }

    /// Returns the metric name and the count of each outcome. Also returns the number of packs that this batch has written
    /// and their size, unless there are none: without packs, the metrics would only cost money.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let mut counts = vec![
            ("Written", self.written),
            ("AlreadyThere", self.already_there),
            ("Skipped", self.skipped),
            ("Quarantined", self.quarantined),
            ("Failed", self.failed),
        ];
        if self.packs > 0 {
            counts.extend([("Packs", self.packs), ("PackBytes", self.pack_bytes)]);
        }
        counts
    }

    /// Counts a claim whose object is in the lake. Returns the name of the outcome.
    fn add_archived(&mut self, put: PutOutcome, lag_ms: u64) -> &'static str {
        self.lag_max_ms = self.lag_max_ms.max(Some(lag_ms));
        match put {
            PutOutcome::Written => {
                self.written += 1;
                "written"
            }
            PutOutcome::AlreadyThere => {
                self.already_there += 1;
                "already_there"
            }
        }
    }

    /// Logs and counts the outcome of a record. If the record failed, names it in the response. `claim` is the claim in
    /// the record, if it could be decoded.
    pub(crate) fn add_record(
        &mut self,
        record: &RawValue,
        sequence_number: Option<&str>,
        claim: Option<&Claim>,
        outcome: &Result<ArchiveOutcome, ArchiverError>,
    ) {
        let RecordIds { event_id, claim_id, trace_id } = match (claim, outcome) {
            (Some(claim), _) => RecordIds::of_claim(claim),
            // Thousands of records can be unfinished at the deadline. Reading their ids would take too long.
            (None, Ok(ArchiveOutcome::Skipped | ArchiveOutcome::PackArchived { .. }) | Err(ArchiverError::Late(_))) => {
                RecordIds::default()
            }
            (None, _) => RecordIds::read(record),
        };
        match outcome {
            Ok(ArchiveOutcome::Skipped) => {
                self.skipped += 1;
                if self.log_routine_outcomes {
                    tracing::info!(outcome = "skipped", sequence_number);
                }
            }
            Ok(ArchiveOutcome::Archived { put, key, lag_ms }) => {
                let outcome = self.add_archived(*put, *lag_ms);
                if self.log_routine_outcomes {
                    let message_id = claim.map(|claim| claim.message_id.as_str());
                    tracing::info!(outcome, event_id, claim_id, message_id, trace_id, sequence_number, key, lag_ms);
                }
            }
            Ok(ArchiveOutcome::PackArchived { put, key, bytes, claims }) => {
                if *put == PutOutcome::Written {
                    self.packs += 1;
                    self.pack_bytes += *bytes as u64;
                }
                for ArchivedClaim { ids: LineIds { event_id, claim_id, message_id, .. }, lag_ms } in claims {
                    let outcome = self.add_archived(*put, *lag_ms);
                    if self.log_routine_outcomes {
                        let claim_id = display(claim_id);
                        tracing::info!(outcome, event_id, claim_id, message_id, sequence_number, key, lag_ms);
                    }
                }
            }
            Ok(ArchiveOutcome::Quarantined { key, reason }) => {
                self.quarantined += 1;
                let error = logs::error_text(reason);
                tracing::info!(outcome = "quarantined", event_id, claim_id, trace_id, sequence_number, key, error);
            }
            Err(error) => {
                self.failed += 1;
                let key = error.key();
                let error = logs::error_text(error);
                tracing::info!(outcome = "failed", event_id, claim_id, trace_id, sequence_number, key, error);
                self.fail_record(sequence_number);
            }
        }
    }

    /// Reports a record as failed. The response cannot name a record without a sequence number, and such a record must
    /// not be skipped. So the response gets an empty identifier, which makes Lambda retry the whole batch.
    fn fail_record(&mut self, sequence_number: Option<&str>) {
        self.response.add_failure(sequence_number.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
    use lambda_support::LogWriter;
    use lambda_support::panic_guard::{Panicked, catch_panic};
    use serde_json::{Value, json, value};
    use tracing::level_filters::LevelFilter;

    use super::*;
    use crate::record::RecordError;

    fn logged(record: &Value, outcome: &Result<ArchiveOutcome, ArchiverError>) -> Value {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let log = LogWriter::new(move |line| {
            sink.lock().unwrap().push(serde_json::from_slice(line).unwrap());
            Ok(())
        });
        let subscriber = logs::dispatch(log, LevelFilter::INFO, SharedTimeSource::new(SystemTimeSource::new()));
        let record = value::to_raw_value(record).unwrap();
        tracing::dispatcher::with_default(&subscriber, || {
            Report::new(true).add_record(&record, Some("7"), None, outcome);
        });
        lines.lock().unwrap().remove(0)
    }

    fn panicked() -> Panicked {
        catch_panic(|| panic!("on purpose")).unwrap_err()
    }

    /// If our code panics while it decodes a record, the log line has the ids that the record contains.
    #[test]
    fn undecoded_record_is_logged_with_its_ids() {
        let claim_id = "01a3185c-4a24-7000-8000-000000000001";
        let keys = json!({ "pk": { "S": "EVENT#a" }, "sk": { "S": "CLAIM" } });
        let record = |keys, claim_id| json!({ "dynamodb": { "Keys": keys, "NewImage": { "claim_id": claim_id } } });
        let quarantined =
            Ok(ArchiveOutcome::Quarantined { key: "k".to_owned(), reason: RecordError::Panicked(panicked()) });
        for outcome in [Err(panicked().into()), quarantined] {
            let line = logged(&record(keys.clone(), json!({ "S": claim_id })), &outcome);
            assert_eq!((&line["event_id"], &line["claim_id"]), (&json!("a"), &json!(claim_id)));
        }
        let failed = Err(panicked().into());
        for keys in [json!(null), json!({ "pk": { "S": "a" } }), json!({ "pk": { "N": "7" } })] {
            let line = logged(&record(keys, json!({ "S": "x".repeat(37) })), &failed);
            assert_eq!((line.get("event_id"), line.get("claim_id")), (None, None));
        }
        assert_eq!(logged(&json!("not a record"), &failed).get("event_id"), None);
    }
}
