//! Generates the part of `openapi.yaml` that Salesforce's External Services imports.
//!
//! What it may contain is documented in Salesforce Help, "External Services Considerations" (Schema Definitions, Naming and Description
//! Conventions, Apex Reserved Keywords, System Limits, Operation Output Parameters, OpenAPI 2.0 and 3.0 Support). Where those pages
//! are ambiguous, the narrower reading is used, because the import is all or nothing and cannot be tried without an org:
//!
//! - security, tags, response headers and links are left out (ignored, or not supported there);
//! - parameters and responses are written where they are used, not behind references;
//! - only objects are schemas of their own; a named string type is written where it is used;
//! - `allOf` is documented for objects and `anyOf` for objects too, so none is left: `nullable` beside a reference to an object
//!   becomes the reference, and a rule "one of the two" is checked by the service only;
//! - keywords that validate strings (`pattern`, `format: uuid`) and `additionalProperties: false` are left out: a service newer than the
//!   import may answer with more members, and it validates requests itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::apex;

/// The maximum size of a YAML document in characters. Salesforce Help says 3,000,000 now and said 1,000,000 earlier.
const MOST_CHARACTERS: usize = 1_000_000;
/// The maximum length of a description of an operation or parameter in characters; Salesforce cuts off the rest.
const LONGEST_DESCRIPTION: usize = 1333;
/// The maximum number of operations: a tenth of an org's limit, so that other registrations fit.
const MOST_OPERATIONS: usize = 300;
/// Reserved words that are allowed although External Services encodes them (`type` as `z0type`), because problem details define
/// the name.
const TOLERATED: [(&str, &str); 1] = [("Problem", "type")];
/// The media types of bodies and answers.
const MEDIA: &str = "application/json";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const MARK: &str = "x-sidedoor-external-services";

/// Generates the subset of `document`.
pub fn subset(document: &Value) -> Value {
    let maker = Maker { document };
    let mut paths = Map::new();
    for (path, item) in members(&document["paths"]) {
        let mut operations = Map::new();
        for (method, operation) in members(item) {
            if METHODS.contains(&method.as_str()) && operation[MARK] != json!(false) {
                operations.insert(method.clone(), maker.operation(item, operation));
            }
        }
        if !operations.is_empty() {
            paths.insert(path.clone(), Value::Object(operations));
        }
    }
    let mut made = json!({
        "openapi": document["openapi"],
        "info": document["info"],
        // The named credential has the service's real address; a relative or loopback address here might be refused.
        "servers": [{"url": "https://sidedoor.example.com"}],
        "paths": paths,
        "components": {"schemas": {}},
    });
    // Every schema that is referenced, directly or through other schemas.
    loop {
        let mut named = BTreeSet::new();
        references(&made, &mut named);
        let known: BTreeSet<String> = members(&made["components"]["schemas"])
            .map(|(n, _)| n.clone())
            .collect();
        let Some(name) = named.difference(&known).next() else {
            return made;
        };
        made["components"]["schemas"][name.as_str()] = maker.schema(&document["components"]["schemas"][name.as_str()]);
    }
}

struct Maker<'d> {
    document: &'d Value,
}

impl<'d> Maker<'d> {
    fn resolve(&self, value: &'d Value) -> &'d Value {
        match value["$ref"].as_str() {
            Some(reference) => self
                .document
                .pointer(reference.trim_start_matches('#'))
                .expect("the reference resolves"),
            None => value,
        }
    }

    fn operation(&self, item: &'d Value, operation: &'d Value) -> Value {
        let mut made = kept(operation, &["operationId", "summary", "description"]);
        let parameters: Vec<Value> = [&item["parameters"], &operation["parameters"]]
            .into_iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
            .map(|parameter| self.resolve(parameter))
            .filter(|parameter| parameter[MARK] != json!(false))
            .map(|parameter| {
                let mut made = kept(parameter, &["name", "in", "required", "description"]);
                made.insert("schema".into(), self.schema(&parameter["schema"]));
                Value::Object(made)
            })
            .collect();
        if !parameters.is_empty() {
            made.insert("parameters".into(), json!(parameters));
        }
        if !operation["requestBody"].is_null() {
            let body = self.resolve(&operation["requestBody"]);
            let mut request = kept(body, &["required", "description"]);
            request.insert("content".into(), self.content(body));
            made.insert("requestBody".into(), Value::Object(request));
        }
        let responses: Map<String, Value> = members(&operation["responses"])
            .map(|(status, response)| {
                let response = self.resolve(response);
                let mut findings = kept(response, &["description"]);
                findings.insert("content".into(), self.content(response));
                (status.clone(), Value::Object(findings))
            })
            .collect();
        made.insert("responses".into(), Value::Object(responses));
        Value::Object(made)
    }

    fn content(&self, of: &'d Value) -> Value {
        json!({MEDIA: {"schema": self.schema(&of["content"][MEDIA]["schema"])}})
    }

    /// The members of a schema that External Services reads.
    fn schema(&self, schema: &'d Value) -> Value {
        if schema["$ref"].is_string() {
            let target = self.resolve(schema);
            return if target["type"] == "object" {
                schema.clone()
            } else {
                self.schema(target)
            };
        }
        if let Some([one]) = schema["allOf"].as_array().map(Vec::as_slice) {
            let mut inner = self.schema(one);
            if inner["$ref"].is_null() {
                let said = kept(schema, &["nullable", "description"]);
                inner.as_object_mut().expect("a schema").extend(said);
            }
            return inner;
        }
        let plain = [
            "type",
            "description",
            "nullable",
            "required",
            "default",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
        ];
        let mut made = kept(schema, &plain);
        if let Some(format @ ("int32" | "int64" | "float" | "double" | "date" | "date-time")) =
            schema["format"].as_str()
        {
            made.insert("format".into(), json!(format));
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<&Value> = words.iter().filter(|word| !word.is_null()).collect();
            made.insert("enum".into(), json!(words));
        }
        if !schema["items"].is_null() {
            made.insert("items".into(), self.schema(&schema["items"]));
        }
        if schema["type"] == "object" {
            let properties: Map<String, Value> = members(&schema["properties"])
                .map(|(name, property)| (name.clone(), self.schema(property)))
                .collect();
            made.insert("properties".into(), Value::Object(properties));
        }
        Value::Object(made)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn kept(of: &Value, names: &[&str]) -> Map<String, Value> {
    members(of)
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    if let Some(name) = value["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        found.insert(name.to_owned());
    }
    match value {
        Value::Object(inner) => inner.values().for_each(|v| references(v, found)),
        Value::Array(inner) => inner.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

/// Lists what External Services would refuse, cut off or rename in a document. `text` is the document as it is imported.
pub fn problems(document: &Value, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !document["openapi"].as_str().is_some_and(|v| v.starts_with("3.0.")) {
        findings.push("openapi must be 3.0.x".into());
    }
    if text.chars().count() > MOST_CHARACTERS {
        findings.push(format!("the document has more than {MOST_CHARACTERS} characters"));
    }
    for member in ["security", "tags"] {
        if !document[member].is_null() {
            findings.push(format!("{member} is ignored"));
        }
    }
    let mut ids = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let at = format!("{method} {path}");
            if !METHODS.contains(&method.as_str()) {
                findings.push(format!("{at}: the method cannot be imported"));
                continue;
            }
            ids.push(operation["operationId"].as_str().unwrap_or_default().to_owned());
            operation_problems(&at, method, operation, &mut findings);
        }
    }
    if ids.len() > MOST_OPERATIONS {
        findings.push("there are too many operations".into());
    }
    twins("operationId", ids.iter(), &mut findings);
    let schemas = &document["components"]["schemas"];
    twins("schema", members(schemas).map(|(name, _)| name), &mut findings);
    for (name, schema) in members(schemas) {
        if !apex::is_identifier(name) || apex::is_reserved(name) {
            findings.push(format!(
                "schema {name}: the name cannot be a class of Apex without encoding"
            ));
        }
        if schema["type"] != "object" {
            findings.push(format!("schema {name}: only objects become classes"));
        }
        twins(
            &format!("schema {name}: property"),
            members(&schema["properties"]).map(|(n, _)| n),
            &mut findings,
        );
        for (property, of) in members(&schema["properties"]) {
            let tolerated = TOLERATED.contains(&(name.as_str(), property.as_str()));
            if !apex::is_identifier(property) || (apex::is_reserved(property) && !tolerated) {
                findings.push(format!(
                    "schema {name}: the property {property} would be encoded in Apex"
                ));
            }
            schema_problems(&format!("schema {name}: {property}"), of, &mut findings);
        }
    }
    let components = members(&document["components"]).filter(|(name, _)| *name != "schemas");
    findings.extend(components.map(|(name, _)| format!("components/{name}: only schemas are certain to be read")));
    findings
}

fn operation_problems(at: &str, method: &str, operation: &Value, findings: &mut Vec<String>) {
    if !operation["operationId"].as_str().is_some_and(apex::is_identifier) {
        findings.push(format!("{at}: operationId is not an Apex identifier"));
    }
    let long = |of: &Value| {
        of["description"]
            .as_str()
            .is_some_and(|d| d.chars().count() > LONGEST_DESCRIPTION)
    };
    if long(operation) {
        findings.push(format!("{at}: the description is longer than 1,333 characters"));
    }
    if method == "get" && !operation["requestBody"].is_null() {
        findings.push(format!("{at}: a GET with a body is refused"));
    }
    for unread in ["security", "callbacks", "servers"] {
        if !operation[unread].is_null() {
            findings.push(format!("{at}: {unread} is not read"));
        }
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        if name.is_empty() || !["path", "query", "header"].contains(&parameter["in"].as_str().unwrap_or_default()) {
            findings.push(format!("{at}: a parameter has no name or an unsupported location"));
        }
        if long(parameter) {
            findings.push(format!(
                "{at}: the description of {name} is longer than 1,333 characters"
            ));
        }
        schema_problems(&format!("{at}: {name}"), &parameter["schema"], findings);
    }
    if !operation["requestBody"].is_null() {
        content_problems(&format!("{at}: body"), &operation["requestBody"], findings);
    }
    let responses = &operation["responses"];
    if !members(responses).any(|(status, _)| status.starts_with('2')) {
        findings.push(format!("{at}: no success response is declared"));
    }
    for (status, response) in members(responses) {
        for unread in ["headers", "links"] {
            if !response[unread].is_null() {
                findings.push(format!("{at}: {status}: {unread} are not supported"));
            }
        }
        content_problems(&format!("{at}: {status}"), response, findings);
    }
}

fn content_problems(at: &str, of: &Value, findings: &mut Vec<String>) {
    let kinds: Vec<&String> = members(&of["content"]).map(|(kind, _)| kind).collect();
    if kinds != [MEDIA] {
        findings.push(format!("{at}: the media type must be {MEDIA} alone"));
    }
    for (_, content) in members(&of["content"]) {
        schema_problems(at, &content["schema"], findings);
    }
}

fn schema_problems(at: &str, schema: &Value, findings: &mut Vec<String>) {
    if schema["$ref"].is_string() {
        return;
    }
    match schema["type"].as_str() {
        Some("object") => findings.push(format!("{at}: an anonymous object gets a generated name in Apex")),
        Some("array") if schema["items"]["type"] == "array" => findings.push(format!("{at}: nested anonymous arrays")),
        Some("array") => schema_problems(at, &schema["items"], findings),
        Some("string" | "integer" | "number" | "boolean") => {}
        _ => findings.push(format!("{at}: `type` must be one known word and not null")),
    }
    for composition in ["allOf", "anyOf", "oneOf", "not"] {
        if !schema[composition].is_null() {
            findings.push(format!("{at}: {composition}"));
        }
    }
    let words = schema["enum"].as_array().into_iter().flatten();
    if words.into_iter().any(|word| !word.is_string()) {
        findings.push(format!("{at}: an enum value is not a string"));
    }
}

/// Reports names that Apex cannot distinguish.
fn twins<'n>(what: &str, names: impl Iterator<Item = &'n String>, findings: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_lowercase()) {
            findings.push(format!("{what} {name}: another name differs in case only"));
        }
    }
}
