//! The part of SOQL that Sidedoor and tests use:
//! `SELECT a, b FROM Object [WHERE f = 'v' | f IN ('a','b') [AND …]] [LIMIT n]`.

use serde_json::{Map, Value, json};

use super::org::{Org, SalesforceError};

/// Runs a query. 400 MALFORMED_QUERY for SOQL that the fake does not support.
pub(super) fn query(org: &Org, soql: &str) -> Result<Value, SalesforceError> {
    let malformed = || {
        SalesforceError::new(
            400,
            "MALFORMED_QUERY",
            format!("the fake does not support this query: {soql}"),
        )
    };
    let upper = soql.to_ascii_uppercase();
    let from = upper.find(" FROM ").ok_or_else(malformed)?;
    let columns = soql
        .get(..from)
        .and_then(|s| s.get("SELECT ".len()..))
        .ok_or_else(malformed)?;
    let columns: Vec<&str> = columns.split(',').map(str::trim).collect();
    let rest = &soql[from + " FROM ".len()..];
    let rest_upper = rest.to_ascii_uppercase();
    let limit_at = rest_upper.find(" LIMIT ");
    let limit = match limit_at {
        Some(at) => rest[at + " LIMIT ".len()..].trim().parse().map_err(|_| malformed())?,
        None => 2000_usize,
    };
    let rest = &rest[..limit_at.unwrap_or(rest.len())];
    let where_at = rest.to_ascii_uppercase().find(" WHERE ");
    let object = rest[..where_at.unwrap_or(rest.len())].trim();
    let conditions = match where_at {
        Some(at) => conditions(&rest[at + " WHERE ".len()..]).ok_or_else(malformed)?,
        None => Vec::new(),
    };
    let described = org
        .object(object)
        .map_err(|_| SalesforceError::new(400, "INVALID_TYPE", format!("sObject type '{object}' is not supported")))?;
    for column in columns
        .iter()
        .copied()
        .chain(conditions.iter().map(|(field, _)| field.as_str()))
    {
        if described.field(column).is_none() {
            return Err(SalesforceError::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{column}' on entity '{object}'"),
            ));
        }
    }
    let value = |row: &Map<String, Value>, name: &str| {
        row.iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name))
            .map_or(Value::Null, |(_, v)| v.clone())
    };
    let is = |row: &Map<String, Value>| {
        conditions.iter().all(|(field, wanted)| {
            let has = value(row, field);
            wanted.iter().any(|w| {
                has == *w
                    || has.as_f64().is_some_and(|n| w.parse() == Ok(n))
                    || has.as_bool().is_some_and(|b| w.parse() == Ok(b))
                    || (field.eq_ignore_ascii_case("Id") && is_short_for(w, &has))
                    // Salesforce compares texts without regard to case, and ids with it.
                    || (!field.eq_ignore_ascii_case("Id")
                        && has.as_str().is_some_and(|text| text.to_lowercase() == w.to_lowercase()))
            })
        })
    };
    let records: Vec<Value> = org
        .rows(object)
        .iter()
        .filter(|row| is(row))
        .take(limit)
        .map(|row| {
            let mut record = Map::new();
            record.insert("attributes".into(), json!({"type": described.name}));
            for column in &columns {
                record.insert((*column).to_owned(), value(row, column));
            }
            Value::Object(record)
        })
        .collect();
    Ok(json!({"totalSize": records.len(), "done": true, "records": records}))
}

/// Whether `short` is the id with 15 characters of the record whose id with 18 characters is `id`.
fn is_short_for(short: &str, id: &Value) -> bool {
    short.len() == 15 && id.as_str().is_some_and(|id| id.len() == 18 && id.starts_with(short))
}

/// `field = value` and `field IN (…)`, joined by AND.
fn conditions(text: &str) -> Option<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    for part in split_and(text) {
        let upper = part.to_ascii_uppercase();
        let (field, values) = if let Some(at) = upper.find(" IN ") {
            let list = part[at + 4..].trim().strip_prefix('(')?.strip_suffix(')')?;
            (&part[..at], list.split(',').map(unquote).collect())
        } else {
            let (field, value) = part.split_once('=')?;
            (field, vec![unquote(value)])
        };
        found.push((field.trim().to_owned(), values));
    }
    Some(found)
}

fn split_and(text: &str) -> Vec<&str> {
    let upper = text.to_ascii_uppercase();
    let (mut parts, mut begin) = (Vec::new(), 0);
    while let Some(at) = upper[begin..].find(" AND ") {
        parts.push(text[begin..begin + at].trim());
        begin += at + " AND ".len();
    }
    parts.push(text[begin..].trim());
    parts
}

fn unquote(text: &str) -> String {
    text.trim().trim_matches('\'').to_owned()
}
