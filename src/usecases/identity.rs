//! Resolves the supervisor that a request or a token refers to.
//!
//! Actors: Amazon Connect's user search, Salesforce's User records. Guarantee: a reference to none or several users is
//! refused, so that no caller acts as another person.

pub mod supervisors;
mod token_binding;
pub(crate) mod users;

use sidedoor_domain::authority::Unbound;
use sidedoor_domain::ports::VendorError;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};

/// Finds the Connect user that a user name or a token's claim refers to.
#[derive(Clone)]
pub struct IdentityResolver {
    ctx: UseCaseContext,
    usernames: supervisors::UsernameCache,
    claims: token_binding::ClaimCache,
}

impl IdentityResolver {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            usernames: supervisors::username_cache(ctx.settings.username_cache_ttl),
            claims: token_binding::ClaimCache::new(ctx.settings.username_cache_ttl),
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
