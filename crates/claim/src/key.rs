//! The key of a claim's item in DynamoDB: `pk` is `EVENT#<event id>`, and `sk` is `CLAIM` or `CLAIM#<tag>`. The tag
//! depends on the dedup key, so claims of different dedup keys are different items.

/// Prefix of every partition key.
pub const KEY_PREFIX: &str = "EVENT#";

/// Sort key of every claim that was made under the default dedup key, and the prefix of all other sort keys.
pub const SORT_KEY: &str = "CLAIM";

/// Longest partition key that DynamoDB accepts, in bytes.
const MAX_PARTITION_KEY_BYTES: usize = 2_048;

/// Longest event id, in bytes of UTF-8. [`KEY_PREFIX`] and an id of this length fill the partition key.
pub const MAX_EVENT_ID_BYTES: usize = MAX_PARTITION_KEY_BYTES - KEY_PREFIX.len();

/// Returns true if this is the sort key of a claim: `CLAIM`, or `CLAIM#` and a tag.
#[must_use]
pub fn is_claim_sort_key(sort_key: &str) -> bool {
    sort_key.strip_prefix(SORT_KEY).is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}
