//! Scripted faults: the next calls of an operation fail as told, before or after their effect, late, or without an answer.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::response::Response;
use serde::{Deserialize, Serialize};

/// The most faults kept.
const MOST: usize = 10_000;

/// One scripted fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Which operation: Connect's name of it (`MonitorContact`), or for Salesforce `token`, `describe`, `upsert`,
    /// `collections`, `query`; `*` for any.
    pub operation: String,
    /// Only calls whose path or ids hold this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// How many calls it meets.
    #[serde(default = "once")]
    pub times: u32,
    /// The status of the error; none for no error (a delay alone).
    #[serde(default)]
    pub status: Option<u16>,
    /// The vendor's error code.
    #[serde(default)]
    pub code: String,
    /// The vendor's message.
    #[serde(default)]
    pub message: String,
    /// Fields a Salesforce error names.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Wait before answering, ms (at most a minute).
    #[serde(default)]
    pub delay_ms: u64,
    /// Have the effect first: an answer lost after a commit.
    #[serde(default)]
    pub after_effect: bool,
    /// Close the connection instead of answering.
    #[serde(default)]
    pub drop_connection: bool,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// An error answer to the next call of `operation`.
    pub fn error(operation: &str, status: u16, code: &str) -> Self {
        Self {
            operation: operation.into(),
            matching: None,
            times: 1,
            status: Some(status),
            code: code.into(),
            message: format!("{code} as scripted"),
            fields: Vec::new(),
            delay_ms: 0,
            after_effect: false,
            drop_connection: false,
        }
    }

    /// … to so many calls.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// … with this message.
    #[must_use]
    pub fn saying(mut self, message: &str) -> Self {
        self.message = message.into();
        self
    }

    /// The effect happens, the answer is lost with its connection.
    pub fn lost_answer(operation: &str) -> Self {
        Self {
            status: None,
            after_effect: true,
            drop_connection: true,
            ..Self::error(operation, 500, "")
        }
    }

    /// The answer comes late.
    pub fn late(operation: &str, delay_ms: u64) -> Self {
        Self {
            status: None,
            delay_ms,
            ..Self::error(operation, 500, "")
        }
    }

    /// How long to wait.
    pub fn delay(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.delay_ms.min(60_000))
    }
}

/// The faults still to come, in order.
#[derive(Debug, Default)]
pub struct FaultScript(VecDeque<Fault>);

impl FaultScript {
    /// Adds one at the end; more than the bound are not kept.
    pub fn add(&mut self, fault: Fault) {
        if self.0.len() < MOST && fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those still to come.
    pub fn pending(&self) -> Vec<Fault> {
        self.0.iter().cloned().collect()
    }

    /// The fault this call meets, if any.
    pub fn meet(&mut self, operation: &str, about: &str) -> Option<Fault> {
        let at = self.0.iter().position(|f| {
            (f.operation == operation || f.operation == "*") && f.matching.as_ref().is_none_or(|m| about.contains(m))
        })?;
        let fault = self.0[at].clone();
        self.0[at].times -= 1;
        if self.0[at].times == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }
}

/// An answer whose body breaks off: the client sees the connection close.
pub(super) fn dropped_connection() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("dropped as scripted")) });
    Response::new(Body::from_stream(broken))
}
