//! The vendors' clocks: learning them from evidence, and recalibrating departures when they are known better.
//!
//! Guarantee: a calibration never contradicts the stored samples, and a recalibrated departure keeps its raw evidence.

pub mod calibrate;
mod recalibrate;
mod state;
pub mod vendors;

use std::sync::Arc;

use sidedoor_domain::ports::VendorError;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::{IdempotencyError, IdempotencyService};

/// Learns the vendors' clocks and reports their calibration.
#[derive(Clone)]
pub struct ClockService {
    ctx: UseCaseContext,
    idempotency: IdempotencyService,
    state: std::sync::Arc<state::ClockState>,
}

impl ClockService {
    pub(crate) fn new(ctx: UseCaseContext, idempotency: IdempotencyService) -> Self {
        Self {
            state: std::sync::Arc::new(state::ClockState::new(
                &ctx.settings.timing.vendors,
                ctx.settings.poll_staleness.max(ctx.settings.describe_staleness),
            )),
            ctx,
            idempotency,
        }
    }
}

/// Recalibrates recent departures when a clock is known better.
#[derive(Clone)]
pub struct DepartureRecalibrator {
    ctx: UseCaseContext,
    clocks: Arc<ClockService>,
    evidence: Arc<EvidenceService>,
}

impl DepartureRecalibrator {
    pub(crate) fn new(ctx: UseCaseContext, clocks: Arc<ClockService>, evidence: Arc<EvidenceService>) -> Self {
        Self { ctx, clocks, evidence }
    }
}

/// Why a vendor's clock cannot be shown or probed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClockError {
    /// The vendor did not return its time.
    #[error("{}: {}", .0.code, .0.message)]
    Vendor(VendorError),
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(ClockError);
