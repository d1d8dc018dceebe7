//! Every error of Salesforce, and what may be done about it. `docs/errors.md` has the table.
//!
//! Three shapes of error body exist: `[{"message","errorCode","fields"}]`, the same as a bare object (some 404s), and a
//! collection's `statusCode` in the place of `errorCode`.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use sidedoor_domain::ports::crm::Lookups;
use sidedoor_domain::ports::{CrmError, CrmVerdict};

/// How long an org that takes nothing is left alone.
const PARK: Duration = Duration::from_secs(60);
/// How long to wait after a limit was reached: daily limits are rolling, so trying sooner only costs calls.
const LIMIT: Duration = Duration::from_secs(300);
/// As much of an answer as a dead letter keeps, bytes.
const ANSWER: usize = 4096;
/// The longest message repeated to people.
const MESSAGE: usize = 300;

/// The lookup fields that a row carries, by their names in the org.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried<'n> {
    /// Its VoiceCall's.
    pub voice_call: Option<&'n str>,
    /// Its supervisor's.
    pub supervisor: Option<&'n str>,
}

/// An error answer, in our words.
pub fn answered(status: StatusCode, body: &str, lookups: Carried<'_>) -> CrmError {
    let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let first = parsed.as_array().and_then(|a| a.first()).unwrap_or(&parsed);
    let text = |key: &str| first.get(key).and_then(Value::as_str);
    // An empty one, or one of control characters alone, is none: every error has a code.
    let code_of = |key: &str| text(key).map(clean).filter(|code| !code.is_empty());
    let said = code_of("errorCode").or_else(|| code_of("statusCode"));
    let fields: Vec<&str> = first
        .get("fields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let code = match said {
        Some(code) => code,
        None if status == StatusCode::MULTIPLE_CHOICES => "MULTIPLE_CHOICES".to_owned(),
        None => format!("HTTP_{}", status.as_u16()),
    };
    let verdict = verdict(&code, status, &fields, lookups);
    let message = text("message").map_or_else(|| format!("Salesforce answered {status}"), clean);
    let answer = Some(cut(body));
    CrmError {
        code,
        message,
        answer,
        verdict,
    }
}

/// A refused record of a collection: `{"success":false,"errors":[{"statusCode","message","fields"}]}`.
pub fn item_refused(result: &Value, lookups: Carried<'_>) -> CrmError {
    let errors = result.get("errors").cloned().unwrap_or(Value::Null);
    let e = answered(StatusCode::OK, &errors.to_string(), lookups);
    if e.code == "HTTP_200" {
        return unreadable();
    }
    // A record has no status of its own; of a single row these are 4xx.
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

fn verdict(code: &str, status: StatusCode, fields: &[&str], lookups: Carried<'_>) -> CrmVerdict {
    match code {
        // "The system encountered an internal error": a record of a collection has no status that would say 500.
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "INVALID_SESSION_ID" | "UNKNOWN_EXCEPTION" => CrmVerdict::Retry,
        "DUPLICATE_VALUE" => CrmVerdict::RetryNow,
        // The org is full, or its owner of new rows is gone. What is only changed may still be taken, so that others are taken says
        // nothing about this row.
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
        // Without a code of Salesforce's it is somebody else who answers: a proxy, a page, a redirect. No row is at fault.
        _ if code.starts_with("HTTP_") => CrmVerdict::Retry,
        _ => CrmVerdict::DeadLetter,
    }
}

/// Which of the row's lookups an error about a reference is about: those it names, else all that there are. Salesforce compares
/// names of fields without regard to case.
fn refused_lookups(fields: &[&str], carried: Carried<'_>) -> Option<Lookups> {
    let refused = |carried: Option<&str>| {
        carried.is_some_and(|name| fields.is_empty() || fields.iter().any(|f| f.eq_ignore_ascii_case(name)))
    };
    let found = Lookups {
        voice_call: refused(carried.voice_call),
        supervisor: refused(carried.supervisor),
    };
    (found.voice_call || found.supervisor).then_some(found)
}

/// No answer at all: safe to send again, since the external id is unique.
pub(super) fn unanswered(e: &reqwest::Error) -> CrmError {
    let (code, message) = if e.is_timeout() {
        ("salesforce_timeout", "Salesforce did not answer in time")
    } else {
        ("salesforce_network_unavailable", "Salesforce could not be reached")
    };
    ours(code, message, CrmVerdict::Retry)
}

/// An answer that cannot be read.
pub(super) fn unreadable() -> CrmError {
    ours(
        "salesforce_response_invalid",
        "Salesforce's answer could not be read",
        CrmVerdict::Retry,
    )
}

/// An error of ours about the whole org.
pub(super) fn org_fault(code: &str, message: impl Into<String>) -> CrmError {
    ours(code, message, CrmVerdict::OrgFault(PARK))
}

fn ours(code: &str, message: impl Into<String>, verdict: CrmVerdict) -> CrmError {
    CrmError {
        code: code.to_owned(),
        message: message.into(),
        answer: None,
        verdict,
    }
}

/// The vendor's words without what could forge a log line, and not too many of them.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MESSAGE).collect()
}

fn cut(body: &str) -> String {
    let mut end = body.len().min(ANSWER);
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
        let carried = Carried {
            voice_call: Some("Voice_Call__c"),
            supervisor: Some("Supervisor__c"),
        };
        answered(status, body, carried).verdict
    }

    #[test]
    fn the_error_table() {
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
    fn a_reference_error_without_a_lookup_in_the_row_is_the_rows() {
        let body = r#"[{"message":"m","errorCode":"MALFORMED_ID","fields":["Other__c"]}]"#;
        assert_eq!(of(400, body), CrmVerdict::DeadLetter);
        let bare = r#"[{"message":"m","errorCode":"MALFORMED_ID"}]"#;
        assert_eq!(
            answered(StatusCode::BAD_REQUEST, bare, Carried::default()).verdict,
            CrmVerdict::DeadLetter
        );
    }

    #[test]
    fn only_the_lookup_that_is_named_is_refused_however_it_is_spelt() {
        let body = |field: &str| format!(r#"[{{"message":"m","errorCode":"MALFORMED_ID","fields":["{field}"]}}]"#);
        let refused = |voice_call, supervisor| CrmVerdict::WithoutLookups(Lookups { voice_call, supervisor });
        assert_eq!(of(400, &body("voice_call__c")), refused(true, false));
        assert_eq!(of(400, &body("Supervisor__c")), refused(false, true));
    }

    #[test]
    fn an_answer_is_kept_but_bounded() {
        let long = "é".repeat(5000);
        assert!(
            answered(StatusCode::BAD_REQUEST, &long, Carried::default())
                .answer
                .expect("kept")
                .len()
                <= ANSWER
        );
    }
}
