//! The claim item's key: `pk` is `EVENT#<event id>`, and `sk` is `CLAIM`.

/// What a partition key begins with.
pub const KEY_PREFIX: &str = "EVENT#";

/// The sort key of every claim.
pub const SORT_KEY: &str = "CLAIM";

/// Largest partition key that DynamoDB takes, in bytes.
const MAX_PARTITION_KEY_BYTES: usize = 2_048;

/// Longest event id, in bytes of UTF-8: what the partition key has room for after [`KEY_PREFIX`].
pub const MAX_EVENT_ID_BYTES: usize = MAX_PARTITION_KEY_BYTES - KEY_PREFIX.len();
