//! Mutants of the protocol: each breaks one rule, and must violate one of the model's properties.

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// `ingest-fn` puts a claim without a condition, so it replaces a claim that still holds the event.
    NoCondition,
    /// The put's condition is only `attribute_not_exists(pk)`, so the dedup window lasts until TTL deletes the item.
    NoExpiryInCondition,
    /// `ingest-fn` acknowledges its messages before the table has answered the claim request.
    AcknowledgedBeforeWrite,
    /// `ingest-fn` treats a claim request that was throttled or not answered as proof of a duplicate.
    UnknownIsDuplicate,
    /// `ingest-fn` caches a claim when it sends the claim request, before the table has confirmed the claim.
    CachedBeforeConfirmation,
    /// `ingest-fn` uses a cache entry after the claim's `ttl`. This happens if a timer limits the entry's life, because
    /// the timer stops while Lambda freezes the sandbox.
    CachedPastTtl,
    /// A retry of a claim request uses a new claim id.
    FreshClaimIdOnRetry,
    /// `ingest-fn` treats the answer `DuplicateItem` as a successful insert.
    DuplicateItemIsOwn,
    /// The put that follows an unconfirmed insert uses a new claim id.
    FreshClaimIdAfterInsert,
    /// If the leader's claim request fails, `ingest-fn` reports only the leader as failed and acknowledges the other
    /// messages.
    FollowersOfFailedLeaderAcknowledged,
    /// `ingest-fn` compares the other messages of a batch with the leader's body instead of the confirmed claim's body.
    FollowersJudgedByLeader,
    /// `archive-fn` skips MODIFY records.
    InsertOnly,
    /// `archive-fn` puts objects without `If-None-Match`.
    NoIfNoneMatch,
    /// `archive-fn` treats a 409 from S3 as "the object already exists".
    ConflictIsAlreadyThere,
    /// After a batch with failed records, the stream mapping continues at the highest failed record instead of the lowest
    /// one.
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
