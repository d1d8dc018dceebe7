//! Reports as CSV.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::usecases::error::UseCaseError;

const CSV: &str = "text/csv";

/// Whether the caller wants CSV instead of JSON.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains(CSV))
}

/// The answer with this body.
pub(super) fn answer(body: Body) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(CSV));
    response
}

/// These members of a row as cells; an unknown value is empty.
pub(super) fn cells(row: &impl Serialize, columns: &[&str]) -> Vec<String> {
    let members = serde_json::to_value(row).unwrap_or_default();
    columns.iter().map(|name| cell(&members[name])).collect()
}

/// A spreadsheet evaluates a cell that begins like a formula, and some texts come from callers, so such a text gets an apostrophe before
/// it (OWASP, "CSV Injection").
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Rows as text. Every row has as many cells as the first.
///
/// # Errors
/// None that is expected.
pub(super) fn text(rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, UseCaseError> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(&row)
            .map_err(|_| UseCaseError::Unexpected("a row has as many cells as the first one"))?;
    }
    writer
        .into_inner()
        .map_err(|_| UseCaseError::Unexpected("writing to memory does not fail"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cell_is_never_a_formula() {
        for (value, expected) in [
            (json!("=HYPERLINK(1)"), "'=HYPERLINK(1)"),
            (json!("-1"), "'-1"),
            (json!("@x"), "'@x"),
            (json!("a=b"), "a=b"),
            (json!(-1), "-1"),
            (json!(null), ""),
            (json!(true), "true"),
        ] {
            assert_eq!(cell(&value), expected);
        }
    }
}
