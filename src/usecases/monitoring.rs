//! A supervisor starts to listen: the request, the MonitorContact call, the mode, the switch from one contact to the next.

pub mod change_mode;
pub mod compliance;
pub mod join;
pub mod start;
pub mod switch;

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::IdempotencyError;
use crate::usecases::idempotency::IdempotencyService;
use crate::usecases::identity::IdentityError;
use crate::usecases::identity::IdentityResolver;
use crate::usecases::leaving::LeavingError;
use crate::usecases::leaving::LeavingService;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::rejoin::Compliance;
use sidedoor_domain::supervision::{State, Supervisor};

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

/// Why a supervision was not started, or its mode not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MonitoringError {
    /// The supervisor is on another contact, that of this supervision.
    #[error("the supervisor is on another contact already")]
    SupervisorBusy(SupervisionId),
    /// Only a supervision that is MONITORING has a mode to change.
    #[error("the supervision is {}, not MONITORING", .0.as_str())]
    NotMonitoring(State),
    /// This mode was not granted when the supervision began.
    #[error("this supervision was not granted that mode")]
    ModeNotGranted,
    /// The vendor or the channel has no such mode.
    #[error("{0}")]
    ModeUnsupported(&'static str),
    /// No such jurisdiction is configured.
    #[error("no jurisdiction of that name is configured")]
    JurisdictionNotFound,
    /// The jurisdiction's rules do not let a supervisor come back to a contact.
    #[error("the rules of this jurisdiction do not allow rejoining")]
    RejoinForbidden(Compliance),
    /// Connect admits no further supervisor to the contact.
    #[error("Amazon Connect admits no further supervisor to this contact")]
    ContactFull {
        /// The supervision, which is FAILED.
        supervision: SupervisionId,
        /// The supervisors on the contact, as far as is known.
        on_call: Vec<SupervisorOnCall>,
    },
    /// The join failed.
    #[error("{code}: {detail}")]
    JoinFailed {
        /// The supervision, which is FAILED.
        supervision: SupervisionId,
        /// The stable code.
        code: String,
        /// For people.
        detail: String,
    },
    /// The idempotency key.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// The supervisor.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Leaving the other contact first.
    #[error(transparent)]
    Leaving(#[from] LeavingError),
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(MonitoringError);

/// A supervisor who is on a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorOnCall {
    /// Their supervision.
    pub supervision: SupervisionId,
    /// The supervisor.
    pub supervisor: Supervisor,
    /// The supervision's state.
    pub state: State,
}
