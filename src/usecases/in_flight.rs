//! The keys that a loop has started work for, so that it starts nothing twice at a time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// A set of keys whose work is in flight. Clones share the set.
#[derive(Clone)]
pub(crate) struct InFlight<K>(Arc<Mutex<BTreeSet<K>>>);

impl<K> Default for InFlight<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord + Clone> InFlight<K> {
    /// The keys in flight now. A loop must call this before it reads the due work: a key that was in flight then may have been
    /// read before its work was written, so it must wait for the next read.
    pub(crate) fn keys(&self) -> BTreeSet<K> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Marks `key` as in flight until the guard drops; `None` if it already is.
    pub(crate) fn try_start(&self, key: K) -> Option<InFlightGuard<K>> {
        let fresh = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        fresh.then(|| InFlightGuard(self.clone(), key))
    }
}

/// Removes its key from the set when it drops.
pub(crate) struct InFlightGuard<K: Ord + Clone>(InFlight<K>, K);

impl<K: Ord + Clone> Drop for InFlightGuard<K> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
