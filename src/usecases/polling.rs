//! Asks Amazon Connect when no event arrives, and starts the jobs that are due.
//!
//! | file | |
//! |---|---|
//! | [`dispatch`] | starts the jobs that are due, the highest class first |
//! | [`leaves`] | requested leaves, and claims that legs have ended |
//! | [`departures`] | checks after departures |
//! | [`searches`] | legs of joins whose outcome is unknown |
//! | [`one_leg`] | first looks, mode changes, and other legs by themselves |
//! | [`idle_round`] | all idle supervisions, a hundred in one call |
//! | [`board_round`] | all agents, while the board is viewed |
//! | [`completeness`] | legs that neither an event nor a poll has named |
//! | [`clock_steps`] | what follows when our own clock was set to another time |
//! | [`sweep`] | deletes data that is past its retention |

mod board_round;
pub(crate) mod clock_steps;
mod completeness;
mod departures;
mod dispatch;
pub(crate) mod idle_round;
mod leaves;
pub(crate) mod one_leg;
mod searches;
mod sweep;

use std::sync::Arc;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::identity::names::NameService;
use crate::usecases::leaving::{LeavingError, LeavingService};
use crate::usecases::monitoring::MonitoringService;
use crate::usecases::reports::ReportService;

/// Polls the vendor for the supervisions that are due.
#[derive(Clone)]
pub struct PollingService {
    ctx: UseCaseContext,
    evidence: Arc<EvidenceService>,
    leaving: Arc<LeavingService>,
    monitoring: Arc<MonitoringService>,
    names: NameService,
    reports: Arc<ReportService>,
}

impl PollingService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        evidence: Arc<EvidenceService>,
        leaving: Arc<LeavingService>,
        monitoring: Arc<MonitoringService>,
        names: NameService,
        reports: Arc<ReportService>,
    ) -> Self {
        Self {
            ctx,
            evidence,
            leaving,
            monitoring,
            names,
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
