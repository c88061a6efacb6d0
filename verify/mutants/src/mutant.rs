//! The list of mutants.

/// A mistake in one of the functions.
///
/// The first valid message of an event in a batch is the *leader*, and `ingest-fn` claims the event with the leader's body.
/// The other messages of the event are its *followers*. The correct function compares followers with the claim that the
/// table confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `ingest-fn` replaces a claim that still holds the event.
    ClaimWithoutCondition,
    /// `ingest-fn` treats a throttled write as proof of a duplicate.
    ThrottleIsDuplicate,
    /// `ingest-fn` acknowledges messages whose outcome is `failed`.
    AcknowledgedBeforeWrite,
    /// If a leader fails, `ingest-fn` acknowledges the followers that have the leader's content.
    SameFollowersAcknowledged,
    /// If a leader fails, `ingest-fn` acknowledges the followers whose content differs from the leader's.
    OtherFollowersAcknowledged,
    /// `ingest-fn` acknowledges messages whose outcome is `rejected`.
    RejectedAcknowledged,
    /// `ingest-fn` compares followers with their leader, and not with the claim that the table confirmed.
    FollowerJudgedByLeader,
    /// `ingest-fn` treats the statement error `DuplicateItem` as a successful insert.
    DuplicateItemIsOwn,
    /// `ingest-fn` treats every statement error other than `DuplicateItem` as a successful insert.
    StatementErrorIsWon,
    /// `archive-fn` writes objects without `If-None-Match`.
    PutWithoutIfNoneMatch,
    /// `archive-fn` treats a 409 from S3 as proof that the object already exists.
    ConflictIsAlreadyThere,
    /// `archive-fn` archives INSERT records but ignores MODIFY records.
    InsertOnly,
    /// `archive-fn` reports a quarantined record as failed, so the stream mapping retries the record until it discards
    /// the record.
    UnusableReported,
    /// `archive-fn` reports only the failed record with the highest sequence number, so the stream mapping skips the
    /// other failed records.
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
