//! The names that are known, and what has none. Bounded.

use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::supervision::KnownNames;

use crate::usecases::expiring_cache::ExpiringCache;

/// How long a name is remembered.
const KNOWN_FOR: Duration = Duration::from_hours(7 * 24);
/// How long a user that Connect does not know is not looked up again for a carrier.
const STRANGER_FOR: Duration = Duration::from_secs(30);
/// The most entries of each cache.
const MAX_NAMES: u64 = 10_000;

/// Answers of one kind, and that there was none.
pub(super) struct Remembered<K, V> {
    pub(super) known: ExpiringCache<K, V>,
    unknown: ExpiringCache<K, ()>,
}

impl<K, V> Remembered<K, V>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(unknown_for: Duration) -> Self {
        Self {
            known: ExpiringCache::new(MAX_NAMES, KNOWN_FOR),
            unknown: ExpiringCache::new(MAX_NAMES, unknown_for),
        }
    }

    pub(super) fn is_to_be_asked(&self, key: &K, now: Timestamp) -> bool {
        !self.known.contains(key, now) && !self.unknown.contains(key, now)
    }

    pub(super) fn insert(&self, key: K, answer: Option<V>, now: Timestamp) {
        match answer {
            Some(value) => self.known.insert(key, value, now),
            None => self.unknown.insert(key, (), now),
        }
    }
}

/// The names that are known.
pub(crate) struct NameCache {
    pub(super) usernames: Remembered<(InstanceName, UserId), String>,
    /// Users that Connect does not know. Soon asked about again, because they may have been created.
    pub(super) strangers: ExpiringCache<(InstanceName, UserId), ()>,
    pub(super) queues: Remembered<(InstanceName, String), String>,
    /// By user name or user id, in lower case.
    /// Set for a while after Salesforce refused a look-up, because it would refuse the next one, too.
    pub(super) salesforce_refused: ExpiringCache<(), ()>,
    pub(super) salesforce_users: Remembered<String, String>,
}

impl NameCache {
    pub(crate) fn new(unknown_for: Duration) -> Self {
        Self {
            usernames: Remembered::new(unknown_for),
            strangers: ExpiringCache::new(MAX_NAMES, STRANGER_FOR),
            queues: Remembered::new(unknown_for),
            salesforce_refused: ExpiringCache::new(1, unknown_for),
            salesforce_users: Remembered::new(unknown_for),
        }
    }

    /// The names that are known at this moment.
    pub(crate) fn at(&self, now: Timestamp) -> impl KnownNames {
        NamesAt(self, now)
    }
}

struct NamesAt<'c>(&'c NameCache, Timestamp);

impl KnownNames for NamesAt<'_> {
    fn username(&self, instance: &InstanceName, user: &UserId) -> Option<String> {
        let name = self.0.usernames.known.get(&(instance.clone(), user.clone()), self.1);
        name.filter(|name| !name.is_empty())
    }

    fn salesforce_user(&self, username: &str, user: Option<&UserId>) -> Option<String> {
        let of = |name: &str| self.0.salesforce_users.known.get(&name.to_lowercase(), self.1);
        of(username).or_else(|| of(user?.as_str()))
    }

    fn queue(&self, instance: &InstanceName, queue: &str) -> Option<String> {
        self.0.queues.known.get(&(instance.clone(), queue.to_owned()), self.1)
    }
}
