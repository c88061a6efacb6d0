//! The judgment of a world: the violated rules, and the results of its messages, claims and records.

use std::collections::BTreeMap;
use std::fmt;

/// A rule that holds in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A claim belongs to one message and one event, its times come from one reading of a clock, and no other claim holds
    /// its event.
    Claim,
    /// Every acknowledged message is a winner, a duplicate, or a conflict that the configuration acknowledges.
    Acknowledged,
    /// A warm cache holds only claims that the table has confirmed.
    Cache,
    /// A function stops before its timeout.
    Deadline,
    /// A bad message or record fails alone, and not with its whole batch.
    Isolation,
    /// No message is lost, and every dead letter has a reason.
    Message,
    /// Every claim has one object, in one version, with the winner's content, unless its record was discarded and the
    /// on-failure queue names it. There are no other objects.
    Object,
    /// The table holds the claims that it accepted, and nothing else.
    Table,
    /// All work finishes within two hours after the faults have ended.
    Completion,
    /// The handlers log the outcomes that really occurred. All other rules are checked without the handlers' logs.
    Log,
}

/// A violation of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.description)
    }
}

/// The judgment of one world.
#[derive(Debug, Default)]
pub struct Judgment {
    /// All violations; empty if the functions are correct.
    pub violations: Vec<Violation>,
    /// Number of messages, claims and records with each result. A campaign checks that all results occur.
    pub results: BTreeMap<&'static str, u64>,
}

impl Judgment {
    pub(crate) fn add_violation(&mut self, rule: Rule, description: String) {
        self.violations.push(Violation { rule, description });
    }

    pub(crate) fn count_result(&mut self, result: &'static str) {
        *self.results.entry(result).or_default() += 1;
    }
}
