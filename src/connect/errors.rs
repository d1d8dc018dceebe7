//! Every error of Amazon Connect: a stable code and whether it may be retried. `docs/errors.md` has the table.
//!
//! The SDK does not model every error for every operation. StopContact, for example, models neither throttling nor a
//! refused access; there the SDK reports them as "unhandled", so they are recognised by the error code of the answer.

use std::time::Duration;

use aws_sdk_connect::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use sidedoor_domain::ports::{Operation, VendorError, VendorErrorCode as Code, Verdict};

use super::budget::NoBudget;

/// The most characters of a vendor's message that are shown to people.
const MAX_MESSAGE: usize = 300;

/// Translates a failed call.
pub(super) fn vendor_error<E>(operation: Operation, e: &SdkError<E, HttpResponse>) -> VendorError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failed = |code, message: &str, verdict, may_have_happened| VendorError {
        operation,
        code,
        message: message.to_owned(),
        verdict,
        may_have_happened,
    };
    match e {
        // The SDK reports a body that it cannot decode as a service error without a code (aws-sdk-rust issue 873). With a status of
        // success the call may have happened.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => failed(
            Code::ResponseInvalid,
            "Connect's answer could not be read.",
            Verdict::Retry,
            true,
        ),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let (code, verdict) = answered(answer.err().code(), status, answer.err().message().unwrap_or_default());
            let verdict = match (verdict, retry_after(answer.raw())) {
                (Verdict::Retry, Some(wait)) => Verdict::RetryAfter(wait),
                (verdict, _) => verdict,
            };
            let message = clean(answer.err().message().unwrap_or("no message"));
            failed(
                code,
                &format!("Connect answered {status}: {message}"),
                verdict,
                status >= 500,
            )
        }
        SdkError::TimeoutError(_) => failed(Code::Timeout, "Connect did not answer in time.", Verdict::Retry, true),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            failed(Code::Timeout, "Connect did not answer in time.", Verdict::Retry, true)
        }
        SdkError::ResponseError(_) => failed(
            Code::ResponseInvalid,
            "Connect's answer could not be read.",
            Verdict::Retry,
            true,
        ),
        _ if DisplayErrorContext(e)
            .to_string()
            .to_ascii_lowercase()
            .contains("credentials") =>
        {
            // No retry, because the chain has tried all its sources: an operator must provide credentials.
            failed(
                Code::CredentialsInvalid,
                "No AWS credentials were found, or they could not be renewed.",
                Verdict::Never,
                false,
            )
        }
        SdkError::DispatchFailure(_) => failed(
            Code::NetworkUnavailable,
            "Connect could not be reached.",
            Verdict::Retry,
            true,
        ),
        _ => request_not_built(operation),
    }
}

/// The error for a request that the SDK could not build.
pub(super) fn request_not_built(operation: Operation) -> VendorError {
    VendorError {
        operation,
        code: Code::RequestRejected,
        message: "The SDK could not build the request.".into(),
        verdict: Verdict::Never,
        may_have_happened: false,
    }
}

/// Translates an error answer by its error code, or by its status if the code is unknown.
fn answered(code: Option<&str>, status: u16, message: &str) -> (Code, Verdict) {
    match code.unwrap_or_default() {
        "InvalidRequestException" if message.contains("enable call recording") => {
            (Code::MonitoringUnsupported, Verdict::Never)
        }
        "InvalidRequestException" => (Code::RequestInvalid, Verdict::Never),
        "InvalidParameterException" => (Code::ParameterInvalid, Verdict::Never),
        "InvalidActiveRegionException" => (Code::RegionInvalid, Verdict::Never),
        "AccessDeniedException" => (Code::AccessForbidden, Verdict::Never),
        "ResourceNotFoundException" => (Code::ResourceNotFound, Verdict::Never),
        "ContactNotFoundException" => (Code::ContactNotFound, Verdict::Never),
        "IdempotencyException" => (Code::IdempotencyConflict, Verdict::Never),
        "ServiceQuotaExceededException" => (Code::QuotaLimitReached, Verdict::Never),
        "ThrottlingException" | "TooManyRequestsException" | "Throttling" => (Code::RateLimitReached, Verdict::Retry),
        "InternalServiceException" => (Code::Internal, Verdict::Retry),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => (Code::CredentialsInvalid, Verdict::Never),
        _ => match status {
            429 => (Code::RateLimitReached, Verdict::Retry),
            500 => (Code::Internal, Verdict::Retry),
            501.. => (Code::Unavailable, Verdict::Retry),
            403 => (Code::AccessForbidden, Verdict::Never),
            404 => (Code::ResourceNotFound, Verdict::Never),
            410 => (Code::ContactNotFound, Verdict::Never),
            _ => (Code::RequestRejected, Verdict::Never),
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

/// Translates Connect's error code, status and message to a stable code and a message that is safe to show to people.
pub(crate) fn translate(code: Option<&str>, status: u16, message: &str) -> (Code, String) {
    (answered(code, status, message).0, clean(message))
}

/// Removes control characters, which could forge a log line, and cuts long messages.
fn clean(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

/// The error of a call that our own rate budget did not admit.
pub(super) fn no_budget(operation: Operation, e: NoBudget) -> VendorError {
    let message = match e {
        NoBudget::QueueFull => "The queue of the rate budget is full.",
        NoBudget::Timeout => "The rate budget had no capacity in time.",
    };
    VendorError {
        operation,
        code: Code::BudgetLimitReached,
        message: message.into(),
        verdict: Verdict::Retry,
        may_have_happened: false,
    }
}

/// The error for an instance that is not configured. It occurs only if an instance was removed from the configuration
/// while a supervision of it was unfinished.
pub(super) fn unknown_instance(operation: Operation) -> VendorError {
    VendorError {
        operation,
        code: Code::RequestRejected,
        message: "This Connect instance is not configured any more.".into(),
        verdict: Verdict::Never,
        may_have_happened: false,
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::join_failure::OwnJoinFailure;

    use super::*;

    #[test]
    fn errors_documentation_lists_every_connect_code() {
        let documented = include_str!("../../docs/errors.md");
        let codes = Code::ALL.iter().map(|code| code.as_str());
        for code in codes.chain(OwnJoinFailure::ALL.iter().map(|code| code.as_str())) {
            assert!(
                documented.contains(&format!("`{code}`")),
                "{code} is not in docs/errors.md"
            );
        }
    }
}
