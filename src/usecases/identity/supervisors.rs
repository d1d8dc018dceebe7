//! Resolves a supervisor from a Connect user id or a user name. Names are looked up in Amazon Connect and cached.
//!
//! Guarantee: a caller learns nothing about users that it may not act as, not even whether a name exists.

use std::time::Duration;

use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::{Operation, VendorError, VendorErrorCode, Verdict};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::identity::own_names::only_user;
use crate::usecases::identity::{IdentityError, IdentityResolver};
use crate::usecases::monitoring::start::StartRequest;

/// The most names in the cache.
const MAX_USERNAMES: u64 = 10_000;
/// How long a name without exactly one user is not looked up again.
const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// How many names a caller looks up at a time.
pub(super) const LOOK_UPS_A_CALLER: usize = 4;

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

/// Names that no user has, or several; in the same form.
pub(super) type UnknownUsernames = ExpiringCache<(InstanceName, String), HowMany>;

/// How many users have a name that is not exactly one user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HowMany {
    None,
    Several,
}

impl HowMany {
    fn error(self, name: &str) -> IdentityError {
        match self {
            Self::None => IdentityError::SupervisorNotFound(name.to_owned()),
            Self::Several => IdentityError::SupervisorAmbiguous(name.to_owned()),
        }
    }
}

pub(super) fn unknown_usernames(live: Duration) -> UnknownUsernames {
    ExpiringCache::new(MAX_USERNAMES, UNKNOWN_TTL.min(live))
}

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
                if !request.caller.has(Scope::SuperviseAny) && only_user(&request.caller).is_none() =>
            {
                return Err(forbidden().into());
            }
            SupervisorRef::Name(name) => match only_user(&request.caller) {
                // Such a caller gets the same answer for every name that is not its own, and Connect is not asked about it.
                Some(own) if self.is_own_username(instance, own, name, request).await? => {
                    (own.clone(), Some(name.clone()))
                }
                Some(_) => return Err(forbidden().into()),
                None => (
                    self.find_user_by_name_in_time(instance, name, request).await?,
                    Some(name.clone()),
                ),
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
    /// refused, because a record in another person's name is evidence against them. Salesforce is asked who is linked to this
    /// supervisor, and not about the given user.
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
        let caller = &request.caller;
        // A credential that names another Salesforce User has answered the question already.
        let may = caller.may_record_as(given)
            || (caller.salesforce_user.is_none()
                && self.is_own_salesforce_user(instance, user, given, request).await?);
        if may {
            return Ok(Some(given.clone()));
        }
        Err(UseCaseError::Forbidden("this credential may not listen in the name of that Salesforce user").into())
    }

    /// As [`Self::find_user_by_name`], but limited to the remaining time of the request.
    async fn find_user_by_name_in_time(
        &self,
        instance: &InstanceName,
        name: &str,
        request: &RequestContext,
    ) -> Result<UserId, IdentityError> {
        let asked = async {
            let key = (instance.clone(), name.to_lowercase());
            let is_known = self.usernames.contains(&key, self.ctx.now());
            let _turn = match is_known {
                true => None,
                false => self.look_ups.turn(&request.caller).await,
            };
            self.find_user_by_name(instance, name).await
        };
        let asked = tokio::time::timeout(self.ctx.time_left(request), asked).await;
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
        if let Some(how_many) = self.unknown_usernames.get(&key, self.ctx.now()) {
            return Err(how_many.error(name));
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
        let how_many = match (found.pop(), found.is_empty()) {
            (Some(user), true) => {
                self.usernames.insert(key, user.clone(), self.ctx.now());
                return Ok(user);
            }
            (Some(_), false) => HowMany::Several,
            (None, _) => HowMany::None,
        };
        self.unknown_usernames.insert(key, how_many, self.ctx.now());
        Err(how_many.error(name))
    }
}
