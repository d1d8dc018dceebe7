//! `/v1/supervisors/{connectUserId}`: what concerns one supervisor, whichever contact they listen to.

pub(crate) mod directives;
pub(crate) mod disconnect;
pub(crate) mod tickets;

use crate::http::problem::Problem;
use crate::usecases::FlowError;
use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::UserId;

/// The supervisor that a path names; `me` is the one that the credential names.
pub(crate) fn supervisor_in_path(caller: &Caller, raw: Option<&str>) -> Result<UserId, Problem> {
    match raw {
        Some("me") => {
            let none = || match caller.unbound {
                Some(why) => FlowError::Unbound(why),
                None => FlowError::Forbidden("this credential names no supervisor"),
            };
            caller.supervisor.clone().ok_or_else(|| none().into())
        }
        raw => raw
            .and_then(|raw| UserId::parse(raw).ok())
            .ok_or_else(|| FlowError::NotFound.into()),
    }
}
