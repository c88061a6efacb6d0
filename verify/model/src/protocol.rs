//! The size of the model, and the rules that depend on nothing else.

use crate::mutant::Mutant;
use crate::state::{Claim, State};

/// What there is, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// What each message says. Those of one letter are duplicates, others conflict; all are of one event.
    pub messages: &'static [char],
    /// The dedup window, in seconds.
    pub window: u8,
    /// The clock stops at this second.
    pub last_second: u8,
    /// How far the second sandbox's clock is ahead of the first one's, in seconds.
    pub skew: u8,
    /// Receives that a message gets before it is a dead letter.
    pub max_receives: u8,
    /// How many things go wrong at the most.
    pub faults: u8,
    /// Messages in a batch, and records in one, at the most.
    pub batch: usize,
    /// Claims are inserted first, as with `CLAIM_WRITES=batch`, and put where that leaves them open.
    pub batched: bool,
    /// What is wrong with the protocol, if anything.
    pub mutant: Option<Mutant>,
}

impl Protocol {
    pub(crate) fn ttl(&self, claim: Claim) -> u8 {
        claim.at + self.window
    }

    pub(crate) fn clock(&self, state: &State, sandbox: usize) -> u8 {
        state.second + if sandbox == 1 { self.skew } else { 0 }
    }

    pub(crate) fn say_the_same(&self, one: u8, other: u8) -> bool {
        self.messages[usize::from(one)] == self.messages[usize::from(other)]
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
