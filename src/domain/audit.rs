//! Who did what, when, and what came of it. Written in the same transaction as the change it tells of.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::SupervisionId;

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, on our clock.
    pub at: Timestamp,
    /// Who: a caller's name, or `sidedoor` for what the service concluded by itself.
    pub actor: String,
    /// What was done, a stable word such as `supervision.requested`.
    pub action: Cow<'static, str>,
    /// To which supervision, where there is one.
    pub supervision: Option<SupervisionId>,
    /// What came of it, in a few words; never customer data, never a secret.
    pub outcome: String,
    /// The HTTP request it came with.
    pub request_id: Option<String>,
}

/// The actor of what the service does by itself.
pub const SELF: &str = "sidedoor";
