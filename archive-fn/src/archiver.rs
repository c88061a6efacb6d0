//! Archives a stream record: decodes it and writes the object of its claim, or quarantines the record.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::SharedTimeSource;
use claim::{Claim, ObjectPrefix, Pack};
use lambda_support::Deadline;
use lambda_support::deadline::DeadlineReached;
use lambda_support::panic_guard::{Panicked, catch_panic, catch_panic_async};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::data_lake::{DataLake, DataLakeError, PutOutcome};
use crate::pack_object::{LineIds, PackObject};
use crate::record::{Record, RecordError, created_at};

/// Maximum number of writes in flight. Each write may hold two copies of a body of 1 MiB, so the limit keeps memory
/// small. It also limits the number of connections that a cold function opens. Each connection needs a TLS handshake,
/// and the function has only a fraction of a CPU core.
pub(crate) const MAX_IN_FLIGHT: usize = 8;

/// Maximum number of objects of packs in memory. Such an object can be longer than all bodies of a batch of SQS, because gzip
/// finds fewer repetitions than zstd.
const MAX_PACKS_IN_FLIGHT: usize = 2;

/// Up to this age, a record that makes our code panic is reported as failed. An older record can be quarantined.
const MAX_PANICKING_AGE: Duration = Duration::from_secs(60 * 60);

/// Archives one record per call. An archiver lives as long as its Lambda sandbox.
pub(crate) struct Archiver {
    lake: DataLake,
    prefix: ObjectPrefix,
    clock: SharedTimeSource,
    packs: Semaphore,
}

/// The outcome of one record.
pub(crate) enum ArchiveOutcome {
    /// The record is not a new claim.
    Skipped,
    /// The claim's object is in the lake.
    Archived { put: PutOutcome, key: String, lag_ms: u64 },
    /// The object of the pack is in the lake.
    PackArchived { put: PutOutcome, key: String, bytes: usize, claims: Vec<ArchivedClaim> },
    /// The text of the record is stored in the lake, because the record is unusable or because our code panicked on it
    /// twice. After two panics, the claim in the table is still valid, and `replay` can archive it once the code is fixed.
    Quarantined { key: String, reason: RecordError },
}

/// A claim whose line is in the object of a pack.
pub(crate) struct ArchivedClaim {
    pub(crate) ids: LineIds,
    pub(crate) lag_ms: u64,
}

/// A failed attempt to archive a record. It is unknown whether the claim's object exists, so Lambda must retry the record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiverError {
    #[error(transparent)]
    Lake(#[from] DataLakeError),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error("{panic}")]
    QuarantinePanicked { key: String, panic: Panicked },
    #[error(transparent)]
    Late(#[from] DeadlineReached),
}

impl Archiver {
    pub(crate) fn new(lake: DataLake, prefix: ObjectPrefix, clock: SharedTimeSource) -> Self {
        Self { lake, prefix, clock, packs: Semaphore::new(MAX_PACKS_IN_FLIGHT) }
    }

    /// Archives the claim or the pack in a record. Returns the outcome. For the log, also returns the claim if it could be
    /// decoded.
    pub(crate) async fn archive(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        deadline: Deadline,
    ) -> (Option<Box<Claim>>, Result<ArchiveOutcome, ArchiverError>) {
        if deadline.is_reached() {
            return (None, Err(DeadlineReached.into()));
        }
        // Without the guards, a record that makes our code panic would fail its whole batch.
        match catch_panic(|| Record::decode(record)) {
            Ok(Ok(Record::Other)) => (None, Ok(ArchiveOutcome::Skipped)),
            Ok(Ok(Record::Claim { claim, line })) => {
                let outcome = catch_panic_async(self.write(&claim, line)).await;
                (Some(claim), outcome.unwrap_or_else(|panic| Err(panic.into())))
            }
            Ok(Ok(Record::Pack(pack))) => {
                let outcome = catch_panic_async(self.write_pack(&pack, record, sequence_number)).await;
                (None, outcome.unwrap_or_else(|panic| Err(panic.into())))
            }
            Ok(Err(reason)) => (None, self.quarantine(record, sequence_number, reason).await),
            Err(panic) => (None, Err(panic.into())),
        }
    }

    /// Returns true if a record that made our code panic is old enough to be quarantined. A younger record is reported
    /// as failed, because the panic may be transient. An old record must not be reported again and again, because it
    /// could block its shard for 22 hours.
    pub(crate) fn may_quarantine_panic(&self, record: &RawValue) -> bool {
        let age = created_at(record).and_then(|created| self.clock.now().duration_since(created).ok());
        age.is_some_and(|age| age > MAX_PANICKING_AGE)
    }

    /// Tries again to archive a record that made our code panic in this invocation. If our code panics again,
    /// quarantines the record. The caller must not archive other records meanwhile, so that only this record can cause
    /// the panic.
    pub(crate) async fn archive_or_quarantine(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        deadline: Deadline,
    ) -> (Option<Box<Claim>>, Result<ArchiveOutcome, ArchiverError>) {
        match self.archive(record, sequence_number, deadline).await {
            (claim, Err(ArchiverError::Panicked(panic))) => {
                (claim, self.quarantine(record, sequence_number, panic.into()).await)
            }
            settled => settled,
        }
    }

    async fn write(&self, claim: &Claim, line: Vec<u8>) -> Result<ArchiveOutcome, ArchiverError> {
        let key = self.prefix.object_key(claim);
        let put = self.lake.put(&key, line, claim.trace_id.as_ref()).await?;
        Ok(ArchiveOutcome::Archived { put, key, lag_ms: self.lag_ms(claim.claimed_at.into()) })
    }

    async fn write_pack(
        &self,
        pack: &Pack,
        record: &RawValue,
        sequence_number: Option<&str>,
    ) -> Result<ArchiveOutcome, ArchiverError> {
        let _permit = self.packs.acquire().await.expect("the semaphore is never closed");
        let PackObject { gzip, lines } = match PackObject::build(pack) {
            Ok(object) => object,
            Err(error) => return self.quarantine(record, sequence_number, error.into()).await,
        };
        let key = self.prefix.pack_key(pack.pack_id);
        let bytes = gzip.len();
        let put = self.lake.put_pack(&key, gzip, lines.len()).await?;
        let claims = lines.into_iter().map(|ids| ArchivedClaim { lag_ms: self.lag_ms(ids.claimed_at.into()), ids });
        Ok(ArchiveOutcome::PackArchived { put, key, bytes, claims: claims.collect() })
    }

    /// Returns the time since the claim, in milliseconds.
    fn lag_ms(&self, claimed_at: SystemTime) -> u64 {
        let lag = self.clock.now().duration_since(claimed_at).unwrap_or_default();
        u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)
    }

    /// Stores the text of a record that is unusable or that made our code panic twice. A stored record is not reported as
    /// failed, so that it does not block its shard. If the text cannot be stored, the record is reported as failed, and
    /// Lambda retries it.
    async fn quarantine(
        &self,
        record: &RawValue,
        sequence_number: Option<&str>,
        reason: RecordError,
    ) -> Result<ArchiveOutcome, ArchiverError> {
        let key = self.prefix.quarantine_key(sequence_number, record.get());
        match catch_panic_async(self.lake.put(&key, record.get().as_bytes().to_vec(), None)).await {
            Ok(Ok(PutOutcome::Written | PutOutcome::AlreadyThere)) => Ok(ArchiveOutcome::Quarantined { key, reason }),
            Ok(Err(error)) => Err(error.into()),
            Err(panic) => Err(ArchiverError::QuarantinePanicked { key, panic }),
        }
    }
}

impl ArchiverError {
    /// Returns the key of the failed write, if it is known.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Lake(error) => Some(error.key()),
            Self::QuarantinePanicked { key, .. } => Some(key),
            Self::Panicked(_) | Self::Late(_) => None,
        }
    }
}
