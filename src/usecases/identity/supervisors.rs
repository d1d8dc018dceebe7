//! Who is meant: a supervisor by their Connect user id, or by their user name, which the vendor is asked about and which is
//! remembered for a while.

use crate::usecases::error::UseCaseError;
use crate::usecases::identity::IdentityError;
use std::time::Duration;

use moka::sync::Cache;

use crate::usecases::Request;
use crate::usecases::identity::IdentityResolver;
use crate::usecases::monitoring::start::StartRequest;
use sidedoor_domain::authority::{Claim, ClaimKind, Scope, Unbound};
use sidedoor_domain::ids::{InstanceName, UserId};
use sidedoor_domain::ports::{Operation, VendorError, VendorErrorCode, Verdict};

/// How many names are remembered.
const NAMES: u64 = 10_000;

/// A supervisor, as a caller names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisorRef {
    /// By their Connect user id.
    Id(UserId),
    /// By their Connect user name.
    Name(String),
}

/// The names that are known.
pub(crate) type Names = Cache<(InstanceName, String), UserId>;

pub(crate) fn names(live: Duration) -> Names {
    Cache::builder().max_capacity(NAMES).time_to_live(live).build()
}

impl IdentityResolver {
    /// The user meant, and their name if that is how they were named. A caller learns nothing about users they may not
    /// act as.
    pub(crate) async fn who(
        &self,
        instance: &InstanceName,
        who: &SupervisorRef,
        by: &Request,
    ) -> Result<(UserId, Option<String>), IdentityError> {
        let forbidden = || UseCaseError::Forbidden("this credential may not listen as that supervisor");
        let (user, name) = match who {
            SupervisorRef::Id(user) => (user.clone(), None),
            SupervisorRef::Name(_)
                if ![Scope::Supervise, Scope::SuperviseAny]
                    .iter()
                    .any(|s| by.caller.has(*s)) =>
            {
                return Err(forbidden().into());
            }
            SupervisorRef::Name(name) => match self.user_named_in_time(instance, name, by).await {
                // Whether a name exists is for those who may act as anyone.
                Err(IdentityError::SupervisorNotFound | IdentityError::SupervisorAmbiguous)
                    if !by.caller.has(Scope::SuperviseAny) =>
                {
                    return Err(forbidden().into());
                }
                found => (found?, Some(name.clone())),
            },
        };
        if by.caller.may_act_as(&user) {
            Ok((user, name))
        } else {
            Err(forbidden().into())
        }
    }

    /// The Salesforce User the row points to: the one given, else the one the credential names beside this very supervisor. One
    /// that is given by a credential that does not name it is that supervisor's by the CRM's word, or refused: a row in another's
    /// name is evidence against them.
    pub(crate) async fn recorded_as(
        &self,
        ask: &StartRequest,
        user: &UserId,
        instance: &InstanceName,
        by: &Request,
    ) -> Result<Option<String>, IdentityError> {
        let Some(given) = &ask.salesforce_user_id else {
            let own = by.caller.supervisor.as_ref() == Some(user);
            return Ok(by.caller.salesforce_user.clone().filter(|_| own));
        };
        if !by.caller.may_record_as(given) {
            let claim = Claim {
                kind: ClaimKind::SalesforceUserId,
                value: given.clone(),
                instance: Some(instance.clone()),
            };
            match self.bind(&claim, self.ctx.left(by)).await {
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

    /// The same, no longer than the answer may still take.
    async fn user_named_in_time(
        &self,
        instance: &InstanceName,
        name: &str,
        by: &Request,
    ) -> Result<UserId, IdentityError> {
        let asked = tokio::time::timeout(self.ctx.left(by), self.user_named(instance, name)).await;
        asked.unwrap_or_else(|_| {
            Err(IdentityError::Vendor(VendorError {
                operation: Operation::SearchUsers,
                code: VendorErrorCode::Timeout,
                message: "Connect could not be asked in time who has that user name".into(),
                verdict: Verdict::Retry,
                may_have_happened: false,
            }))
        })
    }

    pub(crate) async fn user_named(&self, instance: &InstanceName, name: &str) -> Result<UserId, IdentityError> {
        let key = (instance.clone(), name.to_lowercase());
        if let Some(known) = self.names.get(&key) {
            return Ok(known);
        }
        let mut found = self
            .ctx
            .telephony()
            .users_named(instance, name)
            .await
            .map_err(IdentityError::Vendor)?;
        match (found.pop(), found.is_empty()) {
            (Some(user), true) => {
                self.names.insert(key, user.clone());
                Ok(user)
            }
            (Some(_), false) => Err(IdentityError::SupervisorAmbiguous),
            (None, _) => Err(IdentityError::SupervisorNotFound),
        }
    }
}
