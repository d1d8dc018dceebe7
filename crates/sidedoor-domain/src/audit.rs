//! Who did what, when, why, and what came of it. Written in the same transaction as the change it tells of; what acts on a vendor is
//! written before the act and again when it is known what came of it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::SupervisionId;

/// How far an act has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// About to act on a vendor: written ahead.
    Begun,
    /// Done.
    Done,
    /// It came to nothing.
    Failed,
    /// Begun, and nobody knows what came of it.
    Abandoned,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 4] = [Self::Begun, Self::Done, Self::Failed, Self::Abandoned];

    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "BEGUN",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
            Self::Abandoned => "ABANDONED",
        }
    }

    /// The phase a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }
}

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
    /// How far it has come.
    pub phase: Phase,
    /// The name that the beginning and the end of one act on a vendor share.
    pub operation: Option<String>,
    /// What came of it, in a few words; never customer data, never a secret.
    pub outcome: String,
    /// Why, in the caller's own words, where they gave any.
    pub why: Option<String>,
    /// The HTTP request it came with.
    pub request_id: Option<String>,
}

impl AuditEntry {
    /// A line of something done.
    pub fn done(
        at: Timestamp,
        actor: impl Into<String>,
        action: impl Into<Cow<'static, str>>,
        outcome: impl Into<String>,
    ) -> Self {
        Self {
            at,
            actor: actor.into(),
            action: action.into(),
            supervision: None,
            phase: Phase::Done,
            operation: None,
            outcome: outcome.into(),
            why: None,
            request_id: None,
        }
    }

    /// … of a supervision.
    #[must_use]
    pub fn of(mut self, id: SupervisionId) -> Self {
        self.supervision = Some(id);
        self
    }

    /// … as a phase of an operation.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase, operation: impl Into<String>) -> Self {
        (self.phase, self.operation) = (phase, Some(operation.into()));
        self
    }

    /// … for the caller's own reason.
    #[must_use]
    pub fn because(mut self, why: Option<String>) -> Self {
        self.why = why;
        self
    }
}

/// The actor of what the service does by itself.
pub const SELF: &str = "sidedoor";
