//! Who did what, when, why, and what came of it. Written in the same transaction as the change it tells of; what acts on a vendor is
//! written before the act and again when it is known what came of it.

use super::ids::SupervisionId;
use jiff::Timestamp;

/// How far an act has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What was done. The word is stable: it stands in the API and in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// After a departure the agent's state on the contact looked wrong.
    AgentLooksWrong,
    /// The customer's call ended right after the leg that we had end.
    CustomerCallEnded,
    /// An operator had a Salesforce record sent again.
    DeliveryReplayed,
    /// A departure was evaluated again and its record written again.
    DepartureReissued,
    /// A browser answered a directive.
    DirectiveAcknowledged,
    /// A directive was given to a browser.
    DirectiveIssued,
    /// A disconnect was refused because the customer's call could have ended.
    DisconnectRefused,
    /// A caller asked that the supervisor leave.
    DisconnectRequested,
    /// MonitorContact is about to be called.
    LegAskedFor,
    /// MonitorContact gave the leg.
    LegGiven,
    /// StopContact was accepted.
    LegStopAccepted,
    /// StopContact is about to be called.
    LegStopBegun,
    /// StopContact was refused.
    LegStopRefused,
    /// A caller asked for another mode.
    ModeRequested,
    /// A start was refused by a jurisdiction's rules.
    RejoinRefused,
    /// A start failed.
    SupervisionFailed,
    /// Evidence showed that the supervisor left.
    SupervisionLeft,
    /// A leg that nobody requested here became a supervision.
    SupervisionObserved,
    /// A caller asked to listen.
    SupervisionRequested,
    /// A ticket to a stream of directives was issued.
    TicketIssued,
    /// A caller had a vendor's clock probed.
    VendorProbed,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 21] = [
        Self::AgentLooksWrong,
        Self::CustomerCallEnded,
        Self::DeliveryReplayed,
        Self::DepartureReissued,
        Self::DirectiveAcknowledged,
        Self::DirectiveIssued,
        Self::DisconnectRefused,
        Self::DisconnectRequested,
        Self::LegAskedFor,
        Self::LegGiven,
        Self::LegStopAccepted,
        Self::LegStopBegun,
        Self::LegStopRefused,
        Self::ModeRequested,
        Self::RejoinRefused,
        Self::SupervisionFailed,
        Self::SupervisionLeft,
        Self::SupervisionObserved,
        Self::SupervisionRequested,
        Self::TicketIssued,
        Self::VendorProbed,
    ];

    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentLooksWrong => "agent.looks_wrong",
            Self::CustomerCallEnded => "customer_call.ended",
            Self::DeliveryReplayed => "delivery.replayed",
            Self::DepartureReissued => "departure.reissued",
            Self::DirectiveAcknowledged => "directive.acknowledged",
            Self::DirectiveIssued => "directive.issued",
            Self::DisconnectRefused => "disconnect.refused",
            Self::DisconnectRequested => "disconnect.requested",
            Self::LegAskedFor => "leg.asked_for",
            Self::LegGiven => "leg.given",
            Self::LegStopAccepted => "leg.stop_accepted",
            Self::LegStopBegun => "leg.stop_begun",
            Self::LegStopRefused => "leg.stop_refused",
            Self::ModeRequested => "mode.requested",
            Self::RejoinRefused => "rejoin.refused",
            Self::SupervisionFailed => "supervision.failed",
            Self::SupervisionLeft => "supervision.left",
            Self::SupervisionObserved => "supervision.observed",
            Self::SupervisionRequested => "supervision.requested",
            Self::TicketIssued => "ticket.issued",
            Self::VendorProbed => "vendor.probed",
        }
    }

    /// The action that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }

    /// Whether it is about a directive, which a supervision tells of itself.
    pub fn is_about_a_directive(self) -> bool {
        matches!(self, Self::DirectiveIssued | Self::DirectiveAcknowledged)
    }
}

/// One line of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, on our clock.
    pub at: Timestamp,
    /// Who: a caller's name, or `sidedoor` for what the service concluded by itself.
    pub actor: String,
    /// What was done.
    pub action: AuditAction,
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
    pub fn done(at: Timestamp, actor: impl Into<String>, action: AuditAction, outcome: impl Into<String>) -> Self {
        Self {
            at,
            actor: actor.into(),
            action,
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
