//! The conclusion from a leg's evidence: when the supervisor left, how uncertain that is, why, and whether the customer's call
//! continued.

use clock_calibration::{ClockId, Grade};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::confirmation::{Confirmation, two_senders};
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
    /// How the end was confirmed.
    pub confirmation: Confirmation,
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
    /// Whether the state proves that the agent is on the call.
    pub fn is_on_the_call(&self) -> bool {
        matches!(self.state.as_str(), "CONNECTED" | "CONNECTED_ONHOLD")
    }

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
    /// Only in departures that an earlier version computed: an interval of 95 % if its learned delays were right. It is no longer
    /// computed, because no test can show that it holds 95 %.
    pub modelled: Option<(Timestamp, Timestamp)>,
    /// Every vendor timestamp of the end.
    pub stamps: Vec<StampBasis>,
}

/// A vendor timestamp, with the calibration of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampBasis {
    /// The clock that gave the timestamp.
    pub clock_id: ClockId,
    /// The timestamp.
    pub at: Timestamp,
    /// When it was received, on our clock.
    pub learnt_at: Timestamp,
    /// The calibration of the clock at that time; `None` if there was none.
    pub clock: Option<ClockBasis>,
}

/// The calibration of a clock when a departure was evaluated.
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

/// The causal facts about the confirmed end of a leg: the interval on our clock, and the vendors' timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFacts {
    /// How the end was confirmed.
    pub confirmation: Confirmation,
    /// The last moment, on our clock, at which the leg was certainly alive, and what showed that.
    pub alive: Option<(Timestamp, AliveBy)>,
    /// When the last request was sent whose answer showed the leg alive, if that is later than `alive` because the answer may have
    /// been older than the request. It is no bound; it only helps to place the instant inside the bounds.
    pub asked: Option<Timestamp>,
    /// The first moment, on our clock, at which the leg had certainly ended.
    pub gone_by: Timestamp,
    /// The source of what shows that.
    pub source: Source,
    /// The vendors' timestamps of the end that may be used, at most one of each source and carrier; Amazon Connect's event first.
    pub stamps: Vec<Evidence>,
    /// The vendor's reason for the end, from an answer to our own request.
    pub vendor_reason: Option<String>,
}

/// A stamp may be this much earlier than the join, or later than its notice, and is still used.
const STAMP_BEFORE_JOIN: SignedDuration = SignedDuration::from_hours(1);
const STAMP_AFTER_NOTICE: SignedDuration = SignedDuration::from_mins(5);

/// Collects the causal facts; `None` unless the end is confirmed (see [`super::confirmation`]).
///
/// **Lower bound**: the moment at which a request was sent whose answer showed the leg alive, less the age of its data: the first
/// MonitorContact (which returned the leg), a poll, or the issue of a directive that the browser acknowledged with DONE, because
/// the browser then saw the leg alive after it.
///
/// **Upper bound**: when the vendor's answer that shows the leg gone was received. It is the arrival of an event only if the
/// event's timestamp matches DescribeContact's, or if two senders agree; then it is the later of their arrivals. An arrival earlier
/// than the lower bound is not used.
pub fn drop_facts(supervision: &Supervision, evidence: &[Evidence]) -> Option<DropFacts> {
    // What arrived before the vendor showed the leg alive again is refuted.
    let refuted = supervision.watch.refuted_before;
    let counts = |e: &&Evidence| refuted.is_none_or(|refuted| e.learnt_at >= refuted);
    let drops = || {
        evidence
            .iter()
            .filter(|e| e.sighting == Sighting::Dropped)
            .filter(counts)
    };
    let answers = || drops().filter(|e| e.is_answer());
    let asked = answers().min_by_key(|e| e.learnt_at).map(|e| (e.learnt_at, e.source));
    let stated = drops()
        .filter(|e| e.is_statement_about(supervision))
        .min_by_key(|e| e.learnt_at);
    let stated = stated.map(|e| (e.learnt_at, e.source));
    let two = two_senders(supervision, evidence);
    let (confirmation, proven) = match (asked, stated, two) {
        (Some(asked), ..) => (Confirmation::VendorAsked, asked),
        (None, Some(stated), _) => (Confirmation::VendorStatement, stated),
        (None, None, Some(two)) => (Confirmation::TwoSenders, two),
        (None, None, None) => return None,
    };
    let usable = |e: &&Evidence| stamp_is_admitted(supervision, e, evidence);
    let matched = drops().filter(|e| !e.is_answer() && e.carrier.is_none());
    let matched = matched.filter(usable).filter(|e| matches_an_answer(e, evidence));
    // A request that was sent after the event and showed the leg alive: its data may be older than the event, or the event is forged
    // and its timestamp in whole seconds matches by chance.
    let alive_later = |at: Timestamp| supervision.watch.alive_sent_at.is_some_and(|sent| sent > at);
    let matched = matched
        .map(|e| (e.learnt_at, e.source))
        .filter(|(at, _)| !alive_later(*at));
    let alive = alive_bound(supervision, proven.0, true);
    let earlier: Vec<(Timestamp, Source)> = matched.chain(two).filter(|(at, _)| *at < proven.0).collect();
    let fits = |at: Timestamp| alive.is_none_or(|(alive, _)| alive <= at);
    // An event that came before the browser saw the leg alive: one of the two is false, and nothing shows which. A forged event can
    // match DescribeContact's timestamp in whole seconds, and a browser can be wrong about what it did.
    let by_browser = alive.is_some_and(|(_, by)| by == AliveBy::Browser);
    let in_doubt = by_browser && earlier.iter().any(|(at, _)| !fits(*at));
    let consistent = earlier.into_iter().filter(|(at, _)| fits(*at));
    let (gone_by, source) = consistent.min_by_key(|(at, _)| *at).unwrap_or(proven);
    let mut stamps: Vec<Evidence> = Vec::new();
    for drop in drops().filter(usable) {
        if !stamps
            .iter()
            .any(|s| s.source == drop.source && s.carrier == drop.carrier)
        {
            stamps.push(drop.clone());
        }
    }
    stamps.sort_by_key(|e| (e.carrier.is_some(), e.source != Source::ContactEvent));
    let alive = alive_bound(supervision, gone_by, !in_doubt);
    Some(DropFacts {
        confirmation,
        asked: asked_alive(supervision, alive, gone_by),
        alive,
        gone_by,
        source,
        stamps,
        vendor_reason: answers().find_map(|e| e.disconnect_reason.clone()),
    })
}

/// The last moment up to `until` at which the leg was certainly alive, by the vendor's answers and perhaps by the browser's.
fn alive_bound(s: &Supervision, until: Timestamp, with_browser: bool) -> Option<(Timestamp, AliveBy)> {
    let counts = |at: Timestamp| s.watch.refuted_before.is_none_or(|refuted| at >= refuted);
    let done = s.directives.iter().filter(|d| d.ended_the_leg());
    let done = done.filter(|d| d.answer.as_ref().is_some_and(|a| counts(a.received_at)));
    let done = done.filter(|_| with_browser);
    let by_browser = done.map(|d| (d.issued_at, AliveBy::Browser)).max_by_key(|(at, _)| *at);
    let by_join = s.leg_begun_after().map(|t| (t, AliveBy::Join));
    let by_poll = s.alive_at.map(|t| (t, AliveBy::Poll));
    let bounds = [by_join, by_poll, by_browser].into_iter().flatten();
    bounds.filter(|(t, _)| *t <= until).max_by_key(|(t, _)| *t)
}

/// When the request was sent whose answer showed the leg alive last, if it was sent after `alive` and up to `gone_by`. The
/// browser's acknowledgement needs no allowance for old answers, so after it there is none.
fn asked_alive(s: &Supervision, alive: Option<(Timestamp, AliveBy)>, gone_by: Timestamp) -> Option<Timestamp> {
    let (at, by) = alive?;
    let sent = s.watch.alive_sent_at.filter(|sent| at < *sent && *sent <= gone_by);
    sent.filter(|_| by != AliveBy::Browser)
}

/// Whether a timestamp may teach its clock and bound the departure: we fetched it, it matches what we fetched, its sender is
/// authentic, or it is a carrier's, which teaches that carrier's clock only. Otherwise anybody who sends events could move the
/// vendor's clock.
pub fn stamp_is_admitted(s: &Supervision, of: &Evidence, evidence: &[Evidence]) -> bool {
    let Some(stamp) = of.vendor_stamp else { return false };
    let begun = s.leg_begun_after().or(s.joined.map(|j| j.at));
    if begun.is_some_and(|begun| stamp < begun - STAMP_BEFORE_JOIN) || stamp > of.learnt_at + STAMP_AFTER_NOTICE {
        return false;
    }
    of.is_answer() || of.authentic || of.carrier.is_some() || matches_an_answer(of, evidence)
}

/// Whether the timestamp matches one of the same kind that we fetched.
fn matches_an_answer(of: &Evidence, evidence: &[Evidence]) -> bool {
    let matches = |fetched: &Evidence| {
        let both = of.vendor_stamp.zip(fetched.vendor_stamp);
        both.is_some_and(|(stamp, fetched)| stamps_match(stamp, fetched))
    };
    let fetched = evidence.iter().filter(|e| e.is_answer() && e.sighting == of.sighting);
    fetched.into_iter().any(matches)
}

/// Whether two timestamps are of the same moment on one clock: equal after both are truncated, or both rounded, to the coarser of
/// their granularities. A timestamp without a fraction may be in whole seconds.
pub fn stamps_match(a: Timestamp, b: Timestamp) -> bool {
    let (a, b) = (a.as_millisecond(), b.as_millisecond());
    let in_seconds = a.rem_euclid(1000) == 0 || b.rem_euclid(1000) == 0;
    let second = |ms: i64| ms.div_euclid(1000);
    a == b || (in_seconds && (second(a) == second(b) || second(a + 500) == second(b + 500)))
}

/// Why the leg ended, from the leg's own evidence. The after-check can later find that the contact ended first.
pub fn reason(supervision: &Supervision, vendor_reason: Option<&str>) -> Reason {
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

#[cfg(test)]
mod tests;
