//! The users of Connect by id: who an agent or a supervisor is of whom only the id is known.
//!
//! Answers are cached, negative ones for a shorter time. Both caches are bounded, so that invented ids neither fill the memory nor use up
//! the rate budget of DescribeUser again and again.

use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::VendorError;
use sidedoor_domain::ports::telephony::ConnectUser;

use crate::usecases::context::UseCaseContext;
use crate::usecases::expiring_cache::ExpiringCache;

/// The most users in each cache.
const MAX_USERS: u64 = 10_000;
/// How long a user that Connect does not know is not looked up again.
const UNKNOWN_TTL: Duration = Duration::from_secs(30);

/// A user of an instance.
type Key = (InstanceName, UserId);

/// The answers of DescribeUser. Clones share the entries.
#[derive(Clone)]
struct UserCache {
    known: ExpiringCache<Key, ConnectUser>,
    unknown: ExpiringCache<Key, ()>,
}

impl UserCache {
    fn new(ttl: Duration) -> Self {
        Self {
            known: ExpiringCache::new(MAX_USERS, ttl),
            unknown: ExpiringCache::new(MAX_USERS, UNKNOWN_TTL.min(ttl)),
        }
    }

    /// The remembered answer: `Some(None)` for a user that Connect does not know.
    fn get(&self, key: &Key, now: Timestamp) -> Option<Option<ConnectUser>> {
        let known = self.known.get(key, now).map(Some);
        known.or_else(|| self.unknown.contains(key, now).then_some(None))
    }

    fn remember(&self, key: Key, found: Option<&ConnectUser>, now: Timestamp) {
        match found {
            Some(user) => self.known.insert(key, user.clone(), now),
            None => self.unknown.insert(key, (), now),
        }
    }
}

/// Finds users of Connect by id. Clones share the cache.
#[derive(Clone)]
pub(crate) struct UserDirectory {
    ctx: UseCaseContext,
    cache: UserCache,
}

impl UserDirectory {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            cache: UserCache::new(ctx.settings.username_cache_ttl),
            ctx,
        }
    }

    /// The user with this id, from the cache or from Connect; `None` if Connect has none. A failed look-up is not remembered.
    ///
    /// # Errors
    /// The vendor's.
    pub(crate) async fn find(
        &self,
        instance: &InstanceName,
        user: &UserId,
    ) -> Result<Option<ConnectUser>, VendorError> {
        let key = (instance.clone(), user.clone());
        if let Some(answer) = self.cache.get(&key, self.ctx.now()) {
            return Ok(answer);
        }
        let found = self.ctx.telephony().user(instance, user).await?;
        self.cache.remember(key, found.as_ref(), self.ctx.now());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + s).expect("in range")
    }

    fn key(instance: &str, user: &str) -> Key {
        let instance = InstanceName::parse(instance).expect("a name");
        (instance, UserId::parse(user).expect("an id"))
    }

    #[test]
    fn users_are_remembered_and_unknown_ones_for_a_shorter_time() {
        let cache = UserCache::new(Duration::from_secs(300));
        let (agent, stranger) = (key("main", "agent-1"), key("main", "stranger"));
        assert_eq!(cache.get(&agent, at(0)), None, "not asked yet");
        let user = ConnectUser {
            id: agent.1.clone(),
            username: Some("ann@example".into()),
        };
        cache.remember(agent.clone(), Some(&user), at(0));
        cache.remember(stranger.clone(), None, at(0));
        assert_eq!(cache.get(&agent, at(299)), Some(Some(user)));
        assert_eq!(cache.get(&stranger, at(29)), Some(None));
        assert_eq!(cache.get(&stranger, at(30)), None, "it may have been created");
        assert_eq!(cache.get(&agent, at(300)), None);
        assert_eq!(cache.get(&key("other", "agent-1"), at(0)), None, "of another instance");
    }

    #[test]
    fn unknown_user_that_is_created_becomes_known() {
        let cache = UserCache::new(Duration::from_secs(300));
        let late = key("main", "agent-9");
        cache.remember(late.clone(), None, at(0));
        let user = ConnectUser {
            id: late.1.clone(),
            username: None,
        };
        cache.remember(late.clone(), Some(&user), at(1));
        assert_eq!(cache.get(&late, at(2)), Some(Some(user)));
    }

    #[test]
    fn negative_answers_never_outlive_the_configured_time() {
        let cache = UserCache::new(Duration::from_secs(5));
        let stranger = key("main", "stranger");
        cache.remember(stranger.clone(), None, at(0));
        assert_eq!(cache.get(&stranger, at(5)), None);
    }
}
