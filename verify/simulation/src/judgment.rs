//! The judgment of a world: the rules that were violated, and how often each result occurred.

use std::collections::BTreeMap;
use std::fmt;

/// A rule that must hold in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A claim belongs to one message and one event. All of its times are derived from one clock reading. When the table
    /// stores the claim, no other claim holds the event.
    Claim,
    /// Every acknowledged message is a winner, a duplicate, or a conflict that the configuration acknowledges.
    Acknowledged,
    /// The warm cache of a sandbox holds only claims that the table has confirmed.
    Cache,
    /// Every invocation ends before the function's timeout.
    Deadline,
    /// A bad message or record fails alone. It does not make its whole batch fail.
    Isolation,
    /// No message is lost, and every dead letter has a reason. A message may expire in the queue only if the queue
    /// mapping was disabled for so long that the message's retention could end before its last receive. SQS may delete
    /// a dead letter only at the end of its retention.
    Message,
    /// A pack lists only claims that are in the table and name this pack, or the one claim whose id it has. It outlives its
    /// claims by a day, and no claim is in two packs.
    Pack,
    /// Every pack, and every claim that is not packed, has one object in one version, with the content of the messages
    /// that won. The object may be missing only if the on-failure queue names the record as discarded, if the record
    /// left the stream while the stream mapping was disabled, or if `archive-fn` quarantined the record. `archive-fn`
    /// may quarantine a record only if it was over an hour old and `archive-fn` panicked on it twice in one invocation.
    /// There are no other objects, except quarantined records.
    Object,
    /// At the end, the table holds the last item stored under each key, unless TTL deleted that item. It holds no other
    /// items.
    Table,
    /// No mapping fails. All work finishes within two hours after the last fault. Then the dead letters are redriven,
    /// and all work finishes within another two hours.
    Completion,
    /// The handlers log one outcome for each message and record, except routine outcomes if `LOG_ROUTINE_OUTCOMES` is
    /// false. The logged outcome of a message is correct. The other rules do not use the logs.
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
    /// All violations of rules. Empty if the functions behaved correctly.
    pub violations: Vec<Violation>,
    /// Number of times that each result, such as `events won`, occurred.
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
