//! Query parameters, as strict as bodies: the answer lists every invalid parameter, and an unknown one is an error.

use super::problem::{FieldError, Problem};

/// Reads a query string parameter by parameter and collects every problem.
pub(super) struct Query {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

/// Parameters after this many are ignored.
const MOST: usize = 64;

impl Query {
    pub(super) fn new(raw: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes());
        Self {
            given: pairs
                .take(MOST)
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// A parameter that `take` accepts; `bad` is the problem otherwise. A parameter that occurs twice is an error, because it would
    /// be unclear which value counts.
    pub(super) fn take<T>(&mut self, name: &'static str, bad: &str, take: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.known.push(name);
        let mut values = self.given.iter().filter(|(k, _)| k == name).map(|(_, v)| v);
        let first = values.next()?;
        let (taken, problem) = if values.next().is_some() {
            (None, "must be given only once")
        } else {
            (take(first), bad)
        };
        if taken.is_none() {
            self.errors.push(FieldError {
                pointer: name.into(),
                detail: problem.into(),
            });
        }
        taken
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.take(name, "must be true or false", |raw| raw.parse().ok())
    }

    pub(super) fn moment(&mut self, name: &'static str) -> Option<jiff::Timestamp> {
        self.take(name, "must be an RFC 3339 date-time", |raw| raw.parse().ok())
    }

    /// An error if there was any problem.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.given {
            if !self.known.contains(&name.as_str()) {
                let short: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                self.errors
                    .push(FieldError::unknown("parameter", &short, short.clone(), &self.known));
            }
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(self.errors))
        }
    }
}
