//! From a stream record to its object: decoded, written under a condition, or kept whole.

use std::time::SystemTime;

use aws_smithy_async::time::SharedTimeSource;
use claim::{Claim, ObjectPrefix};
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use serde_json::value::RawValue;

use crate::data_lake::{DataLake, DataLakeError, PutOutcome};
use crate::record::{Record, RecordError};

/// Objects in flight at once. Each may hold a body of 1 MiB twice, so this bounds memory; and more would open more connections
/// in a cold function, each a TLS handshake on a fraction of a core.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// Archives one record at a time. Lives as long as its Lambda sandbox.
pub(crate) struct Archiver {
    lake: DataLake,
    prefix: ObjectPrefix,
    clock: SharedTimeSource,
}

/// The end of one record's archiving.
pub(crate) enum ArchiveOutcome {
    /// It is not a new claim.
    Skipped,
    /// The claim has its object.
    Archived { put: PutOutcome, key: String, lag_ms: u64 },
    /// The record can never be archived. It is kept whole.
    Quarantined { key: String, reason: RecordError },
}

/// Why it is not known whether a record is archived. It must come again.
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

    /// Archives the claim that a record carries. The claim itself is for the log.
    pub(crate) async fn archive(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        deadline: Deadline,
    ) -> (Option<Box<Claim>>, Result<ArchiveOutcome, ArchiverError>) {
        if deadline.is_reached() {
            return (None, Err(DeadlineReached.into()));
        }
        // A record on which our own code panics would panic again and again, and hold up its shard for a day.
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

    /// Keeps a record whole that can never be archived. It is not reported, so that it holds up nobody; but if even
    /// keeping it fails, it is.
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
    /// The key that was written to, if any was.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Lake(error) => Some(&error.key),
            Self::Panicked { key, .. } => Some(key),
            Self::Late(_) => None,
        }
    }
}
