//! What a supervisor's browser is asked to do, and what it answers.

pub mod acknowledge;
pub mod announce;
pub mod feed;
pub mod presence;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::IdempotencyError;
use crate::usecases::idempotency::IdempotencyService;
use crate::usecases::salesforce_sync::DeliveryService;

/// Hands directives to browsers and takes their acknowledgements.
#[derive(Clone)]
pub struct DirectiveService {
    pub(crate) ctx: UseCaseContext,
    deliveries: DeliveryService,
    evidence: EvidenceService,
    idempotency: IdempotencyService,
    presence: presence::PresenceTracker,
}

impl DirectiveService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        deliveries: DeliveryService,
        evidence: EvidenceService,
        idempotency: IdempotencyService,
    ) -> Self {
        Self {
            presence: presence::PresenceTracker::new(ctx.settings.streams),
            ctx,
            deliveries,
            evidence,
            idempotency,
        }
    }
}

/// Why directives cannot be read or answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DirectiveError {
    /// The supervision never had this directive.
    #[error("this supervision has no such directive")]
    DirectiveNotFound,
    /// `http.max_streams` streams are open.
    #[error("too many streams of directives are open")]
    StreamLimitReached,
    /// The idempotency key.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(DirectiveError);
