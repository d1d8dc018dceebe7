//! What a loop has given out and not got back, so that it gives nothing out twice at a time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// What is being worked on, so that nothing is worked on twice at a time.
#[derive(Clone)]
pub(crate) struct InFlight<K>(Arc<Mutex<HashSet<K>>>);

impl<K> Default for InFlight<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: std::hash::Hash + Eq + Clone> InFlight<K> {
    /// What is in hand now. A loop asks before it reads what is due: whatever was in hand then may be read as it was before
    /// the work on it was written, and must wait for the next reading.
    pub(crate) fn keys(&self) -> HashSet<K> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes `key` in hand until the guard drops; `None` if it is already.
    pub(crate) fn try_start(&self, key: K) -> Option<InFlightGuard<K>> {
        let fresh = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        fresh.then(|| InFlightGuard(self.clone(), key))
    }
}

/// Something in hand.
pub(crate) struct InFlightGuard<K: std::hash::Hash + Eq + Clone>(InFlight<K>, K);

impl<K: std::hash::Hash + Eq + Clone> Drop for InFlightGuard<K> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
