//! The conclusion drawn from evidence: when the supervisor left, how surely, why, and whether the customer's call went on.

use clock_calibration::{ClockId, Grade};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Sighting, Source};
use super::supervision::{Requester, Supervision};

/// Why the leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The supervisor asked to leave, or left in their own Contact Control Panel.
    Supervisor,
    /// An operator asked.
    Operator,
    /// The customer's contact ended, and the leg with it.
    ContactEnded,
    /// The vendor names a fault of its own.
    Vendor,
    /// Nothing says why.
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

    /// This, unless it says nothing or the after-check had found the stronger CONTACT_ENDED.
    pub fn or_known(self, known: Reason) -> Reason {
        if self == Self::Unknown || known == Self::ContactEnded {
            known
        } else {
            self
        }
    }
}

/// Whether the customer's call went on after the supervisor left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Continuity {
    /// Not looked yet, or the vendor could not say.
    Unknown,
    /// It went on.
    Continued,
    /// It had ended.
    Ended,
}

impl Continuity {
    /// As the API's tri-state boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Continued => Some(true),
            Self::Ended => Some(false),
        }
    }
}

/// When and why a supervisor left. Ends and uncertainty are unbounded (`None`) when nothing bounds the drop from below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The best single instant.
    pub disconnected_at: Timestamp,
    /// The truth is at most this far from it, ms.
    pub uncertainty_ms: Option<i64>,
    /// Not before this.
    pub earliest: Option<Timestamp>,
    /// Not after this.
    pub latest: Timestamp,
    /// The vendor's stamp as it came, off the vendor's clock; recorded beside, not trusted by itself.
    pub vendor_timestamp: Option<Timestamp>,
    /// Which evidence first proved the drop.
    pub source: Source,
    /// Why.
    pub reason: Reason,
    /// Whether the customer's call went on.
    pub continuity: Continuity,
    /// How the agent was on the contact right after, where the after-check asked.
    pub agent_after: Option<AgentAfter>,
    /// How far the instant may be trusted.
    pub grade: Grade,
    /// The clock offset applied, ms.
    pub offset_ms: Option<i64>,
    /// The calibration's version; 0 for none.
    pub calibration_version: u32,
    /// The kinds of evidence excluded each other; the causal bracket was kept.
    pub conflicting: bool,
    /// What it was concluded from.
    pub basis: Basis,
}

/// The agent's state on the customer's contact, as GetCurrentUserData named it right after a supervisor had left. Supervision
/// is known to have left agents on hold or stuck (amazon-connect-streams issues 724, 799, 865, 911).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAfter {
    /// `CONNECTED`, `CONNECTED_ONHOLD`, `ERROR`, …; `GONE` when the agent had no such contact any more.
    pub state: String,
    /// Whether somebody should look: anything but CONNECTED while the customer is still on the call.
    pub looks_wrong: bool,
}

impl AgentAfter {
    /// The vendor's word, or none if the agent did not have the contact.
    pub fn of(state: Option<&str>) -> Self {
        let state = state.unwrap_or("GONE").to_owned();
        Self {
            looks_wrong: state != "CONNECTED",
            state,
        }
    }
}

/// What an instant was concluded from: enough to tell a person why, and to conclude it anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// Our clock: surely alive.
    pub alive_at: Option<Timestamp>,
    /// How we know: see [`AliveBy`].
    pub alive_by: Option<AliveBy>,
    /// Our clock: surely gone.
    pub gone_by: Option<Timestamp>,
    /// With odds of 95 in 100 in between, if the learnt delays are right.
    pub modelled: Option<(Timestamp, Timestamp)>,
    /// Every stamp of the drop.
    pub stamps: Vec<StampBasis>,
}

/// A stamp, and what was known of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampBasis {
    /// The clock that the stamp was read from.
    pub clock_id: ClockId,
    /// What the vendor's clock read.
    pub at: Timestamp,
    /// When it reached us.
    pub learnt_at: Timestamp,
    /// What was known of the clock then; `None` if nothing was.
    pub clock: Option<ClockBasis>,
}

/// What was known of a clock when a departure was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBasis {
    /// The granularity of the stamp, ms.
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
    /// MonitorContact gave the leg: it was not gone before that was sent.
    Join,
    /// A poll's answer still showed it; the poll's staleness is taken off.
    Poll,
    /// The browser answered the directive with DONE: it saw the leg alive after the directive was given out.
    Browser,
}

impl Departure {
    /// The after-check found that the contact ended first. A supervisor whose browser had already ended the leg left by
    /// themselves all the same; the caller has checked that.
    pub(super) fn contact_ended(&mut self) {
        self.reason = Reason::ContactEnded;
    }
}

/// The causal facts about a drop: what a bracket is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFacts {
    /// The last moment of our clock at which the leg was surely alive, and what showed it.
    pub alive: Option<(Timestamp, AliveBy)>,
    /// The first moment at which we had proof that it was gone.
    pub gone_by: Timestamp,
    /// What gave that proof.
    pub source: Source,
    /// The vendors' stamps of the drop, at most one of each source and carrier; Amazon Connect's event first.
    pub stamps: Vec<Evidence>,
    /// The vendor's reason.
    pub vendor_reason: Option<String>,
}

/// Gathers the causal facts, if any evidence proves a drop.
///
/// Lower bounds are sendings of requests whose answer showed the leg alive: MonitorContact's first sending (it gave the
/// leg), polls, and the directive's issue **only** when the browser answered DONE, that is, saw the leg alive after it.
/// A bound later than the first proof of the drop was out of date and is left out.
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

/// Why the leg ended, as far as the leg's own evidence says. The after-check may yet find that the contact ended first.
pub fn reason(supervision: &Supervision, vendor_reason: Option<&str>) -> Reason {
    if supervision.contact_ended && !supervision.browser_ended_the_leg() {
        return Reason::ContactEnded;
    }
    match &supervision.leave {
        Some(leave) if leave.by == Requester::Operator => return Reason::Operator,
        Some(_) => return Reason::Supervisor,
        None => {}
    }
    // Inferred, as nothing documents a MONITOR leg's reasons: on their own leg the supervisor is the agent.
    match vendor_reason.map(str::to_ascii_uppercase).as_deref() {
        Some("AGENT_DISCONNECT") => Reason::Supervisor,
        Some("CUSTOMER_DISCONNECT") => Reason::ContactEnded,
        Some("TELECOM_PROBLEM") => Reason::Vendor,
        _ => Reason::Unknown,
    }
}
