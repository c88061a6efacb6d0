//! Archives a stream record: decodes it and writes the object of its claim, or quarantines it.

use std::time::SystemTime;

use aws_smithy_async::time::SharedTimeSource;
use claim::{Claim, ObjectPrefix};
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use serde_json::value::RawValue;

use crate::data_lake::{DataLake, DataLakeError, PutOutcome};
use crate::record::{Record, RecordError};

/// Maximum number of objects in flight. Each may hold two copies of a body of 1 MiB, so this limits memory. It also limits the
/// connections that a cold function opens. Each connection needs a TLS handshake, which runs on a fraction of a core.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// Archives one record per call. It lives as long as its Lambda sandbox.
pub(crate) struct Archiver {
    lake: DataLake,
    prefix: ObjectPrefix,
    clock: SharedTimeSource,
}

/// The outcome of one record.
pub(crate) enum ArchiveOutcome {
    /// The record is not a new claim.
    Skipped,
    /// The claim's object is in the lake.
    Archived { put: PutOutcome, key: String, lag_ms: u64 },
    /// The record can never be archived, and its text is stored in the lake.
    Quarantined { key: String, reason: RecordError },
}

/// A failed attempt to archive a record. It is unknown whether the record is archived, so Lambda must retry it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiverError {
    #[error(transparent)]
    Lake(#[from] DataLakeError),
    #[error("{panic}")]
    Panicked { key: String, panic: Panicked },
    #[error(transparent)]
    Late(#[from] DeadlineReached),
}

impl Archiver {
    pub(crate) fn new(lake: DataLake, prefix: ObjectPrefix, clock: SharedTimeSource) -> Self {
        Self { lake, prefix, clock }
    }

    /// Archives the claim in a record. Also returns the claim, for the log.
    pub(crate) async fn archive(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        deadline: Deadline,
    ) -> (Option<Box<Claim>>, Result<ArchiveOutcome, ArchiverError>) {
        if deadline.is_reached() {
            return (None, Err(DeadlineReached.into()));
        }
        // Without the guard, a record that makes our code panic would do so on every retry and block its shard for 22 hours.
        let decoded = catch_panic(|| Record::decode(record)).unwrap_or_else(|panic| Err(panic.into()));
        let (claim, reason) = match decoded {
            Ok(Record::Other) => return (None, Ok(ArchiveOutcome::Skipped)),
            Ok(Record::Claim { claim, line }) => match catch_panic_async(self.write(&claim, line)).await {
                Ok(outcome) => return (Some(claim), outcome),
                Err(panic) => (Some(claim), panic.into()),
            },
            Err(reason) => (None, reason),
        };
        (claim, self.quarantine(record, sequence_number, reason).await)
    }

    async fn write(&self, claim: &Claim, line: Vec<u8>) -> Result<ArchiveOutcome, ArchiverError> {
        let key = self.prefix.object_key(claim);
        let put = self.lake.put(&key, line).await?;
        let lag = self.clock.now().duration_since(SystemTime::from(claim.claimed_at)).unwrap_or_default();
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        Ok(ArchiveOutcome::Archived { put, key, lag_ms })
    }

    /// Stores the text of a record that can never be archived. The record is not reported, so it does not block its shard. It is
    /// reported only if this write fails too.
    async fn quarantine(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        reason: RecordError,
    ) -> Result<ArchiveOutcome, ArchiverError> {
        let key = self.prefix.quarantine_key(sequence_number, record.get());
        match catch_panic_async(self.lake.put(&key, record.get().as_bytes().to_vec())).await {
            Ok(Ok(PutOutcome::Written | PutOutcome::AlreadyThere)) => Ok(ArchiveOutcome::Quarantined { key, reason }),
            Ok(Err(error)) => Err(error.into()),
            Err(panic) => Err(ArchiverError::Panicked { key, panic }),
        }
    }
}

impl ArchiverError {
    /// Returns the key of the failed write, if there was one.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Lake(error) => Some(&error.key),
            Self::Panicked { key, .. } => Some(key),
            Self::Late(_) => None,
        }
    }
}
