//! Which supervisor a request or a token means.

pub mod supervisors;
pub mod token_binding;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use sidedoor_domain::authority::Unbound;
use sidedoor_domain::ports::VendorError;

/// Finds the Connect user that a name or a token means.
#[derive(Clone)]
pub struct IdentityResolver {
    pub(crate) ctx: UseCaseContext,
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

/// Why it is not known which supervisor is meant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// Connect has no user of that name.
    #[error("Amazon Connect has no user of that name")]
    SupervisorNotFound,
    /// Connect has several users of that name.
    #[error("Amazon Connect has several users of that name")]
    SupervisorAmbiguous,
    /// Connect could not be asked.
    #[error("{}: {}", .0.code, .0.message)]
    Vendor(VendorError),
    /// The credential should name a supervisor and does not.
    #[error("the credential's supervisor is not known in Amazon Connect")]
    Unbound(Unbound),
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(IdentityError);
