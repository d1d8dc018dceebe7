//! Reading: supervisions, timelines, the audit, counts.

pub mod audit;
pub mod supervisions;
pub mod timeline;

use crate::usecases::context::UseCaseContext;
use crate::usecases::directives::DirectiveService;
use crate::usecases::salesforce_sync::DeliveryService;

/// Answers questions and changes nothing but the audit.
#[derive(Clone)]
pub struct ReportService {
    pub(crate) ctx: UseCaseContext,
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
