//! The conclusion from a leg's evidence: when the supervisor left, how uncertain that is, why, and whether the customer's call
//! continued.

use clock_calibration::{ClockId, Grade};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Sighting, Source};
use super::supervision::{Requester, Supervision};

/// Why the leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The supervisor requested it, or left in their own Contact Control Panel.
    Supervisor,
    /// An operator requested it.
    Operator,
    /// The customer's contact ended, and the leg with it.
    ContactEnded,
    /// The vendor reports a fault of its own.
    Vendor,
    /// No evidence gives a reason.
    Unknown,
}

impl Reason {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervisor => "SUPERVISOR",
            Self::Operator => "OPERATOR",
            Self::ContactEnded => "CONTACT_ENDED",
            Self::Vendor => "VENDOR",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// This reason, unless it is UNKNOWN or the after-check had found CONTACT_ENDED, which is the stronger reason.
    pub(crate) fn or_known(self, known: Reason) -> Reason {
        if self == Self::Unknown || known == Self::ContactEnded {
            known
        } else {
            self
        }
    }
}

/// Whether the customer's call continued after the supervisor left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Continuity {
    /// Not checked yet, or the vendor's answer did not show it.
    Unknown,
    /// It continued.
    Continued,
    /// It had ended.
    Ended,
}

impl Continuity {
    /// The value in the API: true, false, or null for unknown.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Continued => Some(true),
            Self::Ended => Some(false),
        }
    }
}

/// When and why a supervisor left. `earliest` and `uncertainty_ms` are `None` if no evidence shows the leg alive before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The most likely instant at which the leg ended.
    pub disconnected_at: Timestamp,
    /// The largest possible distance of the true instant from it, ms.
    pub uncertainty_ms: Option<i64>,
    /// The leg did not end before this.
    pub earliest: Option<Timestamp>,
    /// The leg did not end after this.
    pub latest: Timestamp,
    /// The vendor's own timestamp, uncorrected. It is written beside the instant and never replaces it.
    pub vendor_timestamp: Option<Timestamp>,
    /// The source of the evidence that first proved the end.
    pub source: Source,
    /// Why the leg ended.
    pub reason: Reason,
    /// Whether the customer's call continued.
    pub continuity: Continuity,
    /// The agent's state on the contact right after, if the after-check asked for it.
    pub agent_after: Option<AgentAfter>,
    /// How far the instant can be trusted.
    pub grade: Grade,
    /// The clock offset that was applied, ms.
    pub offset_ms: Option<i64>,
    /// The version of the calibration; 0 if none was used.
    pub calibration_version: u32,
    /// Whether the pieces of evidence contradict each other. The vendors' timestamps are then not used.
    pub conflicting: bool,
    /// The facts behind the conclusion.
    pub basis: Basis,
}

/// The agent's state on the customer's contact, from GetCurrentUserData right after a supervisor had left. It is checked because
/// agents have been left on hold or stuck after supervision (amazon-connect-streams issues 724, 799, 865, 911).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAfter {
    /// `CONNECTED`, `CONNECTED_ONHOLD`, `ERROR`, …; `GONE` if the agent no longer had the contact.
    pub state: String,
    /// Whether a person should check: the state is not CONNECTED while the customer is still on the call.
    pub looks_wrong: bool,
}

impl AgentAfter {
    /// From the vendor's word; `None` if the agent did not have the contact.
    pub fn of(state: Option<&str>) -> Self {
        let state = state.unwrap_or("GONE").to_owned();
        Self {
            looks_wrong: state != "CONNECTED",
            state,
        }
    }
}

/// The facts from which an instant was computed: enough to explain it to a person and to compute it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// The last moment, on our clock, at which the leg was certainly alive.
    pub alive_at: Option<Timestamp>,
    /// What showed that; see [`AliveBy`].
    pub alive_by: Option<AliveBy>,
    /// The first moment, on our clock, at which the leg had certainly ended.
    pub gone_by: Option<Timestamp>,
    /// The interval that contains the end with a probability of 95 %, if the learned delays are right.
    pub modelled: Option<(Timestamp, Timestamp)>,
    /// Every vendor timestamp of the end.
    pub stamps: Vec<StampBasis>,
}

/// A vendor timestamp, and what was known about its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampBasis {
    /// The clock that gave the timestamp.
    pub clock_id: ClockId,
    /// The timestamp.
    pub at: Timestamp,
    /// When it was received, on our clock.
    pub learnt_at: Timestamp,
    /// What was known about the clock at that time; `None` if nothing.
    pub clock: Option<ClockBasis>,
}

/// What was known about a clock when a departure was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBasis {
    /// The granularity of its timestamps, ms.
    pub quantum_ms: i64,
    /// The least offset, ms.
    pub offset_low_ms: i64,
    /// The greatest offset, ms.
    pub offset_high_ms: i64,
    /// The clock's epoch.
    pub epoch: u32,
}

/// What showed that the leg was alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AliveBy {
    /// MonitorContact returned the leg, so the leg had not ended before that request was sent.
    Join,
    /// A poll's answer showed it alive. The moment is earlier than the poll by the poll's staleness.
    Poll,
    /// The browser acknowledged the directive with DONE, so it saw the leg alive after the directive was issued.
    Browser,
}

impl Departure {
    /// Records the finding of the after-check that the contact ended first. The caller has checked that the supervisor's browser
    /// had not ended the leg before, because the reason is then SUPERVISOR.
    pub(super) fn contact_ended(&mut self) {
        self.reason = Reason::ContactEnded;
    }
}

/// The causal facts about the end of a leg: the interval on our clock, and the vendors' timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFacts {
    /// The last moment, on our clock, at which the leg was certainly alive, and what showed that.
    pub alive: Option<(Timestamp, AliveBy)>,
    /// When the first proof of the end was received.
    pub gone_by: Timestamp,
    /// The source of that proof.
    pub source: Source,
    /// The vendors' timestamps of the end, at most one of each source and carrier; Amazon Connect's event first.
    pub stamps: Vec<Evidence>,
    /// The vendor's reason for the end.
    pub vendor_reason: Option<String>,
}

/// Collects the causal facts; `None` if no evidence proves that the leg ended.
///
/// A lower bound is the moment at which a request was sent whose answer showed the leg alive: the first MonitorContact (which
/// returned the leg), a poll, or the issue of a directive, but **only** if the browser acknowledged it with DONE, because the
/// browser then saw the leg alive after it. A bound later than the first proof of the end is ignored, because it was stale.
pub fn drop_facts(supervision: &Supervision, evidence: &[Evidence]) -> Option<DropFacts> {
    let drops = || evidence.iter().filter(|e| e.sighting == Sighting::Dropped);
    let first = drops().min_by_key(|e| e.learnt_at)?;
    let by_browser = supervision
        .directives
        .iter()
        .filter(|d| d.ended_the_leg())
        .map(|d| (d.issued_at, AliveBy::Browser))
        .max_by_key(|(at, _)| *at);
    let by_join = supervision
        .join
        .as_ref()
        .and_then(|j| j.first_sent_at)
        .map(|t| (t, AliveBy::Join));
    let by_poll = supervision.alive_at.map(|t| (t, AliveBy::Poll));
    let alive = [by_join, by_poll, by_browser]
        .into_iter()
        .flatten()
        .filter(|(t, _)| *t <= first.learnt_at)
        .max_by_key(|(t, _)| *t);
    let mut stamps: Vec<Evidence> = Vec::new();
    for drop in drops().filter(|e| e.vendor_stamp.is_some()) {
        if !stamps
            .iter()
            .any(|s| s.source == drop.source && s.carrier == drop.carrier)
        {
            stamps.push(drop.clone());
        }
    }
    stamps.sort_by_key(|e| (e.carrier.is_some(), e.source != Source::ContactEvent));
    Some(DropFacts {
        alive,
        gone_by: first.learnt_at,
        source: first.source,
        stamps,
        vendor_reason: drops().find_map(|e| e.disconnect_reason.clone()),
    })
}

/// Why the leg ended, from the leg's own evidence. The after-check can later find that the contact ended first.
pub fn reason(supervision: &Supervision, vendor_reason: Option<&str>) -> Reason {
    if supervision.contact_ended && !supervision.browser_ended_the_leg() {
        return Reason::ContactEnded;
    }
    match &supervision.leave {
        Some(leave) if leave.by == Requester::Operator => return Reason::Operator,
        Some(_) => return Reason::Supervisor,
        None => {}
    }
    // AWS does not document the disconnect reasons of MONITOR legs. These assume that Connect sees the supervisor as the agent of the leg.
    match vendor_reason.map(str::to_ascii_uppercase).as_deref() {
        Some("AGENT_DISCONNECT") => Reason::Supervisor,
        Some("CUSTOMER_DISCONNECT") => Reason::ContactEnded,
        Some("TELECOM_PROBLEM") => Reason::Vendor,
        _ => Reason::Unknown,
    }
}
