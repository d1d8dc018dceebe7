//! Error answers: problem-details members as `application/json`, because Salesforce External Services accepts no other media type,
//! each with a stable [`ProblemCode`].

use axum::Json;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sidedoor_domain::ports::user_data::UserContact;
use sidedoor_domain::supervision::{Channel, Supervision};

use super::middleware::current_request_ids;
use super::problem_code::ProblemCode;
use super::views::Rfc3339;
use crate::usecases::monitoring::SupervisorOnCall;

/// One invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// A JSON pointer into the body, or the name of a parameter or header.
    pub pointer: String,
    /// The problem, as a predicate of the field: "must be …".
    pub detail: String,
}

impl FieldError {
    /// An unknown field or parameter, which `kind` says, with the names that are known.
    pub(super) fn unknown(kind: &str, name: &str, pointer: String, known: &[&str]) -> Self {
        let expected = match known {
            [] => "none is expected".to_owned(),
            [one] => format!("expected {one}"),
            many => format!("expected one of {}", many.join(", ")),
        };
        Self {
            pointer,
            detail: format!("unknown {kind} `{name}`; {expected}"),
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) title: &'static str,
    pub(super) status: u16,
    pub(super) detail: String,
    pub(super) code: ProblemCode,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
    pub(super) request_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_request_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) supervision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conflicts_with: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<Box<CurrentSupervisionView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_call: Option<Box<[OnCallView]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) contacts: Option<Box<[ContactChoiceView]>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) prior_supervisions: Vec<String>,
    #[serde(skip)]
    pub(super) retry_after_s: Option<u32>,
    #[serde(skip)]
    pub(super) presented: bool,
}

/// A supervisor who is on a contact that admits no more.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnCallView {
    pub(super) supervision_id: String,
    connect_user_id: Option<String>,
    username: Option<String>,
    state: &'static str,
}

/// The supervision that a supervisor's other leg belongs to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CurrentSupervisionView {
    supervision_id: String,
    contact_id: Option<String>,
    channel: Option<&'static str>,
    state: &'static str,
}

impl CurrentSupervisionView {
    pub(super) fn of(s: &Supervision) -> Self {
        Self {
            supervision_id: s.id.to_string(),
            contact_id: s.contact.as_ref().map(ToString::to_string),
            channel: s.channel.map(Channel::as_str),
            state: s.state.as_str(),
        }
    }
}

/// A contact that an agent is on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContactChoiceView {
    contact_id: String,
    channel: String,
    queue_id: Option<String>,
    connected_at: Option<Rfc3339>,
}

impl ContactChoiceView {
    pub(super) fn of(contact: UserContact) -> Self {
        Self {
            contact_id: contact.contact,
            channel: contact.channel,
            queue_id: contact.queue,
            connected_at: contact.connected_at.map(Rfc3339::of),
        }
    }
}

impl OnCallView {
    pub(super) fn of(on_call: SupervisorOnCall) -> Self {
        Self {
            supervision_id: on_call.supervision.to_string(),
            connect_user_id: on_call.supervisor.connect_user_id.map(|id| id.to_string()),
            username: on_call.supervisor.username,
            state: on_call.state.as_str(),
        }
    }
}

impl Problem {
    /// A problem with the code's status and title.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let current = current_request_ids();
        Self {
            kind: format!("urn:sidedoor:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            request_id: current.as_ref().map(|ids| ids.ours.as_str().into()),
            client_request_id: current.and_then(|ids| ids.clients).map(String::into_boxed_str),
            supervision_id: None,
            conflicts_with: None,
            current: None,
            retry_after_ms: None,
            on_call: None,
            contacts: None,
            prior_supervisions: Vec::new(),
            retry_after_s: None,
            presented: false,
        }
    }

    /// The same with another status than the code's own.
    #[must_use]
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self
    }

    /// Whether one member alone is at fault.
    pub(super) fn is_only_about(&self, pointer: &str) -> bool {
        self.errors.len() == 1 && self.errors[0].pointer == pointer
    }

    /// An invalid request, with every invalid field.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.pointer.is_empty() => format!("The request {}.", one.detail),
            // It names the field itself.
            [one] if one.detail.starts_with("unknown ") => format!("{}.", capitalised(&one.detail)),
            [one] => format!("{} {}.", one.pointer, one.detail),
            many => format!("The request has {} invalid fields; see `errors`.", many.len()),
        };
        Self {
            errors,
            ..Self::new(ProblemCode::RequestInvalid, detail)
        }
    }

    /// [`Self::invalid`] for one field.
    pub fn invalid_one(pointer: &str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// The request has no valid credential.
    pub fn unauthorized() -> Self {
        Self::new(
            ProblemCode::CredentialInvalid,
            "Send a valid API key or token as `Authorization: Bearer …`, or a key as `X-API-Key`.",
        )
    }

    /// The credential is invalid. The cause is not in the answer, because it would help a guesser.
    pub fn bad_credential() -> Self {
        Self {
            presented: true,
            ..Self::unauthorized()
        }
    }

    /// A rate limit is reached; retry after `seconds`.
    pub fn rate_limited(detail: &str, seconds: u32) -> Self {
        Self::new(ProblemCode::RateLimitReached, detail).retry_after(seconds)
    }

    /// The keys of the token's issuer could not be fetched.
    pub fn keys_unavailable() -> Self {
        let detail = "Could not fetch the keys that verify this token. Retry in a moment.";
        Self::new(ProblemCode::IssuerKeysUnavailable, detail).retry_after(2)
    }

    /// The service is overloaded or stopping; retry in a second.
    pub fn overloaded(detail: &str) -> Self {
        Self::new(ProblemCode::ServiceUnavailable, detail).retry_after(1)
    }

    /// The `Retry-After` of the answer, in seconds.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
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
        // For the audit of refusals.
        response.extensions_mut().insert(self.code);
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
            // An unauthenticated caller keeps no connection, because connections are limited.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A caller's text for an answer: at most 64 characters, and no control characters.
pub(super) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) async fn no_such_route() -> Problem {
    Problem::new(
        ProblemCode::RouteNotFound,
        "Unknown path; `GET /openapi.yaml` lists the paths.",
    )
}

pub(super) async fn no_such_method(method: Method) -> Problem {
    let detail = format!("This path does not support {method}; the Allow header lists its methods.");
    Problem::new(ProblemCode::MethodUnsupported, detail)
}

/// The answer when a handler panicked. The panic hook has logged the place and the message, which may hold data that the caller must
/// not see.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::new(ProblemCode::Internal, "Internal error; the log has the details.").into_response()
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, Json(body)).into_response()
}
