//! Reads supervisions, timelines, coverage, the audit and counts.
//!
//! Guarantee: a caller sees only what its credential allows.

pub mod audit;
pub mod coverage;
pub mod supervisions;
pub mod timeline;

use crate::usecases::context::UseCaseContext;
use crate::usecases::directives::DirectiveService;
use crate::usecases::salesforce_sync::DeliveryService;

/// Reads the store for callers. Writes only audit entries.
#[derive(Clone)]
pub struct ReportService {
    ctx: UseCaseContext,
    deliveries: DeliveryService,
    directives: DirectiveService,
}

impl ReportService {
    pub(crate) fn new(ctx: UseCaseContext, deliveries: DeliveryService, directives: DirectiveService) -> Self {
        Self {
            ctx,
            deliveries,
            directives,
        }
    }
}
