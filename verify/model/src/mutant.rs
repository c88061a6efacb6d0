//! Mutants of the protocol. The properties must find each of them.

/// One way to get the protocol wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The claim is put without a condition.
    NoCondition,
    /// The condition is only `attribute_not_exists(pk)`, so the window lasts until TTL deletes the item.
    NoExpiryInCondition,
    /// The function responds while the write is still under way.
    AcknowledgedBeforeWrite,
    /// A missing answer or throttling counts as "duplicate".
    UnknownIsDuplicate,
    /// A claim enters the cache when its request is sent.
    CachedBeforeConfirmation,
    /// A cache entry outlives the claim's `ttl`, as with a timer that stops while the sandbox is frozen.
    CachedPastTtl,
    /// A retry uses a new claim id.
    FreshClaimIdOnRetry,
    /// `DuplicateItem` counts as a successful insert.
    DuplicateItemIsOwn,
    /// The put after an insert uses a new claim id.
    FreshClaimIdAfterInsert,
    /// If the leader's write fails, only the leader is reported as failed.
    FollowersOfFailedLeaderAcknowledged,
    /// A follower is compared with its leader instead of the confirmed claim.
    FollowersJudgedByLeader,
    /// MODIFY records of the stream are skipped.
    InsertOnly,
    /// Objects are put without `If-None-Match`.
    NoIfNoneMatch,
    /// A 409 from S3 counts as "already there".
    ConflictIsAlreadyThere,
    /// The shard continues at the highest failed record instead of the lowest.
    CheckpointAtHighestFailure,
}

impl Mutant {
    /// All mutants.
    pub const ALL: [Self; 15] = [
        Self::NoCondition,
        Self::NoExpiryInCondition,
        Self::AcknowledgedBeforeWrite,
        Self::UnknownIsDuplicate,
        Self::CachedBeforeConfirmation,
        Self::CachedPastTtl,
        Self::FreshClaimIdOnRetry,
        Self::DuplicateItemIsOwn,
        Self::FreshClaimIdAfterInsert,
        Self::FollowersOfFailedLeaderAcknowledged,
        Self::FollowersJudgedByLeader,
        Self::InsertOnly,
        Self::NoIfNoneMatch,
        Self::ConflictIsAlreadyThere,
        Self::CheckpointAtHighestFailure,
    ];
}
