//! Every error of Amazon Connect: a stable code and whether it may be retried. `docs/errors.md` has the table.
//!
//! The SDK does not model every error for every operation. StopContact, for example, models neither throttling nor a
//! refused access; there the SDK reports them as "unhandled", so they are recognised by the error code of the answer.

use std::time::Duration;

use aws_sdk_connect::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use sidedoor_domain::ports::{Operation, VendorError, VendorErrorCode as Code, Verdict};

use super::budget::NoBudget;
use super::error_texts::{ErrorTexts, is_no_json};

/// Translates a failed call.
pub(super) fn vendor_error<E>(operation: Operation, e: &SdkError<E, HttpResponse>) -> VendorError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failed = |code, texts: ErrorTexts, verdict, may_have_happened| VendorError {
        operation,
        code,
        message: texts.message,
        operator_note: texts.note,
        verdict,
        may_have_happened,
    };
    let unreadable = |raw: &HttpResponse| {
        let texts = ErrorTexts::of_unreadable_answer(raw.status().as_u16(), raw.body().bytes());
        failed(Code::ResponseInvalid, texts, Verdict::Retry, true)
    };
    let late = || {
        let texts = ErrorTexts::plain("Connect did not answer in time.");
        failed(Code::Timeout, texts, Verdict::Retry, true)
    };
    match e {
        // The SDK reports a body that it cannot decode as a service error without a code (aws-sdk-rust issue 873). With a status of
        // success the call may have happened.
        SdkError::ServiceError(answer) if answer.raw().status().is_success() => unreadable(answer.raw()),
        SdkError::ServiceError(answer) => {
            let raw = answer.raw();
            let status = raw.status().as_u16();
            let words = answer.err().message().unwrap_or_default();
            let read = ErrorAnswer::read(answer.err().code(), status, words, raw.body().bytes());
            let verdict = match (read.verdict, retry_after(raw)) {
                (Verdict::Retry, Some(wait)) => Verdict::RetryAfter(wait),
                (verdict, _) => verdict,
            };
            failed(read.code, read.texts, verdict, status >= 500)
        }
        SdkError::TimeoutError(_) => late(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => late(),
        SdkError::ResponseError(answer) => unreadable(answer.raw()),
        _ if DisplayErrorContext(e)
            .to_string()
            .to_ascii_lowercase()
            .contains("credentials") =>
        {
            // No retry, because the chain has tried all its sources: an operator must provide credentials.
            let texts = ErrorTexts::with_causes("No AWS credentials were found, or they could not be renewed.", e);
            failed(Code::CredentialsInvalid, texts, Verdict::Never, false)
        }
        SdkError::DispatchFailure(_) => {
            let texts = ErrorTexts::with_causes("Connect could not be reached.", e);
            failed(Code::NetworkUnavailable, texts, Verdict::Retry, true)
        }
        _ => request_not_built(operation),
    }
}

/// The error for a request that the SDK could not build.
pub(super) fn request_not_built(operation: Operation) -> VendorError {
    VendorError {
        operation,
        code: Code::RequestRejected,
        message: "The SDK could not build the request.".into(),
        operator_note: None,
        verdict: Verdict::Never,
        may_have_happened: false,
    }
}

/// An error answer, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ErrorAnswer {
    code: Code,
    verdict: Verdict,
    texts: ErrorTexts,
}

impl ErrorAnswer {
    /// Reads an error answer: by its error code, or by its status if the code is unknown. Every error of AWS has a code. An answer of
    /// 3xx or 4xx without one comes from something else, and so says nothing about the contact or about Sidedoor's permissions.
    fn read(aws_code: Option<&str>, status: u16, words: &str, body: Option<&[u8]>) -> Self {
        let (code, verdict, texts) = match aws_code.filter(|code| !code.is_empty()) {
            Some(aws_code) => {
                let (code, verdict) = named(aws_code, words).unwrap_or_else(|| by_status(status));
                (code, verdict, ErrorTexts::of_answer(code, aws_code, status, words))
            }
            None => {
                let (code, verdict) = match status {
                    408 | 429 | 500.. => by_status(status),
                    _ => (Code::RequestRejected, Verdict::Never),
                };
                // A body that looks like JSON may be Connect's own, so it is not shown.
                let body = body.filter(|body| is_no_json(body));
                (code, verdict, ErrorTexts::of_foreign_answer(status, body))
            }
        };
        Self { code, verdict, texts }
    }
}

/// What an error code of AWS means; `None` if it is unknown. Connect's own are in its model; the others are those that every service
/// of AWS may answer ("Common errors" in its API reference).
fn named(aws_code: &str, words: &str) -> Option<(Code, Verdict)> {
    let (code, verdict) = match aws_code {
        "InvalidRequestException" if words.contains("enable call recording") => {
            (Code::MonitoringUnsupported, Verdict::Never)
        }
        "InvalidRequestException" | "SerializationException" | "RequestEntityTooLargeException" => {
            (Code::RequestInvalid, Verdict::Never)
        }
        "InvalidParameterException" | "ValidationException" | "ValidationError" => {
            (Code::ParameterInvalid, Verdict::Never)
        }
        "InvalidActiveRegionException" => (Code::RegionInvalid, Verdict::Never),
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" | "OptInRequired" | "AuthFailure" => {
            (Code::AccessForbidden, Verdict::Never)
        }
        "ResourceNotFoundException" => (Code::ResourceNotFound, Verdict::Never),
        // The path is wrong, such as that of another service's endpoint: it says nothing about the contact.
        "UnknownOperationException" => (Code::RequestRejected, Verdict::Never),
        "ContactNotFoundException" => (Code::ContactNotFound, Verdict::Never),
        "IdempotencyException" => (Code::IdempotencyConflict, Verdict::Never),
        "ServiceQuotaExceededException" => (Code::QuotaLimitReached, Verdict::Never),
        "ThrottlingException"
        | "TooManyRequestsException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "SlowDown" => (Code::RateLimitReached, Verdict::Retry),
        "InternalServiceException" | "InternalFailure" | "InternalServerError" | "InternalServerException" => {
            (Code::Internal, Verdict::Retry)
        }
        "ServiceUnavailable" | "ServiceUnavailableException" | "RequestTimeout" | "RequestTimeoutException" => {
            (Code::Unavailable, Verdict::Retry)
        }
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => (Code::ClockInvalid, Verdict::Never),
        "InvalidSignatureException" | "SignatureDoesNotMatch" if is_about_the_time(words) => {
            (Code::ClockInvalid, Verdict::Never)
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => (Code::CredentialsInvalid, Verdict::Never),
        _ => return None,
    };
    Some((code, verdict))
}

/// "Signature expired: … is now earlier than …", or "Signature not yet current: … is still later than …".
fn is_about_the_time(words: &str) -> bool {
    words.contains("Signature expired") || words.contains("Signature not yet current")
}

fn by_status(status: u16) -> (Code, Verdict) {
    match status {
        408 => (Code::Unavailable, Verdict::Retry),
        429 => (Code::RateLimitReached, Verdict::Retry),
        500 => (Code::Internal, Verdict::Retry),
        501.. => (Code::Unavailable, Verdict::Retry),
        403 => (Code::AccessForbidden, Verdict::Never),
        404 => (Code::ResourceNotFound, Verdict::Never),
        410 => (Code::ContactNotFound, Verdict::Never),
        _ => (Code::RequestRejected, Verdict::Never),
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

/// Translates Connect's error code, status and message to a stable code, a message for every caller and a note for operators.
pub(crate) fn translate(code: Option<&str>, status: u16, message: &str) -> (Code, String, Option<String>) {
    let read = ErrorAnswer::read(code, status, message, Some(message.as_bytes()));
    (read.code, read.texts.message, read.texts.note)
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
        operator_note: None,
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
        operator_note: None,
        verdict: Verdict::Never,
        may_have_happened: false,
    }
}

#[cfg(test)]
mod tests {
    use sidedoor_domain::join_failure::OwnJoinFailure;

    use super::*;

    const DENIED: &str = "User: arn:aws:sts::111122223333:assumed-role/sidedoor-prod/i-1 is not authorized to perform: \
                          connect:MonitorContact because no identity-based policy allows the connect:MonitorContact action";
    const EXPIRED: &str =
        "Signature expired: 20261128T200000Z is now earlier than 20261128T201000Z (20261128T201500Z - 5 min.)";
    const EARLY: &str =
        "Signature not yet current: 20261128T203000Z is still later than 20261128T202000Z (20261128T201500Z + 5 min.)";

    fn read(aws_code: &str, status: u16, words: &str) -> ErrorAnswer {
        ErrorAnswer::read(Some(aws_code), status, words, None)
    }

    #[test]
    fn error_codes_of_every_aws_service_are_known() {
        for (aws_code, status, words, code, retried) in [
            ("RequestTimeTooSkewed", 403, "", Code::ClockInvalid, false),
            ("RequestExpired", 400, "", Code::ClockInvalid, false),
            ("RequestInTheFuture", 403, "", Code::ClockInvalid, false),
            ("InvalidSignatureException", 403, EXPIRED, Code::ClockInvalid, false),
            ("SignatureDoesNotMatch", 403, EARLY, Code::ClockInvalid, false),
            (
                "InvalidSignatureException",
                403,
                "does not match",
                Code::CredentialsInvalid,
                false,
            ),
            ("IncompleteSignature", 400, "", Code::CredentialsInvalid, false),
            ("OptInRequired", 403, "", Code::AccessForbidden, false),
            ("ValidationException", 400, "", Code::ParameterInvalid, false),
            ("SerializationException", 400, "", Code::RequestInvalid, false),
            ("RequestEntityTooLargeException", 413, "", Code::RequestInvalid, false),
            ("UnknownOperationException", 404, "", Code::RequestRejected, false),
            ("RequestThrottled", 400, "", Code::RateLimitReached, true),
            ("SlowDown", 503, "", Code::RateLimitReached, true),
            ("InternalFailure", 500, "", Code::Internal, true),
            ("RequestTimeoutException", 408, "", Code::Unavailable, true),
            ("ServiceUnavailable", 503, "", Code::Unavailable, true),
            ("InvalidActiveRegionException", 400, "", Code::RegionInvalid, false),
        ] {
            let answer = read(aws_code, status, words);
            assert_eq!(
                (answer.code, answer.verdict == Verdict::Retry),
                (code, retried),
                "{aws_code}"
            );
        }
    }

    #[test]
    fn answer_without_a_code_is_not_taken_for_connects() {
        for status in [301, 401, 403, 404, 407, 410] {
            let page = b"<html><title>Access blocked by proxy-7</title>";
            let answer = ErrorAnswer::read(None, status, "", Some(page));
            assert_eq!(
                (answer.code, answer.verdict),
                (Code::RequestRejected, Verdict::Never),
                "{status}"
            );
            assert!(!answer.texts.message.contains("proxy-7"), "{:?}", answer.texts);
            assert_eq!(
                answer.texts.note,
                Some(format!("status {status}: Access blocked by proxy-7"))
            );
        }
        for (status, code) in [
            (408, Code::Unavailable),
            (429, Code::RateLimitReached),
            (502, Code::Unavailable),
            (504, Code::Unavailable),
        ] {
            let answer = ErrorAnswer::read(None, status, "", Some(b"<h1>Bad gateway</h1>"));
            assert_eq!((answer.code, answer.verdict), (code, Verdict::Retry), "{status}");
            assert_eq!(answer.texts.message, format!("Connect answered {status}."));
            assert_eq!(answer.texts.note, Some(format!("status {status}: Bad gateway")));
        }
        let json = ErrorAnswer::read(None, 403, "", Some(br#"{"Contact": "a name"}"#));
        assert_eq!(json.texts.note.as_deref(), Some("status 403"));
    }

    #[test]
    fn caller_reads_no_account_and_no_role_but_operator_does() {
        for (aws_code, words) in [
            ("AccessDeniedException", DENIED),
            ("InvalidRequestException", DENIED),
            ("UnrecognizedClientException", "The security token of AKIAX is invalid"),
            ("SomethingNewException", "the role sidedoor-prod"),
        ] {
            let texts = read(aws_code, 403, words).texts;
            let note = texts.note.expect("a note");
            assert!(note.contains(words) && note.contains(aws_code), "{note}");
            for secret in ["111122223333", "sidedoor-prod", "arn:", "AKIA"] {
                assert!(!texts.message.contains(secret), "{}", texts.message);
            }
        }
        let own = read("AccessDeniedException", 403, "You do not have access to the agent a-1").texts;
        assert_eq!(
            own.message,
            "Connect answered 403: You do not have access to the agent a-1"
        );
        assert_eq!(own.note, None);
        let clock = read("InvalidSignatureException", 403, EXPIRED).texts;
        assert!(
            clock.message.contains("clock") && clock.message.contains("chrony"),
            "{}",
            clock.message
        );
        assert!(clock.note.is_some_and(|note| note.contains(EXPIRED)));
    }

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
