//! The key of a claim's item in DynamoDB: `pk` is `EVENT#<event id>`, and `sk` is `CLAIM`.

/// Prefix of every partition key.
pub const KEY_PREFIX: &str = "EVENT#";

/// Sort key of every claim.
pub const SORT_KEY: &str = "CLAIM";

/// Longest partition key that DynamoDB accepts, in bytes.
const MAX_PARTITION_KEY_BYTES: usize = 2_048;

/// Longest event id, in bytes of UTF-8. [`KEY_PREFIX`] and an id of this length fill the partition key.
pub const MAX_EVENT_ID_BYTES: usize = MAX_PARTITION_KEY_BYTES - KEY_PREFIX.len();
