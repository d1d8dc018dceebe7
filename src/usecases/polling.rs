//! Looking at the vendor when no event comes.

pub mod batch_poll;
pub mod reconcile;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::leaving::LeavingError;
use crate::usecases::leaving::LeavingService;
use crate::usecases::monitoring::MonitoringService;
use crate::usecases::reports::ReportService;

/// Polls the vendor for what is due.
#[derive(Clone)]
pub struct PollingService {
    pub(crate) ctx: UseCaseContext,
    evidence: EvidenceService,
    leaving: LeavingService,
    monitoring: MonitoringService,
    reports: ReportService,
}

impl PollingService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        evidence: EvidenceService,
        leaving: LeavingService,
        monitoring: MonitoringService,
        reports: ReportService,
    ) -> Self {
        Self {
            ctx,
            evidence,
            leaving,
            monitoring,
            reports,
        }
    }
}

/// Why a look at the vendor could not be finished. It is made again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PollingError {
    /// Carrying a leave on.
    #[error(transparent)]
    Leaving(#[from] LeavingError),
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(PollingError);
