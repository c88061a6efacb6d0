//! What this sandbox knows of claims: only what the table confirmed, and only for as long as the claim holds.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lru::LruCache;
use sha2::{Digest as _, Sha256};

use crate::claim_table::HeldClaim;

/// Claims that the table confirmed, the most recently seen ones. It lives as long as its Lambda sandbox; a duplicate
/// that it knows costs no request.
pub(crate) struct WarmCache(Option<Mutex<LruCache<Key, HeldClaim>>>);

/// Half of the SHA-256 of the event id: a fixed size, and no two ids collide by accident or by intent.
type Key = [u8; 16];

/// An entry of the warm cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachedClaim {
    /// The first half of the SHA-256 of the event id.
    pub event_id_hash: [u8; 16],
    /// The claim that holds the event.
    pub held: HeldClaim,
}

impl WarmCache {
    pub(crate) fn new(entries: Option<NonZeroUsize>) -> Self {
        Self(entries.map(|entries| Mutex::new(LruCache::new(entries))))
    }

    /// The claim that holds the event at `now` of the wall clock, if it is known. The wall clock is looked at on
    /// every hit: a monotonic one stands still while Lambda freezes the sandbox.
    pub(crate) fn get(&self, event_id: &str, now: SystemTime) -> Option<HeldClaim> {
        let mut cache = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let held = *cache.get(&key(event_id))?;
        let now_seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        (held.ttl >= now_seconds).then_some(held)
    }

    /// All entries, the most recently used first.
    pub(crate) fn claims(&self) -> Vec<CachedClaim> {
        let Some(cache) = &self.0 else { return Vec::new() };
        let cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.iter().map(|(&event_id_hash, &held)| CachedClaim { event_id_hash, held }).collect()
    }

    /// Takes in a claim that the table confirmed.
    pub(crate) fn remember(&self, event_id: &str, held: HeldClaim) {
        if let Some(cache) = &self.0 {
            cache.lock().unwrap_or_else(PoisonError::into_inner).put(key(event_id), held);
        }
    }
}

fn key(event_id: &str) -> Key {
    let hash: [u8; 32] = Sha256::digest(event_id).into();
    *hash.first_chunk().expect("32 bytes begin with 16")
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

    #[test]
    fn a_claim_is_known_up_to_and_including_its_last_second() {
        let cache = WarmCache::new(NonZeroUsize::new(2));
        cache.remember("a", held(100));
        assert_eq!(cache.get("a", at(100)), Some(held(100)));
        assert_eq!(cache.get("a", at(101)), None);
        assert_eq!(cache.get("b", at(100)), None);
    }

    #[test]
    fn the_least_recently_seen_goes_first_and_zero_entries_hold_nothing() {
        let cache = WarmCache::new(NonZeroUsize::new(2));
        cache.remember("a", held(100));
        cache.remember("b", held(100));
        assert!(cache.get("a", at(0)).is_some());
        cache.remember("c", held(100));
        assert_eq!(
            [cache.get("a", at(0)), cache.get("b", at(0)), cache.get("c", at(0))].map(|hit| hit.is_some()),
            [true, false, true]
        );
        let off = WarmCache::new(None);
        off.remember("a", held(100));
        assert_eq!(off.get("a", at(0)), None);
    }
}
