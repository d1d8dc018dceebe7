//! Finds every breaking change between two versions of the contract.
//!
//! The rules hold for generated callers (Salesforce External Services makes a class for each schema and for each status of an answer) and
//! for those written by hand. A caller must accept new properties in answers and new error answers. It need not accept new enum values or
//! another success status. No property or parameter of a request may be removed, because the service rejects unknown ones.
//!
//! This is our own code because no published tool fits: the most complete one is a binary that its package downloads during installation,
//! and the one in pure JavaScript ignores query parameters and reports every new property of an answer that has
//! `additionalProperties: false`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// The side that sends a value described by a schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    /// The caller: the new schema must accept every value that the old one accepts.
    Caller,
    /// The service: the old schema must accept every value that the new one allows.
    Service,
}

/// Lists every breaking change from `old` to `new`.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        found: Vec::new(),
        seen: BTreeSet::new(),
    };
    comparison.paths();
    for (name, _) in members(&old["components"]["schemas"]) {
        if new["components"]["schemas"][name].is_null() {
            comparison.say(name, "the schema was removed, and its generated class with it");
        }
    }
    comparison.found
}

struct Comparison<'d> {
    old: &'d Value,
    new: &'d Value,
    found: Vec<String>,
    /// Pairs of schemas that have been compared, so that a recursive schema is compared once.
    seen: BTreeSet<(String, Sender)>,
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn is(value: &Value) -> bool {
    value.as_bool() == Some(true)
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .expect("the reference resolves"),
        None => value,
    }
}

/// The parameters of a path and its operation, by location and name.
fn parameters<'d>(document: &'d Value, item: &'d Value, operation: &'d Value) -> Vec<(String, &'d Value)> {
    let all = list(&item["parameters"]).iter().chain(list(&operation["parameters"]));
    all.map(|parameter| resolve(document, parameter))
        .map(|p| {
            let word = |member: &str| p[member].as_str().unwrap_or_default().to_owned();
            // Header names are case-insensitive.
            let name = if word("in") == "header" {
                word("name").to_lowercase()
            } else {
                word("name")
            };
            (format!("{} parameter {name}", word("in")), p)
        })
        .collect()
}

impl<'d> Comparison<'d> {
    fn say(&mut self, at: &str, what: &str) {
        let line = format!("{at}: {what}");
        if !self.found.contains(&line) {
            self.found.push(line);
        }
    }

    fn paths(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, item) in members(&old["paths"]) {
            let other = &new["paths"][path];
            if other.is_null() {
                self.say(path, "the path was removed");
                continue;
            }
            for method in METHODS {
                let at = format!("{} {path}", method.to_uppercase());
                match (&item[method], &other[method]) {
                    (Value::Null, _) => {}
                    (_, Value::Null) => self.say(&at, "the operation was removed"),
                    (before, now) => {
                        self.operation(&at, before, now);
                        self.parameters(&at, &parameters(old, item, before), &parameters(new, other, now));
                    }
                }
            }
        }
    }

    fn operation(&mut self, at: &str, before: &'d Value, now: &'d Value) {
        if before["operationId"] != now["operationId"] {
            self.say(at, "the operationId changed, and the generated method's name with it");
        }
        if before["x-sidedoor-external-services"] != json!(false) && now["x-sidedoor-external-services"] == json!(false)
        {
            self.say(at, "the operation was removed from the Salesforce import");
        }
        let open = |document: &Value, operation: &Value| {
            let security = operation.get("security").unwrap_or(&document["security"]);
            list(security).is_empty() || list(security).contains(&json!({}))
        };
        if open(self.old, before) && !open(self.new, now) {
            self.say(at, "a credential is now required");
        }
        let (body, body_now) = (
            resolve(self.old, &before["requestBody"]),
            resolve(self.new, &now["requestBody"]),
        );
        if !is(&body["required"]) && is(&body_now["required"]) {
            self.say(at, "a body is now required");
        }
        if !body.is_null() {
            self.contents(&format!("{at} body"), body, body_now, Sender::Caller);
        }
        for (status, response) in members(&before["responses"]) {
            let at = format!("{at} {status}");
            let response = resolve(self.old, response);
            match &now["responses"][status] {
                Value::Null => self.say(&at, "the answer was removed"),
                response_now => {
                    let response_now = resolve(self.new, response_now);
                    self.contents(&at, response, response_now, Sender::Service);
                    self.headers(&at, response, response_now);
                }
            }
        }
        for (status, _) in members(&now["responses"]) {
            if status.starts_with('2') && before["responses"][status].is_null() {
                self.say(
                    &format!("{at} {status}"),
                    "a new success status, which existing callers do not know",
                );
            }
        }
    }

    fn headers(&mut self, at: &str, before: &'d Value, now: &'d Value) {
        for (name, header) in members(&before["headers"]) {
            let always = is(&resolve(self.old, header)["required"]);
            match &now["headers"][name] {
                Value::Null => self.say(at, &format!("the header {name} was removed")),
                header_now if always && !is(&resolve(self.new, header_now)["required"]) => {
                    self.say(at, &format!("the header {name} is now optional"));
                }
                _ => {}
            }
        }
    }

    fn parameters(&mut self, at: &str, before: &[(String, &'d Value)], now: &[(String, &'d Value)]) {
        for (name, parameter) in before {
            let at = format!("{at} {name}");
            match now.iter().find(|(other, _)| other == name) {
                None => self.say(&at, "the parameter was removed and is now rejected"),
                Some((_, parameter_now)) => {
                    if !is(&parameter["required"]) && is(&parameter_now["required"]) {
                        self.say(&at, "the parameter is now required");
                    }
                    self.schema(&at, &parameter["schema"], &parameter_now["schema"], Sender::Caller);
                }
            }
        }
        for (name, parameter) in now {
            if is(&parameter["required"]) && !before.iter().any(|(other, _)| other == name) {
                self.say(&format!("{at} {name}"), "a new required parameter");
            }
        }
    }

    fn contents(&mut self, at: &str, before: &'d Value, now: &'d Value, sender: Sender) {
        for (media, content) in members(&before["content"]) {
            match &now["content"][media] {
                Value::Null => self.say(at, &format!("{media} was removed")),
                content_now => self.schema(at, &content["schema"], &content_now["schema"], sender),
            }
        }
    }

    fn schema(&mut self, at: &str, before: &'d Value, now: &'d Value, sender: Sender) {
        let (before, now) = (sole(before), sole(now));
        let (class, class_now) = (before.1["$ref"].as_str(), now.1["$ref"].as_str());
        if let Some(class) = class {
            let is_class = resolve(self.old, before.1)["type"] == "object";
            if is_class && class_now != Some(class) {
                self.say(at, "the generated class changed");
            }
            let pair = format!("{class} {} {}", class_now.unwrap_or(at), before.0 == now.0);
            if !self.seen.insert((pair, sender)) {
                return;
            }
        }
        let at = class
            .and_then(|c| c.rsplit('/').next())
            .map_or(at.to_owned(), |name| match sender {
                Sender::Caller => format!("{name} as sent"),
                Sender::Service => format!("{name} as answered"),
            });
        let (old, new) = (resolve(self.old, before.1), resolve(self.new, now.1));
        let (null, null_now) = (before.0 || is(&old["nullable"]), now.0 || is(&new["nullable"]));
        match sender {
            Sender::Caller if null && !null_now => self.say(&at, "null is no longer accepted"),
            Sender::Service if !null && null_now => self.say(&at, "may now be null"),
            _ => {}
        }
        for keyword in ["type", "format", "pattern", "default"] {
            // Requests may be validated less strictly; answers may be described more exactly.
            let looser = match sender {
                Sender::Caller => new[keyword].is_null(),
                Sender::Service => old[keyword].is_null(),
            };
            let fixed = matches!(keyword, "type" | "default");
            if old[keyword] != new[keyword] && (fixed || !looser) {
                self.say(&at, &format!("{keyword} changed"));
            }
        }
        for keyword in ["anyOf", "oneOf", "allOf", "not"] {
            if old[keyword] != new[keyword] {
                self.say(&at, &format!("{keyword} changed; review it by hand"));
            }
        }
        self.bounds(&at, old, new, sender);
        self.enum_values(&at, old, new, sender);
        self.properties(&at, old, new, sender);
        if !old["items"].is_null() && !new["items"].is_null() {
            self.schema(&format!("{at} items"), &old["items"], &new["items"], sender);
        }
    }

    fn bounds(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        for (keyword, is_ceiling) in [
            ("maxLength", true),
            ("maxItems", true),
            ("maxProperties", true),
            ("maximum", true),
            ("minLength", false),
            ("minItems", false),
            ("minProperties", false),
            ("minimum", false),
        ] {
            let no_bound = if is_ceiling { f64::INFINITY } else { f64::NEG_INFINITY };
            let of = |schema: &Value| schema[keyword].as_f64().unwrap_or(no_bound);
            let (was, is) = (of(old), of(new));
            let (narrower, wider) = if is_ceiling {
                (is < was, is > was)
            } else {
                (is > was, is < was)
            };
            match sender {
                Sender::Caller if narrower => self.say(at, &format!("{keyword} is narrower")),
                Sender::Service if wider => self.say(at, &format!("{keyword} is wider")),
                _ => {}
            }
        }
    }

    fn enum_values(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        if old["enum"].is_null() && new["enum"].is_null() {
            return;
        }
        if old["enum"].is_null() != new["enum"].is_null() {
            let narrower = old["enum"].is_null();
            if narrower == (sender == Sender::Caller) {
                self.say(at, "the enum was added or removed");
            }
            return;
        }
        for word in list(&old["enum"]) {
            if !list(&new["enum"]).contains(word) {
                self.say(at, &format!("the enum value {word} was removed"));
            }
        }
        if sender == Sender::Service {
            for word in list(&new["enum"]) {
                if !list(&old["enum"]).contains(word) {
                    self.say(at, &format!("the enum value {word} is new in an answer"));
                }
            }
        }
    }

    fn properties(&mut self, at: &str, old: &'d Value, new: &'d Value, sender: Sender) {
        for (name, property) in members(&old["properties"]) {
            match &new["properties"][name] {
                Value::Null => self.say(at, &format!("the property {name} was removed")),
                property_now => self.schema(&format!("{at} {name}"), property, property_now, sender),
            }
        }
        let (needed, needed_now) = (list(&old["required"]), list(&new["required"]));
        match sender {
            Sender::Caller => {
                for name in needed_now.iter().filter(|name| !needed.contains(name)) {
                    self.say(at, &format!("the property {name} is now required"));
                }
                if old["additionalProperties"] != json!(false) && new["additionalProperties"] == json!(false) {
                    self.say(at, "additional properties are now rejected");
                }
            }
            Sender::Service => {
                for name in needed.iter().filter(|name| !needed_now.contains(name)) {
                    self.say(at, &format!("the property {name} is now optional"));
                }
            }
        }
    }
}

/// Unwraps a schema that only adds `nullable` to another by `allOf`: whether it may be null, and the inner schema.
fn sole(schema: &Value) -> (bool, &Value) {
    match list(&schema["allOf"]) {
        [one] => (is(&schema["nullable"]), one),
        _ => (false, schema),
    }
}
