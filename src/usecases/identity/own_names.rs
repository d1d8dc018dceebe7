//! What a caller that may name only themselves says about themselves: their user name, and their Salesforce User.
//!
//! Guarantee: the vendors are asked only about the caller's own user, whatever the caller names, with one question at a time for each
//! user. So made-up names cost nothing, and nothing is learnt about others.

use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::authority::{Caller, Unbound};
use sidedoor_domain::ids::{InstanceName, UserId};

use crate::usecases::caller_queues::CallerQueues;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::names::NameService;
use crate::usecases::identity::{IdentityError, IdentityResolver};
use crate::usecases::{RequestContext, UserKeys};

/// The most users in each cache.
const MAX_USERS: u64 = 10_000;
/// How long a user is not asked about again after the question failed.
const FAILED_TTL: Duration = Duration::from_secs(5);

type OwnKey = (InstanceName, UserId);

/// What the vendors say about callers.
#[derive(Clone)]
pub(super) struct OwnNames {
    /// The Salesforce Users that are linked to each user.
    linked: ExpiringCache<OwnKey, Vec<String>>,
    /// Users that no Salesforce User is linked to.
    unlinked: ExpiringCache<OwnKey, ()>,
    failed: ExpiringCache<OwnKey, ()>,
    /// Each caller asks one question at a time, and the next one finds the answer in a cache.
    turns: CallerQueues,
}

impl OwnNames {
    /// `live` is how long an answer is used, `unknown` for how long it is that there is none.
    pub(super) fn new(live: Duration, unknown: Duration) -> Self {
        Self {
            linked: ExpiringCache::new(MAX_USERS, live),
            unlinked: ExpiringCache::new(MAX_USERS, unknown),
            failed: ExpiringCache::new(MAX_USERS, FAILED_TTL),
            turns: CallerQueues::new(1),
        }
    }

    fn linked_to(&self, key: &OwnKey, now: Timestamp) -> Option<Vec<String>> {
        let none = || self.unlinked.contains(key, now).then(Vec::new);
        self.linked.get(key, now).or_else(none)
    }
}

/// The user that a caller may name, if it may name only themselves.
pub(super) fn only_user(caller: &Caller) -> Option<&UserId> {
    caller.supervisor.as_ref().filter(|_| caller.names_one_supervisor())
}

/// Ids of 15 and of 18 characters mean the same User.
fn is_same_record(one: &str, other: &str) -> bool {
    let short = |id: &str| id.get(..15).map(ToOwned::to_owned);
    short(one).is_some_and(|one| short(other) == Some(one))
}

impl IdentityResolver {
    /// Whether this is the name of `user`.
    ///
    /// # Errors
    /// [`IdentityError::Unbound`] if that cannot be said now.
    pub(super) async fn is_own_username(
        &self,
        instance: &InstanceName,
        user: &UserId,
        name: &str,
        request: &RequestContext,
    ) -> Result<bool, IdentityError> {
        let key = (instance.clone(), name.to_lowercase());
        // A token that names its supervisor by user name was looked up by it.
        if let Some(known) = self.usernames.get(&key, self.ctx.now()) {
            return Ok(known == *user);
        }
        let asked = NameService::new(self.ctx.clone());
        let question = async { asked.find_user(instance, user).await.ok() };
        let own = self.ask_about(instance, user, request, question).await?;
        Ok(own.is_some_and(|own| own.to_lowercase() == key.1))
    }

    /// Whether this Salesforce User is linked to `user`.
    ///
    /// # Errors
    /// [`IdentityError::Unbound`] if that cannot be said now.
    pub(super) async fn is_own_salesforce_user(
        &self,
        instance: &InstanceName,
        user: &UserId,
        given: &str,
        request: &RequestContext,
    ) -> Result<bool, IdentityError> {
        if !self.ctx.wants_salesforce_users() {
            return Ok(false);
        }
        let key = (instance.clone(), user.clone());
        let linked = match self.own.linked_to(&key, self.ctx.now()) {
            Some(known) => known,
            None => {
                let question = async {
                    match self.own.linked_to(&key, self.ctx.now()) {
                        Some(known) => Some(known),
                        None => self.ask_salesforce(&key).await,
                    }
                };
                self.ask_about(instance, user, request, question).await?
            }
        };
        Ok(linked.iter().any(|own| is_same_record(own, given)))
    }

    /// Asks a question about a user in the caller's turn, unless one about them failed a moment ago.
    async fn ask_about<T>(
        &self,
        instance: &InstanceName,
        user: &UserId,
        request: &RequestContext,
        question: impl Future<Output = Option<T>>,
    ) -> Result<T, IdentityError> {
        let key = (instance.clone(), user.clone());
        let answer = async {
            let _turn = self.own.turns.turn(&request.caller).await;
            if self.own.failed.contains(&key, self.ctx.now()) {
                return None;
            }
            question.await
        };
        let answer = tokio::time::timeout(self.ctx.time_left(request), answer).await;
        answer.ok().flatten().ok_or_else(|| {
            self.own.failed.insert(key, (), self.ctx.now());
            tracing::warn!(connect_user_id = %user, "could not look up who {user} is; the request is answered 503");
            IdentityError::Unbound(Unbound::Unresolved)
        })
    }

    /// The Salesforce Users that are linked to a user; `None` if a vendor does not answer.
    async fn ask_salesforce(&self, key: &OwnKey) -> Option<Vec<String>> {
        let (instance, user) = key;
        let (crm, keys) = (self.ctx.deps.crm.as_ref()?, self.ctx.settings.salesforce_users?);
        let username = NameService::new(self.ctx.clone())
            .find_user(instance, user)
            .await
            .ok()?;
        let mut linked = Vec::new();
        if let Some(username) = username.filter(|name| !name.is_empty()) {
            let mut names = vec![username];
            if keys == UserKeys::UsernameOrId {
                names.push(user.to_string());
            }
            linked = crm.users_named(&names).await.ok()?.into_values().flatten().collect();
        }
        if linked.is_empty() {
            self.own.unlinked.insert(key.clone(), (), self.ctx.now());
        } else {
            self.own.linked.insert(key.clone(), linked.clone(), self.ctx.now());
        }
        Some(linked)
    }
}
