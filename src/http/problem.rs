//! Errors as the world sees them: problem-details members as `application/json` (Salesforce's External Services takes no
//! other media type), each with a stable `code`. The one place where a flow's error becomes a status.

use axum::Json;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::middleware::current_request_id;
use crate::usecases::StoreError;
use crate::usecases::{FlowError, OnCall};
use sidedoor_domain::authority::Unbound;

/// One bad place in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer into the body, or the name of a parameter or header.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

/// An error answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supervision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts_with: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_call: Vec<OnCallView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prior_supervisions: Vec<String>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    presented: bool,
}

/// Somebody who is on a contact that takes no more.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct OnCallView {
    supervision_id: String,
    connect_user_id: Option<String>,
    username: Option<String>,
    state: &'static str,
}

impl OnCallView {
    fn of(on_call: OnCall) -> Self {
        Self {
            supervision_id: on_call.supervision.to_string(),
            connect_user_id: on_call.supervisor.connect_user_id.map(|id| id.to_string()),
            username: on_call.supervisor.username,
            state: on_call.state.as_str(),
        }
    }
}

impl Problem {
    /// A problem with a stable `code`.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:sidedoor:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            errors: Vec::new(),
            request_id: current_request_id(),
            supervision_id: None,
            conflicts_with: None,
            on_call: Vec::new(),
            prior_supervisions: Vec::new(),
            retry_after_s: None,
            presented: false,
        }
    }

    /// Whether one member alone is at fault.
    pub(super) fn is_only_about(&self, pointer: &str) -> bool {
        self.errors.len() == 1 && self.errors[0].pointer == pointer
    }

    /// A request that cannot be understood; every bad place is named.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => format!("The request {}.", one.detail),
            [one] => format!("{} {}.", one.pointer, one.detail),
            many => format!("{} parts of the request cannot be taken.", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::BAD_REQUEST, "request_invalid", detail)
        }
    }

    /// [`Self::invalid`] for one place.
    pub fn invalid_one(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// No known credential.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "credential_invalid",
            "Send a valid key or token as `Authorization: Bearer …`, or a key as `X-API-Key`.",
        )
    }

    /// A credential that is not good. What is wrong with it is for the log.
    pub fn bad_credential() -> Self {
        Self {
            presented: true,
            ..Self::unauthorized()
        }
    }

    /// Too often; come again.
    pub fn rate_limited(detail: &str, seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_reached", detail).retry_after(seconds)
    }

    /// The issuer's keys are not to be had.
    pub fn keys_unavailable() -> Self {
        let detail = "The keys that this token is verified with cannot be had just now.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_keys_unavailable", detail).retry_after(2)
    }

    /// Too much at a time; come again.
    pub fn overloaded(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", detail).retry_after(1)
    }

    /// When to come again, s.
    #[must_use]
    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body.
    pub fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| String::from("{}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), [(CONTENT_TYPE, "application/json")], self.body()).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            let challenge = if self.presented {
                "Bearer error=\"invalid_token\""
            } else {
                "Bearer"
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            // SupervisorRef is not known keeps no connection.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<FlowError> for Problem {
    fn from(e: FlowError) -> Self {
        use StatusCode as S;
        match e {
            FlowError::NotFound => Self::new(S::NOT_FOUND, "supervision_not_found", "There is no such supervision."),
            FlowError::UnknownSupervisor => Self::new(
                S::NOT_FOUND,
                "supervisor_not_found",
                "Amazon Connect has no user of that name.",
            ),
            FlowError::AmbiguousSupervisor => Self::new(
                S::CONFLICT,
                "supervisor_ambiguous",
                "Amazon Connect has several users of that name; name the supervisor by connectUserId.",
            ),
            FlowError::UnknownVendor => Self::new(
                S::NOT_FOUND,
                "vendor_not_found",
                "No vendor of that name is configured; partner carriers are named under [timing.vendors].",
            ),
            // Not asked in time is nobody's answer: the same request may do better in a moment.
            FlowError::Vendor(e) if e.code == "connect_timeout" => {
                let detail = format!("{}.", e.message.trim_end_matches('.'));
                Self::new(S::SERVICE_UNAVAILABLE, e.code, detail).retry_after(2)
            }
            FlowError::Vendor(e) => Self::new(S::BAD_GATEWAY, e.code, format!("{}.", e.message.trim_end_matches('.'))),
            FlowError::Unbound(Unbound::NotLinked) => Self::new(
                S::FORBIDDEN,
                "supervisor_link_invalid",
                "The token is good, but the supervisor it names has no user in Amazon Connect, or several.",
            ),
            FlowError::Unbound(Unbound::Unresolved) => Self::new(
                S::SERVICE_UNAVAILABLE,
                "supervisor_lookup_unavailable",
                "Whom the token names in Amazon Connect could not be asked just now.",
            )
            .retry_after(1),
            FlowError::Forbidden(why) => Self::new(S::FORBIDDEN, "action_forbidden", format!("{}.", capital(why))),
            FlowError::UnknownInstance => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "instance_not_found",
                "No Connect instance of that name is configured, or there are several and none was named.",
            ),
            FlowError::Busy(first) => {
                let detail = format!(
                    "The supervisor is on another contact already (supervision {first}); Connect allows one voice contact at a time."
                );
                Self {
                    conflicts_with: Some(first.to_string()),
                    ..Self::new(S::CONFLICT, "supervisor_conflict", detail)
                }
            }
            FlowError::NotListening(state) => {
                let detail = format!(
                    "The supervision is {}; only one that is MONITORING has a mode to change.",
                    state.as_str()
                );
                Self::new(S::CONFLICT, "supervision_state_conflict", detail)
            }
            FlowError::ModeNotAllowed => Self::new(
                S::CONFLICT,
                "mode_forbidden",
                "What a supervisor may do is granted at the start: this supervision was started with mode SILENT.",
            ),
            FlowError::ModeUnsupported(why) => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "mode_unsupported",
                format!("{}.", capital(why)),
            ),
            FlowError::WouldEndCustomerCall(id, why) => {
                let detail = format!(
                    "The supervisor has barged in, and {why}: leaving now could end the customer's call. An operator may \
                     accept that with customerCallMayEnd and a reason."
                );
                Self {
                    supervision_id: Some(id.to_string()),
                    ..Self::new(S::CONFLICT, "barge_safety_conflict", detail)
                }
            }
            FlowError::UnknownJurisdiction => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "jurisdiction_not_found",
                "No jurisdiction of that name is configured under [compliance.jurisdictions].",
            ),
            FlowError::RejoinRefused(compliance) => Self {
                prior_supervisions: compliance.prior.iter().map(ToString::to_string).collect(),
                ..Self::new(
                    S::CONFLICT,
                    "rejoin_forbidden",
                    "The supervisor has left this contact before, and the rules of this jurisdiction let nobody come back.",
                )
            },
            FlowError::ContactFull { supervision, on_call } => Self {
                supervision_id: Some(supervision.to_string()),
                on_call: on_call.into_iter().map(OnCallView::of).collect(),
                ..Self::new(
                    S::CONFLICT,
                    "contact_limit_reached",
                    "Amazon Connect takes no further supervisor on this contact; onCall names who is on it.",
                )
            },
            FlowError::TooManyStreams => Self::overloaded("Too many streams of directives are open."),
            FlowError::NoDelivery => Self::new(S::NOT_FOUND, "delivery_not_found", "There is no such delivery."),
            FlowError::UnknownDirective => Self::new(
                S::NOT_FOUND,
                "directive_not_found",
                "This supervision never gave out that directive.",
            ),
            FlowError::KeyReused => Self::new(
                S::UNPROCESSABLE_ENTITY,
                "idempotency_key_invalid",
                "This Idempotency-Key was used for another request; take a new one.",
            ),
            FlowError::KeyRunning => Self::new(
                S::CONFLICT,
                "idempotency_key_conflict",
                "The first request with this Idempotency-Key is still running; ask again in a moment.",
            )
            .retry_after(1),
            FlowError::JoinFailed {
                supervision,
                code,
                detail,
            } => {
                let problem = Self::new(join_status(&code), &code, detail);
                let problem = if problem.status == 503 {
                    problem.retry_after(1)
                } else {
                    problem
                };
                Self {
                    supervision_id: Some(supervision.to_string()),
                    ..problem
                }
            }
            FlowError::Store(StoreError::Overloaded) | FlowError::Contended => {
                Self::overloaded("More is being written than the store can take.")
            }
            FlowError::Store(StoreError::Closed) | FlowError::Stopping => Self::overloaded("The service is stopping."),
            FlowError::Store(e @ (StoreError::Store(_) | StoreError::Unreadable(_))) => {
                // The store's words are for the log: they may name paths.
                tracing::error!(error = %e, "a request failed: {e}");
                Self::new(
                    S::INTERNAL_SERVER_ERROR,
                    "internal",
                    "The store failed; nothing is known to be accepted.",
                )
            }
        }
    }
}

/// The status of a join that failed: whose move is it? `docs/errors.md` has the codes.
fn join_status(code: &str) -> StatusCode {
    match code {
        "connect_resource_not_found" => StatusCode::NOT_FOUND,
        "connect_quota_limit_reached"
        | "connect_idempotency_conflict"
        | "connect_contact_not_found"
        | "join_cancelled"
        | "leave_timeout"
        | "supervisor_conflict"
        | "leg_conflict"
        | "contact_limit_reached" => StatusCode::CONFLICT,
        "connect_request_invalid" | "connect_parameter_invalid" | "connect_monitoring_unsupported" => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        "connect_rate_limit_reached"
        | "connect_budget_limit_reached"
        | "connect_internal"
        | "connect_unavailable"
        | "connect_timeout"
        | "connect_network_unavailable"
        | "join_timeout" => StatusCode::SERVICE_UNAVAILABLE,
        // The rest is between us and Connect: rights, credentials, an answer we cannot read.
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) async fn no_such_route() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "route_not_found",
        "There is no such path; GET /openapi.yaml lists those there are.",
    )
}

pub(super) async fn no_such_method(method: Method) -> Problem {
    let detail = format!("This path does not take {method}; the Allow header says what it takes.");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_unsupported", detail)
}

/// A handler panicked: said in the log with its request, never to the caller.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something is broken here; the log has more.",
    )
    .into_response()
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, Json(body)).into_response()
}
