//! Which answer each error of a use case becomes: its status, its stable code and its text.

use axum::http::StatusCode as S;

use super::problem::{OnCallView, Problem};
use crate::usecases::clocks::ClockError;
use crate::usecases::directives::DirectiveError;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::IdempotencyError;
use crate::usecases::identity::IdentityError;
use crate::usecases::leaving::LeavingError;
use crate::usecases::monitoring::MonitoringError;
use crate::usecases::salesforce_sync::DeliveryError;
use sidedoor_domain::authority::Unbound;
use sidedoor_domain::ports::{StoreError, VendorError};

impl From<UseCaseError> for Problem {
    fn from(e: UseCaseError) -> Self {
        match e {
            UseCaseError::SupervisionNotFound => {
                Self::new(S::NOT_FOUND, "supervision_not_found", "There is no such supervision.")
            }
            UseCaseError::InstanceNotFound => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "instance_not_found",
                "No Connect instance of that name is configured, or there are several and none was named.",
            ),
            UseCaseError::VendorNotFound => Self::new(
                S::NOT_FOUND,
                "vendor_not_found",
                "No vendor of that name is configured; partner carriers are named under [timing.vendors].",
            ),
            UseCaseError::Forbidden(why) => Self::new(S::FORBIDDEN, "action_forbidden", format!("{}.", capital(why))),
            UseCaseError::Store(StoreError::Overloaded) => Self::overloaded("The database write queue is full."),
            UseCaseError::Conflict => Self::overloaded("Too many requests are changing this supervision at once."),
            UseCaseError::Store(StoreError::Closed) | UseCaseError::Stopping => {
                Self::overloaded("The service is stopping.")
            }
            UseCaseError::Store(e @ (StoreError::Store(_) | StoreError::Unreadable(_))) => {
                // The store's words are for the log, because they may name paths.
                tracing::error!(error = %e, "a request failed: {e}");
                Self::new(
                    S::INTERNAL_SERVER_ERROR,
                    "internal",
                    "The database failed; do not assume that the request was accepted.",
                )
            }
            UseCaseError::Unexpected(_) | UseCaseError::Panicked => {
                tracing::error!(error = %e, "a request failed: {e}");
                Self::new(
                    S::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal error; the log has the details.",
                )
            }
        }
    }
}

impl From<IdempotencyError> for Problem {
    fn from(e: IdempotencyError) -> Self {
        match e {
            IdempotencyError::KeyReused => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "idempotency_key_invalid",
                "This Idempotency-Key was used for another request; use a new one.",
            ),
            IdempotencyError::KeyRunning => Self::new(
                S::CONFLICT,
                "idempotency_key_conflict",
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
            IdentityError::SupervisorNotFound => Self::new(
                S::NOT_FOUND,
                "supervisor_not_found",
                "Amazon Connect has no user of that name.",
            ),
            IdentityError::SupervisorAmbiguous => Self::new(
                S::CONFLICT,
                "supervisor_ambiguous",
                "Amazon Connect has several users of that name; name the supervisor by connectUserId.",
            ),
            IdentityError::Vendor(e) => vendor(&e),
            IdentityError::Unbound(Unbound::NotLinked) => Self::new(
                S::FORBIDDEN,
                "supervisor_link_invalid",
                "The token is valid, but the supervisor it names has no user in Amazon Connect, or several.",
            ),
            IdentityError::Unbound(Unbound::Unresolved) => Self::new(
                S::SERVICE_UNAVAILABLE,
                "supervisor_lookup_unavailable",
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
                    ..Self::new(S::CONFLICT, "barge_safety_conflict", detail)
                }
            }
            LeavingError::Idempotency(e) => e.into(),
            LeavingError::Common(e) => e.into(),
        }
    }
}

impl From<MonitoringError> for Problem {
    fn from(e: MonitoringError) -> Self {
        match e {
            MonitoringError::SupervisorBusy(first) => {
                let detail = format!(
                    "The supervisor is on another contact already (supervision {first}); Connect allows one voice contact at a time."
                );
                Self {
                    conflicts_with: Some(first.to_string()),
                    ..Self::new(S::CONFLICT, "supervisor_conflict", detail)
                }
            }
            MonitoringError::NotMonitoring(state) => {
                let detail = format!(
                    "The supervision is {}; only one that is MONITORING has a mode to change.",
                    state.as_str()
                );
                Self::new(S::CONFLICT, "supervision_state_conflict", detail)
            }
            MonitoringError::ModeNotGranted => Self::new(
                S::CONFLICT,
                "mode_forbidden",
                "This supervision was started with mode SILENT, so it cannot change to BARGE.",
            ),
            MonitoringError::ModeUnsupported(why) => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "mode_unsupported",
                format!("{}.", capital(why)),
            ),
            MonitoringError::JurisdictionNotFound => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "jurisdiction_not_found",
                "No jurisdiction of that name is configured under [compliance.jurisdictions].",
            ),
            MonitoringError::RejoinForbidden(compliance) => Self {
                prior_supervisions: compliance.prior.iter().map(ToString::to_string).collect(),
                ..Self::new(
                    S::CONFLICT,
                    "rejoin_forbidden",
                    "The supervisor has left this contact before, and the rules of this jurisdiction do not allow rejoining.",
                )
            },
            MonitoringError::ContactFull { supervision, on_call } => Self {
                supervision_id: Some(supervision.to_string()),
                on_call: on_call.into_iter().map(OnCallView::of).collect(),
                ..Self::new(
                    S::CONFLICT,
                    "contact_limit_reached",
                    "Amazon Connect admits no further supervisor to this contact; onCall lists those on it.",
                )
            },
            MonitoringError::JoinFailed {
                supervision,
                code,
                detail,
            } => {
                let problem = Self::new(join_status(&code), &code, detail);
                let problem = if problem.status() == S::SERVICE_UNAVAILABLE {
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

impl From<DirectiveError> for Problem {
    fn from(e: DirectiveError) -> Self {
        match e {
            DirectiveError::DirectiveNotFound => Self::new(
                S::NOT_FOUND,
                "directive_not_found",
                "This supervision has no such directive.",
            ),
            DirectiveError::StreamLimitReached => Self::overloaded("Too many directive streams are open."),
            DirectiveError::Idempotency(e) => e.into(),
            DirectiveError::Common(e) => e.into(),
        }
    }
}

impl From<DeliveryError> for Problem {
    fn from(e: DeliveryError) -> Self {
        match e {
            DeliveryError::DeliveryNotFound => {
                Self::new(S::NOT_FOUND, "delivery_not_found", "There is no such delivery.")
            }
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

/// A vendor's error, where the caller waits for the vendor's answer.
fn vendor(e: &VendorError) -> Problem {
    let detail = format!("{}.", e.message.trim_end_matches('.'));
    // Connect was not asked in time, so the same request may succeed in a moment.
    if e.code == "connect_timeout" {
        return Problem::new(S::SERVICE_UNAVAILABLE, e.code, detail).retry_after(2);
    }
    Problem::new(S::BAD_GATEWAY, e.code, detail)
}

/// The status of a join that failed: whose move is it? `docs/errors.md` has the codes.
fn join_status(code: &str) -> S {
    match code {
        "connect_resource_not_found" => S::NOT_FOUND,
        "connect_quota_limit_reached"
        | "connect_idempotency_conflict"
        | "connect_contact_not_found"
        | "join_cancelled"
        | "leave_timeout"
        | "supervisor_conflict"
        | "leg_conflict"
        | "contact_limit_reached" => S::CONFLICT,
        "connect_request_invalid" | "connect_parameter_invalid" | "connect_monitoring_unsupported" => {
            S::UNPROCESSABLE_ENTITY
        }
        "connect_rate_limit_reached"
        | "connect_budget_limit_reached"
        | "connect_internal"
        | "connect_unavailable"
        | "connect_timeout"
        | "connect_network_unavailable"
        | "join_timeout" => S::SERVICE_UNAVAILABLE,
        // The rest is between us and Connect: rights, credentials, an answer we cannot read.
        _ => S::BAD_GATEWAY,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
