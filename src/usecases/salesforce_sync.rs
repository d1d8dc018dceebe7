//! Supervisions on their way to Salesforce.

pub mod compare;
pub mod dead_letters;
pub mod deliver;
pub mod failure_scope;
pub mod rate;
pub mod voice_calls;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::idempotency::IdempotencyError;
use crate::usecases::idempotency::IdempotencyService;

/// Writes departures to Salesforce.
#[derive(Clone)]
pub struct SalesforceSyncService {
    pub(crate) ctx: UseCaseContext,
    voice_calls: voice_calls::VoiceCallCache,
}

impl SalesforceSyncService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            voice_calls: voice_calls::VoiceCallCache::new(),
            ctx,
        }
    }
}

/// Shows what is on its way, and sends it again.
#[derive(Clone)]
pub struct DeliveryService {
    pub(crate) ctx: UseCaseContext,
    idempotency: IdempotencyService,
}

impl DeliveryService {
    pub(crate) fn new(ctx: UseCaseContext, idempotency: IdempotencyService) -> Self {
        Self { ctx, idempotency }
    }
}

/// Why deliveries cannot be read or sent again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    DeliveryNotFound,
    /// The idempotency key.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(DeliveryError);
