//! A supervisor starts to listen: the request, the MonitorContact call, the mode, and the switch to another contact.
//!
//! Actors: a caller of the API, the store, Amazon Connect. Guarantee: a join is in the store before it is sent, is sent with
//! one `ClientToken` however often it is retried, and is not sent after `join_ttl`.

mod agent_contact;
pub mod change_mode;
mod compliance;
pub(crate) mod join;
pub mod start;
mod switch;

use std::sync::Arc;

use sidedoor_domain::ids::{SupervisionId, UserId};
use sidedoor_domain::ports::user_data::UserContact;
use sidedoor_domain::rejoin::Compliance;
use sidedoor_domain::supervision::{State, Supervision, Supervisor};

use crate::usecases::context::UseCaseContext;
use crate::usecases::error::{UseCaseError, from_store_error};
use crate::usecases::evidence::EvidenceService;
use crate::usecases::idempotency::{IdempotencyError, IdempotencyService};
use crate::usecases::identity::{IdentityError, IdentityResolver};
use crate::usecases::leaving::{LeavingError, LeavingService};

/// Starts supervisions, joins their legs and changes their modes.
#[derive(Clone)]
pub struct MonitoringService {
    ctx: UseCaseContext,
    compliance: Arc<ComplianceRules>,
    evidence: Arc<EvidenceService>,
    identity: Arc<IdentityResolver>,
    idempotency: IdempotencyService,
    leaving: Arc<LeavingService>,
    agents: agent_contact::AgentsSeen,
}

impl MonitoringService {
    pub(crate) fn new(
        ctx: UseCaseContext,
        compliance: Arc<ComplianceRules>,
        evidence: Arc<EvidenceService>,
        identity: Arc<IdentityResolver>,
        idempotency: IdempotencyService,
        leaving: Arc<LeavingService>,
    ) -> Self {
        Self {
            ctx,
            compliance,
            evidence,
            identity,
            idempotency,
            leaving,
            agents: agent_contact::AgentsSeen::default(),
        }
    }
}

/// Applies the rules of a jurisdiction to a supervision.
#[derive(Clone)]
pub struct ComplianceRules {
    ctx: UseCaseContext,
}

impl ComplianceRules {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self { ctx }
    }
}

/// Why a supervision was not started, or its mode not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MonitoringError {
    /// The supervisor already is on another contact, in this supervision.
    #[error("the supervisor is on another contact already")]
    SupervisorBusy(Box<Supervision>),
    /// Only a supervision that is MONITORING has a mode to change.
    #[error("the supervision is {}, not MONITORING", .0.as_str())]
    NotMonitoring(State),
    /// The mode was not granted when the supervision started.
    #[error("this supervision was not granted that mode")]
    ModeNotGranted,
    /// The vendor or the channel does not have this mode.
    #[error("{0}")]
    ModeUnsupported(&'static str),
    /// The named jurisdiction is not configured.
    #[error("unknown jurisdiction {0:?}")]
    JurisdictionNotFound(String),
    /// The rules of the jurisdiction do not allow a supervisor to rejoin a contact.
    #[error("the rules of this jurisdiction do not allow rejoining")]
    RejoinForbidden(Compliance),
    /// The agent is connected to no contact that the caller may see.
    #[error("agent {0} is on no contact")]
    AgentContactNotFound(UserId),
    /// The agent is connected to several contacts.
    #[error("agent {0} is on several contacts")]
    AgentContactAmbiguous(UserId, Vec<UserContact>),
    /// Connect accepts no further supervisor on the contact.
    #[error("Amazon Connect admits no further supervisor to this contact")]
    ContactFull {
        /// The supervision, which is FAILED.
        supervision: SupervisionId,
        /// The known supervisors on the contact whose supervisions the caller may see.
        on_call: Vec<SupervisorOnCall>,
        /// How many supervisors are known to be on the contact.
        others: usize,
    },
    /// Connect did not join the supervisor.
    #[error("{code}: {detail}")]
    JoinFailed {
        /// The supervision, which is FAILED.
        supervision: SupervisionId,
        /// The stable error code.
        code: String,
        /// An explanation for people.
        detail: String,
    },
    /// The idempotency key cannot be used.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// The supervisor could not be resolved.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The supervisor could not leave the other contact first.
    #[error(transparent)]
    Leaving(#[from] LeavingError),
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

from_store_error!(MonitoringError);

/// The answer to a caller who wants to speak and may only listen.
const MUTE: UseCaseError =
    UseCaseError::Forbidden("this credential may listen, not speak: mode BARGE needs the scope barge");

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
