//! One supervisor's presence on one contact, from request to departure.
//!
//! ```text
//! REQUESTED ──► JOINING ──► MONITORING ──► LEAVING ──► LEFT
//!     │            │             └────────────────────►▲    (left without our request)
//!     └──► FAILED ◄┘
//! ```
//!
//! `accepted`, `confirmed by the vendor` and `recorded in Salesforce` are three different things and are never mixed:
//! LEAVING is accepted, LEFT is confirmed by evidence, and the recording runs beside, in the store's deliveries.
//! What may follow what is in [`machine`]; the fields are here.

mod directing;
mod machine;

use crate::trace_parent::TraceParent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use machine::{Leave, LeaveTimes, Refused};

use super::departure::Departure;
use super::directive::{Directive, DirectiveKind};
use super::ids::{ClientToken, ContactId, DirectiveId, InstanceName, SupervisionId, UserId};
use super::interlock::LegId;
use super::rejoin::Compliance;

/// The vendor of a supervision's contact.
pub const AMAZON_CONNECT: &str = "amazon-connect";

/// Where a supervision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Accepted and on disk; MonitorContact has not been sent.
    Requested,
    /// MonitorContact may have been sent; no answer is known.
    Joining,
    /// Connect has given us the leg.
    Monitoring,
    /// The supervisor is to leave; no evidence of the drop yet.
    Leaving,
    /// Evidence says that the leg is gone.
    Left,
    /// It never came to be.
    Failed,
}

impl State {
    /// Every state, in the order of a life.
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

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Left | Self::Failed)
    }
}

/// How a supervisor is on the contact, or may be. Every join begins silently: MonitorContact "initiates silent monitoring".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Listening only.
    Silent,
    /// Listening, and speaking with both (`AllowedMonitorCapabilities` BARGE).
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

/// The kind of contact; it decides how a leg ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The channel a vendor's word names, whatever its case.
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

/// Who began a supervision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    /// Somebody asked Sidedoor.
    Api,
    /// A MONITOR leg that nobody asked us for: started in Omni Supervisor or the Contact Control Panel.
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

/// The supervisor, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// Their Connect user id; unknown only for an observed leg whose vendor record names nobody.
    pub connect_user_id: Option<UserId>,
    /// Their Connect user name, if given.
    pub username: Option<String>,
    /// Their Salesforce User id, if given.
    pub salesforce_user_id: Option<String>,
}

/// The join, written before the vendor is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Sent with every attempt, so that a repeat yields the same leg.
    pub client_token: ClientToken,
    /// When MonitorContact was first (about to be) sent: if it gave the leg, the leg was not gone before this.
    pub first_sent_at: Option<Timestamp>,
    /// After this it is never sent again: a late join is worse than none.
    pub expires_at: Timestamp,
}

/// When the supervisor was connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The best instant.
    pub at: Timestamp,
    /// How far off it may be, ms; unknown if nothing bounds it from below.
    pub uncertainty_ms: Option<i64>,
    /// The vendor's stamp.
    pub vendor_stamp: Option<Timestamp>,
}

/// Who asked for the leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Requester {
    /// The supervisor, or a back end in their name.
    Supervisor,
    /// An operator.
    Operator,
}

/// A request to leave. It never expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveRequest {
    /// When it was accepted.
    pub at: Timestamp,
    /// Who asked.
    pub by: Requester,
    /// Without evidence by then it is overdue; set once the leg is known.
    pub deadline: Option<Timestamp>,
    /// How the server-side end stands, where one is tried.
    pub server_end: ServerEnd,
    /// An operator has taken it on themselves that the customer's call may end.
    pub customer_call_may_end: bool,
}

/// A StopContact on a leg (chat and task; voice only if configured).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerEnd {
    /// None is to be tried (yet).
    None,
    /// To be done: written before the call, so that a restart repeats it.
    Due,
    /// The vendor took it. That proves nothing about the leg.
    Accepted,
    /// The interlock or the vendor refused; the browser was directed instead.
    Refused,
}

/// A change of mode that somebody asked for. What confirms it is the vendor's evidence; see [`Supervision::mode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeChange {
    /// To which mode.
    pub to: Mode,
    /// When it was accepted.
    pub at: Timestamp,
    /// Who asked.
    pub by: Requester,
    /// The order to the browser.
    pub directive: DirectiveId,
    /// Since when, on the vendor's clock, they had been in the mode they were in then: evidence of an older state confirms
    /// nothing.
    pub since_before: Option<Timestamp>,
    /// When evidence of it reached us.
    pub confirmed_at: Option<Timestamp>,
}

/// Why a supervision never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word.
    pub code: String,
    /// For people.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// One supervisor's presence on one contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    /// Its name.
    pub id: SupervisionId,
    /// Who began it.
    pub origin: Origin,
    /// Whose leg it is: [`AMAZON_CONNECT`], or a partner carrier.
    pub vendor: String,
    /// Which instance of that vendor.
    pub instance: InstanceName,
    /// The kind of contact, once known.
    pub channel: Option<Channel>,
    /// The supervised contact; unknown only for an observed leg whose vendor record names none.
    pub contact: Option<ContactId>,
    /// The supervisor's own MONITOR contact, once known.
    pub leg: Option<LegId>,
    /// Who listens.
    pub supervisor: Supervisor,
    /// The Salesforce VoiceCall, if given.
    pub voice_call_id: Option<String>,
    /// The agent on the contact, once known.
    pub agent: Option<UserId>,
    /// What they may do there; unknown for observed legs.
    pub allowed: Option<Mode>,
    /// What they do there, as far as evidence says.
    pub mode: Mode,
    /// Since when, on the vendor's clock.
    pub mode_since: Option<Timestamp>,
    /// The last moment of our clock at which the vendor surely said so, its staleness taken off.
    pub mode_seen_at: Option<Timestamp>,
    /// Evidence says that they barged in at some time.
    pub has_barged: bool,
    /// The last change of mode that was asked for.
    pub mode_change: Option<ModeChange>,
    /// What the policy says of this supervision.
    pub compliance: Compliance,
    /// Where it stands.
    pub state: State,
    /// A leave without evidence past its deadline.
    pub overdue: bool,
    /// When somebody asked us; `None` for observed legs.
    pub requested_at: Option<Timestamp>,
    /// The trace of the request that began it, if the request or the service had one.
    pub trace_parent: Option<TraceParent>,
    /// The supervision whose end this one's join waits for, after a switch.
    pub waits_for: Option<SupervisionId>,
    /// The join, for those we were asked for.
    pub join: Option<Join>,
    /// When the supervisor was connected, once evidence says so.
    pub joined: Option<Joined>,
    /// The request to leave, if any.
    pub leave: Option<LeaveRequest>,
    /// What the browser was told to do, oldest first; at most [`directing::DIRECTIVES`] are kept.
    pub directives: Vec<Directive>,
    /// A moment of our clock at which a poll's answer still showed the leg alive, poll staleness already taken off.
    pub alive_at: Option<Timestamp>,
    /// When the customer's contact ended by an event's word; only a hint to look sooner.
    pub contact_ended: bool,
    /// The conclusion, at LEFT.
    pub departure: Option<Departure>,
    /// Why not, at FAILED.
    pub failure: Option<Failure>,
    /// When to look at the vendor again; `None` for never.
    pub next_check_at: Option<Timestamp>,
    /// How often we looked since something last changed.
    pub checks: u32,
}

impl Supervision {
    /// Whether it takes the supervisor's one voice place: it is not over, does not wait for another to leave it, and is not
    /// known to be something else than voice.
    pub fn holds_voice_place(&self) -> bool {
        !self.state.is_final() && self.waits_for.is_none() && matches!(self.channel, None | Some(Channel::Voice))
    }

    /// The last order to end the leg.
    pub fn end_directive(&self) -> Option<&Directive> {
        self.directives
            .iter()
            .rev()
            .find(|d| d.kind == DirectiveKind::EndLegInCcp)
    }

    /// The order given last, while it is what is to be done next: to end the leg while leaving, to change the mode while
    /// listening.
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

    /// Whether their browser said that it ended the leg.
    pub fn browser_ended_the_leg(&self) -> bool {
        self.directives.iter().any(Directive::ended_the_leg)
    }

    /// Whether they may be speaking on the call now: by evidence, or because they were told to and nothing seen since says
    /// that they did not.
    pub fn may_have_barged_in(&self) -> bool {
        let told = |d: &Directive| d.kind == DirectiveKind::ChangeModeInCcp(Mode::Barge);
        let since = |d: &Directive| self.mode_seen_at.is_none_or(|seen| seen < d.issued_at);
        self.mode == Mode::Barge || self.directives.iter().any(|d| told(d) && since(d))
    }

    /// The leg's row key in Salesforce, once the leg is known.
    pub fn row_key(&self) -> Option<&str> {
        self.leg.as_ref().map(LegId::as_str)
    }
}
