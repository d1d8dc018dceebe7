//! Resolves the supervisor that a request or a token refers to.
//!
//! Actors: Amazon Connect's user search, Salesforce's User records. Guarantee: a reference to none or several users is
//! refused, so that no caller acts as another person.

pub(crate) mod name_cache;
pub mod names;
mod own_names;
pub mod supervisors;
mod token_binding;

use sidedoor_domain::authority::Unbound;
use sidedoor_domain::ports::VendorError;

use crate::usecases::caller_queues::CallerQueues;
use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};

/// Finds the Connect user that a user name or a token's claim refers to.
#[derive(Clone)]
pub struct IdentityResolver {
    ctx: UseCaseContext,
    usernames: supervisors::UsernameCache,
    unknown_usernames: supervisors::UnknownUsernames,
    claims: token_binding::ClaimCache,
    own: own_names::OwnNames,
    /// Look-ups of names that callers make up.
    look_ups: CallerQueues,
}

impl IdentityResolver {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            usernames: supervisors::username_cache(ctx.settings.username_cache_ttl),
            unknown_usernames: supervisors::unknown_usernames(ctx.settings.username_cache_ttl),
            claims: token_binding::ClaimCache::new(ctx.settings.username_cache_ttl),
            own: own_names::OwnNames::new(ctx.settings.username_cache_ttl, ctx.settings.intervals.name_unknown),
            look_ups: CallerQueues::new(supervisors::LOOK_UPS_A_CALLER),
            ctx,
        }
    }
}

/// Why a supervisor could not be resolved.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// Connect has no user with that name.
    #[error("Amazon Connect has no user with the name {0:?}")]
    SupervisorNotFound(String),
    /// Connect has several users with that name.
    #[error("Amazon Connect has several users with the name {0:?}")]
    SupervisorAmbiguous(String),
    /// Connect could not be asked.
    #[error("{}: {}", .0.code, .0.message)]
    Vendor(VendorError),
    /// The credential must name a supervisor and does not, or the name could not be resolved.
    #[error("the credential's supervisor is not known in Amazon Connect")]
    Unbound(Unbound),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(IdentityError);
