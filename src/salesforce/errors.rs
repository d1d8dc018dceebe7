//! Every error of Salesforce and what to do about it. `docs/errors.md` has the table.
//!
//! Salesforce has three shapes of error body: `[{"message","errorCode","fields"}]`, the same as a bare object (some 404s),
//! and that of a collection's record, which has `statusCode` instead of `errorCode`.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sidedoor_domain::ports::crm::Lookups;
use sidedoor_domain::ports::{CrmError, CrmErrorCode, CrmFault, CrmVerdict};

use super::remedies;

/// The pause after an error that concerns the whole org.
const PARK: Duration = Duration::from_secs(60);
/// The pause after a limit of a day was reached. It counts a rolling day, so an earlier attempt would only use up a call.
const LIMIT: Duration = Duration::from_secs(300);
/// The pause after a limit of concurrent requests was reached, because such requests end in seconds.
const CONCURRENCY: Duration = Duration::from_secs(5);
/// The most bytes of an answer that a dead letter keeps.
const MAX_KEPT_ANSWER: usize = 4096;
/// The most characters of a vendor's message that are shown to people.
const MAX_MESSAGE: usize = 300;
/// The most characters of a web page's title that are shown to people.
const MAX_TITLE: usize = 80;
/// The error of a record that waits for a lock. A flow or trigger that waited in vain has it in its message.
const LOCK: &str = "UNABLE_TO_LOCK_ROW";
/// The text of the validation rule that keeps the newer version of a record (`Newer_Version_Is_Kept` in `infra/salesforce`).
const NEWER_KEPT: &str = "newer version of this record";

/// The names of the lookup fields that a record sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LookupFields<'n> {
    /// The lookup to VoiceCall.
    pub voice_call: Option<&'n str>,
    /// The lookup to MessagingSession.
    pub messaging_session: Option<&'n str>,
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
    let page = page_title(body);
    let message = match (text("message"), &page) {
        (Some(message), _) => clean(message),
        (None, Some(title)) => format!("a web page{title} answered with {status} instead of Salesforce"),
        (None, None) => format!("Salesforce answered {status}"),
    };
    let remedy = match &page {
        Some(title) => Some(remedies::of_page(title)),
        None => remedies::of_code(&code, &message),
    };
    CrmError {
        verdict: verdict(&code, &message, status, &fields, lookups),
        remedy: remedy.map(Cow::Borrowed),
        // A gateway on the way may have given up waiting while the org goes on.
        may_commit_late: status.is_server_error() && code.starts_with("HTTP_"),
        code: CrmErrorCode::Vendor(code),
        message,
        answer: Some(cut(body)),
    }
}

/// The title of a web page in quotation marks, empty if the page has none; `None` if the body is no web page.
fn page_title(body: &str) -> Option<String> {
    let body = body.trim_start();
    if !body.starts_with('<') {
        return None;
    }
    let lower = body.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let begin = at + lower.get(at..)?.find('>')? + 1;
        let end = begin + lower.get(begin..)?.find("</title")?;
        body.get(begin..end)
    });
    let words: Vec<&str> = title.unwrap_or_default().split_whitespace().collect();
    let title: String = clean(&words.join(" ")).chars().take(MAX_TITLE).collect();
    Some(if title.is_empty() {
        String::new()
    } else {
        format!(" titled \"{title}\"")
    })
}

/// Translates the result of a refused record of a collection:
/// `{"success":false,"errors":[{"statusCode","message","fields"}]}`.
pub(crate) fn item_refused(result: &Value, lookups: LookupFields<'_>) -> CrmError {
    let errors = result.get("errors").cloned().unwrap_or(Value::Null);
    let e = answered(StatusCode::OK, &errors.to_string(), lookups);
    if e.code.as_str() == "HTTP_200" {
        return unreadable("");
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

/// Only codes that are certainly about the record's own data are dead letters. A code that is not listed says nothing about whose
/// fault it is.
fn verdict(code: &str, message: &str, status: StatusCode, fields: &[&str], lookups: LookupFields<'_>) -> CrmVerdict {
    match code {
        _ if code == LOCK || message.contains(LOCK) => CrmVerdict::Retry,
        // UNKNOWN_EXCEPTION is "The system encountered an internal error". It is listed here because a record of a
        // collection has no status 500.
        "SERVER_UNAVAILABLE"
        | "INVALID_SESSION_ID"
        | "UNKNOWN_EXCEPTION"
        | "QUERY_TIMEOUT"
        | "REQUEST_RUNNING_TOO_LONG" => CrmVerdict::Retry,
        "DUPLICATE_VALUE" => CrmVerdict::RetryNow,
        "REQUEST_LIMIT_EXCEEDED" if remedies::is_concurrency(message) => CrmVerdict::Park(CONCURRENCY),
        "TOO_MANY_APEX_REQUESTS" => CrmVerdict::Park(CONCURRENCY),
        // The org is full, or the owner of new records is inactive. Such an org may still accept updates, so it is not this
        // record's fault even if others are accepted.
        "REQUEST_LIMIT_EXCEEDED" | "STORAGE_LIMIT_EXCEEDED" | "EXCEEDED_QUOTA" | "INACTIVE_OWNER_OR_USER" => {
            CrmVerdict::Park(LIMIT)
        }
        // About the org, the integration user or the app, whatever the record.
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE"
        | "ORG_LOCKED"
        | "TRIAL_EXPIRED"
        | "INVALID_OPERATION_WITH_EXPIRED_PASSWORD"
        | "CLIENT_NOT_ACCESSIBLE_FOR_USER"
        | "URL_NOT_RESET" => CrmVerdict::Park(PARK),
        "INVALID_FIELD"
        | "INSUFFICIENT_ACCESS"
        | "INVALID_TYPE"
        | "INVALID_FIELD_FOR_INSERT_UPDATE"
        | "API_DISABLED_FOR_ORG"
        | "API_CURRENTLY_DISABLED"
        | "UNSUPPORTED_API_VERSION"
        | "INSUFFICIENT_ACCESS_OR_READONLY"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => CrmVerdict::OrgFault(PARK),
        "NOT_FOUND" if status == StatusCode::NOT_FOUND => CrmVerdict::OrgFault(PARK),
        // Without a field it may be the record itself, which an upsert then creates.
        "ENTITY_IS_DELETED" if fields.is_empty() => {
            refused_lookups(fields, lookups).map_or(CrmVerdict::RetryNow, CrmVerdict::RetryThenWithout)
        }
        // Without a lookup of ours, the record type, the owner or a trigger refers to something.
        "INVALID_CROSS_REFERENCE_KEY" | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY" | "ENTITY_IS_DELETED" => {
            refused_lookups(fields, lookups).map_or(CrmVerdict::Unproven, CrmVerdict::WithoutLookups)
        }
        "MALFORMED_ID" | "FIELD_INTEGRITY_EXCEPTION" | "FIELD_FILTER_VALIDATION_EXCEPTION" => {
            refused_lookups(fields, lookups).map_or(CrmVerdict::DeadLetter, CrmVerdict::WithoutLookups)
        }
        "MULTIPLE_CHOICES"
        | "REQUIRED_FIELD_MISSING"
        | "FIELD_CUSTOM_VALIDATION_EXCEPTION"
        | "STRING_TOO_LONG"
        | "NUMBER_OUTSIDE_VALID_RANGE"
        | "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        | "DUPLICATE_EXTERNAL_ID"
        | "DUPLICATES_DETECTED"
        | "JSON_PARSER_ERROR" => CrmVerdict::DeadLetter,
        _ if status == StatusCode::TOO_MANY_REQUESTS => CrmVerdict::Park(LIMIT),
        _ if status.is_server_error() => CrmVerdict::Retry,
        // An answer without a code of Salesforce's comes from a proxy, a login page or a redirect. No record is at fault.
        _ if code.starts_with("HTTP_") => CrmVerdict::Retry,
        _ => CrmVerdict::Unproven,
    }
}

/// Whether an error concerns the record, not the org or the network.
pub(super) fn concerns_record(e: &CrmError) -> bool {
    match e.verdict {
        CrmVerdict::DeadLetter
        | CrmVerdict::WithoutLookups(_)
        | CrmVerdict::RetryThenWithout(_)
        | CrmVerdict::RetryNow
        | CrmVerdict::Unproven => true,
        CrmVerdict::Retry => e.code.as_str() == LOCK || e.message.contains(LOCK),
        CrmVerdict::Park(_) | CrmVerdict::OrgFault(_) => false,
    }
}

/// Whether the org refused an older version of a record because it has a newer one.
pub(super) fn is_newer_kept(e: &CrmError) -> bool {
    e.code.as_str() == "FIELD_CUSTOM_VALIDATION_EXCEPTION" && e.message.contains(NEWER_KEPT)
}

/// The error of a call with several records. If it does not show whose fault it is, the call is repeated with fewer records, down to
/// one, because the org would refuse each half of a split call alike.
pub(super) fn of_collection(e: CrmError) -> CrmError {
    match e.verdict {
        CrmVerdict::Unproven => CrmError {
            verdict: CrmVerdict::Retry,
            ..e
        },
        _ => e,
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
        messaging_session: refused(lookups.messaging_session),
        supervisor: refused(lookups.supervisor),
        agent: refused(lookups.agent),
    };
    (found.voice_call || found.messaging_session || found.supervisor || found.agent).then_some(found)
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

/// The error of an answer that cannot be read: its body.
pub(super) fn unreadable(body: &str) -> CrmError {
    let e = own(
        CrmFault::ResponseInvalid,
        "Salesforce's answer could not be read",
        CrmVerdict::Retry,
    );
    match page_title(body) {
        Some(title) => CrmError {
            message: format!("a web page{title} answered instead of Salesforce"),
            remedy: Some(Cow::Borrowed(remedies::of_page(&title))),
            ..e
        },
        None => e,
    }
}

/// Reads an answer's JSON.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, CrmError> {
    serde_json::from_str(body).map_err(|_| unreadable(body))
}

/// An error that concerns the whole org.
pub(super) fn org_fault(fault: CrmFault, message: impl Into<String>) -> CrmError {
    own(fault, message, CrmVerdict::OrgFault(PARK))
}

/// An error that concerns the whole org, with what a person can do about it.
pub(super) fn org_fault_with(
    fault: CrmFault,
    message: impl Into<String>,
    remedy: impl Into<Cow<'static, str>>,
) -> CrmError {
    CrmError {
        remedy: Some(remedy.into()),
        ..org_fault(fault, message)
    }
}

/// Blames the org instead of a record, because the refused call was about no record.
pub(super) fn not_of_a_record(e: CrmError) -> CrmError {
    let verdict = match e.verdict {
        CrmVerdict::DeadLetter
        | CrmVerdict::WithoutLookups(_)
        | CrmVerdict::RetryThenWithout(_)
        | CrmVerdict::RetryNow => CrmVerdict::OrgFault(PARK),
        CrmVerdict::Unproven => CrmVerdict::Retry,
        other => other,
    };
    CrmError { verdict, ..e }
}

fn own(fault: CrmFault, message: impl Into<String>, verdict: CrmVerdict) -> CrmError {
    CrmError {
        code: CrmErrorCode::Own(fault),
        message: message.into(),
        remedy: None,
        answer: None,
        verdict,
        may_commit_late: false,
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
mod tests;
