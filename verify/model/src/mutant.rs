//! The ways to get the protocol wrong, each of which the properties must find.

/// A way to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The claim is put whatever the table holds.
    NoCondition,
    /// The condition is `attribute_not_exists(pk)` alone, and the window ends when TTL deletes.
    NoExpiryInCondition,
    /// The response goes out while the write is under way.
    AcknowledgedBeforeTheWrite,
    /// No answer, or a throttle, counts as "somebody has it".
    UnknownIsDuplicate,
    /// The cache takes a claim in when its request is sent.
    CachedBeforeConfirmation,
    /// The cache's entries do not end with the claim's ttl, as when a frozen sandbox's timer stands still.
    CachedBeyondTtl,
    /// A retry makes a claim of its own.
    FreshClaimIdOnRetry,
    /// `DuplicateItem` counts as "that is our own insert".
    DuplicateItemIsOwn,
    /// What an insert leaves open is put as a claim of its own.
    FreshClaimIdAfterInsert,
    /// Only the leader is reported when its write fails.
    FollowersOfAFailedLeaderAcknowledged,
    /// A follower is compared with its leader and not with the claim that holds.
    FollowersJudgedByTheirLeader,
    /// The stream's MODIFY records are passed over.
    InsertOnly,
    /// Objects are put whatever the lake holds.
    NoIfNoneMatch,
    /// S3's 409 counts as "already there".
    ConflictIsAlreadyThere,
    /// The shard goes on after the highest failed record, not from the lowest.
    CheckpointAtTheHighestFailure,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::NoCondition,
        Self::NoExpiryInCondition,
        Self::AcknowledgedBeforeTheWrite,
        Self::UnknownIsDuplicate,
        Self::CachedBeforeConfirmation,
        Self::CachedBeyondTtl,
        Self::FreshClaimIdOnRetry,
        Self::DuplicateItemIsOwn,
        Self::FreshClaimIdAfterInsert,
        Self::FollowersOfAFailedLeaderAcknowledged,
        Self::FollowersJudgedByTheirLeader,
        Self::InsertOnly,
        Self::NoIfNoneMatch,
        Self::ConflictIsAlreadyThere,
        Self::CheckpointAtTheHighestFailure,
    ];
}
