//! One supervisor's presence on one contact, from request to departure.
//!
//! ```text
//! REQUESTED ──► JOINING ──► MONITORING ──► LEAVING ──► LEFT
//!     │            │             └────────────────────►▲    (left without a request)
//!     └──► FAILED ◄┘
//! ```
//!
//! "Accepted", "confirmed by the vendor" and "written to Salesforce" are three different states and are never mixed: LEAVING is
//! accepted, LEFT is confirmed by evidence, and the delivery of the Salesforce record has a state of its own in the store.
//! The fields are here, the transitions in [`machine`].

mod directing;
mod leg_search;
mod machine;
mod names;
mod next_step;

use jiff::Timestamp;
pub use leg_search::LegSearch;
pub use machine::{AliveAgain, Leave, LeaveTimes, Refused};
pub use names::{KnownNames, MissingNames, Names};
pub use next_step::NextStep;
use serde::{Deserialize, Serialize};

use super::confirmation::LegWatch;
use super::departure::Departure;
use super::directive::{Directive, DirectiveKind};
use super::ids::{ClientToken, ContactId, DirectiveId, InstanceName, RegionName, SupervisionId, UserId};
use super::interlock::LegId;
use super::ports::Endpoint;
use super::rejoin::Compliance;
use crate::trace_parent::TraceParent;

/// The vendor of a supervision's contact.
pub const AMAZON_CONNECT: &str = "amazon-connect";

/// The state of a supervision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The request is stored; MonitorContact has not been sent.
    Requested,
    /// MonitorContact may have been sent; its answer is not known.
    Joining,
    /// Connect has returned the leg.
    Monitoring,
    /// A disconnect was requested; no evidence shows yet that the leg has ended.
    Leaving,
    /// Evidence shows that the leg has ended.
    Left,
    /// The supervisor never joined.
    Failed,
}

impl State {
    /// Every state, in the order of the life cycle.
    pub const ALL: [State; 6] = [
        Self::Requested,
        Self::Joining,
        Self::Monitoring,
        Self::Leaving,
        Self::Left,
        Self::Failed,
    ];

    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Joining => "JOINING",
            Self::Monitoring => "MONITORING",
            Self::Leaving => "LEAVING",
            Self::Left => "LEFT",
            Self::Failed => "FAILED",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether the supervision has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Left | Self::Failed)
    }
}

/// How a supervisor takes part in a contact. Every join begins silent, because MonitorContact "initiates silent monitoring".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// The supervisor only listens.
    Silent,
    /// The supervisor also speaks with agent and customer (`AllowedMonitorCapabilities` BARGE).
    Barge,
}

impl Mode {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "SILENT",
            Self::Barge => "BARGE",
        }
    }
}

/// The kind of contact. It decides how a leg can be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Channel {
    /// A call.
    Voice,
    /// A chat.
    Chat,
    /// A task.
    Task,
}

impl Channel {
    /// The channel with the vendor's word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "VOICE" => Some(Self::Voice),
            "CHAT" => Some(Self::Chat),
            "TASK" => Some(Self::Task),
            _ => None,
        }
    }

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "VOICE",
            Self::Chat => "CHAT",
            Self::Task => "TASK",
        }
    }
}

/// How a supervision began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    /// By a request to Sidedoor.
    Api,
    /// Outside Sidedoor, in Omni Supervisor or the Contact Control Panel; Sidedoor adopted the leg.
    Observed,
}

impl Origin {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Observed => "OBSERVED",
        }
    }
}

/// The supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// The Connect user id. It is unknown only for an observed leg of which the vendor names no user.
    pub connect_user_id: Option<UserId>,
    /// The Connect user name, if the request gave it.
    pub username: Option<String>,
    /// The Salesforce User id, if it is known.
    pub salesforce_user_id: Option<String>,
}

/// The join. It is stored before the vendor is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The token of every attempt, so that a repeat yields the same leg.
    pub client_token: ClientToken,
    /// Right before MonitorContact was first sent. If it returned the leg, the leg had not ended before this.
    pub first_sent_at: Option<Timestamp>,
    /// After this MonitorContact is never sent again, because a late join is worse than none.
    pub expires_at: Timestamp,
    /// The search for a leg that an unanswered MonitorContact may have made. While it goes on, MonitorContact is not sent again.
    /// It is kept when a leg was found, because another may appear.
    pub search: Option<LegSearch>,
}

/// When the supervisor was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The most likely instant.
    pub at: Timestamp,
    /// The uncertainty of the instant, ± ms; `None` if there is no lower bound.
    pub uncertainty_ms: Option<i64>,
    /// The vendor's timestamp.
    pub vendor_stamp: Option<Timestamp>,
}

/// The role of the caller who requested a disconnect or a change of mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Requester {
    /// The supervisor, or a back end on their behalf.
    Supervisor,
    /// An operator.
    Operator,
}

/// A requested disconnect. It never expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveRequest {
    /// When it was accepted.
    pub at: Timestamp,
    /// Who requested it.
    pub by: Requester,
    /// If no evidence shows the end by then, the supervision is overdue. `None` until the leg is known.
    pub deadline: Option<Timestamp>,
    /// The progress of the server-side end, for channels where it is tried.
    pub server_end: ServerEnd,
    /// Whether an operator accepted that the customer's call may end.
    pub customer_call_may_end: bool,
}

/// The progress of ending a leg by StopContact (chat and task; voice only if configured).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerEnd {
    /// StopContact is not due.
    None,
    /// StopContact is due. This is stored before the call, so that a restart repeats it.
    Due,
    /// The vendor accepted it, which does not prove that the leg has ended.
    Accepted,
    /// The interlock or the vendor refused it, so the browser got a directive instead.
    Refused,
}

/// A requested change of mode. Only the vendor's evidence confirms it; see [`Supervision::mode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange {
    /// The requested mode.
    pub to: Mode,
    /// When it was accepted.
    pub at: Timestamp,
    /// Who requested it.
    pub by: Requester,
    /// The directive to the browser.
    pub directive: DirectiveId,
    /// When, on the vendor's clock, the mode before the request began. Evidence that is not newer does not confirm the change.
    pub since_before: Option<Timestamp>,
    /// When evidence of the change was received.
    pub confirmed_at: Option<Timestamp>,
}

/// Why a supervision failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable code.
    pub code: String,
    /// An explanation for people.
    pub detail: String,
    /// When it failed.
    pub at: Timestamp,
}

/// One supervisor's presence on one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// The id.
    pub id: SupervisionId,
    /// How it began.
    pub origin: Origin,
    /// The vendor of the leg: [`AMAZON_CONNECT`] or a partner carrier.
    pub vendor: String,
    /// The vendor's instance.
    pub instance: InstanceName,
    /// The Region of a replicated instance in which the leg is, if a call showed that it is not the instance's first one.
    pub region: Option<RegionName>,
    /// The kind of contact, once known.
    pub channel: Option<Channel>,
    /// The supervised contact. It is unknown only for an observed leg of which the vendor names no contact.
    pub contact: Option<ContactId>,
    /// The supervisor's own MONITOR contact, once known.
    pub leg: Option<LegId>,
    /// The supervisor.
    pub supervisor: Supervisor,
    /// The id of the Salesforce VoiceCall, if the request gave it.
    pub voice_call_id: Option<String>,
    /// The id of the Salesforce MessagingSession of a chat, once found.
    pub messaging_session_id: Option<String>,
    /// Why the supervisor listens, in the words of the request.
    pub request_reason: Option<String>,
    /// The agent on the contact, once known.
    pub agent: Option<UserId>,
    /// The names of the people and the queue.
    pub names: Names,
    /// The most that the supervisor may do; `None` for observed legs.
    pub allowed: Option<Mode>,
    /// The mode that the evidence shows.
    pub mode: Mode,
    /// When that mode began, on the vendor's clock.
    pub mode_since: Option<Timestamp>,
    /// The last moment, on our clock, for which a vendor's answer showed that mode; the answer's staleness is subtracted.
    pub mode_seen_at: Option<Timestamp>,
    /// Whether evidence shows that the supervisor barged in at any time.
    pub has_barged: bool,
    /// The last requested change of mode.
    pub mode_change: Option<ModeChange>,
    /// What the jurisdiction's rules say about this supervision.
    pub compliance: Compliance,
    /// The state.
    pub state: State,
    /// Whether a disconnect has passed its deadline without evidence of the end.
    pub overdue: bool,
    /// Whether the leave was overdue before the end was confirmed.
    pub was_overdue: bool,
    /// When the start was requested; `None` for observed legs.
    pub requested_at: Option<Timestamp>,
    /// The trace of the request that started it, if there was one.
    pub trace_parent: Option<TraceParent>,
    /// After a switch: the supervision that must end before this one joins.
    pub waits_for: Option<SupervisionId>,
    /// Whether it only waits: the end of the other one was requested or claimed before, so no request to leave is needed.
    pub only_waits: bool,
    /// The join; `None` for observed legs.
    pub join: Option<Join>,
    /// When the supervisor was connected, once evidence shows it.
    pub joined: Option<Joined>,
    /// The requested disconnect, if there is one.
    pub leave: Option<LeaveRequest>,
    /// The directives to the browser, oldest first; at most [`directing::DIRECTIVES`] are kept.
    pub directives: Vec<Directive>,
    /// The last moment, on our clock, for which a poll showed the leg alive; the poll's staleness is subtracted.
    pub alive_at: Option<Timestamp>,
    /// The claims about the leg's end, the refutations of them, and which sources know the leg.
    pub watch: LegWatch,
    /// The departure; set at LEFT.
    pub departure: Option<Departure>,
    /// Why it failed; set at FAILED.
    pub failure: Option<Failure>,
    /// When to ask the vendor next; `None` if it is not asked again.
    pub next_check_at: Option<Timestamp>,
    /// How often the vendor was asked since the last change.
    pub checks: u32,
    /// When a write of the Salesforce record last got no answer. Salesforce may commit it minutes later, over a newer version.
    pub record_unanswered_at: Option<Timestamp>,
}

impl Supervision {
    /// Whether it occupies the supervisor's only voice slot: it has not ended, does not wait for another supervision, and may be a
    /// voice contact.
    pub fn holds_voice_slot(&self) -> bool {
        let search = self.join.as_ref().and_then(|join| join.search.as_ref());
        if self.state == State::Joining && search.is_some_and(|search| search.nothing_found) {
            return false;
        }
        !self.state.is_final() && self.waits_for.is_none() && matches!(self.channel, None | Some(Channel::Voice))
    }

    /// When the leg had not begun yet: right before MonitorContact, if its answer gave the leg. A leg that was found by a search may have
    /// been begun by hand, and may have ended before.
    pub fn leg_begun_after(&self) -> Option<Timestamp> {
        let join = self.join.as_ref().filter(|join| join.search.is_none())?;
        join.first_sent_at
    }

    /// The last directive to end the leg.
    pub fn end_directive(&self) -> Option<&Directive> {
        self.directives
            .iter()
            .rev()
            .find(|d| d.kind == DirectiveKind::EndLegInCcp)
    }

    /// The directive that the browser should carry out next: to end the leg while LEAVING, or to change the mode while MONITORING.
    pub fn current_directive(&self) -> Option<&Directive> {
        match self.state {
            State::Leaving => self.end_directive(),
            State::Monitoring => {
                let wanted = self.mode_change.as_ref().filter(|c| c.confirmed_at.is_none())?;
                self.directives.iter().find(|d| d.id == wanted.directive)
            }
            _ => None,
        }
    }

    /// Whether the supervisor's browser acknowledged that it ended the leg.
    pub fn browser_ended_the_leg(&self) -> bool {
        self.directives.iter().any(Directive::ended_the_leg)
    }

    /// Whether the supervisor may be heard on the call now: because evidence shows it, or because their browser has a directive to
    /// barge in and no later answer of the vendor shows that it did not.
    pub fn may_have_barged_in(&self) -> bool {
        let told = |d: &Directive| d.kind == DirectiveKind::ChangeModeInCcp(Mode::Barge);
        let since = |d: &Directive| self.mode_seen_at.is_none_or(|seen| seen < d.issued_at);
        self.mode == Mode::Barge || self.directives.iter().any(|d| told(d) && since(d))
    }

    /// Whether its end was requested or is claimed, so that its voice slot may be free soon.
    pub fn may_end_soon(&self) -> bool {
        let listens = !self.state.is_final();
        listens && (self.leave.is_some() || self.watch.claim.is_some() || self.search().is_some())
    }

    /// Where calls about this supervision go.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            instance: self.instance.clone(),
            region: self.region.clone(),
        }
    }

    /// The external id of the Salesforce record, once the leg is known.
    pub(crate) fn record_key(&self) -> Option<&str> {
        self.leg.as_ref().map(LegId::as_str)
    }
}

#[cfg(test)]
mod tests;
