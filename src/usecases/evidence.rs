//! What vendors, carriers and agents report about a leg, and what follows from it.
//!
//! Actors: Amazon Connect's events and answers, partner carriers. Guarantee: evidence is stored with what follows from it in
//! one transaction, in any order of arrival, and an event that arrives twice counts once.

pub(crate) mod adopt_leg;
pub mod carrier_events;
pub mod carrier_limits;
pub mod contact_events;
pub(crate) mod evaluate;
pub mod event_rights;
mod handled_contacts;
pub(crate) mod observation;
mod unusable_events;

use std::sync::Arc;

use crate::usecases::clocks::ClockService;
use crate::usecases::context::UseCaseContext;
use crate::usecases::evidence::unusable_events::UnusableWarnings;
use crate::usecases::identity::names::NameService;
use crate::usecases::monitoring::ComplianceRules;

/// Stores and evaluates evidence: a leg joined, is alive, or has ended.
#[derive(Clone)]
pub struct EvidenceService {
    ctx: UseCaseContext,
    clocks: Arc<ClockService>,
    compliance: Arc<ComplianceRules>,
    unusable_warnings: UnusableWarnings,
    names: NameService,
}

impl EvidenceService {
    pub(crate) fn new(ctx: UseCaseContext, clocks: Arc<ClockService>, compliance: Arc<ComplianceRules>) -> Self {
        Self {
            names: NameService::new(ctx.clone()),
            ctx,
            clocks,
            compliance,
            unusable_warnings: UnusableWarnings::default(),
        }
    }
}
