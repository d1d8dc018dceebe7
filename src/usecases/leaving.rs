//! A supervisor leaves: the request, how the leg is ended, and the safety checks before and after.
//!
//! Actors: a caller of the API, the supervisor's browser, Amazon Connect. Guarantee: a stored disconnect is tried until
//! evidence shows that the leg ended, and no leg is ended by StopContact without the interlock's clearance.

pub(crate) mod after_check;
mod barge_safety;
pub mod close;
pub mod disconnect;
pub(crate) mod end_leg;
pub(crate) mod silent_leaves;

use std::sync::Arc;

use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::supervision::State;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::{IdempotencyError, IdempotencyService};

/// Stores requests to leave and ends the legs.
#[derive(Clone)]
pub struct LeavingService {
    ctx: UseCaseContext,
    evidence: Arc<EvidenceService>,
    idempotency: IdempotencyService,
}

impl LeavingService {
    pub(crate) fn new(ctx: UseCaseContext, evidence: Arc<EvidenceService>, idempotency: IdempotencyService) -> Self {
        Self {
            ctx,
            evidence,
            idempotency,
        }
    }
}

/// Why a supervisor cannot be asked to leave.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeavingError {
    /// The supervisor has barged in, and the agent has left or their presence cannot be confirmed.
    #[error("leaving now could end the customer's call: {1}")]
    CustomerCallAtRisk(SupervisionId, &'static str),
    /// The supervision cannot be closed in this state.
    #[error("the supervision is {state} and cannot be closed: {why}", state = .0.as_str(), why = .1)]
    NotClosable(State, &'static str),
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(LeavingError);
