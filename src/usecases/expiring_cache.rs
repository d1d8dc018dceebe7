//! A bounded cache whose entries expire by the injected clock. `moka` bounds and evicts; it reads a clock of its own, which a
//! simulation cannot control, so the age of an entry is judged here.

use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;

/// A cache of at most some entries. Clones share the entries.
#[derive(Clone)]
pub(crate) struct ExpiringCache<K, V> {
    entries: Cache<K, (V, Timestamp)>,
    ttl: SignedDuration,
}

impl<K, V> ExpiringCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(capacity: u64, ttl: std::time::Duration) -> Self {
        Self {
            entries: Cache::builder().max_capacity(capacity).build(),
            ttl: SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX),
        }
    }

    fn is_expired(&self, since: Timestamp, now: Timestamp) -> bool {
        now.duration_since(since) >= self.ttl
    }

    pub(crate) fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let (value, since) = self.entries.get(key)?;
        (!self.is_expired(since, now)).then_some(value)
    }

    pub(crate) fn contains(&self, key: &K, now: Timestamp) -> bool {
        self.get(key, now).is_some()
    }

    pub(crate) fn insert(&self, key: K, value: V, now: Timestamp) {
        self.entries.insert(key, (value, now));
    }

    /// The entry of this key; if there is none, or it has expired, the value that `init` makes. Of several callers at the same time
    /// one makes it and all get it.
    pub(crate) fn get_or_insert_with(&self, key: &K, now: Timestamp, init: impl FnOnce() -> V) -> V {
        let expired = |(_, since): &(V, Timestamp)| self.is_expired(*since, now);
        let entry = self
            .entries
            .entry_by_ref(key)
            .or_insert_with_if(|| (init(), now), expired);
        entry.into_value().0
    }

    pub(crate) fn remove(&self, key: &K) {
        self.entries.invalidate(key);
    }
}
