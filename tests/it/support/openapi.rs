//! Validates every answer of the integration tests against `openapi.yaml`; an undeclared member is an error.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

pub struct Contract {
    pub document: Value,
}

impl Contract {
    pub fn load() -> Self {
        let document = serde_saphyr::from_str(include_str!("../../../openapi.yaml")).expect("openapi.yaml is YAML");
        Self { document }
    }

    /// Method, path template and `operationId` of every operation.
    pub fn operations(&self) -> BTreeSet<(String, String, String)> {
        let methods = ["get", "post", "put", "patch", "delete"];
        let paths = self.document["paths"].as_object().expect("paths");
        let of = |(path, item): (&String, &Value)| {
            let named = item
                .as_object()
                .expect("a path item")
                .iter()
                .filter(|(k, _)| methods.contains(&k.as_str()));
            let id = |operation: &Value| operation["operationId"].as_str().unwrap_or_default().to_owned();
            named
                .map(|(method, operation)| (method.to_uppercase(), path.clone(), id(operation)))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    /// Method and path template of every operation.
    pub fn routes(&self) -> BTreeSet<(String, String)> {
        let operations = self.operations().into_iter();
        operations.map(|(method, path, _)| (method, path)).collect()
    }

    /// Checks that the contract declares an answer.
    pub fn validate(&self, method: &str, path: &str, status: u16, media: &str, body: &str) -> Result<(), String> {
        let path = path.split('?').next().unwrap_or(path);
        let Some(template) = self.template(path) else {
            return Ok(());
        };
        let item = &self.document["paths"][&template];
        let operation = &item[method.to_lowercase()];
        if operation.is_null() {
            // Only the method is wrong: 405 is declared by the operations of the path.
            return if status == 405 {
                Ok(())
            } else {
                Err(format!("{method} {template} is not declared"))
            };
        }
        let response = self.resolve(&operation["responses"][status.to_string()]);
        if response.is_null() {
            return Err(format!("{method} {template} declares no {status}: {body}"));
        }
        let media = media.split(';').next().unwrap_or_default();
        let content = &response["content"][media];
        if content.is_null() {
            return Err(format!("{method} {template} {status} declares no {media}"));
        }
        if media != "application/json" {
            return Ok(());
        }
        let value: Value = serde_json::from_str(body).map_err(|e| format!("{method} {template} {status}: {e}"))?;
        self.check(&content["schema"], &value)
            .map_err(|e| format!("{method} {template} {status}: {e}\n{value:#}"))
    }

    fn template(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &&String| {
            let pattern: Vec<&str> = template.split('/').collect();
            pattern.len() == parts.len() && pattern.iter().zip(&parts).all(|(a, b)| a.starts_with('{') || a == b)
        };
        self.document["paths"]
            .as_object()
            .expect("paths")
            .keys()
            .find(fits)
            .cloned()
    }

    pub fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self
                .document
                .pointer(reference.trim_start_matches('#'))
                .expect("the reference resolves"),
            None => value,
        }
    }

    /// Checks a value against a schema.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut whole =
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [as_json_schema(schema)]});
        whole["components"] = json!({"schemas": {}});
        for (name, schema) in self.document["components"]["schemas"].as_object().expect("schemas") {
            whole["components"]["schemas"][name] = as_json_schema(schema);
        }
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&whole)
            .expect("schemas compile");
        let problems: Vec<String> = validator
            .iter_errors(value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("; "))
        }
    }
}

/// Translates OpenAPI 3.0's `nullable` to JSON Schema.
fn as_json_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut out: Map<String, Value> = Map::new();
            for (key, value) in members {
                if key != "nullable" && key != "example" {
                    out.insert(key.clone(), as_json_schema(value));
                }
            }
            if members.get("nullable") == Some(&json!(true)) {
                json!({"anyOf": [{"type": "null"}, Value::Object(out)]})
            } else {
                Value::Object(out)
            }
        }
        Value::Array(items) => items.iter().map(as_json_schema).collect(),
        other => other.clone(),
    }
}
