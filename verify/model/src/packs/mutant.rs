//! Mutants of the protocol: each breaks one rule, and must violate one of the model's properties.

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    // The rule: close once, then go by the item.
    /// A winner whose pack someone else has closed acknowledges its messages, even if the pack does not list its claim.
    WinnerIgnoresPack,
    /// A claim gets a pack of its own although its pack has not been closed.
    OwnPackWithoutClosing,
    /// A winner whose close fails reads the pack without `ConsistentRead`, and the read misses it. The winner then puts
    /// each claim into a pack of its own.
    StaleReadDecides,
    /// After the failed close of a claim's pack, a sandbox or `replay` assumes that the existing pack does not list the
    /// claim.
    FailedConditionIsNotListed,
    /// A pack is put even if the table already has an item with its key.
    PackPutWithoutCondition,
    /// A retried close has a new pack id.
    FreshPackIdOnRetry,
    /// The chunk's pack id is the id of its first claim, so the claim's own pack has the same id.
    PackIdIsClaimId,
    /// Adds a mistake to [`Mutant::PackIdIsClaimId`]: if the put of a claim's own pack fails, the claim is treated as
    /// settled, although the existing item may not list it.
    OwnPackNotChecked,
    /// A pack also lists the claims whose write had an unknown outcome.
    UnknownOutcomeListed,

    // Acknowledging.
    /// `ingest-fn` acknowledges the messages of a won claim before it closes the claim's pack.
    AcknowledgedBeforeClose,
    /// A close without an answer is treated as done.
    UnknownCloseIsDone,
    /// `ingest-fn` acknowledges the followers of a won claim although the claim's pack is not closed.
    FollowersAcknowledgedBeforeClose,
    /// A duplicate is acknowledged although its claim's pack does not exist.
    DuplicateAcknowledgedUnsettled,
    /// A conflict is acknowledged although its claim's pack does not exist.
    ConflictAcknowledgedUnsettled,
    /// A claim is cached when the table confirms it, before it is settled.
    CachedBeforeSettling,
    /// `ingest-fn` uses a cache entry after the claim's `ttl`.
    CachedPastTtl,

    // Settling.
    /// An expired claim that was replaced is not settled.
    ReplacedClaimNotSettled,
    /// `ingest-fn` settles a replaced claim that is so old that TTL may have deleted its pack.
    OldReplacedClaimSettled,
    /// A claim may be settled until its pack's `ttl`, without a margin for skewed clocks and late writes.
    SettledUntilPackTtl,
    /// `replay` settles a claim that is so old that TTL may have deleted its pack.
    OldClaimReplayed,
    /// Like [`Mutant::OldClaimReplayed`], but `replay` first looks for the claim in the object of its pack.
    OldClaimLookedUpInObject,
    /// A pack's `ttl` is the latest `ttl` of its claims.
    PackExpiresWithClaims,
    /// A pack's line has the body of the message that settles the claim, instead of the claim's body.
    LineOfOtherBody,
    /// A duplicate of another message closes the pack before `close_by`.
    DuplicateClosesEarly,
    /// `replay` settles a claim before its `close_by`.
    YoungClaimReplayed,
    /// A redelivered winner does not settle its claim before `close_by`.
    OwnMessageWaits,
    /// `ingest-fn` compares only the leader's message id, not those of the followers, with the claim's message id.
    FollowerIdIgnored,
    /// A duplicate does not settle the claim even after `close_by`.
    CloseByIgnored,
    /// A duplicate does not settle the claim even at its last receive.
    LastReceiveFails,

    // Layouts and versions.
    /// The setting `LAKE_LAYOUT`, not the claim's layout, decides whether a claim is settled.
    SettingDecides,
    /// A claim with the layout `object` is settled as if it were packed.
    ObjectClaimSettled,
    /// `archive-fn` archives claims with the layout `pack`.
    PackedClaimArchived,
    /// An `archive-fn` without support for packs can read a packed claim.
    VersionBeforeArchivesPackedClaim,
    /// An `ingest-fn` without support for packs can read a packed claim.
    VersionBeforeReadsPackedClaim,
    /// `replay` settles claims, but does not write the missing objects of packs.
    ReplayOnlySettles,
    /// `archive-fn` puts objects without `If-None-Match`.
    NoIfNoneMatch,
    /// After a restore of the table, `ingest-fn` runs before `replay` has rebuilt the pack items.
    RestoreWithoutRebuild,
    /// After a restore of the table, `replay` rebuilds the pack items before `archive-fn` has processed the records of
    /// the old table.
    RestoreBeforeArchiving,
}

impl Mutant {
    /// All mutants.
    pub const ALL: [Self; 38] = [
        Self::WinnerIgnoresPack,
        Self::OwnPackWithoutClosing,
        Self::StaleReadDecides,
        Self::FailedConditionIsNotListed,
        Self::PackPutWithoutCondition,
        Self::FreshPackIdOnRetry,
        Self::PackIdIsClaimId,
        Self::OwnPackNotChecked,
        Self::UnknownOutcomeListed,
        Self::AcknowledgedBeforeClose,
        Self::UnknownCloseIsDone,
        Self::FollowersAcknowledgedBeforeClose,
        Self::DuplicateAcknowledgedUnsettled,
        Self::ConflictAcknowledgedUnsettled,
        Self::CachedBeforeSettling,
        Self::CachedPastTtl,
        Self::ReplacedClaimNotSettled,
        Self::OldReplacedClaimSettled,
        Self::SettledUntilPackTtl,
        Self::OldClaimReplayed,
        Self::OldClaimLookedUpInObject,
        Self::PackExpiresWithClaims,
        Self::LineOfOtherBody,
        Self::DuplicateClosesEarly,
        Self::YoungClaimReplayed,
        Self::OwnMessageWaits,
        Self::FollowerIdIgnored,
        Self::CloseByIgnored,
        Self::LastReceiveFails,
        Self::SettingDecides,
        Self::ObjectClaimSettled,
        Self::PackedClaimArchived,
        Self::VersionBeforeArchivesPackedClaim,
        Self::VersionBeforeReadsPackedClaim,
        Self::ReplayOnlySettles,
        Self::NoIfNoneMatch,
        Self::RestoreWithoutRebuild,
        Self::RestoreBeforeArchiving,
    ];
}
