//! One observation of a leg's life: where it comes from, what the vendor's clock said, and when we learnt it.
//!
//! Evidence is kept as it came; [`super::departure`] draws the conclusion, and may draw it anew when more arrives.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

impl Source {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactEvent => "CONTACT_EVENT",
            Self::DescribeContact => "DESCRIBE_CONTACT",
            Self::PartnerEvent => "PARTNER_EVENT",
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
    /// The leg is gone: a proof of the drop.
    Dropped,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
}

impl Evidence {
    /// Whether `other` says the same thing again: same source, same sighting, same stamp. Repeats teach nothing.
    pub fn repeats(&self, other: &Evidence) -> bool {
        let same = |e: &Evidence| (e.source, e.sighting, e.vendor_stamp, e.carrier.clone());
        same(self) == same(other)
    }
}
