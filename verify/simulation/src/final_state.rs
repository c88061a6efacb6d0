//! The final state of a world.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// What is there when nothing moves any more.
#[derive(Debug)]
pub struct FinalState {
    /// Partition key and claim id of each item; an empty id if it has none.
    pub table: BTreeMap<String, String>,
    /// Sequence numbers of the stream's records, by claim id, or by partition key for what is no claim of `ingest-fn`'s.
    pub sequence_numbers: BTreeMap<String, Vec<String>>,
    /// The content of every version of every object.
    pub objects: BTreeMap<String, Vec<Bytes>>,
    /// Message ids in the dead-letter queue.
    pub dead_letters: BTreeSet<String>,
    /// First and last sequence number of what the on-failure queue says was discarded.
    pub discarded: Vec<(String, String)>,
    /// What was put into the table by hand, by its partition key, and whether it must be quarantined.
    pub by_hand: BTreeMap<String, bool>,
    /// What was still under way two hours after the last fault.
    pub unfinished: Vec<String>,
}
