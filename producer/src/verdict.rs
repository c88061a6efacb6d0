//! Whether a run holds: each invariant, and the verdict on them together.

mod invariants;

use serde::Serialize;

/// As many offending ids are named.
const MOST_EXAMPLES: usize = 100;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every invariant held.
    Held,
    /// One did not.
    Violated,
    /// None is known to be violated, and not all are known to hold.
    Inconclusive,
}

/// One of the things that must hold.
#[derive(Debug, Serialize)]
pub struct Invariant {
    /// In words.
    pub name: &'static str,
    /// `None` if it cannot be told.
    pub held: Option<bool>,
    /// Ids that violate it, or, if it cannot be told, of which it cannot be; `[]` if it held. No more than a hundred.
    pub examples: Vec<String>,
    /// How many of them there are.
    pub offenders: usize,
}

impl Verdict {
    /// One violated invariant is enough. A run that is not complete never holds.
    pub(crate) fn new(invariants: &[Invariant], is_complete: bool) -> Self {
        if invariants.iter().any(|invariant| invariant.held == Some(false)) {
            Self::Violated
        } else if invariants.iter().all(|invariant| invariant.held == Some(true)) && is_complete {
            Self::Held
        } else {
            Self::Inconclusive
        }
    }
}
