//! Whether a contract still serves who was written against an earlier one: every way in which it does not, by name.
//!
//! Judged are callers that were generated from the contract (Salesforce External Services makes a class of every schema and of every
//! answer's status) as well as those written by hand. A caller must bear new members in answers, and new error answers; it need not
//! bear new words in an enum, nor another success. The service refuses members and parameters it does not know, so none may go.
//!
//! Own code, since what the registries have does not do: the one that judges best ships as a binary that is downloaded when it is
//! installed, and the one in pure JavaScript takes `additionalProperties: false` in an answer to forbid any new member for ever, and
//! does not look at query parameters.

use std::collections::BTreeSet;

use serde_json::{Value, json};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Who sends a value that a schema describes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    /// The caller: what was accepted must be accepted.
    Caller,
    /// The service: what is sent must be what it was.
    Service,
}

/// Every break from `old` to `new`; empty if there is none.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut judge = Judge {
        old,
        new,
        told: Vec::new(),
        seen: BTreeSet::new(),
    };
    judge.paths();
    for (name, _) in members(&old["components"]["schemas"]) {
        if new["components"]["schemas"][name].is_null() {
            judge.say(name, "the schema is gone, and with it the class made of it");
        }
    }
    judge.told
}

struct Judge<'d> {
    old: &'d Value,
    new: &'d Value,
    told: Vec<String>,
    /// Pairs of schemas that have been compared, so that one that holds itself ends.
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

/// A path's parameters and its operation's, by place and name.
fn parameters<'d>(document: &'d Value, item: &'d Value, operation: &'d Value) -> Vec<(String, &'d Value)> {
    let all = list(&item["parameters"]).iter().chain(list(&operation["parameters"]));
    all.map(|parameter| resolve(document, parameter))
        .map(|p| {
            let word = |member: &str| p[member].as_str().unwrap_or_default().to_owned();
            // Names of headers have no case.
            let name = if word("in") == "header" {
                word("name").to_lowercase()
            } else {
                word("name")
            };
            (format!("{} parameter {name}", word("in")), p)
        })
        .collect()
}

impl<'d> Judge<'d> {
    fn say(&mut self, at: &str, what: &str) {
        let line = format!("{at}: {what}");
        if !self.told.contains(&line) {
            self.told.push(line);
        }
    }

    fn paths(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, item) in members(&old["paths"]) {
            let other = &new["paths"][path];
            if other.is_null() {
                self.say(path, "the path is gone");
                continue;
            }
            for method in METHODS {
                let at = format!("{} {path}", method.to_uppercase());
                match (&item[method], &other[method]) {
                    (Value::Null, _) => {}
                    (_, Value::Null) => self.say(&at, "the operation is gone"),
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
            self.say(at, "the operationId is another, and with it the method's name");
        }
        if before["x-sidedoor-external-services"] != json!(false) && now["x-sidedoor-external-services"] == json!(false)
        {
            self.say(at, "the operation is gone from what Salesforce imports");
        }
        let open = |document: &Value, operation: &Value| {
            let security = operation.get("security").unwrap_or(&document["security"]);
            list(security).is_empty() || list(security).contains(&json!({}))
        };
        if open(self.old, before) && !open(self.new, now) {
            self.say(at, "a credential is needed now");
        }
        let (body, body_now) = (
            resolve(self.old, &before["requestBody"]),
            resolve(self.new, &now["requestBody"]),
        );
        if !is(&body["required"]) && is(&body_now["required"]) {
            self.say(at, "a body is needed now");
        }
        if !body.is_null() {
            self.contents(&format!("{at} body"), body, body_now, Sender::Caller);
        }
        for (status, response) in members(&before["responses"]) {
            let at = format!("{at} {status}");
            let response = resolve(self.old, response);
            match &now["responses"][status] {
                Value::Null => self.say(&at, "the answer is gone"),
                response_now => {
                    let response_now = resolve(self.new, response_now);
                    self.contents(&at, response, response_now, Sender::Service);
                    self.headers(&at, response, response_now);
                }
            }
        }
        for (status, _) in members(&now["responses"]) {
            if status.starts_with('2') && before["responses"][status].is_null() {
                self.say(&format!("{at} {status}"), "the success is new; callers know the others");
            }
        }
    }

    fn headers(&mut self, at: &str, before: &'d Value, now: &'d Value) {
        for (name, header) in members(&before["headers"]) {
            let always = is(&resolve(self.old, header)["required"]);
            match &now["headers"][name] {
                Value::Null => self.say(at, &format!("the header {name} is gone")),
                header_now if always && !is(&resolve(self.new, header_now)["required"]) => {
                    self.say(at, &format!("the header {name} may be missing now"));
                }
                _ => {}
            }
        }
    }

    fn parameters(&mut self, at: &str, before: &[(String, &'d Value)], now: &[(String, &'d Value)]) {
        for (name, parameter) in before {
            let at = format!("{at} {name}");
            match now.iter().find(|(other, _)| other == name) {
                None => self.say(&at, "the parameter is gone, and would be refused"),
                Some((_, parameter_now)) => {
                    if !is(&parameter["required"]) && is(&parameter_now["required"]) {
                        self.say(&at, "the parameter is needed now");
                    }
                    self.schema(&at, &parameter["schema"], &parameter_now["schema"], Sender::Caller);
                }
            }
        }
        for (name, parameter) in now {
            if is(&parameter["required"]) && !before.iter().any(|(other, _)| other == name) {
                self.say(&format!("{at} {name}"), "the parameter is new and needed");
            }
        }
    }

    fn contents(&mut self, at: &str, before: &'d Value, now: &'d Value, sender: Sender) {
        for (media, content) in members(&before["content"]) {
            match &now["content"][media] {
                Value::Null => self.say(at, &format!("{media} is gone")),
                content_now => self.schema(at, &content["schema"], &content_now["schema"], sender),
            }
        }
    }

    fn schema(&mut self, at: &str, before: &'d Value, now: &'d Value, sender: Sender) {
        let (before, now) = (sole(before), sole(now));
        let (class, class_now) = (before.1["$ref"].as_str(), now.1["$ref"].as_str());
        if let Some(class) = class {
            let told = resolve(self.old, before.1)["type"] == "object" && class_now != Some(class);
            if told {
                self.say(at, "the class made of the schema is another");
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
            Sender::Caller if null && !null_now => self.say(&at, "may not be null any more"),
            Sender::Service if !null && null_now => self.say(&at, "may be null now"),
            _ => {}
        }
        for keyword in ["type", "format", "pattern", "default"] {
            // What a caller sends may be checked less; what the service sends may be told more exactly.
            let looser = match sender {
                Sender::Caller => new[keyword].is_null(),
                Sender::Service => old[keyword].is_null(),
            };
            let fixed = matches!(keyword, "type" | "default");
            if old[keyword] != new[keyword] && (fixed || !looser) {
                self.say(&at, &format!("{keyword} is another"));
            }
        }
        for keyword in ["anyOf", "oneOf", "allOf", "not"] {
            if old[keyword] != new[keyword] {
                self.say(&at, &format!("{keyword} is another; a person must judge that"));
            }
        }
        self.bounds(&at, old, new, sender);
        self.words(&at, old, new, sender);
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

    fn words(&mut self, at: &str, old: &Value, new: &Value, sender: Sender) {
        if old["enum"].is_null() && new["enum"].is_null() {
            return;
        }
        if old["enum"].is_null() != new["enum"].is_null() {
            let narrower = old["enum"].is_null();
            if narrower == (sender == Sender::Caller) {
                self.say(at, "the words of an enum are another's");
            }
            return;
        }
        for word in list(&old["enum"]) {
            if !list(&new["enum"]).contains(word) {
                self.say(at, &format!("the word {word} is gone"));
            }
        }
        if sender == Sender::Service {
            for word in list(&new["enum"]) {
                if !list(&old["enum"]).contains(word) {
                    self.say(at, &format!("the word {word} is new in an answer"));
                }
            }
        }
    }

    fn properties(&mut self, at: &str, old: &'d Value, new: &'d Value, sender: Sender) {
        for (name, property) in members(&old["properties"]) {
            match &new["properties"][name] {
                Value::Null => self.say(at, &format!("the property {name} is gone")),
                property_now => self.schema(&format!("{at} {name}"), property, property_now, sender),
            }
        }
        let (needed, needed_now) = (list(&old["required"]), list(&new["required"]));
        match sender {
            Sender::Caller => {
                for name in needed_now.iter().filter(|name| !needed.contains(name)) {
                    self.say(at, &format!("the property {name} is needed now"));
                }
                if old["additionalProperties"] != json!(false) && new["additionalProperties"] == json!(false) {
                    self.say(at, "more members are refused now");
                }
            }
            Sender::Service => {
                for name in needed.iter().filter(|name| !needed_now.contains(name)) {
                    self.say(at, &format!("the property {name} may be missing now"));
                }
            }
        }
    }
}

/// What a schema that only wraps another in `allOf` (to say `nullable`) means: whether null, and the other.
fn sole(schema: &Value) -> (bool, &Value) {
    match list(&schema["allOf"]) {
        [one] => (is(&schema["nullable"]), one),
        _ => (false, schema),
    }
}
