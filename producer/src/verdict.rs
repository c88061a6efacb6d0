//! The invariants of a run, and the verdict that follows from them.

mod invariants;

use serde::Serialize;

/// Maximum number of offending ids that an invariant lists.
const MAX_EXAMPLES: usize = 100;

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every invariant held, and the run was complete.
    Held,
    /// At least one invariant was violated.
    Violated,
    /// No violation was found, but at least one invariant is undecided, or the run was not complete.
    Inconclusive,
}

/// The names of the invariants that can be checked only if the functions log routine outcomes.
pub(crate) const NEED_ROUTINE_LINES: [&str; 3] =
    [invariants::EVERY_MESSAGE_ENDED, invariants::NOT_WON_TWICE, invariants::NO_OTHER_OBJECT];

/// A property that must hold after a run, and the result of its check.
#[derive(Debug, Serialize)]
pub struct Invariant {
    /// The property in one sentence.
    pub name: &'static str,
    /// True if the invariant held, false if it was violated, `None` if the evidence does not decide it.
    pub held: Option<bool>,
    /// At most a hundred ids of messages, events or objects that violate the invariant, or may violate it if `held` is
    /// `None`. Empty if the invariant held or a source could not be read.
    pub examples: Vec<String>,
    /// Number of all ids that violate the invariant or may violate it, including those that `examples` omits.
    pub offenders: usize,
}

impl Verdict {
    /// Derives the verdict. One violated invariant is enough for `Violated`, and an incomplete run is never `Held`.
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
