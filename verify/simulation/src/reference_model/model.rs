//! The state of the reference model: the messages, invocations, claims and table items of the history so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{StoredClaim, StoredPack};
use crate::judgment::Judgment;
use crate::scenario::Scenario;
use crate::workload::Meaning;

/// A message that the queue accepted.
pub(super) struct QueuedMessage<'a> {
    /// Position of the message in `Scenario::messages`.
    pub(super) message: usize,
    pub(super) meaning: &'a Meaning,
    /// Time at which the queue accepted the message, in milliseconds since the world began.
    pub(super) accepted_ms: u64,
    /// Time at which `ingest-fn` was first invoked with the message, in milliseconds since the world began.
    pub(super) first_invoked_ms: Option<u64>,
    pub(super) acknowledged: bool,
    pub(super) redriven: bool,
    /// True if SQS deleted the message at the end of its retention, and no guarantee covers this loss.
    pub(super) expired: bool,
}

/// A period in which a mapping was disabled, in milliseconds since the world began.
pub(super) struct Disablement {
    /// `ingest` or `archive`.
    pub(super) function: &'static str,
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

pub(super) struct Invocation<'a> {
    pub(super) is_ingest: bool,
    pub(super) wall_seconds: u64,
    pub(super) items: &'a [String],
    /// Number of outcomes that the invocation has logged.
    pub(super) outcomes: usize,
    /// Ids of the claims that the invocation tries to write, by partition key.
    pub(super) claims: BTreeMap<&'a str, &'a str>,
}

pub(super) struct Model<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) judgment: Judgment,
    /// Messages that the queue accepted, by message id.
    pub(super) accepted: BTreeMap<&'a str, QueuedMessage<'a>>,
    pub(super) invocations: BTreeMap<u64, Invocation<'a>>,
    /// All claims that the table has ever stored, by claim id.
    pub(super) claims: BTreeMap<&'a str, &'a StoredClaim>,
    /// All packs that the table has ever stored, by pack id.
    pub(super) packs: BTreeMap<&'a str, &'a StoredPack>,
    /// The pack that lists each claim, by claim id.
    pub(super) pack_of: BTreeMap<&'a str, &'a str>,
    /// Ids of the packs that the table should contain at this point of the history.
    pub(super) packs_in_table: BTreeSet<&'a str>,
    /// Ids of the claims that a log line has reported as won.
    pub(super) won: BTreeSet<&'a str>,
    /// Ids of the claims that were part of a batched insert.
    pub(super) inserts: BTreeSet<&'a str>,
    /// Ids of the claims for which `ingest-fn` sent a `PutItem` request after a batched insert.
    pub(super) puts_after_inserts: BTreeSet<&'a str>,
    /// Time at which the table first stored each item, in milliseconds since the world began. The key is the claim id
    /// or, for an item that was put by hand, the partition key.
    pub(super) stored_ms: BTreeMap<&'a str, u64>,
    /// Number of times that `archive-fn` panicked when it wrote the object of a claim, by invocation and claim id.
    pub(super) panics: BTreeMap<(u64, &'a str), u32>,
    /// Ids of the claims whose records `archive-fn` may quarantine because of its panics.
    pub(super) may_be_quarantined: BTreeSet<&'a str>,
    pub(super) disabled: Vec<Disablement>,
    /// Ids of the messages in the latest listing of the dead-letter queue.
    pub(super) listed_letters: BTreeSet<&'a str>,
    /// Items that the table should contain at this point of the history, by partition key. The value is `None` for an
    /// item that was put by hand.
    pub(super) table: BTreeMap<&'a str, Option<&'a StoredClaim>>,
}

impl<'a> Model<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            judgment: Judgment::default(),
            accepted: BTreeMap::new(),
            invocations: BTreeMap::new(),
            claims: BTreeMap::new(),
            packs: BTreeMap::new(),
            pack_of: BTreeMap::new(),
            packs_in_table: BTreeSet::new(),
            won: BTreeSet::new(),
            inserts: BTreeSet::new(),
            puts_after_inserts: BTreeSet::new(),
            stored_ms: BTreeMap::new(),
            panics: BTreeMap::new(),
            may_be_quarantined: BTreeSet::new(),
            disabled: Vec::new(),
            listed_letters: BTreeSet::new(),
            table: BTreeMap::new(),
        }
    }

    pub(super) fn wall_ms(&self, at_ms: u64) -> u64 {
        u64::try_from(self.scenario.epoch.as_millis()).unwrap_or(u64::MAX) + at_ms
    }

    pub(super) fn accept_message(&mut self, at_ms: u64, id: &'a str, message: usize) {
        let meaning = &self.scenario.messages[message].meaning;
        let accepted = QueuedMessage {
            message,
            meaning,
            accepted_ms: at_ms,
            first_invoked_ms: None,
            acknowledged: false,
            redriven: false,
            expired: false,
        };
        self.accepted.insert(id, accepted);
    }

    /// Returns the content number of the claim's message, or `None` if that message is unknown or not a valid event.
    pub(super) fn content(&self, claim: &StoredClaim) -> Option<u64> {
        match self.accepted.get(claim.message_id.as_str())?.meaning {
            Meaning::Event { content, .. } => Some(*content),
            Meaning::Invalid => None,
        }
    }
}
