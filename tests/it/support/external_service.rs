//! The part of `openapi.yaml` that Salesforce's External Services imports, made from the whole.
//!
//! What it may hold stands in Salesforce Help, "External Services Considerations" (Schema Definitions, Naming and Description
//! Conventions, Apex Reserved Keywords, System Limits, Operation Output Parameters, OpenAPI 2.0 and 3.0 Support). Where those pages
//! leave room, the narrower reading is taken, since the import is all or nothing and nobody here can try one:
//!
//! - security, tags, response headers and links are left out (ignored, or not supported there);
//! - parameters and responses stand where they are used, not behind references;
//! - only objects are schemas of their own; a named text stands where it is used;
//! - `allOf` is documented for objects and `anyOf` for objects too, so none is left: `nullable` beside a reference to an object
//!   becomes the reference, and what says "one of the two" is left to the service;
//! - keywords that check texts (`pattern`, `format: uuid`) and `additionalProperties: false` are left out: a service newer than the
//!   import may answer with more members, and it checks what it is sent by itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::apex;

/// The most characters of a YAML document. Salesforce Help names 3,000,000 now and has named 1,000,000.
const MOST_CHARACTERS: usize = 1_000_000;
/// The longest description of an operation or parameter; the rest is cut off.
const LONGEST_DESCRIPTION: usize = 1333;
/// What one registration may hold without crowding an org that has others: a tenth of what an org may have.
const MOST_OPERATIONS: usize = 300;
/// Reserved words that stay. External Services encodes them (`type` as `z0type`): the one is problem details' own, the other says
/// who in a timeline.
const TOLERATED: [(&str, &str); 1] = [("Problem", "type")];
/// The media types of bodies and answers.
const MEDIA: &str = "application/json";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const MARK: &str = "x-sidedoor-external-services";

/// Makes the subset.
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
        // The named credential says where the service is; a relative or loopback address might be refused.
        "servers": [{"url": "https://sidedoor.example.com"}],
        "paths": paths,
        "components": {"schemas": {}},
    });
    // Every schema that is reached, and those that these reach.
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
                let mut told = kept(response, &["description"]);
                told.insert("content".into(), self.content(response));
                (status.clone(), Value::Object(told))
            })
            .collect();
        made.insert("responses".into(), Value::Object(responses));
        Value::Object(made)
    }

    fn content(&self, of: &'d Value) -> Value {
        json!({MEDIA: {"schema": self.schema(&of["content"][MEDIA]["schema"])}})
    }

    /// A schema with what External Services reads of it.
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

/// What External Services would refuse, cut off or rename in a document. `text` is the document as it is imported.
pub fn problems(document: &Value, text: &str) -> Vec<String> {
    let mut told = Vec::new();
    if !document["openapi"].as_str().is_some_and(|v| v.starts_with("3.0.")) {
        told.push("openapi must be 3.0.x".into());
    }
    if text.chars().count() > MOST_CHARACTERS {
        told.push(format!("the document has more than {MOST_CHARACTERS} characters"));
    }
    for member in ["security", "tags"] {
        if !document[member].is_null() {
            told.push(format!("{member} is ignored"));
        }
    }
    let mut ids = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let at = format!("{method} {path}");
            if !METHODS.contains(&method.as_str()) {
                told.push(format!("{at}: the method cannot be imported"));
                continue;
            }
            ids.push(operation["operationId"].as_str().unwrap_or_default().to_owned());
            operation_problems(&at, method, operation, &mut told);
        }
    }
    if ids.len() > MOST_OPERATIONS {
        told.push("there are too many operations".into());
    }
    twins("operationId", ids.iter(), &mut told);
    let schemas = &document["components"]["schemas"];
    twins("schema", members(schemas).map(|(name, _)| name), &mut told);
    for (name, schema) in members(schemas) {
        if !apex::is_identifier(name) || apex::is_reserved(name) {
            told.push(format!("schema {name}: the name cannot be a class of Apex as it is"));
        }
        if schema["type"] != "object" {
            told.push(format!("schema {name}: only objects become classes"));
        }
        twins(
            &format!("schema {name}: property"),
            members(&schema["properties"]).map(|(n, _)| n),
            &mut told,
        );
        for (property, of) in members(&schema["properties"]) {
            let tolerated = TOLERATED.contains(&(name.as_str(), property.as_str()));
            if !apex::is_identifier(property) || (apex::is_reserved(property) && !tolerated) {
                told.push(format!(
                    "schema {name}: the property {property} would be encoded in Apex"
                ));
            }
            schema_problems(&format!("schema {name}: {property}"), of, &mut told);
        }
    }
    let components = members(&document["components"]).filter(|(name, _)| *name != "schemas");
    told.extend(components.map(|(name, _)| format!("components/{name}: only schemas are sure to be read")));
    told
}

fn operation_problems(at: &str, method: &str, operation: &Value, told: &mut Vec<String>) {
    if !operation["operationId"].as_str().is_some_and(apex::is_identifier) {
        told.push(format!("{at}: operationId is no Apex identifier"));
    }
    let long = |of: &Value| {
        of["description"]
            .as_str()
            .is_some_and(|d| d.chars().count() > LONGEST_DESCRIPTION)
    };
    if long(operation) {
        told.push(format!("{at}: the description is longer than 1,333 characters"));
    }
    if method == "get" && !operation["requestBody"].is_null() {
        told.push(format!("{at}: a GET with a body is refused"));
    }
    for unread in ["security", "callbacks", "servers"] {
        if !operation[unread].is_null() {
            told.push(format!("{at}: {unread} is not read"));
        }
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        if name.is_empty() || !["path", "query", "header"].contains(&parameter["in"].as_str().unwrap_or_default()) {
            told.push(format!(
                "{at}: a parameter has no name, or is in a place that is not supported"
            ));
        }
        if long(parameter) {
            told.push(format!(
                "{at}: the description of {name} is longer than 1,333 characters"
            ));
        }
        schema_problems(&format!("{at}: {name}"), &parameter["schema"], told);
    }
    if !operation["requestBody"].is_null() {
        content_problems(&format!("{at}: body"), &operation["requestBody"], told);
    }
    let responses = &operation["responses"];
    if !members(responses).any(|(status, _)| status.starts_with('2')) {
        told.push(format!("{at}: no answer of success is declared"));
    }
    for (status, response) in members(responses) {
        for unread in ["headers", "links"] {
            if !response[unread].is_null() {
                told.push(format!("{at}: {status}: {unread} are not supported"));
            }
        }
        content_problems(&format!("{at}: {status}"), response, told);
    }
}

fn content_problems(at: &str, of: &Value, told: &mut Vec<String>) {
    let kinds: Vec<&String> = members(&of["content"]).map(|(kind, _)| kind).collect();
    if kinds != [MEDIA] {
        told.push(format!("{at}: the media type must be {MEDIA} alone"));
    }
    for (_, content) in members(&of["content"]) {
        schema_problems(at, &content["schema"], told);
    }
}

fn schema_problems(at: &str, schema: &Value, told: &mut Vec<String>) {
    if schema["$ref"].is_string() {
        return;
    }
    match schema["type"].as_str() {
        Some("object") => told.push(format!("{at}: an anonymous object has a made-up name in Apex")),
        Some("array") if schema["items"]["type"] == "array" => told.push(format!("{at}: nested anonymous arrays")),
        Some("array") => schema_problems(at, &schema["items"], told),
        Some("string" | "integer" | "number" | "boolean") => {}
        _ => told.push(format!("{at}: `type` must be one word that is known, and not null")),
    }
    for composition in ["allOf", "anyOf", "oneOf", "not"] {
        if !schema[composition].is_null() {
            told.push(format!("{at}: {composition}"));
        }
    }
    let words = schema["enum"].as_array().into_iter().flatten();
    if words.into_iter().any(|word| !word.is_string()) {
        told.push(format!("{at}: a word of an enum is no text"));
    }
}

/// Names that Apex could not tell apart.
fn twins<'n>(what: &str, names: impl Iterator<Item = &'n String>, told: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.to_lowercase()) {
            told.push(format!("{what} {name}: there is another that differs in case only"));
        }
    }
}
