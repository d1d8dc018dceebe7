//! Which supervisor a request or a token means.

pub mod supervisors;
pub mod token_binding;

use crate::usecases::context::UseCaseContext;

/// Finds the Connect user that a name or a token means.
#[derive(Clone)]
pub struct IdentityResolver {
    pub(crate) ctx: UseCaseContext,
    names: supervisors::Names,
    bindings: token_binding::Bindings,
}

impl IdentityResolver {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            names: supervisors::names(ctx.settings.names_for),
            bindings: token_binding::Bindings::new(ctx.settings.names_for),
            ctx,
        }
    }
}
