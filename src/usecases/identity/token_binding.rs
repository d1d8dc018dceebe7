//! Resolves the supervisor that a token names. The claim is a Connect user id, a Connect user name, or a Salesforce User
//! whose record has the Connect user name.
//!
//! Results are cached. Concurrent requests with the same claim share one lookup, so that a burst does not exhaust the
//! vendors' rate limits. While a vendor is unavailable, the last known result is used for the length of a shift, so that a
//! supervisor can still leave.

use std::sync::Arc;
use std::time::Duration;

use sidedoor_domain::authority::{Claim, ClaimKind, Unbound};
use sidedoor_domain::ids::UserId;
use tokio::sync::{OnceCell, Semaphore};

use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::{IdentityError, IdentityResolver};

/// The most claims in each cache.
const MAX_CLAIMS: u64 = 10_000;
/// How long a claim without a user is not looked up again.
const NOT_LINKED_TTL: Duration = Duration::from_secs(30);
/// How long the last known result may be used while a vendor is unavailable.
const FALLBACK_TTL: Duration = Duration::from_secs(8 * 3600);
/// How long a claim whose lookup failed is not looked up again.
const UNRESOLVED_TTL: Duration = Duration::from_secs(2);
/// The most lookups in flight; further requests wait, at most as long as a lookup may take.
const MAX_LOOKUPS: usize = 32;
/// How long a request waits for a lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);

/// The results of lookups, by claim.
#[derive(Clone)]
pub(super) struct ClaimCache {
    resolved: ExpiringCache<Claim, Arc<OnceCell<UserId>>>,
    not_linked: ExpiringCache<Claim, ()>,
    last_known: ExpiringCache<Claim, UserId>,
    unresolved: ExpiringCache<Claim, ()>,
    lookups: Arc<Semaphore>,
}

impl ClaimCache {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            resolved: ExpiringCache::new(MAX_CLAIMS, ttl),
            not_linked: ExpiringCache::new(MAX_CLAIMS, NOT_LINKED_TTL.min(ttl)),
            last_known: ExpiringCache::new(MAX_CLAIMS, FALLBACK_TTL),
            unresolved: ExpiringCache::new(MAX_CLAIMS, UNRESOLVED_TTL.min(ttl)),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

impl IdentityResolver {
    /// The Connect user that a verified token names. Waits at most `within` for a lookup.
    ///
    /// # Errors
    /// [`Unbound::NotLinked`] when the claim leads to no single user, [`Unbound::Unresolved`] when that cannot be decided now.
    pub async fn resolve_claim(&self, claim: &Claim, within: Duration) -> Result<UserId, Unbound> {
        if claim.kind == ClaimKind::ConnectUserId {
            return UserId::parse(claim.value.as_str()).map_err(|_| Unbound::NotLinked);
        }
        if self.claims.not_linked.contains(claim, self.ctx.now()) {
            return Err(Unbound::NotLinked);
        }
        let found = match self.claims.unresolved.contains(claim, self.ctx.now()) {
            // The vendor was unavailable a moment ago.
            true => Err(Unbound::Unresolved),
            false => tokio::time::timeout(LOOKUP_TIMEOUT.min(within), self.resolve_in_own_task(claim))
                .await
                .unwrap_or(Err(Unbound::Unresolved)),
        };
        match found {
            Ok(user) => Ok(user),
            Err(Unbound::Unresolved) => {
                // A request whose time was nearly over proves nothing about the vendor.
                if within >= LOOKUP_TIMEOUT {
                    self.claims.unresolved.insert(claim.clone(), (), self.ctx.now());
                }
                let known = self.claims.last_known.get(claim, self.ctx.now());
                known.ok_or(Unbound::Unresolved)
            }
            Err(Unbound::NotLinked) => {
                self.claims.not_linked.insert(claim.clone(), (), self.ctx.now());
                self.claims.last_known.remove(claim);
                Err(Unbound::NotLinked)
            }
        }
    }

    /// Looks the claim up in a task of its own, so that the result is cached even if the request is dropped.
    async fn resolve_in_own_task(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let cell = self.claims.resolved.get(claim, self.ctx.now());
        if let Some(user) = cell.as_ref().and_then(|cell| cell.get()) {
            return Ok(user.clone());
        }
        let permit = self.claims.lookups.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Unbound::Unresolved)?;
        let (this, asked) = (self.clone(), claim.clone());
        let lookup = self.ctx.run_detached(async move {
            let found = this.resolve_and_remember(&asked).await;
            drop(permit);
            Ok::<_, UseCaseError>(found)
        });
        lookup.await.unwrap_or(Err(Unbound::Unresolved))
    }

    async fn resolve_and_remember(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let cell = self
            .claims
            .resolved
            .get_or_insert_with(claim, self.ctx.now(), Arc::default);
        let user = cell.get_or_try_init(|| self.look_up(claim)).await?.clone();
        self.claims
            .last_known
            .insert(claim.clone(), user.clone(), self.ctx.now());
        Ok(user)
    }

    async fn look_up(&self, claim: &Claim) -> Result<UserId, Unbound> {
        let name = match claim.kind {
            ClaimKind::ConnectUserId | ClaimKind::ConnectUsername => claim.value.clone(),
            ClaimKind::SalesforceUserId => self.name_in_salesforce(&claim.value).await?,
        };
        let instance = claim
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let known = instance.filter(|name| self.ctx.instance(name).is_some());
        let instance = known.ok_or(Unbound::NotLinked)?;
        match self.find_user_by_name(&instance, &name).await {
            Ok(user) => Ok(user),
            Err(IdentityError::SupervisorNotFound(_) | IdentityError::SupervisorAmbiguous(_)) => {
                tracing::info!(
                    "a token names a supervisor who is not exactly one user of Amazon Connect; answering 403"
                );
                Err(Unbound::NotLinked)
            }
            Err(e) => {
                tracing::warn!(error = %e, "could not look up a token's user in Amazon Connect; using the last known one, if any: {e}");
                Err(Unbound::Unresolved)
            }
        }
    }

    async fn name_in_salesforce(&self, user: &str) -> Result<String, Unbound> {
        let crm = self.ctx.deps.crm.as_ref().ok_or(Unbound::NotLinked)?;
        match crm.connect_username(user).await {
            Ok(Some(name)) => Ok(name),
            Ok(None) => {
                tracing::info!("a token names a Salesforce User without a Connect user name; answering 403");
                Err(Unbound::NotLinked)
            }
            Err(e) => {
                tracing::warn!(code = %e.code, "could not read a token's Salesforce User; using the last known one, if any: {}", e.code);
                Err(Unbound::Unresolved)
            }
        }
    }
}
