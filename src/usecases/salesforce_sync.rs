//! Supervisions on their way to Salesforce.

pub mod compare;
pub mod dead_letters;
pub mod deliver;
pub mod failure_scope;
pub mod rate;
pub mod voice_calls;

use crate::usecases::context::UseCaseContext;
use crate::usecases::idempotency::IdempotencyService;

/// Writes departures to Salesforce.
#[derive(Clone)]
pub struct SalesforceSyncService {
    pub(crate) ctx: UseCaseContext,
    voice_calls: voice_calls::VoiceCalls,
}

impl SalesforceSyncService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            voice_calls: voice_calls::VoiceCalls::new(),
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
