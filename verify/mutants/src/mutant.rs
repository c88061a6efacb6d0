//! The list of mutants.

/// A mistake in one of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `ingest-fn` writes a claim even if another claim holds the event.
    ClaimWithoutCondition,
    /// `ingest-fn` treats a throttle as a duplicate.
    ThrottleIsDuplicate,
    /// `ingest-fn` acknowledges messages that failed.
    AcknowledgedBeforeWrite,
    /// `ingest-fn` acknowledges the followers of a failed leader if their content is the same.
    SameFollowersAcknowledged,
    /// `ingest-fn` acknowledges the followers of a failed leader if their content differs.
    OtherFollowersAcknowledged,
    /// `ingest-fn` acknowledges the messages that it rejects.
    RejectedAcknowledged,
    /// `ingest-fn` compares a follower with its leader instead of the claim that the table confirmed.
    FollowerJudgedByLeader,
    /// `ingest-fn` treats the statement error `DuplicateItem` as a successful insert.
    DuplicateItemIsOwn,
    /// `ingest-fn` treats every statement error other than `DuplicateItem` as a successful insert.
    StatementErrorIsWon,
    /// `archive-fn` writes objects without `If-None-Match`.
    PutWithoutIfNoneMatch,
    /// `archive-fn` treats a 409 from S3 as "the object already exists".
    ConflictIsAlreadyThere,
    /// `archive-fn` archives INSERT records but ignores MODIFY records.
    InsertOnly,
    /// `archive-fn` reports a quarantined record as failed, so that Lambda retries it until the record is discarded.
    UnusableReported,
    /// `archive-fn` reports only the failed record with the highest sequence number, so that the stream mapping skips the others.
    CheckpointAtHighestFailure,
}

impl Mutant {
    /// All mutants, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::ClaimWithoutCondition,
        Self::ThrottleIsDuplicate,
        Self::AcknowledgedBeforeWrite,
        Self::SameFollowersAcknowledged,
        Self::OtherFollowersAcknowledged,
        Self::RejectedAcknowledged,
        Self::FollowerJudgedByLeader,
        Self::DuplicateItemIsOwn,
        Self::StatementErrorIsWon,
        Self::PutWithoutIfNoneMatch,
        Self::ConflictIsAlreadyThere,
        Self::InsertOnly,
        Self::UnusableReported,
        Self::CheckpointAtHighestFailure,
    ];
}
