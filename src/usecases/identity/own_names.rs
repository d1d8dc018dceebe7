//! What a caller that may name only themselves says about themselves: their user name, and their Salesforce User.
//!
//! Guarantee: the vendors are asked only about the caller's own user, whatever the caller names, with one question at a time for each
//! user. So made-up names cost nothing, and nothing is learnt about others.

use std::time::Duration;

use sidedoor_domain::authority::{Caller, Unbound};
use sidedoor_domain::ids::{InstanceName, UserId};

use crate::usecases::RequestContext;
use crate::usecases::context::UseCaseContext;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::names::NameService;
use crate::usecases::identity::{IdentityError, IdentityResolver};
use crate::usecases::in_flight::InFlight;

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
    in_flight: InFlight<OwnKey>,
}

impl OwnNames {
    /// `live` is how long an answer is used, `unknown` for how long it is that there is none.
    pub(super) fn new(live: Duration, unknown: Duration) -> Self {
        Self {
            linked: ExpiringCache::new(MAX_USERS, live),
            unlinked: ExpiringCache::new(MAX_USERS, unknown),
            failed: ExpiringCache::new(MAX_USERS, FAILED_TTL),
            in_flight: InFlight::default(),
        }
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
        let asked = |ctx: UseCaseContext, (instance, user): OwnKey| async move {
            NameService::new(ctx).find_user(&instance, &user).await.ok()
        };
        let own = self.ask_about(instance, user, request, asked).await?;
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
        let (key, now) = ((instance.clone(), user.clone()), self.ctx.now());
        if self.own.unlinked.contains(&key, now) || !self.ctx.wants_salesforce_users() {
            return Ok(false);
        }
        let linked = match self.own.linked.get(&key, now) {
            Some(linked) => linked,
            None => {
                let linked = self.ask_about(instance, user, request, ask_salesforce).await?;
                if linked.is_empty() {
                    self.own.unlinked.insert(key, (), self.ctx.now());
                } else {
                    self.own.linked.insert(key, linked.clone(), self.ctx.now());
                }
                linked
            }
        };
        Ok(linked.iter().any(|own| is_same_record(own, given)))
    }

    /// Asks a question about a user, if none about them is in flight and none failed a moment ago.
    async fn ask_about<T, F>(
        &self,
        instance: &InstanceName,
        user: &UserId,
        request: &RequestContext,
        question: impl Fn(UseCaseContext, OwnKey) -> F,
    ) -> Result<T, IdentityError>
    where
        F: Future<Output = Option<T>>,
    {
        let unresolved = || IdentityError::Unbound(Unbound::Unresolved);
        let key = (instance.clone(), user.clone());
        if self.own.failed.contains(&key, self.ctx.now()) {
            return Err(unresolved());
        }
        let _in_flight = self.own.in_flight.try_start(key.clone()).ok_or_else(unresolved)?;
        let answer = question(self.ctx.clone(), key.clone());
        match tokio::time::timeout(self.ctx.time_left(request), answer).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => {
                self.own.failed.insert(key, (), self.ctx.now());
                tracing::warn!(connect_user_id = %user, "could not look up who {user} is; the request is answered 503");
                Err(unresolved())
            }
        }
    }
}

/// The Salesforce Users that are linked to a user; `None` if a vendor does not answer.
async fn ask_salesforce(ctx: UseCaseContext, (instance, user): OwnKey) -> Option<Vec<String>> {
    let crm = ctx.deps.crm.clone()?;
    let username = NameService::new(ctx).find_user(&instance, &user).await.ok()?;
    let Some(username) = username.filter(|name| !name.is_empty()) else {
        return Some(Vec::new());
    };
    let found = crm.users_named(&[username, user.to_string()]).await.ok()?;
    Some(found.into_values().flatten().collect())
}
