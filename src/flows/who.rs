//! Who is meant: a supervisor by their Connect user id, or by their user name, which the vendor is asked about and which is
//! remembered for a while.

use std::time::Duration;

use moka::sync::Cache;

use super::{FlowError, Flows, Request};
use crate::domain::authority::Scope;
use crate::domain::ids::{InstanceName, UserId};

/// How many names are remembered.
const NAMES: u64 = 10_000;

/// A supervisor, as a caller names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// By their Connect user id.
    Id(UserId),
    /// By their Connect user name.
    Name(String),
}

/// The names that are known.
pub(super) type Names = Cache<(InstanceName, String), UserId>;

pub(super) fn names(live: Duration) -> Names {
    Cache::builder().max_capacity(NAMES).time_to_live(live).build()
}

impl Flows {
    /// The user meant, and their name if that is how they were named. A caller learns nothing about users they may not
    /// act as.
    pub(super) async fn who(
        &self,
        instance: &InstanceName,
        who: &Who,
        by: &Request,
    ) -> Result<(UserId, Option<String>), FlowError> {
        let forbidden = || FlowError::Forbidden("this credential may not listen as that supervisor");
        let (user, name) = match who {
            Who::Id(user) => (user.clone(), None),
            Who::Name(_)
                if ![Scope::Supervise, Scope::SuperviseAny]
                    .iter()
                    .any(|s| by.caller.has(*s)) =>
            {
                return Err(forbidden());
            }
            Who::Name(name) => match self.user_named(instance, name).await {
                // Whether a name exists is for those who may act as anyone.
                Err(FlowError::UnknownSupervisor | FlowError::AmbiguousSupervisor)
                    if !by.caller.has(Scope::SuperviseAny) =>
                {
                    return Err(forbidden());
                }
                found => (found?, Some(name.clone())),
            },
        };
        if by.caller.may_act_as(&user) {
            Ok((user, name))
        } else {
            Err(forbidden())
        }
    }

    pub(super) async fn user_named(&self, instance: &InstanceName, name: &str) -> Result<UserId, FlowError> {
        let key = (instance.clone(), name.to_lowercase());
        if let Some(known) = self.names.get(&key) {
            return Ok(known);
        }
        let mut found = self
            .telephony()
            .users_named(instance, name)
            .await
            .map_err(FlowError::Vendor)?;
        match (found.pop(), found.is_empty()) {
            (Some(user), true) => {
                self.names.insert(key, user.clone());
                Ok(user)
            }
            (Some(_), false) => Err(FlowError::AmbiguousSupervisor),
            (None, _) => Err(FlowError::UnknownSupervisor),
        }
    }
}
