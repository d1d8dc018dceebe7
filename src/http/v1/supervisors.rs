//! `/v1/supervisors/{connectUserId}`: what concerns one supervisor, whichever contact they listen to.

pub(crate) mod directives;
pub(crate) mod disconnect;
pub(crate) mod tickets;

use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::UserId;

use crate::http::problem::Problem;
use crate::usecases::error::UseCaseError;
use crate::usecases::identity::IdentityError;

/// The supervisor that a path names; `me` is the supervisor that the credential names.
pub(crate) fn supervisor_in_path(caller: &Caller, raw: Option<&str>) -> Result<UserId, Problem> {
    match raw {
        Some("me") => {
            let none = || match caller.unbound {
                Some(why) => IdentityError::Unbound(why).into(),
                None => UseCaseError::Forbidden("this credential names no supervisor").into(),
            };
            caller.supervisor.clone().ok_or_else(none)
        }
        raw => raw
            .and_then(|raw| UserId::parse(raw).ok())
            .ok_or_else(|| UseCaseError::SupervisionNotFound.into()),
    }
}
