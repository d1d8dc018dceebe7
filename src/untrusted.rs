//! Entry points for fuzz targets and tests: the vendors' error answers, parsed without a running service. The service does not call
//! them; see [`crate::http::untrusted`] for the parsers of requests.

use axum::http::StatusCode;
use serde_json::Value;
use sidedoor_domain::ports::{CrmError, VendorErrorCode};

use crate::salesforce::LookupFields;

/// Parses an error answer of Amazon Connect. Returns our code, the message for every caller and the note for operators.
pub fn connect_error(code: Option<&str>, status: u16, message: &str) -> (VendorErrorCode, String, Option<String>) {
    crate::connect::translate(code, status, message)
}

/// Parses an error answer of Salesforce, as that of a whole call and, if it is JSON, as that of one record of a collection.
pub fn salesforce_errors(status: StatusCode, body: &str) -> Vec<CrmError> {
    let lookups = LookupFields {
        voice_call: Some("Voice_Call__c"),
        messaging_session: Some("Messaging_Session__c"),
        supervisor: Some("Supervisor__c"),
        agent: Some("Agent__c"),
    };
    let mut errors = vec![crate::salesforce::answered(status, body, lookups)];
    if let Ok(item) = serde_json::from_str::<Value>(body) {
        errors.push(crate::salesforce::item_refused(&item, lookups));
    }
    errors
}
