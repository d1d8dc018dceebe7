//! Evidence: one observation of a leg, with its source, the vendor's timestamp and the time at which it was received.
//!
//! Evidence is stored unchanged, because [`super::departure`] evaluates all of it again when more arrives.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::supervision::Mode;

/// The source of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Source {
    /// EventBridge "Amazon Connect Contact Event": best effort, so events may arrive in any order, twice or never.
    ContactEvent,
    /// A DescribeContact poll.
    DescribeContact,
    /// A partner carrier's report about its own leg.
    PartnerEvent,
    /// The Kinesis agent event stream: a snapshot of the supervisor's contacts, with real milliseconds in AWS's sample.
    AgentEvent,
    /// A GetCurrentUserData poll.
    UserData,
    /// A SearchContacts answer.
    SearchContacts,
    /// The supervisor's browser, in an acknowledgement.
    Browser,
    /// An operator, who closed the supervision.
    Operator,
}

impl Source {
    /// The word in the API and in Salesforce.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContactEvent => "CONTACT_EVENT",
            Self::DescribeContact => "DESCRIBE_CONTACT",
            Self::PartnerEvent => "PARTNER_EVENT",
            Self::AgentEvent => "AGENT_EVENT",
            Self::UserData => "USER_DATA",
            Self::SearchContacts => "SEARCH_CONTACTS",
            Self::Browser => "BROWSER",
            Self::Operator => "OPERATOR",
        }
    }
}

/// What an observation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Sighting {
    /// The leg exists. The timestamp, if any, is that of its initiation.
    Exists,
    /// The supervisor was connected.
    Joined,
    /// The supervisor started to listen silently.
    Silent,
    /// The supervisor barged in.
    Barged,
    /// The leg has ended.
    Dropped,
}

/// One observation of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The source.
    pub source: Source,
    /// What the observation shows.
    pub sighting: Sighting,
    /// When it was received, on our clock. What it shows had happened by then.
    pub learnt_at: Timestamp,
    /// The vendor's timestamp of the moment itself, read from the vendor's clock.
    pub vendor_stamp: Option<Timestamp>,
    /// The vendor's reason for the end of the leg.
    pub disconnect_reason: Option<String>,
    /// The EventBridge envelope's id, for events.
    pub event_id: Option<String>,
    /// The partner carrier whose clock gave the timestamp; `None` for Amazon Connect's clock.
    pub carrier: Option<String>,
    /// The name of the credential that sent it; `None` for an answer to our own request.
    pub credential: Option<String>,
    /// Whether its sender is proven to be the vendor, as on a queue whose policy admits only the vendor's rule.
    pub authentic: bool,
}

impl Sighting {
    /// The sighting that shows a supervisor in `mode`.
    pub fn of_mode(mode: Mode) -> Self {
        match mode {
            Mode::Silent => Self::Silent,
            Mode::Barge => Self::Barged,
        }
    }

    /// The mode that the sighting shows, if it shows one.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Self::Silent => Some(Mode::Silent),
            Self::Barged => Some(Mode::Barge),
            Self::Exists | Self::Joined | Self::Dropped => None,
        }
    }
}

/// The last mode that the evidence shows, and the vendor's timestamp of its start. The order is that of the vendor's timestamps,
/// and of arrival if they are equal.
pub fn last_mode(evidence: &[Evidence]) -> Option<(Mode, Option<Timestamp>)> {
    let shown = evidence.iter().filter_map(|e| Some((e, e.sighting.mode()?)));
    let last = shown.max_by_key(|(e, _)| (e.vendor_stamp, e.learnt_at));
    last.map(|(e, mode)| (mode, e.vendor_stamp))
}

impl Evidence {
    /// Whether `other` repeats this observation: the same source, sighting and timestamp. A repeat adds no knowledge.
    pub fn repeats(&self, other: &Evidence) -> bool {
        let same = |e: &Evidence| (e.source, e.sighting, e.vendor_stamp, e.carrier.clone());
        same(self) == same(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::*;

    fn seen(sighting: Sighting, stamp: Option<i64>, learnt_at: i64) -> Evidence {
        Evidence {
            sighting,
            vendor_stamp: stamp.map(at),
            ..dropped(Source::AgentEvent, at(learnt_at))
        }
    }

    #[test]
    fn evidence_source_words_are_those_of_the_store() {
        for source in [
            Source::ContactEvent,
            Source::DescribeContact,
            Source::PartnerEvent,
            Source::AgentEvent,
            Source::UserData,
            Source::SearchContacts,
            Source::Browser,
            Source::Operator,
        ] {
            assert_eq!(serde_json::to_value(source).expect("a word"), source.as_str());
        }
    }

    #[test]
    fn evidence_shows_a_mode_by_its_sighting() {
        for mode in [Mode::Silent, Mode::Barge] {
            assert_eq!(Sighting::of_mode(mode).mode(), Some(mode));
        }
        for sighting in [Sighting::Exists, Sighting::Joined, Sighting::Dropped] {
            assert_eq!(sighting.mode(), None);
        }
    }

    #[test]
    fn evidence_last_mode_is_the_latest_by_the_vendors_clock() {
        let evidence = [
            seen(Sighting::Silent, None, 9),
            seen(Sighting::Barged, Some(4), 5),
            seen(Sighting::Silent, Some(3), 6),
            seen(Sighting::Dropped, Some(8), 8),
        ];
        assert_eq!(last_mode(&evidence), Some((Mode::Barge, Some(at(4)))));
        let same_stamp = [seen(Sighting::Silent, Some(4), 6), seen(Sighting::Barged, Some(4), 5)];
        assert_eq!(last_mode(&same_stamp), Some((Mode::Silent, Some(at(4)))));
        assert_eq!(last_mode(&evidence[3..]), None);
    }

    #[test]
    fn evidence_repeats_what_was_seen_at_the_same_vendor_time() {
        let first = seen(Sighting::Silent, Some(3), 5);
        assert!(seen(Sighting::Silent, Some(3), 6).repeats(&first));
        for other in [
            seen(Sighting::Barged, Some(3), 5),
            seen(Sighting::Silent, Some(4), 5),
            Evidence {
                source: Source::ContactEvent,
                ..first.clone()
            },
            Evidence {
                carrier: Some("acme".into()),
                ..first.clone()
            },
        ] {
            assert!(!other.repeats(&first), "{other:?}");
        }
    }
}
