//! One observation of a leg's life: where it comes from, what the vendor's clock said, and when we learnt it.
//!
//! Evidence is kept as it came; [`super::departure`] draws the conclusion, and may draw it anew when more arrives.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::supervision::Mode;

/// Where an observation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    /// EventBridge "Amazon Connect Contact Event": best effort, unordered, sometimes twice, sometimes never.
    ContactEvent,
    /// A DescribeContact poll.
    DescribeContact,
    /// A partner carrier's own word on the leg.
    PartnerEvent,
    /// The Kinesis agent event stream: the supervisor's own snapshot, with real milliseconds in AWS's sample.
    AgentEvent,
}

impl Source {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactEvent => "CONTACT_EVENT",
            Self::DescribeContact => "DESCRIBE_CONTACT",
            Self::PartnerEvent => "PARTNER_EVENT",
            Self::AgentEvent => "AGENT_EVENT",
        }
    }
}

/// What was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Sighting {
    /// The leg exists; its stamp, if any, is of its initiation.
    Exists,
    /// The supervisor was connected.
    Joined,
    /// The supervisor began to listen silently.
    Silent,
    /// The supervisor barged in.
    Barged,
    /// The leg is gone: a proof of the drop.
    Dropped,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it comes from.
    pub source: Source,
    /// What it shows.
    pub sighting: Sighting,
    /// When we learnt it, on our clock: what it shows had happened by then.
    pub learnt_at: Timestamp,
    /// The vendor's stamp of the moment itself, off the vendor's clock.
    pub vendor_stamp: Option<Timestamp>,
    /// The vendor's reason for a drop.
    pub disconnect_reason: Option<String>,
    /// The EventBridge envelope's id, for events.
    pub event_id: Option<String>,
    /// The partner carrier whose clock the stamp was read from; `None` for Amazon Connect's.
    pub carrier: Option<String>,
}

impl Sighting {
    /// The sighting of a supervisor in this mode.
    pub fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::Silent => Self::Silent,
            Mode::Barge => Self::Barged,
        }
    }

    /// The mode it shows, if it shows one.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Silent => Some(Mode::Silent),
            Self::Barged => Some(Mode::Barge),
            Self::Exists | Self::Joined | Self::Dropped => None,
        }
    }
}

/// The mode the evidence shows the supervisor in last, and since when: by the vendor's stamps, and among equal ones the one
/// learnt last.
pub fn last_mode(evidence: &[Evidence]) -> Option<(Mode, Option<Timestamp>)> {
    let shown = evidence.iter().filter_map(|e| Some((e, e.sighting.mode()?)));
    let last = shown.max_by_key(|(e, _)| (e.vendor_stamp, e.learnt_at));
    last.map(|(e, mode)| (mode, e.vendor_stamp))
}

impl Evidence {
    /// Whether `other` says the same thing again: same source, same sighting, same stamp. Repeats teach nothing.
    pub fn repeats(&self, other: &Evidence) -> bool {
        let same = |e: &Evidence| (e.source, e.sighting, e.vendor_stamp, e.carrier.clone());
        same(self) == same(other)
    }
}
