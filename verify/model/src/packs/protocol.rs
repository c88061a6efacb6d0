//! The parameters of the model, and small computations with them.

use super::mutant::Mutant;
use super::properties::Situation;
use super::state::{Claim, PackId, Receive, State};

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub event: u8,
    /// The body, as one letter. Messages of one event are duplicates if their letters are equal, and otherwise
    /// conflict.
    pub body: char,
}

/// The version and the `LAKE_LAYOUT` of a sandbox of `ingest-fn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// `LAKE_LAYOUT=packs`.
    Packs,
    /// `LAKE_LAYOUT=objects`.
    Objects,
    /// A version without support for packs. It writes claims with the layout `object`, cannot read packed claims, and
    /// does not settle claims.
    VersionBefore,
}

/// The parameters of the model.
#[derive(Clone, Debug)]
pub struct Packs {
    pub messages: &'static [Message],
    pub writers: [Writer; 2],
    /// True for `CLAIM_WRITES=batch`.
    pub batched: bool,
    /// Maximum number of messages in a batch: one or two.
    pub batch: usize,
    /// Number of receives after which a message becomes a dead letter.
    pub max_receives: u8,
    /// Number of times that a dead letter can be redriven.
    pub redrives: u8,
    /// Length of the dedup window, in seconds.
    pub window: u8,
    /// Maximum duration of an invocation, in seconds. A claim's `close_by` is its `claimed_at` plus this duration.
    pub invocation: u8,
    /// Number of seconds from the latest `ttl` of a pack's claims to the `ttl` of the pack.
    pub pack_extra: u8,
    /// Number of seconds after a claim's `ttl` during which the claim may still be settled. If claims expire,
    /// `pack_extra` must exceed this number by at least `skew` plus `invocation`, plus one second for late writes.
    pub settle_extra: u8,
    /// Number of seconds by which the clocks of the second sandbox and of TTL are ahead of the real time.
    pub skew: u8,
    /// The second at which the clock stops. Other actions can still happen.
    pub last_second: u8,
    /// Maximum number of faults in a run.
    pub faults: u8,
    /// Number of claims that `replay` may settle before its final run.
    pub replays: u8,
    /// Number of records that a version of `archive-fn` without support for packs may process.
    pub records_for_version_before: u8,
    /// True if the table may be restored from a backup.
    pub restores: bool,
    /// The situations that the model must reach.
    pub situations: &'static [Situation],
    /// The mutant to check, or `None` for the correct protocol.
    pub mutant: Option<Mutant>,
}

impl Packs {
    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn events(&self) -> usize {
        self.messages.iter().map(|message| usize::from(message.event) + 1).max().unwrap_or(0)
    }

    pub(crate) fn event(&self, receive: Receive) -> usize {
        usize::from(self.messages[usize::from(receive.message)].event)
    }

    pub(crate) fn body(&self, receive: Receive) -> char {
        self.messages[usize::from(receive.message)].body
    }

    /// Returns the message's SQS id at this receive. A redrive changes the id.
    pub(crate) fn message_id(&self, receive: Receive) -> (u8, u8) {
        (receive.message, (receive.number - 1) / self.max_receives)
    }

    pub(crate) fn is_last_receive(&self, number: u8) -> bool {
        number.is_multiple_of(self.max_receives)
    }

    pub(crate) fn ttl(&self, claim: Claim) -> u8 {
        claim.at + self.window
    }

    pub(crate) fn close_by(&self, claim: Claim) -> u8 {
        claim.at + self.invocation
    }

    pub(crate) fn clock(&self, state: &State, sandbox: usize) -> u8 {
        state.second + if sandbox == 1 { self.skew } else { 0 }
    }

    pub(crate) fn ttl_clock(&self, state: &State) -> u8 {
        state.second + self.skew
    }

    /// Returns true if TTL cannot have deleted the claim's pack yet, so the claim may be settled.
    pub(crate) fn may_settle(&self, claim: Claim, now: u8) -> bool {
        let extra = if self.has(Mutant::SettledUntilPackTtl) { self.pack_extra } else { self.settle_extra };
        now <= self.ttl(claim) + extra
    }

    /// Returns the id of the pack that contains only this claim.
    pub(crate) fn own_pack(&self, claim: Receive) -> PackId {
        match self.mutant {
            Some(Mutant::PackIdIsClaimId | Mutant::OwnPackNotChecked) => PackId::Chunk { first: claim, retry: 0 },
            _ => PackId::Own(claim),
        }
    }
}
