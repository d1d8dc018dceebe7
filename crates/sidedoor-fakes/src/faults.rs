//! Scripted faults: the next calls of an operation answer an error, answer late, or lose their connection, before or after
//! they have had their effect.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::response::Response;
use serde::{Deserialize, Serialize};

/// Later faults are ignored, so that a test that only adds faults does not fill the memory.
const MAX_FAULTS: usize = 10_000;

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
            status: Some(status),
            code: code.into(),
            message: format!("{code} (scripted fault)"),
            fields: Vec::new(),
            delay_ms: 0,
            after_effect: false,
            drop_connection: false,
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

    pub(crate) fn delay(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.delay_ms.min(60_000))
    }
}

/// The faults that have not happened yet, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct FaultScript(VecDeque<Fault>);

impl FaultScript {
    pub(crate) fn add(&mut self, fault: Fault) {
        if self.0.len() < MAX_FAULTS && fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn pending(&self) -> Vec<Fault> {
        self.0.iter().cloned().collect()
    }

    /// Finds the fault for a call of `operation` whose path and ids are `about`, and counts the call.
    pub(crate) fn take_matching(&mut self, operation: &str, about: &str) -> Option<Fault> {
        let index = self.0.iter().position(|f| {
            (f.operation == operation || f.operation == "*") && f.matching.as_ref().is_none_or(|m| about.contains(m))
        })?;
        let fault = self.0[index].clone();
        self.0[index].times -= 1;
        if self.0[index].times == 0 {
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
