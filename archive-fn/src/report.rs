//! Logs the outcome of each record, counts the outcomes, and builds the partial batch response.

use claim::Claim;
use lambda_support::{BatchResponse, logs};
use tracing::field::display;

use crate::archiver::{ArchiveOutcome, ArchiverError};
use crate::data_lake::PutOutcome;

/// The result of a batch: its response, the longest lag, and the number of records with each outcome.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) response: BatchResponse,
    pub(crate) lag_max_ms: Option<u64>,
    written: u64,
    already_there: u64,
    skipped: u64,
    quarantined: u64,
    failed: u64,
}

impl Report {
    /// Returns the name and the count of each metric.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("Written", self.written),
            ("AlreadyThere", self.already_there),
            ("Skipped", self.skipped),
            ("Quarantined", self.quarantined),
            ("Failed", self.failed),
        ]
    }

    /// Adds the outcome of a record. `claim` is the claim in the record, if it could be decoded.
    pub(crate) fn add_record(
        &mut self,
        sequence_number: Option<&str>,
        claim: Option<&Claim>,
        outcome: &Result<ArchiveOutcome, ArchiverError>,
    ) {
        let event_id = claim.map(|claim| claim.event_id.as_str());
        let claim_id = claim.map(|claim| display(claim.claim_id));
        match outcome {
            Ok(ArchiveOutcome::Skipped) => {
                self.skipped += 1;
                tracing::info!(outcome = "skipped", sequence_number);
            }
            Ok(ArchiveOutcome::Archived { put, key, lag_ms }) => {
                let outcome = match put {
                    PutOutcome::Written => {
                        self.written += 1;
                        "written"
                    }
                    PutOutcome::AlreadyThere => {
                        self.already_there += 1;
                        "already_there"
                    }
                };
                self.lag_max_ms = self.lag_max_ms.max(Some(*lag_ms));
                let message_id = claim.map(|claim| claim.message_id.as_str());
                tracing::info!(outcome, event_id, claim_id, message_id, sequence_number, key, lag_ms);
            }
            Ok(ArchiveOutcome::Quarantined { key, reason }) => {
                self.quarantined += 1;
                let error = logs::error_text(reason);
                tracing::info!(outcome = "quarantined", event_id, claim_id, sequence_number, key, error);
            }
            Err(error) => {
                self.failed += 1;
                let key = error.key();
                let error = logs::error_text(error);
                tracing::info!(outcome = "failed", event_id, claim_id, sequence_number, key, error);
                self.fail_record(sequence_number);
            }
        }
    }

    /// Reports a record as failed. The response cannot name a record without a sequence number, and the record must not be
    /// skipped. So it is reported with an empty identifier, which makes Lambda retry the whole batch.
    fn fail_record(&mut self, sequence_number: Option<&str>) {
        self.response.add_failure(sequence_number.unwrap_or_default());
    }
}
