//! The state of the reference model: what was sent, and what the services say that they did.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::StoredClaim;
use crate::judgement::Judgement;
use crate::scenario::Scenario;
use crate::workload::Meaning;

/// A message as the queue took it.
pub(super) struct QueuedMessage<'a> {
    pub(super) message: usize,
    pub(super) meaning: &'a Meaning,
    pub(super) acknowledged: bool,
    pub(super) redriven: bool,
}

pub(super) struct Invocation<'a> {
    pub(super) is_ingest: bool,
    pub(super) wall_seconds: u64,
    pub(super) items: &'a [String],
    pub(super) outcomes: usize,
    /// Which claim it tries to write for each event.
    pub(super) claims: BTreeMap<&'a str, &'a str>,
}

pub(super) struct Model<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) judgement: Judgement,
    pub(super) taken: BTreeMap<&'a str, QueuedMessage<'a>>,
    pub(super) invocations: BTreeMap<u64, Invocation<'a>>,
    /// By claim id, with the moment at which the table took it first.
    pub(super) claims: BTreeMap<&'a str, (u64, &'a StoredClaim)>,
    pub(super) won: BTreeSet<&'a str>,
    /// Claims that were tried in a request of many.
    pub(super) inserts: BTreeSet<&'a str>,
    /// Those of them that were then put.
    pub(super) puts_after_inserts: BTreeSet<&'a str>,
    /// Claims on whose object `archive-fn` panicked.
    pub(super) panicked: BTreeSet<&'a str>,
    /// Partition key to claim, for what is in the table now; none for what was put there by hand.
    pub(super) table: BTreeMap<&'a str, Option<&'a StoredClaim>>,
}

impl<'a> Model<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            judgement: Judgement::default(),
            taken: BTreeMap::new(),
            invocations: BTreeMap::new(),
            claims: BTreeMap::new(),
            won: BTreeSet::new(),
            inserts: BTreeSet::new(),
            puts_after_inserts: BTreeSet::new(),
            panicked: BTreeSet::new(),
            table: BTreeMap::new(),
        }
    }

    pub(super) fn wall_ms(&self, at_ms: u64) -> u64 {
        u64::try_from(self.scenario.epoch.as_millis()).unwrap_or(u64::MAX) + at_ms
    }

    pub(super) fn take(&mut self, id: &'a str, message: usize) {
        let meaning = &self.scenario.messages[message].meaning;
        self.taken.insert(id, QueuedMessage { message, meaning, acknowledged: false, redriven: false });
    }

    /// What the claim says of its event.
    pub(super) fn content(&self, claimed: &StoredClaim) -> Option<u64> {
        match self.taken.get(claimed.message_id.as_str())?.meaning {
            Meaning::Event { content, .. } => Some(*content),
            Meaning::NoEvent => None,
        }
    }
}
