//! Failed calls to Amazon Connect: why, and whether a retry can help.

use std::time::Duration;

use crate::codes::stable_codes;
use crate::ports::Operation;

/// Whether a failed call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same call may succeed later.
    Retry,
    /// The same call may succeed after this time, which the vendor gave.
    RetryAfter(Duration),
    /// The same call would fail again.
    Never,
}

stable_codes! {
    /// Why a call to Amazon Connect failed. `docs/errors.md` lists the codes.
    pub enum VendorErrorCode {
        /// InvalidRequestException.
        RequestInvalid = "connect_request_invalid",
        /// The instance or contact does not support monitoring, such as without call recording.
        MonitoringUnsupported = "connect_monitoring_unsupported",
        /// InvalidParameterException.
        ParameterInvalid = "connect_parameter_invalid",
        /// InvalidActiveRegionException.
        RegionInvalid = "connect_region_invalid",
        /// AccessDeniedException: AWS's access control or Connect's own.
        AccessForbidden = "connect_access_forbidden",
        /// AWS credentials are missing, expired or wrong.
        CredentialsInvalid = "connect_credentials_invalid",
        /// AWS rejected the signature's time: the clock of our machine differs too much from AWS's.
        ClockInvalid = "connect_clock_invalid",
        /// The contact, user or instance does not exist.
        ResourceNotFound = "connect_resource_not_found",
        /// ContactNotFoundException: the contact has ended.
        ContactNotFound = "connect_contact_not_found",
        /// IdempotencyException: the ClientToken was used for another request.
        IdempotencyConflict = "connect_idempotency_conflict",
        /// ServiceQuotaExceededException.
        QuotaLimitReached = "connect_quota_limit_reached",
        /// Connect throttled the call.
        RateLimitReached = "connect_rate_limit_reached",
        /// InternalServiceException.
        Internal = "connect_internal",
        /// Another 5xx answer.
        Unavailable = "connect_unavailable",
        /// Connect did not answer in time.
        Timeout = "connect_timeout",
        /// Connect could not be reached.
        NetworkUnavailable = "connect_network_unavailable",
        /// Connect's answer could not be read.
        ResponseInvalid = "connect_response_invalid",
        /// Our own rate budget has no capacity: its queue is full, or the call waited too long.
        BudgetLimitReached = "connect_budget_limit_reached",
        /// The endpoint gave no `Date` header.
        DateUnavailable = "connect_date_unavailable",
        /// Any other refusal.
        RequestRejected = "connect_request_rejected",
    }
}

/// A failed call to Amazon Connect.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {code}: {message}")]
pub struct VendorError {
    /// The operation that failed.
    pub operation: Operation,
    /// Why it failed.
    pub code: VendorErrorCode,
    /// A description for every caller. It names no AWS account, role or ARN, and quotes nothing that did not come from Connect.
    pub message: String,
    /// More for operators only: the vendor's own error code and words, or the first words of a page that a proxy answered.
    pub operator_note: Option<String>,
    /// Whether the call may be retried.
    pub verdict: Verdict,
    /// Whether Connect may have carried out the call although it failed, because its answer was lost.
    pub may_have_happened: bool,
}

impl VendorError {
    /// The message with what only operators may see: for logs and `sidedoor check`, never for an answer of the API.
    pub fn for_operators(&self) -> String {
        match &self.operator_note {
            Some(note) => format!("{} ({note})", self.message),
            None => self.message.clone(),
        }
    }

    /// Whether a retry can succeed.
    pub fn is_retryable(&self) -> bool {
        self.verdict != Verdict::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_error_is_retryable_unless_it_would_fail_again() {
        for (verdict, retryable) in [
            (Verdict::Retry, true),
            (Verdict::RetryAfter(Duration::from_secs(1)), true),
            (Verdict::Never, false),
        ] {
            let error = VendorError {
                operation: Operation::MonitorContact,
                code: VendorErrorCode::Timeout,
                message: String::new(),
                operator_note: None,
                verdict,
                may_have_happened: false,
            };
            assert_eq!(error.is_retryable(), retryable, "{verdict:?}");
        }
    }

    #[test]
    fn vendor_error_shows_its_note_to_operators_only() {
        let mut error = VendorError {
            operation: Operation::MonitorContact,
            code: VendorErrorCode::AccessForbidden,
            message: "AWS denied access.".into(),
            operator_note: None,
            verdict: Verdict::Never,
            may_have_happened: false,
        };
        assert_eq!(error.for_operators(), "AWS denied access.");
        error.operator_note = Some("AccessDeniedException: role sidedoor".into());
        assert_eq!(
            error.for_operators(),
            "AWS denied access. (AccessDeniedException: role sidedoor)"
        );
        assert!(!error.to_string().contains("role"), "{error}");
    }
}
