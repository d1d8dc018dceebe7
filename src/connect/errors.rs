//! Every error of Amazon Connect: a stable code of ours, and what may be done about it. `docs/errors.md` has the table.
//!
//! Not every operation models every error: StopContact models neither throttling nor a refused access, so there they
//! come "unhandled" and are known by their code alone.

use aws_sdk_connect::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::time::Duration;

use super::budget::NoPlace;
use sidedoor_domain::ports::{VendorError, Verdict};

/// The longest message of the vendor's repeated to people.
const MESSAGE: usize = 300;

/// A failed call, in our words.
pub(super) fn vendor_error<E>(operation: &'static str, e: &SdkError<E, HttpResponse>) -> VendorError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let of = |code, message: &str, verdict, may_have_happened| VendorError {
        operation,
        code,
        message: message.to_owned(),
        verdict,
        may_have_happened,
    };
    match e {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let (code, verdict) = answered(answer.err().code(), status, answer.err().message().unwrap_or_default());
            let verdict = match (verdict, retry_after(answer.raw())) {
                (Verdict::Retry, Some(wait)) => Verdict::RetryAfter(wait),
                (verdict, _) => verdict,
            };
            let said = clean(answer.err().message().unwrap_or("no message"));
            of(
                code,
                &format!("Connect answered {status}: {said}"),
                verdict,
                status >= 500,
            )
        }
        SdkError::TimeoutError(_) => of(
            "connect_timeout",
            "Connect did not answer in time.",
            Verdict::Retry,
            true,
        ),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => of(
            "connect_timeout",
            "Connect did not answer in time.",
            Verdict::Retry,
            true,
        ),
        SdkError::ResponseError(_) => of(
            "connect_response_invalid",
            "Connect's answer could not be read.",
            Verdict::Retry,
            true,
        ),
        _ if DisplayErrorContext(e)
            .to_string()
            .to_ascii_lowercase()
            .contains("credentials") =>
        {
            // The chain has looked everywhere already; a new look will not find what an operator has to give.
            of(
                "connect_credentials_invalid",
                "No AWS credentials were found, or they could not be renewed.",
                Verdict::Never,
                false,
            )
        }
        SdkError::DispatchFailure(_) => of(
            "connect_network_unavailable",
            "Connect could not be reached.",
            Verdict::Retry,
            true,
        ),
        _ => of(
            "connect_request_rejected",
            "The request could not be made.",
            Verdict::Never,
            false,
        ),
    }
}

/// An answered error: by its code, else by its status.
fn answered(code: Option<&str>, status: u16, message: &str) -> (&'static str, Verdict) {
    match code.unwrap_or_default() {
        "InvalidRequestException" if message.contains("enable call recording") => {
            ("connect_monitoring_unsupported", Verdict::Never)
        }
        "InvalidRequestException" => ("connect_request_invalid", Verdict::Never),
        "InvalidParameterException" => ("connect_parameter_invalid", Verdict::Never),
        "InvalidActiveRegionException" => ("connect_region_invalid", Verdict::Never),
        "AccessDeniedException" => ("connect_access_forbidden", Verdict::Never),
        "ResourceNotFoundException" => (VendorError::NOT_FOUND, Verdict::Never),
        "ContactNotFoundException" => ("connect_contact_not_found", Verdict::Never),
        "IdempotencyException" => ("connect_idempotency_conflict", Verdict::Never),
        "ServiceQuotaExceededException" => ("connect_quota_limit_reached", Verdict::Never),
        "ThrottlingException" | "TooManyRequestsException" | "Throttling" => {
            ("connect_rate_limit_reached", Verdict::Retry)
        }
        "InternalServiceException" => ("connect_internal", Verdict::Retry),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => ("connect_credentials_invalid", Verdict::Never),
        _ => match status {
            429 => ("connect_rate_limit_reached", Verdict::Retry),
            500 => ("connect_internal", Verdict::Retry),
            501.. => ("connect_unavailable", Verdict::Retry),
            403 => ("connect_access_forbidden", Verdict::Never),
            404 => (VendorError::NOT_FOUND, Verdict::Never),
            410 => ("connect_contact_not_found", Verdict::Never),
            _ => ("connect_request_rejected", Verdict::Never),
        },
    }
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    response
        .headers()
        .get("retry-after")?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// What Connect's error code, status and message come to: a stable code of ours, and the message as it is repeated to people.
pub fn told(code: Option<&str>, status: u16, message: &str) -> (&'static str, String) {
    (answered(code, status, message).0, clean(message))
}

/// The vendor's words without what could forge a log line, and not too many of them.
fn clean(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MESSAGE).collect()
}

/// Our own budget's refusal.
pub(super) fn no_place(operation: &'static str, why: NoPlace) -> VendorError {
    let message = match why {
        NoPlace::Full => "Too many calls wait for their turn in the rate budget.",
        NoPlace::TooLate => "The rate budget gave no turn in time.",
    };
    let code = VendorError::BUDGET_FULL;
    VendorError {
        operation,
        code,
        message: message.into(),
        verdict: Verdict::Retry,
        may_have_happened: false,
    }
}

/// An instance that is not configured: only after the configuration changed under an unfinished supervision.
pub(super) fn unknown_instance(operation: &'static str) -> VendorError {
    VendorError {
        operation,
        code: "connect_request_rejected",
        message: "That Connect instance is not configured any more.".into(),
        verdict: Verdict::Never,
        may_have_happened: false,
    }
}
