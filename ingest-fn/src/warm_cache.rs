//! The cache of claims in a warm Lambda sandbox. It holds only claims that the table has confirmed. A lookup never
//! returns an expired claim.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lru::LruCache;
use sha2::{Digest as _, Sha256};

use crate::claim_table::HeldClaim;

/// The most recently used claims. A duplicate of a cached event needs no request to DynamoDB. The cache lives as long
/// as its Lambda sandbox.
pub(crate) struct WarmCache(Option<Mutex<LruCache<Key, HeldClaim>>>);

/// The first half of the SHA-256 of the event id. Finding two ids with the same key takes about 2^64 hashes.
type Key = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedClaim {
    /// The first half of the SHA-256 of the event id.
    pub event_id_hash: [u8; 16],
    pub held: HeldClaim,
}

impl WarmCache {
    pub(crate) fn new(entries: Option<NonZeroUsize>) -> Self {
        Self(entries.map(|entries| Mutex::new(LruCache::new(entries))))
    }

    /// Returns the cached claim that holds the event at `now`, if there is one. `now` must come from the wall clock, because
    /// a monotonic clock can stand still while Lambda freezes the sandbox.
    pub(crate) fn get(&self, event_id: &str, now: SystemTime) -> Option<HeldClaim> {
        let mut cache = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let held = *cache.get(&key(event_id))?;
        let now_seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        (held.ttl >= now_seconds).then_some(held)
    }

    /// Returns all cached claims, the most recently used first.
    pub(crate) fn claims(&self) -> Vec<CachedClaim> {
        let Some(cache) = &self.0 else { return Vec::new() };
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.iter().map(|(&event_id_hash, &held)| CachedClaim { event_id_hash, held }).collect()
    }

    /// Caches a claim that the table has confirmed.
    pub(crate) fn remember(&self, event_id: &str, held: HeldClaim) {
        if let Some(cache) = &self.0 {
            cache.lock().unwrap_or_else(PoisonError::into_inner).put(key(event_id), held);
        }
    }
}

fn key(event_id: &str) -> Key {
    let hash: [u8; 32] = Sha256::digest(event_id).into();
    *hash.first_chunk().expect("a hash of 32 bytes has a first half of 16 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    fn held(ttl: u64) -> HeldClaim {
        HeldClaim { claim_id: uuid::Uuid::nil(), digest: claim::Digest::of("{}").unwrap(), ttl }
    }

    /// A cached claim is valid up to and including its last second.
    #[test]
    fn cached_claim_expires_after_its_ttl() {
        let cache = WarmCache::new(NonZeroUsize::new(2));
        cache.remember("a", held(100));
        assert_eq!(cache.get("a", at(100)), Some(held(100)));
        assert_eq!(cache.get("a", at(101)), None);
        assert_eq!(cache.get("b", at(100)), None);
    }

    #[test]
    fn least_recently_used_claim_is_evicted() {
        let cache = WarmCache::new(NonZeroUsize::new(2));
        cache.remember("a", held(100));
        cache.remember("b", held(100));
        assert!(cache.get("a", at(0)).is_some());
        cache.remember("c", held(100));
        assert_eq!(
            [cache.get("a", at(0)), cache.get("b", at(0)), cache.get("c", at(0))].map(|hit| hit.is_some()),
            [true, false, true]
        );
    }

    #[test]
    fn cache_without_entries_holds_nothing() {
        let off = WarmCache::new(None);
        off.remember("a", held(100));
        assert_eq!(off.get("a", at(0)), None);
    }
}
