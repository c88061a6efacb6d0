//! The final state of a world, which the reference model checks.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// The contents of the table, the stream, the bucket and the queues at the end of a world.
#[derive(Debug)]
pub struct FinalState {
    /// Claim id of each item in the table that is not a pack, by partition key. The claim id is empty if the item has none.
    pub table: BTreeMap<String, String>,
    /// Ids of the packs in the table.
    pub packs: BTreeSet<String>,
    /// Sequence numbers of each item's stream records that have a new image. The map's key is the item's claim id, the pack id or,
    /// if the item was put by hand, its partition key.
    pub sequence_numbers: BTreeMap<String, Vec<String>>,
    /// Contents of all versions of each object, by object key.
    pub objects: BTreeMap<String, Vec<Bytes>>,
    /// Ids of the messages in the dead-letter queue.
    pub dead_letters: BTreeSet<String>,
    /// First and last sequence number of each range of discarded records that the on-failure queue names.
    pub discarded: Vec<(String, String)>,
    /// Partition keys of the items that were put by hand. The value is true if `archive-fn` must quarantine the item.
    pub put_by_hand: BTreeMap<String, bool>,
    /// Describes the work that was unfinished two hours after the last fault or the last redrive, and the error of a
    /// mapping that failed. Empty if all work is done and no mapping failed.
    pub unfinished: Vec<String>,
}
