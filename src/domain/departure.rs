//! The conclusion drawn from evidence: when the supervisor left, how surely, why, and whether the customer's call went on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::directive::AckOutcome;
use super::evidence::{Evidence, Sighting, Source};
use super::supervision::{Asker, Supervision};
use crate::domain::ids::InstanceName;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// How the instant was arrived at: `UNCALIBRATED`, `BOUNDED`, `CALIBRATED` or `EXACT`.
    pub grade: String,
    /// The clock offset applied, ms.
    pub offset_ms: Option<i64>,
    /// The calibration's version; 0 for none.
    pub calibration_version: u32,
    /// The kinds of evidence excluded each other; the causal bracket was kept.
    pub conflicting: bool,
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
    /// The last moment of our clock at which the leg was surely alive.
    pub alive_at: Option<Timestamp>,
    /// The first moment at which we had proof that it was gone.
    pub gone_by: Timestamp,
    /// What gave that proof.
    pub source: Source,
    /// The vendor's stamp of the drop, with the source that carried it: an event's before a poll's.
    pub stamp: Option<(Source, Timestamp)>,
    /// The vendor's reason.
    pub vendor_reason: Option<String>,
    /// Which instance's clock the stamp was read from.
    pub instance: InstanceName,
}

/// Gathers the causal facts, if any evidence proves a drop.
///
/// Lower bounds are sendings of requests whose answer showed the leg alive: MonitorContact's first sending (it gave the
/// leg), polls, and the directive's issue **only** when the browser answered DONE, that is, saw the leg alive after it.
/// A bound later than the first proof of the drop was out of date and is left out.
pub fn drop_facts(supervision: &Supervision, evidence: &[Evidence]) -> Option<DropFacts> {
    let drops = || evidence.iter().filter(|e| e.sighting == Sighting::Dropped);
    let first = drops().min_by_key(|e| e.learnt_at)?;
    let by_browser = supervision.directive.as_ref().and_then(|d| {
        let done = d.answer.as_ref().is_some_and(|a| a.outcome == AckOutcome::Done);
        done.then_some(d.issued_at)
    });
    let by_join = supervision.join.as_ref().and_then(|j| j.first_sent_at);
    let alive_at = [by_join, supervision.alive_at, by_browser]
        .into_iter()
        .flatten()
        .filter(|t| *t <= first.learnt_at)
        .max();
    let stamped = |source| drops().find(|e| e.source == source && e.vendor_stamp.is_some());
    let stamp = stamped(Source::ContactEvent).or_else(|| stamped(Source::DescribeContact));
    Some(DropFacts {
        alive_at,
        gone_by: first.learnt_at,
        source: first.source,
        stamp: stamp.and_then(|e| e.vendor_stamp.map(|at| (e.source, at))),
        vendor_reason: drops().find_map(|e| e.disconnect_reason.clone()),
        instance: supervision.instance.clone(),
    })
}

/// Why the leg ended, as far as the leg's own evidence says. The after-check may yet find that the contact ended first.
pub fn reason(supervision: &Supervision, vendor_reason: Option<&str>) -> Reason {
    let browser_done = supervision
        .directive
        .as_ref()
        .and_then(|d| d.answer.as_ref())
        .is_some_and(|a| a.outcome == AckOutcome::Done);
    if supervision.contact_ended && !browser_done {
        return Reason::ContactEnded;
    }
    match &supervision.leave {
        Some(leave) if leave.by == Asker::Operator => return Reason::Operator,
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
