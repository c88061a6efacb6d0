//! The parameters of the model, and small computations with them.

use crate::mutant::Mutant;
use crate::state::{Claim, State};

/// The parameters of the model.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The body of each message, as one letter. All messages have the same event id, so messages with equal letters are
    /// duplicates, and messages with different letters conflict.
    pub messages: &'static [char],
    /// Length of the dedup window, in seconds.
    pub window: u8,
    /// The second at which the clock stops. Actions that do not advance the clock can still happen afterwards.
    pub last_second: u8,
    /// Number of seconds by which the second sandbox's clock is ahead of the first one's.
    pub skew: u8,
    /// Number of receives after which a message becomes a dead letter.
    pub max_receives: u8,
    /// Maximum number of faults in a run.
    pub faults: u8,
    /// Maximum number of messages or records in a batch.
    pub batch: usize,
    /// True for `CLAIM_WRITES=batch`: a sandbox sends an insert, and a conditional put only if the insert is refused or
    /// has an unknown outcome. False if a sandbox sends only the conditional put.
    pub batched: bool,
    /// The mutant to check, or `None` for the correct protocol.
    pub mutant: Option<Mutant>,
}

impl Protocol {
    pub(crate) fn ttl(&self, claim: Claim) -> u8 {
        claim.at + self.window
    }

    pub(crate) fn clock(&self, state: &State, sandbox: usize) -> u8 {
        state.second + if sandbox == 1 { self.skew } else { 0 }
    }

    pub(crate) fn have_same_body(&self, one: u8, other: u8) -> bool {
        self.messages[usize::from(one)] == self.messages[usize::from(other)]
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
