//! The Salesforce record of a supervision. It is always written whole: a delivery means "the latest version of this record", so
//! that a lost or repeated one does no harm.

use clock_calibration::Grade;
use jiff::Timestamp;

use super::departure::reason;
use super::ports::crm::Lookups;
use super::supervision::{Channel, Mode, Supervision};

/// The kinds of the CRM's own records of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContactRecordKind {
    /// A VoiceCall, found by `VendorCallKey`.
    VoiceCall,
    /// A MessagingSession, found by a field that the org fills.
    MessagingSession,
}

impl ContactRecordKind {
    /// The kind for a contact of this channel; `None` if there is none. A contact whose channel is not known is taken for a call.
    pub fn of(channel: Option<Channel>) -> Option<Self> {
        match channel {
            Some(Channel::Voice) | None => Some(Self::VoiceCall),
            Some(Channel::Chat) => Some(Self::MessagingSession),
            Some(Channel::Task) => None,
        }
    }

    /// The name of the object.
    pub fn object(self) -> &'static str {
        match self {
            Self::VoiceCall => "VoiceCall",
            Self::MessagingSession => "MessagingSession",
        }
    }

    /// The supervision's record of this kind.
    pub fn of_supervision(self, supervision: &Supervision) -> Option<&str> {
        match self {
            Self::VoiceCall => supervision.voice_call_id.as_deref(),
            Self::MessagingSession => supervision.messaging_session_id.as_deref(),
        }
    }

    /// Sets the supervision's record, unless it has one. Returns whether it was set.
    pub fn set(self, supervision: &mut Supervision, record: &str) -> bool {
        let place = match self {
            Self::VoiceCall => &mut supervision.voice_call_id,
            Self::MessagingSession => &mut supervision.messaging_session_id,
        };
        let is_new = place.is_none();
        place.get_or_insert_with(|| record.to_owned());
        is_new
    }
}

/// One VoiceCallParticipant record. The Salesforce adapter maps each field to its configured API name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRecord {
    /// The external id, which is the leg's contact id: each leg has one record.
    pub leg_key: String,
    /// The id of the supervision.
    pub supervision_id: String,
    /// `API` or `OBSERVED`.
    pub origin: &'static str,
    /// The supervised contact.
    pub contact_id: Option<String>,
    /// The id of the VoiceCall (a lookup).
    pub voice_call_id: Option<String>,
    /// The id of the MessagingSession (a lookup).
    pub messaging_session_id: Option<String>,
    /// The id of the supervisor's User (a lookup).
    pub supervisor_user_id: Option<String>,
    /// The supervisor's Connect user id.
    pub connect_user_id: Option<String>,
    /// The supervisor's Connect user name.
    pub supervisor_username: Option<String>,
    /// The id of the agent's User (a lookup).
    pub agent_user_id: Option<String>,
    /// The agent's Connect user name.
    pub agent_username: Option<String>,
    /// `VOICE`, `CHAT` or `TASK`.
    pub channel: Option<&'static str>,
    /// The name of the contact's queue, or its id while the name is not known.
    pub queue: Option<String>,
    /// `SILENT`, or `BARGE` if the supervisor barged in at any time.
    pub mode: &'static str,
    /// Whether the leave was overdue before the end was confirmed.
    pub left_overdue: bool,
    /// Why the supervisor listened, in the words of the request.
    pub request_reason: Option<String>,
    /// Whether this supervisor had listened to this contact before.
    pub rejoin: bool,
    /// When the supervisor was connected.
    pub joined_at: Option<Timestamp>,
    /// How the end of the leg was confirmed; NONE before there is one.
    pub confirmation: &'static str,
    /// The departure, once there is one, or the claimed one if Amazon Connect could not be asked.
    pub departure: Option<DepartureFields>,
    /// A number that grows with each version of the record.
    pub version: u32,
}

/// The fields of the record that describe the departure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepartureFields {
    /// The most likely instant. Salesforce keeps only whole seconds of a date-time, so a number field beside it has the ms.
    pub disconnected_at: Timestamp,
    /// The leg did not end before this.
    pub earliest: Option<Timestamp>,
    /// The leg did not end after this.
    pub latest: Timestamp,
    /// The uncertainty of the instant, ± ms.
    pub uncertainty_ms: Option<i64>,
    /// The vendor's own timestamp, uncorrected.
    pub vendor_timestamp: Option<Timestamp>,
    /// The evidence that first proved the end.
    pub source: &'static str,
    /// Why the leg ended.
    pub reason: &'static str,
    /// Whether the customer's call continued.
    pub customer_call_continued: Option<bool>,
    /// The grade of the calibration behind the instant.
    pub grade: &'static str,
    /// The version of that calibration.
    pub calibration_version: u32,
    /// The clock offset that was applied, ms.
    pub offset_ms: Option<i64>,
}

/// The departure as it is claimed, if that was reported. Only its arrival bounds it from above.
fn claimed(s: &Supervision) -> Option<DepartureFields> {
    let claim = s.watch.claim.filter(|claim| claim.reported)?;
    Some(DepartureFields {
        disconnected_at: claim.learnt_at,
        earliest: None,
        latest: claim.learnt_at,
        uncertainty_ms: None,
        vendor_timestamp: claim.stamp,
        source: claim.source.as_str(),
        reason: reason(s, None).as_str(),
        customer_call_continued: None,
        grade: Grade::Uncalibrated.as_str(),
        calibration_version: 0,
        offset_ms: None,
    })
}

impl ParticipantRecord {
    /// The record of a supervision; `None` while its leg is not known.
    pub fn of(supervision: &Supervision, version: u32) -> Option<Self> {
        Some(Self {
            leg_key: supervision.record_key()?.to_owned(),
            supervision_id: supervision.id.to_string(),
            origin: supervision.origin.as_str(),
            contact_id: supervision.contact.as_ref().map(ToString::to_string),
            voice_call_id: supervision.voice_call_id.clone(),
            messaging_session_id: supervision.messaging_session_id.clone(),
            supervisor_user_id: supervision.supervisor.salesforce_user_id.clone(),
            connect_user_id: supervision.supervisor.connect_user_id.as_ref().map(ToString::to_string),
            supervisor_username: supervision.supervisor.username.clone(),
            agent_user_id: supervision.names.agent_salesforce_user_id.clone(),
            agent_username: supervision.names.agent_username.clone(),
            channel: supervision.channel.map(Channel::as_str),
            queue: supervision
                .names
                .queue
                .as_ref()
                .or(supervision.names.queue_id.as_ref())
                .cloned(),
            // The most that the supervisor did: it remains BARGE if they are silent again later.
            mode: (if supervision.has_barged {
                Mode::Barge
            } else {
                Mode::Silent
            })
            .as_str(),
            left_overdue: supervision.was_overdue || supervision.overdue,
            request_reason: supervision.request_reason.clone(),
            rejoin: supervision.compliance.rejoin,
            joined_at: supervision.joined.map(|j| j.at),
            confirmation: supervision.confirmation().as_str(),
            departure: supervision
                .departure
                .as_ref()
                .map(|d| DepartureFields {
                    disconnected_at: d.disconnected_at,
                    earliest: d.earliest,
                    latest: d.latest,
                    uncertainty_ms: d.uncertainty_ms,
                    vendor_timestamp: d.vendor_timestamp,
                    source: d.source.as_str(),
                    reason: d.reason.as_str(),
                    customer_call_continued: d.continuity.as_bool(),
                    grade: d.grade.as_str(),
                    calibration_version: d.calibration_version,
                    offset_ms: d.offset_ms,
                })
                .or_else(|| claimed(supervision)),
            version,
        })
    }

    /// Takes over the names that are known now.
    pub fn name_people(&mut self, supervision: &Supervision) {
        self.supervisor_user_id
            .clone_from(&supervision.supervisor.salesforce_user_id);
        self.supervisor_username.clone_from(&supervision.supervisor.username);
        self.agent_user_id
            .clone_from(&supervision.names.agent_salesforce_user_id);
        self.agent_username.clone_from(&supervision.names.agent_username);
        self.queue = supervision
            .names
            .queue
            .as_ref()
            .or(supervision.names.queue_id.as_ref())
            .cloned();
    }

    /// Sets the lookup to the org's record of the contact.
    pub fn refer_to(&mut self, kind: ContactRecordKind, record: &str) {
        let lookup = match kind {
            ContactRecordKind::VoiceCall => &mut self.voice_call_id,
            ContactRecordKind::MessagingSession => &mut self.messaging_session_id,
        };
        *lookup = Some(record.to_owned());
    }

    /// Removes lookups that the org refuses, because a record without lookups is better than no record.
    pub fn leave_out(&mut self, refused: Lookups) {
        for (is_refused, lookup) in [
            (refused.voice_call, &mut self.voice_call_id),
            (refused.messaging_session, &mut self.messaging_session_id),
            (refused.supervisor, &mut self.supervisor_user_id),
            (refused.agent, &mut self.agent_user_id),
        ] {
            if is_refused {
                *lookup = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confirmation::PendingClaim;
    use crate::evidence::Source;
    use crate::test_support::*;

    /// The record of a supervision whose end an event, received at second 20, claims.
    fn claimed_record(reported: bool) -> ParticipantRecord {
        let mut s = leaving();
        s.watch.claim = Some(PendingClaim {
            learnt_at: at(20),
            newest_at: at(21),
            stamp: Some(at(19)),
            source: Source::ContactEvent,
            asks: 0,
            unanswered_since: at(20),
            contradicted_at: None,
            reported,
        });
        ParticipantRecord::of(&s, 2).expect("a leg")
    }

    #[test]
    fn record_begins_with_the_leg() {
        assert_eq!(ParticipantRecord::of(&joining(), 1), None);
        let mut s = monitoring();
        let record = ParticipantRecord::of(&s, 1).expect("a leg");
        assert_eq!((record.leg_key.as_str(), record.version), ("leg-1", 1));
        assert_eq!(record.contact_id.as_deref(), Some("contact-1"));
        assert_eq!(record.connect_user_id.as_deref(), Some("supervisor-1"));
        assert_eq!(
            (record.origin, record.mode, record.confirmation),
            ("API", "SILENT", "NONE")
        );
        assert_eq!(record.departure, None);
        s.has_barged = true;
        assert_eq!(s.mode, Mode::Silent);
        let record = ParticipantRecord::of(&s, 1).expect("a leg");
        assert_eq!(record.mode, "BARGE", "it is the most that the supervisor did");
    }

    #[test]
    fn record_of_a_claim_is_written_once_reported() {
        let record = claimed_record(false);
        assert_eq!((record.confirmation, record.departure), ("NONE", None));
        let record = claimed_record(true);
        let claimed = DepartureFields {
            disconnected_at: at(20),
            earliest: None,
            latest: at(20),
            uncertainty_ms: None,
            vendor_timestamp: Some(at(19)),
            source: "CONTACT_EVENT",
            reason: "SUPERVISOR",
            customer_call_continued: None,
            grade: "UNCALIBRATED",
            calibration_version: 0,
            offset_ms: None,
        };
        assert_eq!((record.confirmation, record.departure), ("CLAIMED", Some(claimed)));
    }

    #[test]
    fn record_leaves_out_only_refused_lookups() {
        let with_lookups = ParticipantRecord {
            voice_call_id: Some("call".into()),
            messaging_session_id: Some("session".into()),
            supervisor_user_id: Some("user".into()),
            agent_user_id: Some("agent".into()),
            ..claimed_record(false)
        };
        for bits in 0..16 {
            let refused = Lookups {
                voice_call: bits & 1 != 0,
                supervisor: bits & 2 != 0,
                agent: bits & 4 != 0,
                messaging_session: bits & 8 != 0,
            };
            let mut record = with_lookups.clone();
            record.leave_out(refused);
            let left_out = Lookups {
                voice_call: record.voice_call_id.is_none(),
                supervisor: record.supervisor_user_id.is_none(),
                agent: record.agent_user_id.is_none(),
                messaging_session: record.messaging_session_id.is_none(),
            };
            assert_eq!(left_out, refused);
        }
    }
}
