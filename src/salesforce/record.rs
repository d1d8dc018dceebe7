//! The wire shape of a participant record: JSON with the configured field names. The external id is part of the URL;
//! Salesforce refuses it in the body.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidedoor_domain::participant::ParticipantRecord;

use crate::config::FieldNames;

/// The body of an upsert.
pub(super) fn body(participant: &ParticipantRecord, fields: &FieldNames) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        if !name.is_empty() {
            body.insert(name.to_owned(), value);
        }
    };
    put(&fields.supervision_id, json!(participant.supervision_id));
    put(&fields.origin, json!(participant.origin));
    put(&fields.contact_id, json!(participant.contact_id));
    // An unknown lookup is not sent, because an administrator may have set it by hand.
    for (name, lookup) in [
        (&fields.voice_call, &participant.voice_call_id),
        (&fields.messaging_session, &participant.messaging_session_id),
        (&fields.supervisor, &participant.supervisor_user_id),
        (&fields.agent, &participant.agent_user_id),
    ] {
        if let Some(id) = lookup {
            put(name, json!(id));
        }
    }
    put(&fields.connect_user_id, json!(participant.connect_user_id));
    put(&fields.supervisor_username, json!(participant.supervisor_username));
    put(&fields.agent_username, json!(participant.agent_username));
    put(&fields.channel, json!(participant.channel));
    put(&fields.queue, json!(participant.queue));
    put(&fields.mode, json!(participant.mode));
    put(&fields.left_overdue, json!(participant.left_overdue));
    put(&fields.request_reason, json!(participant.request_reason));
    put(&fields.rejoin, json!(participant.rejoin));
    put(&fields.joined_at, json!(participant.joined_at.map(date_time)));
    put(&fields.confirmation, json!(participant.confirmation));
    put(&fields.row_version, json!(participant.version));
    // Without a departure the fields are cleared, because a claimed or a false one may have been written before.
    let d = participant.departure.as_ref();
    put(&fields.disconnected_at, json!(d.map(|d| date_time(d.disconnected_at))));
    put(
        &fields.disconnected_epoch_ms,
        json!(d.map(|d| d.disconnected_at.as_millisecond())),
    );
    put(
        &fields.earliest_epoch_ms,
        json!(d.and_then(|d| d.earliest).map(Timestamp::as_millisecond)),
    );
    put(&fields.latest_epoch_ms, json!(d.map(|d| d.latest.as_millisecond())));
    put(
        &fields.disconnect_uncertainty_ms,
        json!(d.and_then(|d| d.uncertainty_ms)),
    );
    put(
        &fields.vendor_disconnected_at,
        json!(d.and_then(|d| d.vendor_timestamp).map(date_time)),
    );
    put(&fields.disconnect_source, json!(d.map(|d| d.source)));
    put(&fields.disconnect_reason, json!(d.map(|d| d.reason)));
    put(
        &fields.customer_call_continued,
        json!(d.map(|d| continued(d.customer_call_continued))),
    );
    put(&fields.calibration_grade, json!(d.map(|d| d.grade)));
    put(&fields.calibration_version, json!(d.map(|d| d.calibration_version)));
    put(&fields.applied_offset_ms, json!(d.and_then(|d| d.offset_ms)));
    body
}

/// The field is a text, because a Salesforce checkbox has no third value for "unknown".
fn continued(known: Option<bool>) -> &'static str {
    match known {
        Some(true) => "YES",
        Some(false) => "NO",
        None => "UNKNOWN",
    }
}

/// Formats a date-time as `yyyy-MM-ddTHH:mm:ss.SSSZ`. Salesforce stores only whole seconds.
fn date_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
