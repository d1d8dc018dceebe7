//! A supervisor leaves: the request, how the leg is ended, and the checks before and after.

pub mod after_check;
pub mod barge_safety;
pub mod disconnect;
pub mod end_leg;

use crate::usecases::context::UseCaseContext;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::IdempotencyService;

/// Asks supervisors to leave and ends their legs.
#[derive(Clone)]
pub struct LeavingService {
    pub(crate) ctx: UseCaseContext,
    evidence: EvidenceService,
    idempotency: IdempotencyService,
}

impl LeavingService {
    pub(crate) fn new(ctx: UseCaseContext, evidence: EvidenceService, idempotency: IdempotencyService) -> Self {
        Self {
            ctx,
            evidence,
            idempotency,
        }
    }
}
