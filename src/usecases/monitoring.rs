//! A supervisor starts to listen: the request, the MonitorContact call, the mode, the switch from one contact to the next.

pub mod change_mode;
pub mod compliance;
pub mod join;
pub mod start;
pub mod switch;

use crate::usecases::context::UseCaseContext;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::IdempotencyService;
use crate::usecases::identity::IdentityResolver;
use crate::usecases::leaving::LeavingService;

/// Starts supervisions and joins their legs.
#[derive(Clone)]
pub struct MonitoringService {
    pub(crate) ctx: UseCaseContext,
    compliance: ComplianceRules,
    evidence: EvidenceService,
    identity: IdentityResolver,
    idempotency: IdempotencyService,
    leaving: LeavingService,
}

impl MonitoringService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        compliance: ComplianceRules,
        evidence: EvidenceService,
        identity: IdentityResolver,
        idempotency: IdempotencyService,
        leaving: LeavingService,
    ) -> Self {
        Self {
            ctx,
            compliance,
            evidence,
            identity,
            idempotency,
            leaving,
        }
    }
}

/// What a jurisdiction's rules say of a supervision.
#[derive(Clone)]
pub struct ComplianceRules {
    pub(crate) ctx: UseCaseContext,
}

impl ComplianceRules {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self { ctx }
    }
}
