//! Directives: what a supervisor's browser must do, and what it acknowledges.
//!
//! Actors: the browser (by stream or poll), Salesforce Platform Events. Guarantee: a directive is stored before it is sent,
//! and reaches every browser that asks; one tab at a time is asked to act on it.

pub mod acknowledge;
mod announce;
pub mod feed;
mod presence;

use std::sync::Arc;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::{IdempotencyError, IdempotencyService};
use crate::usecases::salesforce_sync::DeliveryService;

/// Sends directives to browsers and stores their acknowledgements.
#[derive(Clone)]
pub struct DirectiveService {
    ctx: UseCaseContext,
    deliveries: DeliveryService,
    evidence: Arc<EvidenceService>,
    idempotency: IdempotencyService,
    presence: presence::PresenceTracker,
}

impl DirectiveService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        deliveries: DeliveryService,
        evidence: Arc<EvidenceService>,
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

/// Why directives cannot be read or acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DirectiveError {
    /// The supervision has no such directive.
    #[error("this supervision has no such directive")]
    DirectiveNotFound,
    /// `http.max_streams` directive streams are open, or one supervisor has too many.
    #[error("too many streams of directives are open")]
    StreamLimitReached,
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(DirectiveError);
