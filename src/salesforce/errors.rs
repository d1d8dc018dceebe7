//! Every error of Salesforce and what to do about it. `docs/errors.md` has the table.
//!
//! Salesforce has three shapes of error body: `[{"message","errorCode","fields"}]`, the same as a bare object (some 404s),
//! and that of a collection's record, which has `statusCode` instead of `errorCode`.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use sidedoor_domain::ports::crm::Lookups;
use sidedoor_domain::ports::{CrmError, CrmErrorCode, CrmFault, CrmVerdict};

/// The pause after an error that concerns the whole org.
const PARK: Duration = Duration::from_secs(60);
/// The pause after a limit was reached. Limits count a rolling day, so an earlier attempt would only use up a call.
const LIMIT: Duration = Duration::from_secs(300);
/// The most bytes of an answer that a dead letter keeps.
const MAX_KEPT_ANSWER: usize = 4096;
/// The most characters of a vendor's message that are shown to people.
const MAX_MESSAGE: usize = 300;

/// The names of the lookup fields that a record sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LookupFields<'n> {
    /// The lookup to VoiceCall.
    pub voice_call: Option<&'n str>,
    /// The lookup to the supervisor's User.
    pub supervisor: Option<&'n str>,
    /// The lookup to the agent's User.
    pub agent: Option<&'n str>,
}

/// Translates an error answer.
pub(crate) fn answered(status: StatusCode, body: &str, lookups: LookupFields<'_>) -> CrmError {
    let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let first = parsed.as_array().and_then(|a| a.first()).unwrap_or(&parsed);
    let text = |key: &str| first.get(key).and_then(Value::as_str);
    // A code that is empty or has only control characters is treated as missing, so that every error has a code.
    let code_of = |key: &str| text(key).map(clean).filter(|code| !code.is_empty());
    let given = code_of("errorCode").or_else(|| code_of("statusCode"));
    let fields: Vec<&str> = first
        .get("fields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let code = match given {
        Some(code) => code,
        None if status == StatusCode::MULTIPLE_CHOICES => "MULTIPLE_CHOICES".to_owned(),
        None => format!("HTTP_{}", status.as_u16()),
    };
    let verdict = verdict(&code, status, &fields, lookups);
    let message = text("message").map_or_else(|| format!("Salesforce answered {status}"), clean);
    let answer = Some(cut(body));
    CrmError {
        code: CrmErrorCode::Vendor(code),
        message,
        answer,
        verdict,
    }
}

/// Translates the result of a refused record of a collection:
/// `{"success":false,"errors":[{"statusCode","message","fields"}]}`.
pub(crate) fn item_refused(result: &Value, lookups: LookupFields<'_>) -> CrmError {
    let errors = result.get("errors").cloned().unwrap_or(Value::Null);
    let e = answered(StatusCode::OK, &errors.to_string(), lookups);
    if e.code.as_str() == "HTTP_200" {
        return unreadable();
    }
    // A record of a collection has no status of its own. The same errors of a single record are 4xx.
    let verdict = match e.code.as_str() {
        "NOT_FOUND" => CrmVerdict::OrgFault(PARK),
        _ => e.verdict,
    };
    CrmError {
        answer: Some(cut(&result.to_string())),
        verdict,
        ..e
    }
}

fn verdict(code: &str, status: StatusCode, fields: &[&str], lookups: LookupFields<'_>) -> CrmVerdict {
    match code {
        // UNKNOWN_EXCEPTION is "The system encountered an internal error". It is listed here because a record of a
        // collection has no status 500.
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "INVALID_SESSION_ID" | "UNKNOWN_EXCEPTION" => CrmVerdict::Retry,
        "DUPLICATE_VALUE" => CrmVerdict::RetryNow,
        // The org is full, or the owner of new records is inactive. Such an org may still accept updates, so it is not this
        // record's fault even if others are accepted.
        "REQUEST_LIMIT_EXCEEDED" | "STORAGE_LIMIT_EXCEEDED" | "EXCEEDED_QUOTA" | "INACTIVE_OWNER_OR_USER" => {
            CrmVerdict::Park(LIMIT)
        }
        "INVALID_FIELD"
        | "INSUFFICIENT_ACCESS"
        | "INVALID_TYPE"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "INSUFFICIENT_ACCESS_OR_READONLY"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => CrmVerdict::OrgFault(PARK),
        "NOT_FOUND" if status == StatusCode::NOT_FOUND => CrmVerdict::OrgFault(PARK),
        "INVALID_CROSS_REFERENCE_KEY"
        | "MALFORMED_ID"
        | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
        | "FIELD_INTEGRITY_EXCEPTION"
        | "FIELD_FILTER_VALIDATION_EXCEPTION"
        | "ENTITY_IS_DELETED" => {
            refused_lookups(fields, lookups).map_or(CrmVerdict::DeadLetter, CrmVerdict::WithoutLookups)
        }
        _ if status == StatusCode::TOO_MANY_REQUESTS => CrmVerdict::Park(LIMIT),
        _ if status.is_server_error() => CrmVerdict::Retry,
        // An answer without a code of Salesforce's comes from a proxy, a login page or a redirect. No record is at fault.
        _ if code.starts_with("HTTP_") => CrmVerdict::Retry,
        _ => CrmVerdict::DeadLetter,
    }
}

/// The record's lookups that an error about a reference concerns: the fields that it names, or all lookups if it names
/// none. Salesforce's field names are case-insensitive.
fn refused_lookups(fields: &[&str], lookups: LookupFields<'_>) -> Option<Lookups> {
    let refused = |lookup: Option<&str>| {
        lookup.is_some_and(|name| fields.is_empty() || fields.iter().any(|f| f.eq_ignore_ascii_case(name)))
    };
    let found = Lookups {
        voice_call: refused(lookups.voice_call),
        supervisor: refused(lookups.supervisor),
        agent: refused(lookups.agent),
    };
    (found.voice_call || found.supervisor || found.agent).then_some(found)
}

/// The error of a call without an answer. A retry is safe, because the external id is unique.
pub(super) fn unanswered(e: &reqwest::Error) -> CrmError {
    let (fault, message) = if e.is_timeout() {
        (CrmFault::Timeout, "Salesforce did not answer in time")
    } else {
        (CrmFault::NetworkUnavailable, "Salesforce could not be reached")
    };
    own(fault, message, CrmVerdict::Retry)
}

/// The error of an answer that cannot be read.
pub(super) fn unreadable() -> CrmError {
    own(
        CrmFault::ResponseInvalid,
        "Salesforce's answer could not be read",
        CrmVerdict::Retry,
    )
}

/// An error that concerns the whole org.
pub(super) fn org_fault(fault: CrmFault, message: impl Into<String>) -> CrmError {
    own(fault, message, CrmVerdict::OrgFault(PARK))
}

/// Blames the org instead of a record, because the refused call was about no record.
pub(super) fn not_of_a_record(e: CrmError) -> CrmError {
    match e.verdict {
        CrmVerdict::DeadLetter | CrmVerdict::WithoutLookups(_) | CrmVerdict::RetryNow => CrmError {
            verdict: CrmVerdict::OrgFault(PARK),
            ..e
        },
        _ => e,
    }
}

fn own(fault: CrmFault, message: impl Into<String>, verdict: CrmVerdict) -> CrmError {
    CrmError {
        code: CrmErrorCode::Own(fault),
        message: message.into(),
        answer: None,
        verdict,
    }
}

/// Removes control characters, which could forge a log line, and cuts long texts.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

fn cut(body: &str) -> String {
    let mut end = body.len().min(MAX_KEPT_ANSWER);
    while !body.is_char_boundary(end) {
        end -= 1;
    }
    body[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> CrmVerdict {
        let status = StatusCode::from_u16(status).expect("a status");
        let lookups = LookupFields {
            voice_call: Some("Voice_Call__c"),
            supervisor: Some("Supervisor__c"),
            agent: Some("Agent__c"),
        };
        answered(status, body, lookups).verdict
    }

    #[test]
    fn errors_documentation_lists_every_salesforce_code() {
        let documented = include_str!("../../docs/errors.md");
        for fault in CrmFault::ALL {
            assert!(
                documented.contains(&format!("`{fault}`")),
                "{fault} is not in docs/errors.md"
            );
        }
    }

    #[test]
    fn salesforce_errors_have_the_verdicts_of_the_table() {
        let error = |code: &str| format!(r#"[{{"message":"m","errorCode":"{code}"}}]"#);
        let table = [
            (400, "UNABLE_TO_LOCK_ROW", CrmVerdict::Retry),
            (503, "SERVER_UNAVAILABLE", CrmVerdict::Retry),
            (500, "UNKNOWN_EXCEPTION", CrmVerdict::Retry),
            (400, "DUPLICATE_VALUE", CrmVerdict::RetryNow),
            (403, "REQUEST_LIMIT_EXCEEDED", CrmVerdict::Park(LIMIT)),
            (400, "INVALID_FIELD", CrmVerdict::OrgFault(PARK)),
            (403, "INSUFFICIENT_ACCESS", CrmVerdict::OrgFault(PARK)),
            (404, "NOT_FOUND", CrmVerdict::OrgFault(PARK)),
            (400, "REQUIRED_FIELD_MISSING", CrmVerdict::DeadLetter),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", CrmVerdict::DeadLetter),
            (
                400,
                "INVALID_CROSS_REFERENCE_KEY",
                CrmVerdict::WithoutLookups(Lookups::ALL),
            ),
            (
                400,
                "FIELD_FILTER_VALIDATION_EXCEPTION",
                CrmVerdict::WithoutLookups(Lookups::ALL),
            ),
            (400, "ENTITY_IS_DELETED", CrmVerdict::WithoutLookups(Lookups::ALL)),
            (400, "STORAGE_LIMIT_EXCEEDED", CrmVerdict::Park(LIMIT)),
            (400, "EXCEEDED_QUOTA", CrmVerdict::Park(LIMIT)),
        ];
        for (status, code, verdict) in table {
            assert_eq!(of(status, &error(code)), verdict, "{code}");
        }
        assert_eq!(of(429, ""), CrmVerdict::Park(LIMIT));
        assert_eq!(of(300, r#"["/a","/b"]"#), CrmVerdict::DeadLetter);
        assert_eq!(of(502, "<html>bad gateway</html>"), CrmVerdict::Retry);
        assert_eq!(
            of(404, r#"{"message":"m","errorCode":"NOT_FOUND"}"#),
            CrmVerdict::OrgFault(PARK),
            "a bare object"
        );
        let item = r#"{"success":false,"errors":[],"statusCode":"REQUIRED_FIELD_MISSING","message":"m"}"#;
        assert_eq!(of(200, item), CrmVerdict::DeadLetter, "a collection's item");
    }

    #[test]
    fn reference_error_without_lookup_is_dead_letter() {
        let body = r#"[{"message":"m","errorCode":"MALFORMED_ID","fields":["Other__c"]}]"#;
        assert_eq!(of(400, body), CrmVerdict::DeadLetter);
        let bare = r#"[{"message":"m","errorCode":"MALFORMED_ID"}]"#;
        assert_eq!(
            answered(StatusCode::BAD_REQUEST, bare, LookupFields::default()).verdict,
            CrmVerdict::DeadLetter
        );
    }

    #[test]
    fn reference_error_refuses_only_named_lookup_in_any_case() {
        let body = |field: &str| format!(r#"[{{"message":"m","errorCode":"MALFORMED_ID","fields":["{field}"]}}]"#);
        let refused = |voice_call, supervisor, agent| {
            CrmVerdict::WithoutLookups(Lookups {
                voice_call,
                supervisor,
                agent,
            })
        };
        assert_eq!(of(400, &body("voice_call__c")), refused(true, false, false));
        assert_eq!(of(400, &body("Supervisor__c")), refused(false, true, false));
        assert_eq!(of(400, &body("agent__C")), refused(false, false, true));
    }

    #[test]
    fn kept_answer_is_bounded() {
        let long = "é".repeat(5000);
        assert!(
            answered(StatusCode::BAD_REQUEST, &long, LookupFields::default())
                .answer
                .expect("kept")
                .len()
                <= MAX_KEPT_ANSWER
        );
    }
}
