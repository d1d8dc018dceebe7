//! Scripted faults: the next calls of an operation answer an error, answer late, answer something that is not the vendor's, or
//! lose their connection, before or after they have had their effect.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Later faults are ignored, so that a test that only adds faults does not fill the memory.
const MAX_FAULTS: usize = 10_000;

/// Longest delay of an answer, and longest time without an answer.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// Largest answer that is cut, bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// One scripted fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The operation that fails: in the fake Connect an API name (`MonitorContact`), in the fake Salesforce `token`,
    /// `describe`, `upsert`, `collections`, `item` (one record of a collection), `query` and others; `*` for every operation.
    pub operation: String,
    /// Only calls that contain this text in their path or their ids (Salesforce: in their path or body).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// The number of calls that fail.
    #[serde(default = "once")]
    pub times: u32,
    /// The fault is over this long after it was added, ms, even if `times` calls have not failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// HTTP status of the error. Without it the call succeeds after `delay_ms`.
    #[serde(default)]
    pub status: Option<u16>,
    /// The vendor's error code, such as `ThrottlingException`.
    #[serde(default)]
    pub code: String,
    /// The vendor's error message.
    #[serde(default)]
    pub message: String,
    /// Field names in a Salesforce error.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Delay before the answer in ms, at most 60,000.
    #[serde(default)]
    pub delay_ms: u64,
    /// The call has its effect before it fails, as when an answer is lost after the vendor has committed.
    #[serde(default)]
    pub after_effect: bool,
    /// Closes the connection without an answer.
    #[serde(default)]
    pub drop_connection: bool,
    /// The call has its effect and answers 200, but its JSON ends in the middle.
    #[serde(default)]
    pub cut_answer: bool,
    /// Answers with a page of HTML, as a proxy on the way does; with `status`, or 200 if there is none.
    #[serde(default)]
    pub html_page: bool,
    /// Keeps the connection open without an answer for `delay_ms`, or 60 s if that is 0, then closes it.
    #[serde(default)]
    pub hang: bool,
    /// The call has its effect this long after it arrived, ms, at most 60,000, whatever its client gets: an org that commits a write
    /// although its answer was no longer waited for. Only in the fake Salesforce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_after_ms: Option<u64>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// The next call of `operation` answers this error.
    pub fn error(operation: &str, status: u16, code: &str) -> Self {
        Self {
            operation: operation.into(),
            matching: None,
            times: 1,
            for_ms: None,
            status: Some(status),
            code: code.into(),
            message: format!("{code} (scripted fault)"),
            fields: Vec::new(),
            delay_ms: 0,
            after_effect: false,
            drop_connection: false,
            cut_answer: false,
            html_page: false,
            hang: false,
            commit_after_ms: None,
        }
    }

    /// Makes this many calls fail instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Sets the vendor's error message.
    #[must_use]
    pub fn saying(mut self, message: &str) -> Self {
        self.message = message.into();
        self
    }

    /// The next call of `operation` has its effect, then its connection closes without an answer.
    pub fn lost_answer(operation: &str) -> Self {
        Self {
            status: None,
            after_effect: true,
            drop_connection: true,
            ..Self::error(operation, 500, "")
        }
    }

    /// The next call of `operation` succeeds after a delay.
    pub fn late(operation: &str, delay_ms: u64) -> Self {
        Self {
            status: None,
            delay_ms,
            ..Self::error(operation, 500, "")
        }
    }

    /// The next call of `operation` has its effect and answers 200, but its JSON ends in the middle.
    pub fn cut_answer(operation: &str) -> Self {
        Self {
            cut_answer: true,
            ..Self::late(operation, 0)
        }
    }

    /// The next call of `operation` answers 200 with a page of HTML and has no effect; see [`Self::after_effect`].
    pub fn html_page(operation: &str) -> Self {
        Self {
            html_page: true,
            ..Self::late(operation, 0)
        }
    }

    /// Sets the HTTP status of the error or page.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The next call of `operation` gets no answer for `for_ms` (60 s if 0), and has no effect; see [`Self::after_effect`].
    pub fn hang(operation: &str, for_ms: u64) -> Self {
        Self {
            hang: true,
            ..Self::late(operation, for_ms)
        }
    }

    /// The next call of `operation` gets no answer, and has its effect after `commit_after_ms`.
    pub fn late_commit(operation: &str, commit_after_ms: u64) -> Self {
        Self {
            commit_after_ms: Some(commit_after_ms),
            ..Self::hang(operation, 0)
        }
    }

    /// For `for_ms` every call of `operation` about this contact answers 404 ResourceNotFoundException.
    pub fn not_found_for(operation: &str, contact: &str, for_ms: u64) -> Self {
        Self {
            matching: Some(contact.into()),
            times: u32::MAX,
            for_ms: Some(for_ms),
            ..Self::error(operation, 404, "ResourceNotFoundException")
        }
    }

    /// Only calls that contain this text in their path or their ids fail.
    #[must_use]
    pub fn matching(mut self, text: &str) -> Self {
        self.matching = Some(text.into());
        self
    }

    /// The call has its effect before it fails.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.after_effect = true;
        self
    }

    /// The delay before the call is handled.
    pub(crate) fn delay(&self) -> Duration {
        match self.hang {
            true => Duration::ZERO,
            false => Duration::from_millis(self.delay_ms).min(MAX_DELAY),
        }
    }

    /// When the call has its effect, if its client does not wait for it.
    pub(crate) fn late_effect(&self) -> Option<Duration> {
        self.commit_after_ms.map(|ms| Duration::from_millis(ms).min(MAX_DELAY))
    }

    /// Whether the call must not have its effect, or not yet.
    pub(crate) fn prevents_effect(&self) -> bool {
        self.commit_after_ms.is_some()
            || !self.after_effect && !self.cut_answer && (self.status.is_some() || self.replaces_answer())
    }

    /// Whether the client gets no answer at all.
    pub(crate) fn loses_answer(&self) -> bool {
        self.drop_connection || self.hang
    }

    fn replaces_answer(&self) -> bool {
        self.loses_answer() || self.html_page
    }

    /// What the client gets instead of `answer`. A hanging call returns after its time.
    pub(crate) async fn distort(&self, answer: Response) -> Response {
        if self.hang {
            let time = match self.delay_ms {
                0 => MAX_DELAY,
                ms => Duration::from_millis(ms).min(MAX_DELAY),
            };
            tokio::time::sleep(time).await;
        }
        if self.loses_answer() {
            return dropped_connection();
        }
        if self.html_page {
            let page =
                "<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Try again later.</body></html>";
            let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::OK);
            return (status, [(header::CONTENT_TYPE, "text/html")], page).into_response();
        }
        // An error keeps its form, because its cause is another.
        if self.cut_answer && answer.status().is_success() {
            let (mut parts, body) = answer.into_parts();
            let whole = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
            parts.headers.remove(header::CONTENT_LENGTH);
            return Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)));
        }
        answer
    }
}

/// The faults that have not happened yet, in the order in which they were added, each with the moment at which it is over.
#[derive(Debug, Default)]
pub(crate) struct FaultScript(VecDeque<(Fault, Option<Instant>)>);

impl FaultScript {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.remove_expired();
        if self.0.len() < MAX_FAULTS && fault.times > 0 {
            let over = fault.for_ms.map(Duration::from_millis);
            let over = over.and_then(|time| Instant::now().checked_add(time));
            self.0.push_back((fault, over));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn pending(&mut self) -> Vec<Fault> {
        self.remove_expired();
        self.0.iter().map(|(fault, _)| fault.clone()).collect()
    }

    fn remove_expired(&mut self) {
        let now = Instant::now();
        self.0.retain(|(_, over)| over.is_none_or(|over| now < over));
    }

    /// Finds the fault for a call of `operation` whose path and ids are `about`, and counts the call.
    pub(crate) fn take_matching(&mut self, operation: &str, about: &str) -> Option<Fault> {
        self.remove_expired();
        let index = self.0.iter().position(|(f, _)| {
            (f.operation == operation || f.operation == "*") && f.matching.as_ref().is_none_or(|m| about.contains(m))
        })?;
        let fault = self.0[index].0.clone();
        self.0[index].0.times -= 1;
        if self.0[index].0.times == 0 {
            self.0.remove(index);
        }
        Some(fault)
    }
}

/// An answer whose body fails at once, so that the client sees a closed connection.
pub(crate) fn dropped_connection() -> Response {
    let broken = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("connection dropped by a scripted fault"))
    });
    Response::new(Body::from_stream(broken))
}
