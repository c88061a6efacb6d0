//! What a world came to: which rules did not hold, and how everything ended.

use std::collections::BTreeMap;
use std::fmt;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A claim is of a message, from one reading of a clock, and of an event that no other claim holds.
    Claim,
    /// What is acknowledged is won, a duplicate, or a conflict that the configuration acknowledges.
    Acknowledged,
    /// A warm cache holds what the table has confirmed.
    Cache,
    /// A function stops in time.
    InTime,
    /// No item takes its batch with it.
    OneItem,
    /// No message vanishes, or is a dead letter without a reason.
    Message,
    /// Each claim has one object with one version and the winner's content, or was given up and is named; there are no others.
    Object,
    /// The table holds the claims that it took, and nothing else.
    Table,
    /// Without faults, everything comes to rest.
    Rest,
    /// What the handlers log is so. Everything else is judged without what they say.
    Log,
}

/// Something that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What should have held.
    pub rule: Rule,
    /// What was instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What a world came to.
#[derive(Debug, Default)]
pub struct Judgement {
    /// None of them should be.
    pub violations: Vec<Violation>,
    /// How many messages, claims and records ended in which way, to show that there were any.
    pub ends: BTreeMap<&'static str, u64>,
}

impl Judgement {
    pub(crate) fn violated(&mut self, rule: Rule, what: String) {
        self.violations.push(Violation { rule, what });
    }

    pub(crate) fn ended(&mut self, how: &'static str) {
        *self.ends.entry(how).or_default() += 1;
    }
}
