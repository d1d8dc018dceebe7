//! Contact events that nothing has caused. A receiver of events must not believe everything: a test can send it an event of a
//! foreign account, a second event with the same id, or an end that never was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event_payloads::Envelope;
use super::state::InstanceState;
use super::{ACCOUNT, REGION};
use crate::clock::{iso, real_now};

/// A contact event to forge. Timestamps are sent as they are given, with milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ForgedEvent {
    /// `INITIATED`, `CONNECTED_TO_AGENT`, `DISCONNECTED`, `COMPLETED` or any other text.
    pub event_type: String,
    /// Id of the contact or leg, which need not exist.
    pub contact_id: String,
    /// Id of the Connect instance; by default that of the settings.
    pub instance_id: Option<String>,
    /// AWS account of the envelope and the ARNs; by default [`ACCOUNT`].
    pub account: Option<String>,
    /// AWS Region of the envelope and the ARNs; by default [`REGION`].
    pub region: Option<String>,
    /// Id of the envelope, which is the same when an event is delivered twice; random by default.
    pub id: Option<String>,
    /// `initiationMethod`; null if it is `None`.
    pub initiation_method: Option<String>,
    /// `channel`.
    pub channel: String,
    /// The agent or supervisor in `agentInfo`.
    pub user_id: Option<String>,
    /// `relatedContactId`: the contact that a leg supervises.
    pub related_contact_id: Option<String>,
    /// `previousContactId`: the contact that this one continues.
    pub previous_contact_id: Option<String>,
    /// `initiationTimestamp`.
    pub initiated_at: Option<Timestamp>,
    /// `agentInfo.connectedToAgentTimestamp`.
    pub connected_at: Option<Timestamp>,
    /// `disconnectTimestamp`.
    pub disconnected_at: Option<Timestamp>,
    /// `disconnectReason`.
    pub disconnect_reason: Option<String>,
    /// `time` of the envelope; by default the vendor's time now.
    pub time: Option<Timestamp>,
}

impl Default for ForgedEvent {
    fn default() -> Self {
        Self {
            event_type: "DISCONNECTED".into(),
            contact_id: String::new(),
            instance_id: None,
            account: None,
            region: None,
            id: None,
            initiation_method: Some("MONITOR".into()),
            channel: "VOICE".into(),
            user_id: None,
            related_contact_id: None,
            previous_contact_id: None,
            initiated_at: None,
            connected_at: None,
            disconnected_at: None,
            disconnect_reason: None,
            time: None,
        }
    }
}

impl InstanceState {
    pub(super) fn forged_event(&self, forged: &ForgedEvent) -> Value {
        let account = forged.account.as_deref().unwrap_or(ACCOUNT);
        let region = forged.region.as_deref().unwrap_or(REGION);
        let instance = forged.instance_id.as_deref().unwrap_or(&self.settings.instance_id);
        let instance = format!("arn:aws:connect:{region}:{account}:instance/{instance}");
        let mut detail = json!({"eventType": forged.event_type, "contactId": forged.contact_id, "channel": forged.channel,
            "instanceArn": instance, "initiationMethod": forged.initiation_method});
        if forged.user_id.is_some() || forged.connected_at.is_some() {
            detail["agentInfo"] = json!({});
        }
        if let Some(user) = &forged.user_id {
            detail["agentInfo"]["agentArn"] = json!(format!("{instance}/agent/{user}"));
        }
        if let Some(at) = forged.connected_at {
            detail["agentInfo"]["connectedToAgentTimestamp"] = json!(iso(at));
        }
        let optional = [
            ("relatedContactId", forged.related_contact_id.clone()),
            ("previousContactId", forged.previous_contact_id.clone()),
            ("initiationTimestamp", forged.initiated_at.map(iso)),
            ("disconnectTimestamp", forged.disconnected_at.map(iso)),
            ("disconnectReason", forged.disconnect_reason.clone()),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                detail[field] = json!(value);
            }
        }
        let vendor_now = || self.settings.clock.read(real_now(), self.since);
        let envelope = Envelope {
            id: forged.id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            detail_type: self.settings.detail_type.text(),
            account,
            region,
            time: forged.time.unwrap_or_else(vendor_now),
        };
        envelope.around(&detail)
    }
}
