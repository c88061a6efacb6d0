//! The list of mutants.

/// One thing that is wrong with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `ingest-fn` writes a claim whatever the table holds.
    ClaimWithoutCondition,
    /// `ingest-fn` treats a throttle as a duplicate.
    ThrottleIsDuplicate,
    /// `ingest-fn` acknowledges messages whose claim failed.
    AcknowledgedBeforeWrite,
    /// `ingest-fn` acknowledges the followers of a failed leader that say the same as the leader.
    SameFollowersAcknowledged,
    /// `ingest-fn` acknowledges the followers of a failed leader that say something else.
    OtherFollowersAcknowledged,
    /// `ingest-fn` acknowledges what it rejects.
    RejectedAcknowledged,
    /// `ingest-fn` compares a follower with its leader, and not with the claim that the table confirmed.
    FollowerJudgedByLeader,
    /// `ingest-fn` treats `DuplicateItem` as its own insert.
    DuplicateItemIsOwn,
    /// `ingest-fn` treats a batched insert as done, whatever other error the answer names.
    StatementErrorIsWon,
    /// `archive-fn` writes objects without `If-None-Match`.
    PutWithoutIfNoneMatch,
    /// `archive-fn` treats S3's 409 as "already there".
    ConflictIsAlreadyThere,
    /// `archive-fn` archives INSERT and not MODIFY.
    InsertOnly,
    /// `archive-fn` reports a record that it quarantined, so that it is retried again and again.
    UnusableReported,
    /// `archive-fn` reports its highest failure alone, so that the mapping goes on from there.
    CheckpointAtHighestFailure,
}

impl Mutant {
    /// All mutants.
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
