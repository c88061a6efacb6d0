//! Faults that are planted on purpose, to show that the simulation, and the producer's verdicts, would catch them. They exist
//! only under the feature `deliberate-faults`, which the `simulation` crate and the producer's tests turn on, and act only in a
//! thread that planted one; without the feature, everything here is a constant `false` or nothing, and compiles out.

/// What the code does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliberateFault {
    /// `ingest-fn` writes a claim whatever the table holds.
    ClaimWithoutCondition,
    /// `ingest-fn` takes a throttle for a duplicate.
    ThrottleIsDuplicate,
    /// `ingest-fn` acknowledges without waiting to see what became of the write.
    AcknowledgedBeforeWrite,
    /// `ingest-fn` remembers a claim before the table has confirmed it.
    CachedBeforeConfirmation,
    /// `ingest-fn` acknowledges the followers of a failed leader that say the same as it.
    SameFollowersAcknowledged,
    /// `ingest-fn` acknowledges the followers of a failed leader that say something else.
    OtherFollowersAcknowledged,
    /// `ingest-fn` acknowledges what it rejects.
    RejectedAcknowledged,
    /// `ingest-fn` compares a follower with its leader, and not with the claim that the table confirmed.
    FollowerJudgedByLeader,
    /// `ingest-fn` tries again with another claim id.
    FreshClaimIdOnRetry,
    /// `ingest-fn` takes `DuplicateItem` for its own insert, which it has not looked at.
    DuplicateItemIsOwn,
    /// `ingest-fn` takes a batched insert for done, whatever the error inside the answer says.
    StatementErrorIsWon,
    /// `ingest-fn` goes on with another claim id after a batched insert.
    FreshClaimIdAfterInsert,
    /// `ingest-fn` times cache entries by a clock that stands still while the sandbox is frozen.
    CacheByMonotonicClock,
    /// Both functions let a panic on one record take the whole batch.
    PanicUnfenced,
    /// `archive-fn` writes objects without `If-None-Match`.
    PutWithoutIfNoneMatch,
    /// `archive-fn` takes S3's 409 for "already there".
    ConflictIsAlreadyThere,
    /// `archive-fn` archives INSERT and not MODIFY.
    InsertOnly,
    /// `archive-fn` reports a record that can never be archived, again and again.
    UnusableReported,
    /// The stream's mapping goes on after the highest failure, and not from the lowest.
    CheckpointAtHighestFailure,
}

impl DeliberateFault {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ClaimWithoutCondition,
        Self::ThrottleIsDuplicate,
        Self::AcknowledgedBeforeWrite,
        Self::CachedBeforeConfirmation,
        Self::SameFollowersAcknowledged,
        Self::OtherFollowersAcknowledged,
        Self::RejectedAcknowledged,
        Self::FollowerJudgedByLeader,
        Self::FreshClaimIdOnRetry,
        Self::DuplicateItemIsOwn,
        Self::StatementErrorIsWon,
        Self::FreshClaimIdAfterInsert,
        Self::CacheByMonotonicClock,
        Self::PanicUnfenced,
        Self::PutWithoutIfNoneMatch,
        Self::ConflictIsAlreadyThere,
        Self::InsertOnly,
        Self::UnusableReported,
        Self::CheckpointAtHighestFailure,
    ];

    /// Whether this thread has planted it.
    #[cfg(feature = "deliberate-faults")]
    #[must_use]
    pub fn is_planted(self) -> bool {
        planted::FAULT.get() == Some(self)
    }

    /// Never.
    #[cfg(not(feature = "deliberate-faults"))]
    #[must_use]
    #[inline]
    pub const fn is_planted(self) -> bool {
        false
    }
}

/// An event id that begins with this makes the code panic that reads it, in a thread that has [set traps](set_traps).
pub const TRAP: &str = "trap-";

/// Panics on an event id that is a trap for `place`: `trap-<place>..`. What the fence is for.
#[inline]
pub fn trap(place: &str, event_id: &str) {
    #[cfg(feature = "deliberate-faults")]
    assert!(
        !(planted::TRAPS.get() && event_id.strip_prefix(TRAP).is_some_and(|rest| rest.starts_with(place))),
        "stepped into the trap {event_id}"
    );
    #[cfg(not(feature = "deliberate-faults"))]
    let _ = (place, event_id);
}

#[cfg(feature = "deliberate-faults")]
mod planted {
    use std::cell::Cell;

    use super::DeliberateFault;

    thread_local! {
        pub(super) static FAULT: Cell<Option<DeliberateFault>> = const { Cell::new(None) };
        pub(super) static TRAPS: Cell<bool> = const { Cell::new(false) };
        pub(super) static FROZEN_SECONDS: Cell<u64> = const { Cell::new(0) };
    }

    /// From now on, code in this thread has this fault, or none.
    pub fn plant(fault: Option<DeliberateFault>) {
        FAULT.set(fault);
    }

    /// Whether event ids that are traps make code in this thread panic.
    pub fn set_traps(set: bool) {
        TRAPS.set(set);
    }

    /// For how long the sandbox that runs now has been frozen, of its life so far.
    pub fn set_frozen_seconds(seconds: u64) {
        FROZEN_SECONDS.set(seconds);
    }
}

#[cfg(feature = "deliberate-faults")]
pub use planted::{plant, set_frozen_seconds, set_traps};

/// For [`DeliberateFault::CacheByMonotonicClock`]: seconds of the wall clock that a monotonic clock has missed.
#[must_use]
#[inline]
pub fn missed_seconds() -> u64 {
    #[cfg(feature = "deliberate-faults")]
    if DeliberateFault::CacheByMonotonicClock.is_planted() {
        return planted::FROZEN_SECONDS.get();
    }
    0
}
