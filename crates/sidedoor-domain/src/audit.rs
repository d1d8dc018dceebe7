//! Who did what, when, why, and with which result. An entry is written in the same transaction as the change. An action on a vendor
//! is written before the call, and again when its result is known.

use jiff::Timestamp;

use super::ids::SupervisionId;

/// The progress of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The vendor is about to be called.
    Begun,
    /// The action succeeded.
    Done,
    /// The action failed.
    Failed,
    /// The vendor may have been called, and the result will never be known.
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

    /// The phase with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }
}

/// An action. Its word is stable, because the API and the store use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditAction {
    /// A request was refused, because the caller may not do it or has no valid credential.
    AccessRefused,
    /// The agent's state on the contact was unexpected after a departure.
    AgentLooksWrong,
    /// A caller exported the audit.
    AuditExported,
    /// The customer's call ended right after a leg that Sidedoor had ended.
    CustomerCallEnded,
    /// An operator discarded a dead letter.
    DeliveryDiscarded,
    /// An operator replayed a delivery.
    DeliveryReplayed,
    /// A departure was evaluated again and its record written again.
    DepartureReissued,
    /// A browser acknowledged a directive.
    DirectiveAcknowledged,
    /// A directive was issued to a browser.
    DirectiveIssued,
    /// A disconnect was refused because the customer's call could have ended.
    DisconnectRefused,
    /// A caller requested a disconnect.
    DisconnectRequested,
    /// MonitorContact is about to be called.
    LegAskedFor,
    /// MonitorContact returned the leg.
    LegGiven,
    /// StopContact was accepted.
    LegStopAccepted,
    /// StopContact is about to be called.
    LegStopBegun,
    /// StopContact was refused.
    LegStopRefused,
    /// A claim that a leg has ended was refuted by the vendor.
    ClaimRefuted,
    /// A caller requested another mode.
    ModeRequested,
    /// A start was refused by a jurisdiction's rules.
    RejoinRefused,
    /// A caller exported the report.
    ReportExported,
    /// An operator closed a supervision whose leg the vendor no longer knows.
    SupervisionClosed,
    /// A start failed.
    SupervisionFailed,
    /// Evidence showed that the supervisor left.
    SupervisionLeft,
    /// A caller read supervisions of others than its own supervisor.
    SupervisionRead,
    /// A leg that was started outside Sidedoor became a supervision.
    SupervisionObserved,
    /// The vendor showed the leg of a departed supervision alive, so the supervision was reopened.
    SupervisionReopened,
    /// A caller requested a supervision.
    SupervisionRequested,
    /// A ticket to a stream of directives was issued.
    TicketIssued,
    /// A caller probed a vendor's clock.
    VendorProbed,
}

impl AuditAction {
    /// Every action.
    pub const ALL: [Self; 29] = [
        Self::AccessRefused,
        Self::AgentLooksWrong,
        Self::AuditExported,
        Self::ClaimRefuted,
        Self::CustomerCallEnded,
        Self::DeliveryDiscarded,
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
        Self::ReportExported,
        Self::SupervisionClosed,
        Self::SupervisionFailed,
        Self::SupervisionLeft,
        Self::SupervisionObserved,
        Self::SupervisionRead,
        Self::SupervisionReopened,
        Self::SupervisionRequested,
        Self::TicketIssued,
        Self::VendorProbed,
    ];

    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessRefused => "access.refused",
            Self::AgentLooksWrong => "agent.looks_wrong",
            Self::AuditExported => "audit.exported",
            Self::ClaimRefuted => "claim.refuted",
            Self::CustomerCallEnded => "customer_call.ended",
            Self::DeliveryDiscarded => "delivery.discarded",
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
            Self::ReportExported => "report.exported",
            Self::SupervisionClosed => "supervision.closed",
            Self::SupervisionFailed => "supervision.failed",
            Self::SupervisionLeft => "supervision.left",
            Self::SupervisionObserved => "supervision.observed",
            Self::SupervisionRead => "supervision.read",
            Self::SupervisionReopened => "supervision.reopened",
            Self::SupervisionRequested => "supervision.requested",
            Self::TicketIssued => "ticket.issued",
            Self::VendorProbed => "vendor.probed",
        }
    }

    /// The action with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }

    /// Whether it says only that somebody read or tried something about a supervision.
    pub fn is_about_access(self) -> bool {
        matches!(self, Self::AccessRefused | Self::SupervisionRead)
    }

    /// Whether it is about a directive. A supervision lists its directives itself, so a timeline leaves these entries out.
    pub fn is_about_a_directive(self) -> bool {
        matches!(self, Self::DirectiveIssued | Self::DirectiveAcknowledged)
    }
}

/// A vendor call that is audited before it is made and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditedCall {
    /// MonitorContact, which begins a leg.
    MonitorContact,
    /// StopContact, which ends a chat's or task's leg.
    StopContact,
}

impl AuditedCall {
    /// The operation id that links the audit entries of this call for a supervision.
    pub fn operation(self, id: SupervisionId) -> String {
        match self {
            Self::MonitorContact => format!("monitor_contact/{id}"),
            Self::StopContact => format!("stop_contact/{id}"),
        }
    }
}

/// One entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was written, on our clock.
    pub at: Timestamp,
    /// The caller's name, or `sidedoor` for what the service did by itself.
    pub actor: String,
    /// The action.
    pub action: AuditAction,
    /// The supervision, if the action is about one.
    pub supervision: Option<SupervisionId>,
    /// The progress.
    pub phase: Phase,
    /// The id that the entries of one action on a vendor share.
    pub operation: Option<String>,
    /// The result in a few words, without customer data and secrets.
    pub outcome: String,
    /// The caller's reason in their own words, if they gave one.
    pub why: Option<String>,
    /// Our id of the HTTP request.
    pub request_id: Option<String>,
    /// The caller's own id of the request (`X-Request-Id`), if it sent one.
    pub client_request_id: Option<String>,
    /// The credential that the request carried, without its secret, such as `key back-end`.
    pub credential: Option<String>,
    /// The network that the request came from: an IPv4 address, or the /64 of an IPv6 address.
    pub peer: Option<String>,
    /// The method and the route's path, with its parameters in braces.
    pub route: Option<String>,
    /// How many requests the entry stands for, if it only counts them.
    pub times: Option<u32>,
}

impl AuditEntry {
    /// An entry for an action that succeeded.
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
            client_request_id: None,
            credential: None,
            peer: None,
            route: None,
            times: None,
        }
    }

    /// Sets the supervision.
    #[must_use]
    pub fn of(mut self, id: SupervisionId) -> Self {
        self.supervision = Some(id);
        self
    }

    /// Sets the phase, and the id that the entries of the operation share.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase, operation: impl Into<String>) -> Self {
        (self.phase, self.operation) = (phase, Some(operation.into()));
        self
    }

    /// Sets the caller's reason.
    #[must_use]
    pub fn because(mut self, why: Option<String>) -> Self {
        self.why = why;
        self
    }
}

/// Where a request came from, for its audit entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    /// See [`AuditEntry::client_request_id`].
    pub client_request_id: Option<String>,
    /// See [`AuditEntry::credential`].
    pub credential: Option<String>,
    /// See [`AuditEntry::peer`].
    pub peer: Option<String>,
    /// See [`AuditEntry::route`].
    pub route: Option<String>,
}

/// The actor of requests without a valid credential. No credential can have this name, because of the parentheses.
pub const UNAUTHENTICATED: &str = "(unauthenticated)";

/// The actor of actions that the service does by itself.
pub const SELF: &str = "sidedoor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_words_are_distinct_and_parse_back() {
        for action in AuditAction::ALL {
            assert_eq!(AuditAction::parse(action.as_str()), Some(action));
        }
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        }
        assert_eq!((AuditAction::parse("leg"), Phase::parse("done")), (None, None));
    }

    #[test]
    fn audit_action_about_a_directive_is_its_issue_or_acknowledgement() {
        let about: Vec<&str> = AuditAction::ALL
            .into_iter()
            .filter(|action| action.is_about_a_directive())
            .map(AuditAction::as_str)
            .collect();
        assert_eq!(about, ["directive.acknowledged", "directive.issued"]);
    }

    #[test]
    fn audit_operation_names_call_and_supervision() {
        let id = crate::test_support::id(1);
        let operation = AuditedCall::MonitorContact.operation(id);
        assert_eq!(operation, format!("monitor_contact/{id}"));
        assert_eq!(AuditedCall::StopContact.operation(id), format!("stop_contact/{id}"));
    }
}
