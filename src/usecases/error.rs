//! Why a use case refuses or fails. The front door gives each its status and its stable code.

use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::supervision::{State, Supervisor};

/// Why a use case refuses or fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FlowError {
    /// There is no such supervision (or the caller may not know of it).
    #[error("there is no such supervision")]
    NotFound,
    /// Connect has no user of that name.
    #[error("Amazon Connect has no user of that name")]
    UnknownSupervisor,
    /// Connect has several.
    #[error("Amazon Connect has several users of that name")]
    AmbiguousSupervisor,
    /// No vendor of that name is configured.
    #[error("no vendor of that name is configured")]
    UnknownVendor,
    /// The vendor did not answer as it should.
    #[error("{}: {}", .0.code, .0.message)]
    Vendor(sidedoor_domain::ports::VendorError),
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The credential should name a supervisor and does not.
    #[error("the credential's supervisor is not known in Amazon Connect")]
    Unbound(sidedoor_domain::authority::Unbound),
    /// The named instance is not configured.
    #[error("no Connect instance of that name is configured")]
    UnknownInstance,
    /// The supervisor listens elsewhere already.
    #[error("the supervisor is on another contact already")]
    Busy(SupervisionId),
    /// The supervision is not in a state in which this can be done.
    #[error("the supervision is {}, not MONITORING", .0.as_str())]
    NotListening(State),
    /// This mode was not granted when the supervision began.
    #[error("this supervision was not granted that mode")]
    ModeNotAllowed,
    /// Nothing on this channel has such a mode.
    #[error("{0}")]
    ModeUnsupported(&'static str),
    /// The agent has gone, or is not known to be there, and the supervisor has barged in.
    #[error("leaving now could end the customer's call: {1}")]
    WouldEndCustomerCall(SupervisionId, &'static str),
    /// No such jurisdiction is configured.
    #[error("no jurisdiction of that name is configured")]
    UnknownJurisdiction,
    /// The jurisdiction lets nobody rejoin.
    #[error("the jurisdiction lets no supervisor rejoin")]
    RejoinRefused(sidedoor_domain::rejoin::Compliance),
    /// Connect takes no further supervisor on the contact.
    #[error("Amazon Connect takes no further supervisor on this contact")]
    ContactFull {
        /// The supervision, at FAILED.
        supervision: SupervisionId,
        /// Who is on it.
        on_call: Vec<OnCall>,
    },
    /// Too many streams are open.
    #[error("too many streams of directives are open")]
    TooManyStreams,
    /// There is no such row.
    #[error("there is no such delivery")]
    NoDelivery,
    /// The supervision never gave out that directive.
    #[error("this supervision never gave out that directive")]
    UnknownDirective,
    /// The key was used for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with this key is still running.
    #[error("the first request with this idempotency key is still running")]
    KeyRunning,
    /// The join failed.
    #[error("{code}: {detail}")]
    JoinFailed {
        /// The supervision, at FAILED.
        supervision: SupervisionId,
        /// A stable word.
        code: String,
        /// For people.
        detail: String,
    },
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Many others changed the same supervision meanwhile.
    #[error("the supervision is changing too quickly")]
    Contended,
    /// The process is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// Somebody who is on a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCall {
    /// By which supervision.
    pub supervision: SupervisionId,
    /// Who.
    pub supervisor: Supervisor,
    /// Where that stands.
    pub state: State,
}
