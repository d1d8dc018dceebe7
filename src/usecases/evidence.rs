//! What vendors, carriers and agents report of a leg, and what follows from it.

pub mod adopt_leg;
pub mod carrier_events;
pub mod contact_events;
pub mod evaluate;

use crate::usecases::clocks::ClockService;
use crate::usecases::context::UseCaseContext;
use crate::usecases::monitoring::ComplianceRules;

/// Evaluates evidence: joined, alive, gone.
#[derive(Clone)]
pub struct EvidenceService {
    pub(crate) ctx: UseCaseContext,
    clocks: ClockService,
    compliance: ComplianceRules,
}

impl EvidenceService {
    pub(crate) fn new(ctx: UseCaseContext, clocks: ClockService, compliance: ComplianceRules) -> Self {
        Self {
            ctx,
            clocks,
            compliance,
        }
    }
}
