//! The final state of a world.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// The contents of the table, the stream, the bucket and the queues after all work is done.
#[derive(Debug)]
pub struct FinalState {
    /// Claim id of each item in the table, by partition key; empty if the item has no claim id.
    pub table: BTreeMap<String, String>,
    /// Sequence numbers of the stream's records, by claim id, or by partition key for items that were put by hand.
    pub sequence_numbers: BTreeMap<String, Vec<String>>,
    /// Content of every version of every object, by key.
    pub objects: BTreeMap<String, Vec<Bytes>>,
    /// Message ids in the dead-letter queue.
    pub dead_letters: BTreeSet<String>,
    /// First and last sequence number of each range of discarded records, from the on-failure queue.
    pub discarded: Vec<(String, String)>,
    /// Partition keys of the items that were put by hand, and whether `archive-fn` must quarantine each of them.
    pub put_by_hand: BTreeMap<String, bool>,
    /// Descriptions of the work that was unfinished two hours after the last fault.
    pub unfinished: Vec<String>,
}
