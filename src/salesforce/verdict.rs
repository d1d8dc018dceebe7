//! Every error of Salesforce, and what may be done about it. `docs/errors.md` has the table.
//!
//! Three shapes of error body exist: `[{"message","errorCode","fields"}]`, the same as a bare object (some 404s), and a
//! collection's `statusCode` in the place of `errorCode`.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::ports::{CrmError, CrmVerdict};

/// How long an org that takes nothing is left alone.
const PARK: Duration = Duration::from_secs(60);
/// How long to wait after a limit was reached: daily limits are rolling, so trying sooner only costs calls.
const LIMIT: Duration = Duration::from_secs(300);
/// As much of an answer as a dead letter keeps, bytes.
const ANSWER: usize = 4096;
/// The longest message repeated to people.
const MESSAGE: usize = 300;

/// An error answer, in our words. `lookups` are the row's lookup fields, if it carried any.
pub fn answered(status: StatusCode, body: &str, lookups: &[&str]) -> CrmError {
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
pub fn item_refused(result: &Value, lookups: &[&str]) -> CrmError {
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

fn verdict(code: &str, status: StatusCode, fields: &[&str], lookups: &[&str]) -> CrmVerdict {
    match code {
        // "The system encountered an internal error": a record of a collection has no status that would say 500.
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "INVALID_SESSION_ID" | "UNKNOWN_EXCEPTION" => CrmVerdict::Retry,
        "DUPLICATE_VALUE" => CrmVerdict::RetryNow,
        "REQUEST_LIMIT_EXCEEDED" => CrmVerdict::Park(LIMIT),
        "INVALID_FIELD"
        | "INSUFFICIENT_ACCESS"
        | "INVALID_TYPE"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "STORAGE_LIMIT_EXCEEDED"
        | "INACTIVE_OWNER_OR_USER"
        | "INSUFFICIENT_ACCESS_OR_READONLY"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => CrmVerdict::OrgFault(PARK),
        "NOT_FOUND" if status == StatusCode::NOT_FOUND => CrmVerdict::OrgFault(PARK),
        "INVALID_CROSS_REFERENCE_KEY"
        | "MALFORMED_ID"
        | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
        | "FIELD_INTEGRITY_EXCEPTION"
            if names_a_lookup(fields, lookups) =>
        {
            CrmVerdict::WithoutLookups
        }
        _ if status == StatusCode::TOO_MANY_REQUESTS => CrmVerdict::Park(LIMIT),
        _ if status.is_server_error() => CrmVerdict::Retry,
        // Without a code of Salesforce's it is somebody else who answers: a proxy, a page, a redirect. No row is at fault.
        _ if code.starts_with("HTTP_") => CrmVerdict::Retry,
        _ => CrmVerdict::DeadLetter,
    }
}

/// Whether an error about a reference is about one of the row's lookups: by the fields it names, else by there being any.
fn names_a_lookup(fields: &[&str], lookups: &[&str]) -> bool {
    !lookups.is_empty() && (fields.is_empty() || fields.iter().any(|f| lookups.contains(f)))
}

/// No answer at all: safe to send again, since the external id is unique.
pub(super) fn unanswered(e: &reqwest::Error) -> CrmError {
    let (code, message) = if e.is_timeout() {
        ("salesforce_timeout", "Salesforce did not answer in time")
    } else {
        ("salesforce_unreachable", "Salesforce could not be reached")
    };
    ours(code, message, CrmVerdict::Retry)
}

/// An answer that cannot be read.
pub(super) fn unreadable() -> CrmError {
    ours(
        "salesforce_unreadable",
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
        answered(status, body, &["Voice_Call__c"]).verdict
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
            (400, "INVALID_CROSS_REFERENCE_KEY", CrmVerdict::WithoutLookups),
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
            answered(StatusCode::BAD_REQUEST, bare, &[]).verdict,
            CrmVerdict::DeadLetter
        );
    }

    #[test]
    fn an_answer_is_kept_but_bounded() {
        let long = "é".repeat(5000);
        assert!(
            answered(StatusCode::BAD_REQUEST, &long, &[])
                .answer
                .expect("kept")
                .len()
                <= ANSWER
        );
    }
}
