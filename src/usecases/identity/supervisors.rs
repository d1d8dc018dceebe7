//! Resolves a supervisor from a Connect user id or a user name. Names are looked up in Amazon Connect and cached.
//!
//! Guarantee: a caller learns nothing about users that it may not act as, not even whether a name exists.

use std::time::Duration;

use sidedoor_domain::authority::{Claim, ClaimKind, Scope, Unbound};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::{Operation, VendorError, VendorErrorCode, Verdict};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::{IdentityError, IdentityResolver};
use crate::usecases::monitoring::start::StartRequest;

/// The most names in the cache.
const MAX_USERNAMES: u64 = 10_000;

/// A supervisor as a caller refers to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisorRef {
    /// By Connect user id.
    Id(UserId),
    /// By Connect user name.
    Name(String),
}

/// The Connect users by instance and lower-case user name.
pub(super) type UsernameCache = ExpiringCache<(InstanceName, String), UserId>;

pub(super) fn username_cache(live: Duration) -> UsernameCache {
    ExpiringCache::new(MAX_USERNAMES, live)
}

impl IdentityResolver {
    /// The referenced user, and the name if the caller used one. A caller that may not act as the user gets `Forbidden`.
    pub(crate) async fn resolve_supervisor(
        &self,
        instance: &InstanceName,
        supervisor: &SupervisorRef,
        request: &RequestContext,
    ) -> Result<(UserId, Option<String>), IdentityError> {
        let forbidden = || UseCaseError::Forbidden("this credential may not listen as that supervisor");
        let (user, name) = match supervisor {
            SupervisorRef::Id(user) => (user.clone(), None),
            SupervisorRef::Name(_)
                if ![Scope::Supervise, Scope::SuperviseAny]
                    .iter()
                    .any(|s| request.caller.has(*s)) =>
            {
                return Err(forbidden().into());
            }
            SupervisorRef::Name(name) => match self.find_user_by_name_in_time(instance, name, request).await {
                // Only a caller that may act as anyone may learn whether a name exists.
                Err(IdentityError::SupervisorNotFound(_) | IdentityError::SupervisorAmbiguous(_))
                    if !request.caller.has(Scope::SuperviseAny) =>
                {
                    return Err(forbidden().into());
                }
                found => (found?, Some(name.clone())),
            },
        };
        if request.caller.may_act_as(&user) {
            Ok((user, name))
        } else {
            Err(forbidden().into())
        }
    }

    /// The Salesforce User for the record: the given one, otherwise the one in the credential if the credential belongs to this
    /// supervisor. A given user that is not in the credential must be linked to this supervisor in Salesforce, otherwise it is
    /// refused, because a record in another person's name is evidence against them.
    pub(crate) async fn resolve_salesforce_user(
        &self,
        ask: &StartRequest,
        user: &UserId,
        instance: &InstanceName,
        request: &RequestContext,
    ) -> Result<Option<String>, IdentityError> {
        let Some(given) = &ask.salesforce_user_id else {
            let own = request.caller.supervisor.as_ref() == Some(user);
            return Ok(request.caller.salesforce_user.clone().filter(|_| own));
        };
        if !request.caller.may_record_as(given) {
            let claim = Claim {
                kind: ClaimKind::SalesforceUserId,
                value: given.clone(),
                instance: Some(instance.clone()),
            };
            match self.resolve_claim(&claim, self.ctx.time_left(request)).await {
                Ok(theirs) if theirs == *user => {}
                Ok(_) | Err(Unbound::NotLinked) => {
                    return Err(UseCaseError::Forbidden(
                        "this credential may not listen in the name of that Salesforce user",
                    )
                    .into());
                }
                Err(Unbound::Unresolved) => return Err(IdentityError::Unbound(Unbound::Unresolved)),
            }
        }
        Ok(Some(given.clone()))
    }

    /// As [`Self::find_user_by_name`], but limited to the remaining time of the request.
    async fn find_user_by_name_in_time(
        &self,
        instance: &InstanceName,
        name: &str,
        request: &RequestContext,
    ) -> Result<UserId, IdentityError> {
        let asked = tokio::time::timeout(self.ctx.time_left(request), self.find_user_by_name(instance, name)).await;
        asked.unwrap_or_else(|_| {
            Err(IdentityError::Vendor(VendorError {
                operation: Operation::SearchUsers,
                code: VendorErrorCode::Timeout,
                message: "Connect did not answer in time which user has that name".into(),
                operator_note: None,
                verdict: Verdict::Retry,
                may_have_happened: false,
            }))
        })
    }

    /// The Connect user with this user name, from the cache or from Connect.
    pub(super) async fn find_user_by_name(&self, instance: &InstanceName, name: &str) -> Result<UserId, IdentityError> {
        let key = (instance.clone(), name.to_lowercase());
        if let Some(known) = self.usernames.get(&key, self.ctx.now()) {
            return Ok(known);
        }
        let mut found = self
            .ctx
            .telephony()
            .users_named(instance, name)
            .await
            .map_err(|e| {
                // The caller reads less than an operator needs.
                tracing::warn!(%instance, code = %e.code, "could not look up a supervisor by user name: {}", e.for_operators());
                IdentityError::Vendor(e)
            })?;
        match (found.pop(), found.is_empty()) {
            (Some(user), true) => {
                self.usernames.insert(key, user.clone(), self.ctx.now());
                Ok(user)
            }
            (Some(_), false) => Err(IdentityError::SupervisorAmbiguous(name.to_owned())),
            (None, _) => Err(IdentityError::SupervisorNotFound(name.to_owned())),
        }
    }
}
