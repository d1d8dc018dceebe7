//! Which answer each error of a use case becomes: its status, its stable code and its text.

use axum::http::StatusCode;
use sidedoor_domain::authority::Unbound;
use sidedoor_domain::ports::{StoreError, VendorError};

use super::problem::{ContactChoiceView, CurrentSupervisionView, OnCallView, Problem, capitalised, shortened};
use super::problem_code::ProblemCode;
use crate::usecases::board::BoardError;
use crate::usecases::clocks::ClockError;
use crate::usecases::directives::DirectiveError;
use crate::usecases::error::{UnknownName, UseCaseError};
use crate::usecases::evidence::carrier_limits::CarrierEventError;
use crate::usecases::idempotency::IdempotencyError;
use crate::usecases::identity::IdentityError;
use crate::usecases::leaving::LeavingError;
use crate::usecases::monitoring::MonitoringError;
use crate::usecases::salesforce_sync::DeliveryError;

impl From<UseCaseError> for Problem {
    fn from(e: UseCaseError) -> Self {
        match e {
            UseCaseError::SupervisionNotFound => {
                Self::new(ProblemCode::SupervisionNotFound, "There is no such supervision.")
            }
            UseCaseError::InstanceNotFound(unknown) => Self::new(
                ProblemCode::InstanceNotFound,
                unknown_name("Connect instance", &unknown),
            ),
            UseCaseError::VendorNotFound(unknown) => {
                Self::new(ProblemCode::VendorNotFound, unknown_name("vendor", &unknown))
            }
            UseCaseError::Forbidden(why) => Self::new(ProblemCode::ActionForbidden, format!("{}.", capitalised(why))),
            UseCaseError::Store(StoreError::Overloaded) => Self::overloaded("The database write queue is full."),
            UseCaseError::Conflict => Self::overloaded("Too many requests are changing this supervision at once."),
            UseCaseError::Store(StoreError::Closed) | UseCaseError::Stopping => {
                Self::overloaded("The service is stopping.")
            }
            // The store's words are for the log, because they may name paths.
            UseCaseError::Store(e @ StoreError::Store(_)) => {
                tracing::error!(error = %e, "a request failed: {e}");
                Self::overloaded("The database failed; do not assume that the request was accepted. Retry in a moment.")
            }
            UseCaseError::Store(e @ StoreError::Unreadable(_)) => {
                tracing::error!(error = %e, "a request failed: {e}");
                Self::new(
                    ProblemCode::Internal,
                    "Something in the database cannot be read; the log has the details.",
                )
            }
            UseCaseError::Unexpected(_) | UseCaseError::Panicked => {
                tracing::error!(error = %e, "a request failed: {e}");
                Self::new(ProblemCode::Internal, "Internal error; the log has the details.")
            }
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(e: IdempotencyError) -> Self {
        match e {
            IdempotencyError::KeyReused => Self::new(
                ProblemCode::IdempotencyKeyInvalid,
                "This Idempotency-Key was used for another request; use a new one.",
            ),
            IdempotencyError::KeyLimitReached => Self::rate_limited(
                "Too many idempotency keys of this credential are in use. Use no key, or wait until older ones expire.",
                60,
            ),
            IdempotencyError::KeyRunning => Self::new(
                ProblemCode::IdempotencyKeyConflict,
                "The first request with this Idempotency-Key is still running; retry in a moment.",
            )
            .retry_after(1),
            IdempotencyError::Common(e) => e.into(),
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(e: IdentityError) -> Self {
        match e {
            IdentityError::SupervisorNotFound(name) => {
                let detail = format!(
                    "Unknown supervisor `{}`; Amazon Connect has no user with this name.",
                    shortened(&name)
                );
                Self::new(ProblemCode::SupervisorNotFound, detail)
            }
            IdentityError::SupervisorAmbiguous(name) => {
                let detail = format!(
                    "Ambiguous supervisor `{}`; Amazon Connect has several users with this name. Send connectUserId instead.",
                    shortened(&name)
                );
                Self::new(ProblemCode::SupervisorAmbiguous, detail)
            }
            IdentityError::Vendor(e) => vendor(&e),
            IdentityError::Unbound(Unbound::NotLinked) => Self::new(
                ProblemCode::SupervisorLinkInvalid,
                "The token is valid, but the supervisor it names has no user in Amazon Connect, or several.",
            ),
            IdentityError::Unbound(Unbound::Unresolved) => Self::new(
                ProblemCode::SupervisorLookupUnavailable,
                "Could not look up this token's user in Amazon Connect. Retry in a moment.",
            )
            .retry_after(1),
            IdentityError::Common(e) => e.into(),
        }
    }
}

impl From<LeavingError> for Problem {
    fn from(e: LeavingError) -> Self {
        match e {
            LeavingError::CustomerCallAtRisk(id, why) => {
                let detail = format!(
                    "The supervisor has barged in, and {why}: leaving now could end the customer's call. An operator may \
                     accept that with customerCallMayEnd and a reason."
                );
                Self {
                    supervision_id: Some(id.to_string()),
                    ..Self::new(ProblemCode::BargeSafetyConflict, detail)
                }
            }
            LeavingError::NotClosable(state, why) => {
                let detail = format!("The supervision is {} and cannot be closed: {why}.", state.as_str());
                Self::new(ProblemCode::SupervisionStateConflict, detail)
            }
            LeavingError::Idempotency(e) => e.into(),
            LeavingError::Common(e) => e.into(),
        }
    }
}

/// After so long a refused start may succeed, because the supervisor may have left the other contact meanwhile.
const SUPERVISOR_BUSY_RETRY_MS: u32 = 5000;

impl From<MonitoringError> for Problem {
    fn from(e: MonitoringError) -> Self {
        match e {
            MonitoringError::SupervisorBusy(holder) => {
                let contact = holder.contact.as_ref();
                let contact = contact.map_or_else(|| "another contact".into(), |id| format!("contact {id}"));
                let detail = format!(
                    "The supervisor is on {contact} already (supervision {}); Connect allows one voice contact at a time.",
                    holder.id
                );
                Self {
                    conflicts_with: Some(holder.id.to_string().into()),
                    current: Some(Box::new(CurrentSupervisionView::of(&holder))),
                    retry_after_ms: Some(SUPERVISOR_BUSY_RETRY_MS),
                    ..Self::new(ProblemCode::SupervisorConflict, detail)
                }
            }
            MonitoringError::NotMonitoring(state) => {
                let detail = format!(
                    "The supervision is {}; its mode can be changed only while it is MONITORING.",
                    state.as_str()
                );
                Self::new(ProblemCode::SupervisionStateConflict, detail)
            }
            MonitoringError::ModeNotGranted => Self::new(
                ProblemCode::ModeForbidden,
                "This supervision was started with mode SILENT, so it cannot change to BARGE.",
            ),
            MonitoringError::ModeUnsupported(why) => {
                Self::new(ProblemCode::ModeUnsupported, format!("{}.", capitalised(why)))
            }
            MonitoringError::JurisdictionNotFound(name) => {
                let detail = format!(
                    "Unknown jurisdiction `{}`; [compliance.jurisdictions] of the configuration has the known ones.",
                    shortened(&name)
                );
                Self::new(ProblemCode::JurisdictionNotFound, detail)
            }
            MonitoringError::RejoinForbidden(compliance) => Self {
                prior_supervisions: compliance.prior.iter().map(ToString::to_string).collect(),
                ..Self::new(
                    ProblemCode::RejoinForbidden,
                    "The supervisor has left this contact before, and the rules of this jurisdiction do not allow rejoining.",
                )
            },
            MonitoringError::AgentContactNotFound(agent) => {
                let detail = format!("Agent `{}` is on no contact.", shortened(agent.as_str()));
                Self::new(ProblemCode::AgentContactNotFound, detail)
            }
            MonitoringError::AgentContactAmbiguous(agent, contacts) => {
                let detail = format!(
                    "Agent `{}` is on {} contacts; send the contactId of one of `contacts`.",
                    shortened(agent.as_str()),
                    contacts.len()
                );
                Self {
                    contacts: Some(contacts.into_iter().map(ContactChoiceView::of).collect()),
                    ..Self::new(ProblemCode::AgentContactAmbiguous, detail)
                }
            }
            MonitoringError::ContactFull {
                supervision,
                on_call,
                others,
            } => Self {
                supervision_id: Some(supervision.to_string()),
                on_call: (!on_call.is_empty()).then(|| on_call.into_iter().map(OnCallView::of).collect()),
                ..Self::new(
                    ProblemCode::ContactLimitReached,
                    format!("Amazon Connect admits no further supervisor to this contact; {others} are on it."),
                )
            },
            MonitoringError::JoinFailed {
                supervision,
                code,
                detail,
            } => {
                let problem = Self::new(ProblemCode::of_stored_failure(&code), detail);
                let problem = if problem.status() == StatusCode::SERVICE_UNAVAILABLE {
                    problem.retry_after(1)
                } else {
                    problem
                };
                Self {
                    supervision_id: Some(supervision.to_string()),
                    ..problem
                }
            }
            MonitoringError::Idempotency(e) => e.into(),
            MonitoringError::Identity(e) => e.into(),
            MonitoringError::Leaving(e) => e.into(),
            MonitoringError::Common(e) => e.into(),
        }
    }
}

impl From<BoardError> for Problem {
    fn from(e: BoardError) -> Self {
        match e {
            BoardError::Vendor(e) => vendor(&e),
            BoardError::StreamLimitReached => Self::overloaded("Too many streams of the board are open."),
            BoardError::Common(e) => e.into(),
        }
    }
}

impl From<DirectiveError> for Problem {
    fn from(e: DirectiveError) -> Self {
        match e {
            DirectiveError::DirectiveNotFound => Self::new(
                ProblemCode::DirectiveNotFound,
                "This supervision has no such directive.",
            ),
            DirectiveError::StreamLimitReached => Self::overloaded("Too many directive streams are open."),
            DirectiveError::Idempotency(e) => e.into(),
            DirectiveError::Common(e) => e.into(),
        }
    }
}

impl From<CarrierEventError> for Problem {
    fn from(e: CarrierEventError) -> Self {
        match e {
            CarrierEventError::SupervisorInvalid(user) => {
                let detail = format!(
                    "Invalid connectUserId `{}`; Amazon Connect has no user with this id.",
                    shortened(user.as_str())
                );
                Self::new(ProblemCode::SupervisorInvalid, detail)
            }
            CarrierEventError::SupervisorUnavailable(user) => {
                let detail = format!(
                    "Could not look up connectUserId `{}` in Amazon Connect. Retry in a moment.",
                    shortened(user.as_str())
                );
                Self::new(ProblemCode::SupervisorLookupUnavailable, detail).retry_after(2)
            }
            CarrierEventError::LegLimitReached => Self::rate_limited(
                "This carrier has too many unfinished legs in this instance. Report which of them have ended.",
                60,
            ),
            CarrierEventError::Common(e) => e.into(),
        }
    }
}

impl From<DeliveryError> for Problem {
    fn from(e: DeliveryError) -> Self {
        match e {
            DeliveryError::DeliveryNotFound => Self::new(ProblemCode::DeliveryNotFound, "There is no such delivery."),
            DeliveryError::NotFailed(state) => Self::new(
                ProblemCode::DeliveryStateConflict,
                format!(
                    "The delivery is {}. Only a FAILED delivery can be discarded.",
                    state.as_str()
                ),
            ),
            DeliveryError::Idempotency(e) => e.into(),
            DeliveryError::Common(e) => e.into(),
        }
    }
}

impl From<ClockError> for Problem {
    fn from(e: ClockError) -> Self {
        match e {
            ClockError::Vendor(e) => vendor(&e),
            ClockError::Idempotency(e) => e.into(),
            ClockError::Common(e) => e.into(),
        }
    }
}

/// The text for a name of this `kind` that is not configured.
fn unknown_name(kind: &str, unknown: &UnknownName) -> String {
    let allowed = match unknown.configured.as_slice() {
        [] => "none is configured".to_owned(),
        [one] => format!("expected {one}"),
        many => format!("expected one of {}", many.join(", ")),
    };
    match &unknown.name {
        Some(name) => format!("Unknown {kind} `{}`; {allowed}.", shortened(name)),
        None => format!("The request names no {kind}, and there is no default; {allowed}."),
    }
}

/// A vendor's error, where the caller waits for the vendor's answer.
fn vendor(e: &VendorError) -> Problem {
    let detail = format!("{}.", e.message.trim_end_matches('.'));
    match ProblemCode::from(e.code) {
        // Connect was not asked in time, so the same request may succeed in a moment.
        code @ ProblemCode::ConnectTimeout => Problem::new(code, detail).retry_after(2),
        code => Problem::new(code, detail).with_status(StatusCode::BAD_GATEWAY),
    }
}
