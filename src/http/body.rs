//! Request bodies: bounded, JSON, strict. The answer lists every invalid field by its JSON pointer. An unknown field is an error,
//! because a misspelt option would otherwise be ignored silently.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};
use sidedoor_domain::ids::BadName;

use super::json::{self, BadJson};
use super::problem::{FieldError, Problem, shortened};
use super::problem_code::ProblemCode;

/// The time limit for receiving a body.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Reads a body of at most `most` bytes with the media type of JSON. An empty body needs no media type.
pub(super) async fn read(request: Request, most: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("The body is larger than {most} bytes.");
        Problem::new(ProblemCode::BodyTooLarge, detail)
    };
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let says_json = is_json(request.headers());
    let arriving = tokio::time::timeout(ARRIVAL, to_bytes(request.into_body(), most));
    let body = match arriving.await {
        Ok(Ok(body)) => body,
        Ok(Err(e)) if is_limit(&e) => return Err(too_large()),
        Ok(Err(_)) => {
            let detail = "body could not be read: malformed chunks, or the connection ended early";
            return Err(Problem::invalid_one("", detail));
        }
        Err(_) => {
            let detail = "The body was not received within 10 s.";
            return Err(Problem::new(ProblemCode::RequestTimeout, detail));
        }
    };
    if !says_json && !body.is_empty() {
        let detail = "Send the body as application/json.";
        return Err(Problem::new(ProblemCode::MediaTypeUnsupported, detail));
    }
    Ok(body)
}

/// Whether a body was refused because of its size.
fn is_limit(e: &axum::Error) -> bool {
    std::error::Error::source(e).is_some_and(|cause| cause.is::<LengthLimitError>())
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Parses a body as any JSON value without duplicate members.
pub(super) fn parse(body: &[u8]) -> Result<Value, Problem> {
    json::parse(body).map_err(|e| match e {
        BadJson::Syntax { line, column } => {
            Problem::invalid_one("", format!("is not valid JSON (line {line}, column {column})"))
        }
        BadJson::Duplicates(pointers) => {
            let twice = |pointer| FieldError {
                pointer,
                detail: "is given more than once".into(),
            };
            Problem::invalid(pointers.into_iter().map(twice).collect())
        }
    })
}

/// Reads a JSON object field by field and collects every problem.
pub(super) struct Reader<'v> {
    object: &'v Map<String, Value>,
    prefix: &'static str,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'v> Reader<'v> {
    /// Reads the object `value`, whose own JSON pointer is `prefix`.
    pub(super) fn new(value: &'v Value, prefix: &'static str) -> Result<Self, Problem> {
        let object = value
            .as_object()
            .ok_or_else(|| Problem::invalid_one(prefix, "must be a JSON object"))?;
        Ok(Self {
            object,
            prefix,
            known: Vec::new(),
            errors: Vec::new(),
        })
    }

    fn note(&mut self, member: &str, detail: impl Into<String>) {
        self.errors.push(FieldError {
            pointer: format!("{}/{member}", self.prefix),
            detail: detail.into(),
        });
    }

    /// Notes a problem that concerns several members.
    pub(super) fn problem(&mut self, member: &str, detail: &str) {
        self.note(member, detail);
    }

    /// An optional string that `take` accepts; null means missing.
    pub(super) fn optional<T>(
        &mut self,
        member: &'static str,
        take: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(member);
        match self.object.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => match take(text) {
                Ok(taken) => Some(taken),
                Err(problem) => {
                    self.note(member, problem);
                    None
                }
            },
            Some(_) => {
                self.note(member, "must be a string");
                None
            }
        }
    }

    /// A required string that `take` accepts.
    pub(super) fn required<T>(
        &mut self,
        member: &'static str,
        take: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if matches!(self.object.get(member), None | Some(Value::Null)) {
            self.known.push(member);
            self.note(member, "is required");
            return None;
        }
        self.optional(member, take)
    }

    /// An optional whole number from `least` to `most`.
    pub(super) fn whole_number(&mut self, member: &'static str, least: i64, most: i64) -> Option<i64> {
        self.known.push(member);
        match self.object.get(member) {
            None | Some(Value::Null) => None,
            Some(given) => {
                let number = given.as_i64().filter(|n| (least..=most).contains(n));
                if number.is_none() {
                    self.note(member, format!("must be a whole number from {least} to {most}"));
                }
                number
            }
        }
    }

    /// An optional boolean.
    pub(super) fn flag(&mut self, member: &'static str) -> Option<bool> {
        self.known.push(member);
        match self.object.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.note(member, "must be true or false");
                None
            }
        }
    }

    /// An optional list of 1 to `most` values.
    pub(super) fn list(&mut self, member: &'static str, most: usize) -> Option<&'v [Value]> {
        self.known.push(member);
        match self.object.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::Array(items)) if (1..=most).contains(&items.len()) => Some(items),
            Some(_) => {
                self.note(member, format!("must be a list of 1 to {most} items"));
                None
            }
        }
    }

    /// Whether a field is present and not null.
    pub(super) fn gives(&self, member: &str) -> bool {
        !matches!(self.object.get(member), None | Some(Value::Null))
    }

    /// An object, read by `read` under its own pointer. If it is missing, `otherwise` is used; without that it is required.
    pub(super) fn object_or<T>(
        &mut self,
        member: &'static str,
        pointer: &'static str,
        otherwise: Option<T>,
        read: impl FnOnce(&mut Reader<'v>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(member);
        let object = match self.object.get(member) {
            None | Some(Value::Null) => {
                if otherwise.is_none() {
                    self.note(member, "is required");
                }
                return otherwise;
            }
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.note(member, "must be a JSON object");
                return None;
            }
        };
        let mut inner = Reader {
            object,
            prefix: pointer,
            known: Vec::new(),
            errors: Vec::new(),
        };
        let taken = read(&mut inner);
        inner.note_unknown();
        self.errors.append(&mut inner.errors);
        taken
    }

    /// The one of two fields that is present; an error if both or neither are.
    pub(super) fn either<T>(
        &mut self,
        one: Option<T>,
        other: Option<T>,
        first: &'static str,
        second: &'static str,
    ) -> Option<T> {
        match (one, other) {
            (Some(_), Some(_)) => {
                self.note(second, format!("cannot be given with {first}"));
                None
            }
            // A field that was present but invalid has already been noted.
            (None, None) if !self.errors.is_empty() => None,
            (None, None) => {
                self.note(first, format!("is required, or {second} is"));
                None
            }
            (one, other) => one.or(other),
        }
    }

    fn note_unknown(&mut self) {
        let unknown: Vec<String> = self
            .object
            .keys()
            .filter(|k| !self.known.contains(&k.as_str()))
            .take(10)
            .cloned()
            .collect();
        for member in unknown {
            let short = shortened(&member);
            let pointer = format!("{}/{short}", self.prefix);
            self.errors
                .push(FieldError::unknown("field", &short, pointer, &self.known));
        }
    }

    /// Every problem, for a part of a larger body.
    pub(super) fn problems(mut self) -> Vec<FieldError> {
        self.note_unknown();
        self.errors
    }

    /// An error if there was any problem.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        self.note_unknown();
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}

/// A string of 1 to `most` characters without control characters.
pub(super) fn text(most: usize) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let count = raw.chars().count();
        if count == 0 || count > most || raw.chars().any(char::is_control) {
            return Err(format!(
                "must be 1 to {most} characters, none of them a control character"
            ));
        }
        Ok(raw.to_owned())
    }
}

/// A name that the domain has parsed. The message leaves out the kind of name, because the field already says it.
pub(super) fn name<T>(parsed: Result<T, BadName>) -> Result<T, String> {
    parsed.map_err(|e| {
        format!(
            "must be 1 to {} letters, digits, '.', '_', ':' or '-', with at least one letter or digit",
            e.max
        )
    })
}

/// A Salesforce record id: 15 or 18 letters and digits.
pub(super) fn salesforce_id(raw: &str) -> Result<String, String> {
    if matches!(raw.len(), 15 | 18) && raw.bytes().all(|b| b.is_ascii_alphanumeric()) {
        Ok(raw.to_owned())
    } else {
        Err("must be a Salesforce record id of 15 or 18 letters and digits".into())
    }
}
