//! Polls Amazon Connect when no event arrives.
//!
//! Guarantee: every unfinished supervision is polled again, after a restart too, because the time of its next poll is in the
//! store.

pub(crate) mod batch_poll;
mod claims;
pub(crate) mod reconcile;
mod searches;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::leaving::{LeavingError, LeavingService};
use crate::usecases::monitoring::MonitoringService;
use crate::usecases::reports::ReportService;

/// Polls the vendor for the supervisions that are due.
#[derive(Clone)]
pub struct PollingService {
    ctx: UseCaseContext,
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

/// Why a poll was not completed. The supervision stays due, so it is polled again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PollingError {
    /// Carrying out a leave failed.
    #[error(transparent)]
    Leaving(#[from] LeavingError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(PollingError);
