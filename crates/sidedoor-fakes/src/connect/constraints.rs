//! What Connect refuses before it looks at anything: missing members, lengths, enums and patterns. The rules are AWS's own:
//! `constraints.py` takes them from botocore's service model and writes `constraints.json`, so that the fake refuses what the vendor
//! documents, and not only what one adapter is known to send.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::Uri;
use percent_encoding::percent_decode_str;
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::settings::ConstraintError;
use super::state::ApiError;

/// The most broken rules that one answer lists.
const MAX_LISTED: usize = 10;
/// The most characters of a value that an answer repeats.
const MAX_SHOWN: usize = 64;

#[derive(Debug, Deserialize)]
struct Table {
    operations: BTreeMap<String, Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    path: String,
    errors: Vec<String>,
    input: String,
}

#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "enum", default)]
    words: Vec<String>,
    max: Option<f64>,
    min: Option<f64>,
    pattern: Option<String>,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: BTreeMap<String, Member>,
    member: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Member {
    shape: String,
    /// `uri` or `querystring`; in the body without it.
    #[serde(rename = "in")]
    place: Option<String>,
    /// The name in the path or query.
    name: Option<String>,
}

static TABLE: LazyLock<Option<Table>> = LazyLock::new(|| serde_json::from_str(include_str!("constraints.json")).ok());

/// Checks a request of an operation: its body, and its path and query. Returns the members of all three.
///
/// # Errors
/// The vendor's refusal; `kind` chooses its error code.
pub(super) fn check(operation: &str, uri: &Uri, body: &Value, kind: ConstraintError) -> Result<Value, ApiError> {
    let Some((table, rules)) = TABLE.as_ref().and_then(|t| Some((t, t.operations.get(operation)?))) else {
        return Ok(body.clone());
    };
    let input = input_of(table, rules, uri, body);
    let mut broken = Vec::new();
    table.walk(&rules.input, &input, "", &mut broken)?;
    if broken.is_empty() {
        return Ok(input);
    }
    let code = match kind {
        ConstraintError::ValidationException => "ValidationException",
        ConstraintError::Modelled => {
            let models = |code: &&str| rules.errors.iter().any(|error| error == code);
            let modelled = ["InvalidParameterException", "InvalidRequestException"].into_iter();
            modelled.into_iter().find(models).unwrap_or("ValidationException")
        }
    };
    let errors = if broken.len() == 1 { "error" } else { "errors" };
    let message = format!(
        "{} validation {errors} detected: {}",
        broken.len(),
        broken[..broken.len().min(MAX_LISTED)].join("; ")
    );
    Err(ApiError::new(400, code, message))
}

/// The members of a request in one object: those of the body, the path and the query.
fn input_of(table: &Table, rules: &Operation, uri: &Uri, body: &Value) -> Value {
    let mut input: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let segments = |path: &str| path.split('/').map(ToOwned::to_owned).collect::<Vec<_>>();
    let in_path: BTreeMap<String, String> = segments(&rules.path)
        .into_iter()
        .zip(segments(uri.path()))
        .filter_map(|(label, value)| {
            let label = label.strip_prefix('{')?.strip_suffix('}')?.to_owned();
            Some((label, decoded(&value)))
        })
        .collect();
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let Some(top) = table.shapes.get(&rules.input) else {
        return Value::Object(input);
    };
    for (name, member) in &top.members {
        let wire = member.name.as_ref().unwrap_or(name);
        let given = match member.place.as_deref() {
            Some("uri") => in_path.get(wire),
            Some(_) => query.get(wire),
            None => continue,
        };
        let is_number = table
            .shapes
            .get(&member.shape)
            .is_some_and(|shape| shape.kind == "integer");
        let value = given.map(|text| match text.parse::<i64>() {
            Ok(number) if is_number => json!(number),
            _ => json!(text),
        });
        match value {
            Some(value) => input.insert(name.clone(), value),
            None => input.remove(name),
        };
    }
    Value::Object(input)
}

impl Table {
    /// Adds every broken rule of a value, as AWS says it. Recursion is as deep as the value, which `serde_json` limits to 128.
    fn walk(&self, shape: &str, value: &Value, at: &str, broken: &mut Vec<String>) -> Result<(), ApiError> {
        let Some(rules) = self.shapes.get(shape) else {
            return Ok(());
        };
        let fits = match rules.kind.as_str() {
            "structure" => value.is_object(),
            "list" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            // Numbers, and timestamps, which are numbers in JSON.
            _ => value.is_number(),
        };
        if !fits {
            let message = format!(
                "{} is not a {}",
                if at.is_empty() { "the body" } else { at },
                rules.kind
            );
            return Err(ApiError::new(400, "SerializationException", message));
        }
        rules.check(value, at, broken);
        for name in &rules.required {
            if value.get(name).is_none_or(Value::is_null) {
                let rule = "Member must not be null";
                broken.push(violation("null", &below(at, name), rule));
            }
        }
        for (name, member) in &rules.members {
            if let Some(value) = value.get(name).filter(|value| !value.is_null()) {
                self.walk(&member.shape, value, &below(at, name), broken)?;
            }
        }
        if let (Some(member), Some(items)) = (&rules.member, value.as_array()) {
            for (i, item) in items.iter().enumerate() {
                self.walk(member, item, &format!("{at}.{}.member", i + 1), broken)?;
            }
        }
        Ok(())
    }
}

impl Shape {
    fn check(&self, value: &Value, at: &str, broken: &mut Vec<String>) {
        let shown = || match value {
            Value::String(text) => text.chars().take(MAX_SHOWN).collect(),
            other => other.to_string().chars().take(MAX_SHOWN).collect::<String>(),
        };
        #[allow(clippy::cast_precision_loss, reason = "no request has 2^53 characters or items")]
        let (size, what) = match value {
            Value::String(text) => (text.chars().count() as f64, "length"),
            Value::Array(items) => (items.len() as f64, "length"),
            number => (number.as_f64().unwrap_or_default(), "value"),
        };
        if let Some(max) = self.max.filter(|max| size > *max) {
            broken.push(violation(
                &shown(),
                at,
                &format!("Member must have {what} less than or equal to {max}"),
            ));
        }
        if let Some(min) = self.min.filter(|min| size < *min) {
            broken.push(violation(
                &shown(),
                at,
                &format!("Member must have {what} greater than or equal to {min}"),
            ));
        }
        let Some(text) = value.as_str() else { return };
        if !self.words.is_empty() && !self.words.iter().any(|word| word == text) {
            let rule = format!("Member must satisfy enum value set: [{}]", self.words.join(", "));
            broken.push(violation(&shown(), at, &rule));
        }
        let pattern = self.pattern.as_ref();
        let is_match = |pattern: &String| Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|p| p.is_match(text));
        if let Some(pattern) = pattern.filter(|pattern| !is_match(pattern)) {
            let rule = format!("Member must satisfy regular expression pattern: {pattern}");
            broken.push(violation(&shown(), at, &rule));
        }
    }
}

fn violation(value: &str, at: &str, rule: &str) -> String {
    format!("Value '{value}' at '{at}' failed to satisfy constraint: {rule}")
}

/// The path of a member, with a small first letter as AWS writes it.
fn below(at: &str, name: &str) -> String {
    let mut letters = name.chars();
    let name: String = letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect();
    if at.is_empty() { name } else { format!("{at}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(operation: &str, path: &str, body: Value) -> Option<(String, String)> {
        let uri = path.parse().expect("a path");
        let refused = check(operation, &uri, &body, ConstraintError::Modelled).err()?;
        Some((refused.code, refused.message))
    }

    #[test]
    fn table_has_every_served_operation_with_its_path() {
        let table = TABLE.as_ref().expect("the table can be read");
        let source = include_str!("rest_api.rs");
        let served: Vec<&str> = source
            .split("fake.serve(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for operation in &served {
            assert!(table.operations.contains_key(*operation), "{operation}");
        }
        let own = ["GetCallerIdentity"];
        for (name, operation) in &table.operations {
            assert!(
                served.contains(&name.as_str()) || own.contains(&name.as_str()),
                "{name}"
            );
            let labels = |path: &str| path.matches('{').count();
            let route = source.lines().any(|line| {
                let path = line.split('"').nth(1).unwrap_or_default();
                let is_route = line.contains(".route(") && labels(path) == labels(&operation.path);
                is_route && path.split('{').next() == operation.path.split('{').next()
            });
            assert!(route || own.contains(&name.as_str()), "{name}: {}", operation.path);
        }
    }

    #[test]
    fn rules_of_the_model_are_applied() {
        let good = json!({"InstanceId": "i", "ContactId": "c", "UserId": "u", "AllowedMonitorCapabilities": ["BARGE"]});
        assert_eq!(refusal("MonitorContact", "/contact/monitor", good.clone()), None);
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            refusal("MonitorContact", "/contact/monitor", body)
        };
        let invalid = |message: &str| Some(("InvalidRequestException".to_owned(), message.to_owned()));
        assert_eq!(
            with("ContactId", Value::Null),
            invalid(
                "1 validation error detected: Value 'null' at 'contactId' failed to satisfy constraint: Member must not be null"
            )
        );
        assert_eq!(
            with("UserId", json!("")),
            invalid(
                "1 validation error detected: Value '' at 'userId' failed to satisfy constraint: Member must have length greater \
                 than or equal to 1"
            )
        );
        assert_eq!(
            with("AllowedMonitorCapabilities", json!(["WHISPER"])),
            invalid(
                "1 validation error detected: Value 'WHISPER' at 'allowedMonitorCapabilities.1.member' failed to satisfy \
                 constraint: Member must satisfy enum value set: [SILENT_MONITOR, BARGE]"
            )
        );
        let long = with("ClientToken", json!("t".repeat(501))).expect("refused");
        assert!(long.1.contains("length less than or equal to 500"), "{}", long.1);
        assert_eq!(with("ClientToken", json!("é".repeat(500))), None, "characters count");
        let wrong_type = with("UserId", json!(7)).expect("refused");
        assert_eq!(wrong_type.0, "SerializationException");
    }

    #[test]
    fn rules_apply_to_path_and_query() {
        let bad = "InvalidParameterException";
        let refused = refusal(
            "DescribeContact",
            &format!("/contacts/i/{}", "c".repeat(257)),
            Value::Null,
        );
        assert_eq!(refused.expect("refused").0, bad);
        let attribute = "/instance/i/attribute/UNKNOWN";
        let refused = refusal("DescribeInstanceAttribute", attribute, Value::Null).expect("refused");
        assert!(refused.0 == bad && refused.1.contains("'attributeType'"), "{refused:?}");
        for (most, is_refused) in [("0", true), ("1", false), ("1000", false), ("1001", true)] {
            let path = format!("/security-profiles-summary/i?maxResults={most}");
            let refused = refusal("ListSecurityProfiles", &path, Value::Null);
            assert_eq!(refused.is_some(), is_refused, "{most}");
        }
    }

    #[test]
    fn pattern_must_match_the_whole_text() {
        let search = |region: &str| {
            let range = json!({"Type": "INITIATION_TIMESTAMP", "StartTime": 1, "EndTime": 2});
            let criteria = json!({"ActiveRegions": [region]});
            let body = json!({"InstanceId": "i", "TimeRange": range, "SearchCriteria": criteria});
            refusal("SearchContacts", "/search-contacts", body)
        };
        assert_eq!(search("us-west-2"), None);
        for region in ["us-west-2 or so", "Oregon", ""] {
            let (_, message) = search(region).expect(region);
            assert!(message.contains("regular expression pattern"), "{message}");
        }
    }

    #[test]
    fn refusal_may_be_a_validation_exception() {
        let uri = "/contact/monitor".parse().expect("a path");
        let refused = check("MonitorContact", &uri, &json!({}), ConstraintError::ValidationException);
        let refused = refused.expect_err("refused");
        assert_eq!(refused.code, "ValidationException");
        assert!(
            refused.message.starts_with("3 validation errors detected"),
            "{}",
            refused.message
        );
    }
}
