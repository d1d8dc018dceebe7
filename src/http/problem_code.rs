//! The codes of error answers, in one table: the word in `code`, the HTTP status and the title. A code is not complete, and does
//! not compile, without all three; `docs/errors.md` and `openapi.yaml` must list the same codes.

use axum::http::StatusCode;
use sidedoor_domain::join_failure::{JoinFailure, OwnJoinFailure};
use sidedoor_domain::ports::VendorErrorCode;

macro_rules! problem_codes {
    ($($code:ident $word:literal $status:ident $title:literal;)*) => {
        /// The `code` of an error answer: what programs may rely on. Words have the form `<thing>_<problem>`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $(#[doc = $title] $code,)*
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The word in an answer.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)*
                }
            }

            /// The HTTP status. A look-up that fails with a code of Connect is answered 502 instead.
            pub fn status(self) -> StatusCode {
                match self {
                    $(Self::$code => StatusCode::$status,)*
                }
            }

            /// What the code means, in a few words: `title` of the answer.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)*
                }
            }
        }
    };
}

problem_codes! {
    RequestInvalid "request_invalid" BAD_REQUEST "Invalid request";
    HostInvalid "host_invalid" BAD_REQUEST "Missing, repeated or invalid Host";
    CredentialAmbiguous "credential_ambiguous" BAD_REQUEST "Several credentials";
    TlsRequired "tls_required" BAD_REQUEST "Plain HTTP on a TLS port";
    CredentialInvalid "credential_invalid" UNAUTHORIZED "Missing or invalid credential";
    ActionForbidden "action_forbidden" FORBIDDEN "Action not allowed for this credential";
    HostForbidden "host_forbidden" FORBIDDEN "Host not allowed without authentication";
    OriginForbidden "origin_forbidden" FORBIDDEN "Origin not allowed without authentication";
    SupervisorLinkInvalid "supervisor_link_invalid" FORBIDDEN "Credential not linked to one Connect user";
    RouteNotFound "route_not_found" NOT_FOUND "Unknown path";
    SupervisionNotFound "supervision_not_found" NOT_FOUND "Unknown supervision";
    SupervisorNotFound "supervisor_not_found" NOT_FOUND "Unknown supervisor";
    DeliveryNotFound "delivery_not_found" NOT_FOUND "Unknown delivery";
    VendorNotFound "vendor_not_found" NOT_FOUND "Unknown vendor";
    DirectiveNotFound "directive_not_found" NOT_FOUND "Unknown directive";
    AgentContactNotFound "agent_contact_not_found" NOT_FOUND "Agent is on no contact";
    ConnectResourceNotFound "connect_resource_not_found" NOT_FOUND "Connect does not know the contact or user";
    MethodUnsupported "method_unsupported" METHOD_NOT_ALLOWED "Method not supported by this path";
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "Request body not received in time";
    SupervisorConflict "supervisor_conflict" CONFLICT "Supervisor is on another contact";
    SupervisorAmbiguous "supervisor_ambiguous" CONFLICT "Several supervisors of this name";
    AgentContactAmbiguous "agent_contact_ambiguous" CONFLICT "Agent is on several contacts";
    IdempotencyKeyConflict "idempotency_key_conflict" CONFLICT "First request with this key still running";
    LeaveTimeout "leave_timeout" CONFLICT "Supervisor did not leave the first contact in time";
    SupervisionStateConflict "supervision_state_conflict" CONFLICT "Not possible in this state";
    DeliveryStateConflict "delivery_state_conflict" CONFLICT "Not possible in this state of the delivery";
    ModeForbidden "mode_forbidden" CONFLICT "Mode not granted at the start";
    BargeSafetyConflict "barge_safety_conflict" CONFLICT "Leaving could end the customer's call";
    ContactLimitReached "contact_limit_reached" CONFLICT "Contact admits no further supervisor";
    RejoinForbidden "rejoin_forbidden" CONFLICT "Rejoining not allowed in this jurisdiction";
    JoinCancelled "join_cancelled" CONFLICT "Join cancelled by a disconnect";
    LegConflict "leg_conflict" CONFLICT "Leg belongs to another supervision";
    ConnectContactNotFound "connect_contact_not_found" CONFLICT "Connect no longer has the contact";
    ConnectIdempotencyConflict "connect_idempotency_conflict" CONFLICT "Connect rejected the client token";
    ConnectQuotaLimitReached "connect_quota_limit_reached" CONFLICT "Connect service quota reached";
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE "Body too large";
    UriTooLarge "uri_too_large" URI_TOO_LONG "URL too long";
    MediaTypeUnsupported "media_type_unsupported" UNSUPPORTED_MEDIA_TYPE "Unsupported media type";
    SupervisorInvalid "supervisor_invalid" UNPROCESSABLE_ENTITY "No such Connect user";
    SupervisorRequired "supervisor_required" UNPROCESSABLE_ENTITY "No supervisor named";
    ModeUnsupported "mode_unsupported" UNPROCESSABLE_ENTITY "Unsupported mode";
    JurisdictionNotFound "jurisdiction_not_found" UNPROCESSABLE_ENTITY "Unknown jurisdiction";
    InstanceNotFound "instance_not_found" UNPROCESSABLE_ENTITY "Unknown Connect instance";
    IdempotencyKeyInvalid "idempotency_key_invalid" UNPROCESSABLE_ENTITY "Idempotency key used for another request";
    ConnectRequestInvalid "connect_request_invalid" UNPROCESSABLE_ENTITY "Connect found the request invalid";
    ConnectParameterInvalid "connect_parameter_invalid" UNPROCESSABLE_ENTITY "Connect found a parameter invalid";
    ConnectMonitoringUnsupported "connect_monitoring_unsupported" UNPROCESSABLE_ENTITY "Monitoring not enabled in Connect";
    RateLimitReached "rate_limit_reached" TOO_MANY_REQUESTS "Rate limit reached";
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "Headers too large";
    Internal "internal" INTERNAL_SERVER_ERROR "Internal error";
    ConnectDateUnavailable "connect_date_unavailable" BAD_GATEWAY "Connect's endpoint sent no date";
    SupervisionInvalid "supervision_invalid" BAD_GATEWAY "Stored supervision incomplete";
    LegInvalid "leg_invalid" BAD_GATEWAY "Connect returned the customer's contact as the leg";
    ConnectRegionInvalid "connect_region_invalid" BAD_GATEWAY "Connect instance not active in the configured Region";
    ConnectAccessForbidden "connect_access_forbidden" BAD_GATEWAY "AWS denied access";
    ConnectCredentialsInvalid "connect_credentials_invalid" BAD_GATEWAY "AWS credentials missing, expired or invalid";
    ConnectClockInvalid "connect_clock_invalid" BAD_GATEWAY "AWS rejected the time of Sidedoor's machine";
    ConnectResponseInvalid "connect_response_invalid" BAD_GATEWAY "Connect's answer cannot be read";
    ConnectRequestRejected "connect_request_rejected" BAD_GATEWAY "Connect rejected the request";
    IssuerKeysUnavailable "issuer_keys_unavailable" SERVICE_UNAVAILABLE "Token issuer's keys unavailable";
    SupervisorLookupUnavailable "supervisor_lookup_unavailable" SERVICE_UNAVAILABLE "Supervisor look-up unavailable";
    ServiceUnavailable "service_unavailable" SERVICE_UNAVAILABLE "Service overloaded or stopping";
    JoinTimeout "join_timeout" SERVICE_UNAVAILABLE "Connect gave no leg in time";
    ConnectRateLimitReached "connect_rate_limit_reached" SERVICE_UNAVAILABLE "Connect throttled the request";
    ConnectBudgetLimitReached "connect_budget_limit_reached" SERVICE_UNAVAILABLE "Own rate budget for Connect used up";
    ConnectInternal "connect_internal" SERVICE_UNAVAILABLE "Internal error in Connect";
    ConnectUnavailable "connect_unavailable" SERVICE_UNAVAILABLE "Connect unavailable";
    ConnectTimeout "connect_timeout" SERVICE_UNAVAILABLE "Connect did not answer in time";
    ConnectNetworkUnavailable "connect_network_unavailable" SERVICE_UNAVAILABLE "Connect cannot be reached";
}

impl ProblemCode {
    /// The code of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// The code for the stored failure of a join. A code of an earlier version that this version does not know becomes
    /// "Connect rejected the request", because the caller can do nothing about it.
    pub(super) fn of_stored_failure(word: &str) -> Self {
        match JoinFailure::parse(word) {
            Some(JoinFailure::Vendor(code)) => code.into(),
            Some(JoinFailure::Own(code)) => code.into(),
            None => Self::ConnectRequestRejected,
        }
    }
}

impl From<VendorErrorCode> for ProblemCode {
    fn from(code: VendorErrorCode) -> Self {
        match code {
            VendorErrorCode::RequestInvalid => Self::ConnectRequestInvalid,
            VendorErrorCode::MonitoringUnsupported => Self::ConnectMonitoringUnsupported,
            VendorErrorCode::ParameterInvalid => Self::ConnectParameterInvalid,
            VendorErrorCode::RegionInvalid => Self::ConnectRegionInvalid,
            VendorErrorCode::AccessForbidden => Self::ConnectAccessForbidden,
            VendorErrorCode::CredentialsInvalid => Self::ConnectCredentialsInvalid,
            VendorErrorCode::ClockInvalid => Self::ConnectClockInvalid,
            VendorErrorCode::ResourceNotFound => Self::ConnectResourceNotFound,
            VendorErrorCode::ContactNotFound => Self::ConnectContactNotFound,
            VendorErrorCode::IdempotencyConflict => Self::ConnectIdempotencyConflict,
            VendorErrorCode::QuotaLimitReached => Self::ConnectQuotaLimitReached,
            VendorErrorCode::RateLimitReached => Self::ConnectRateLimitReached,
            VendorErrorCode::Internal => Self::ConnectInternal,
            VendorErrorCode::Unavailable => Self::ConnectUnavailable,
            VendorErrorCode::Timeout => Self::ConnectTimeout,
            VendorErrorCode::NetworkUnavailable => Self::ConnectNetworkUnavailable,
            VendorErrorCode::ResponseInvalid => Self::ConnectResponseInvalid,
            VendorErrorCode::BudgetLimitReached => Self::ConnectBudgetLimitReached,
            VendorErrorCode::DateUnavailable => Self::ConnectDateUnavailable,
            VendorErrorCode::RequestRejected => Self::ConnectRequestRejected,
        }
    }
}

impl From<OwnJoinFailure> for ProblemCode {
    fn from(code: OwnJoinFailure) -> Self {
        match code {
            OwnJoinFailure::Cancelled => Self::JoinCancelled,
            OwnJoinFailure::TimedOut => Self::JoinTimeout,
            OwnJoinFailure::LeaveTimedOut => Self::LeaveTimeout,
            OwnJoinFailure::SupervisorConflict => Self::SupervisorConflict,
            OwnJoinFailure::LegConflict => Self::LegConflict,
            OwnJoinFailure::LegInvalid => Self::LegInvalid,
            OwnJoinFailure::ContactLimitReached => Self::ContactLimitReached,
            OwnJoinFailure::SupervisionInvalid => Self::SupervisionInvalid,
        }
    }
}

impl serde::Serialize for ProblemCode {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last words that a code may have.
    const PROBLEMS: [&str; 13] = [
        "ambiguous",
        "cancelled",
        "conflict",
        "forbidden",
        "invalid",
        "limit_reached",
        "not_found",
        "rejected",
        "required",
        "timeout",
        "too_large",
        "unavailable",
        "unsupported",
    ];

    #[test]
    fn problem_codes_follow_one_grammar_and_are_unique() {
        for code in ProblemCode::ALL {
            let word = code.as_str();
            let thing = PROBLEMS
                .iter()
                .find_map(|problem| word.strip_suffix(problem)?.strip_suffix('_'));
            let own_fault = matches!(code, ProblemCode::Internal | ProblemCode::ConnectInternal);
            assert!(own_fault || thing.is_some_and(|thing| !thing.is_empty()), "{word}");
            assert_eq!(ProblemCode::parse(word), Some(*code), "{word} is listed twice");
        }
    }
}
