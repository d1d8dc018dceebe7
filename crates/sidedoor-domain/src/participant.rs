//! The row a supervision becomes in Salesforce. Always the whole row: a delivery is "the latest version of this row", so
//! a lost or repeated one does no harm.

use jiff::Timestamp;

use super::supervision::{Mode, Supervision};

/// One VoiceCallParticipant row, by meaning; the Salesforce adapter gives each its configured field name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParticipantRecord {
    /// The external id: the leg's contact id. One leg, one row.
    pub leg_key: String,
    /// The supervision.
    pub supervision_id: String,
    /// `API` or `OBSERVED`.
    pub origin: &'static str,
    /// The supervised contact.
    pub contact_id: Option<String>,
    /// The VoiceCall it belongs to (a lookup).
    pub voice_call_id: Option<String>,
    /// The supervisor's User (a lookup).
    pub supervisor_user_id: Option<String>,
    /// The supervisor in Connect.
    pub connect_user_id: Option<String>,
    /// `SILENT`, or `BARGE` once they have barged in.
    pub mode: &'static str,
    /// Whether this supervisor had listened to this contact before.
    pub rejoin: bool,
    /// When the supervisor was connected.
    pub joined_at: Option<Timestamp>,
    /// The departure, once concluded.
    pub departure: Option<DepartureColumns>,
    /// Grows with every version of the row.
    pub version: u32,
}

/// The departure's part of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepartureColumns {
    /// The best instant; Salesforce keeps whole seconds of a date-time, so the ms go into a number field beside it.
    pub disconnected_at: Timestamp,
    /// Not before.
    pub earliest: Option<Timestamp>,
    /// Not after.
    pub latest: Timestamp,
    /// ± ms.
    pub uncertainty_ms: Option<i64>,
    /// The vendor's own stamp.
    pub vendor_timestamp: Option<Timestamp>,
    /// Which evidence.
    pub source: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Whether the customer's call went on.
    pub customer_call_continued: Option<bool>,
    /// The calibration's grade.
    pub grade: &'static str,
    /// The calibration's version.
    pub calibration_version: u32,
    /// The offset applied.
    pub offset_ms: Option<i64>,
}

impl ParticipantRecord {
    /// The row of a supervision, once its leg is known.
    pub fn of(supervision: &Supervision, version: u32) -> Option<Self> {
        Some(Self {
            leg_key: supervision.row_key()?.to_owned(),
            supervision_id: supervision.id.to_string(),
            origin: supervision.origin.as_str(),
            contact_id: supervision.contact.as_ref().map(ToString::to_string),
            voice_call_id: supervision.voice_call_id.clone(),
            supervisor_user_id: supervision.supervisor.salesforce_user_id.clone(),
            connect_user_id: supervision.supervisor.connect_user_id.as_ref().map(ToString::to_string),
            // What they did at most: whoever spoke and then listened again has spoken.
            mode: (if supervision.has_barged {
                Mode::Barge
            } else {
                Mode::Silent
            })
            .as_str(),
            rejoin: supervision.compliance.rejoin,
            joined_at: supervision.joined.map(|j| j.at),
            departure: supervision.departure.as_ref().map(|d| DepartureColumns {
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
            }),
            version,
        })
    }

    /// Takes lookups out, for an org that refuses them: better a row that points nowhere than none.
    pub fn leave_out(&mut self, voice_call: bool, supervisor: bool) {
        if voice_call {
            self.voice_call_id = None;
        }
        if supervisor {
            self.supervisor_user_id = None;
        }
    }
}
