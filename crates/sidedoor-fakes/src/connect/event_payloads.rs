//! The bodies of contact events and of the agent event stream's snapshots.

use base64::Engine;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::contact::Contact;
use super::state::InstanceState;
use super::{ACCOUNT, REGION};
use crate::clock::{iso, real_now};

impl InstanceState {
    /// Adds an agent event to the unsent events: a snapshot of the user's live contacts, and of `just_ended`.
    pub(super) fn emit_agent_event(&mut self, user: &str, just_ended: Option<&str>) {
        let stamp = |at: Timestamp| json!(iso(self.event_stamp(at)));
        let theirs = |c: &&Contact| c.user == user && (c.ended.is_none() || just_ended == Some(c.id.as_str()));
        let contact = |c: &Contact| {
            let (state, since) = match (&c.ended, c.mode(), c.connected_at) {
                (Some((at, _)), ..) => ("ENDED", Some(*at)),
                // AWS does not show the snapshot of a supervisor who has barged in. This state is its name in other APIs.
                (None, Some("BARGE"), _) => ("BARGE", c.modes.last().map(|(_, at)| *at)),
                (None, _, Some(_)) => ("CONNECTED", self.known_connection(c)),
                (None, _, None) => ("CONNECTING", Some(c.started_at)),
            };
            json!({"ContactId": c.id, "Channel": c.channel, "InitiationMethod": self.shown_method(c), "State": state,
                "StateStartTimestamp": since.map(stamp), "ConnectedToAgentTimestamp": self.known_connection(c).map(stamp),
                "Queue": null, "QueueTimestamp": null})
        };
        let contacts: Vec<Value> = self.contacts.values().filter(theirs).map(contact).collect();
        let arn = self.instance_arn();
        let event = json!({"AWSAccountId": ACCOUNT, "AgentARN": format!("{arn}/agent/{user}"), "InstanceARN": arn,
            "EventId": uuid::Uuid::new_v4().to_string(), "EventType": "STATE_CHANGE", "Version": "2017-10-01",
            "EventTimestamp": stamp(real_now()),
            "CurrentAgentSnapshot": {"AgentStatus": {"Name": "Available"}, "Configuration": {}, "Contacts": contacts},
            "PreviousAgentSnapshot": null});
        self.unsent_events.push(event);
    }

    /// Adds a contact event to the unsent events.
    pub(super) fn emit_contact_event(&mut self, id: &str, event_type: &str) {
        let Some(c) = self.contacts.get(id) else { return };
        let stamp = |at: Timestamp| json!(iso(self.event_stamp(at)));
        let account = self.arn_in(&c.region);
        let mut detail = json!({
            "eventType": event_type,
            "contactId": c.id,
            "channel": c.channel,
            "instanceArn": account,
            "initiationMethod": self.shown_method(c),
            "initiationTimestamp": stamp(c.started_at),
        });
        if let Some((field, supervised)) = self.link(c) {
            detail[field[..1].to_lowercase() + &field[1..]] = json!(supervised);
        }
        for (field, id) in [("previousContactId", &c.previous), ("initialContactId", &c.initial)] {
            if let Some(id) = id {
                detail[field] = json!(id);
            }
        }
        if let Some(queue) = &c.queue {
            detail["queueInfo"] = json!({"queueArn": format!("{account}/queue/{queue}"), "queueType": "STANDARD",
                "enqueueTimestamp": stamp(c.started_at)});
        }
        if c.connected_at.is_some() {
            detail["agentInfo"] = json!({"agentArn": format!("{account}/agent/{}", c.user)});
        }
        if let Some(at) = self.known_connection(c) {
            detail["connectedToSystemTimestamp"] = stamp(c.started_at);
            detail["agentInfo"]["connectedToAgentTimestamp"] = stamp(at);
        }
        if let Some((at, reason)) = &c.ended {
            detail["disconnectTimestamp"] = stamp(*at);
            detail["disconnectReason"] = json!(reason);
        }
        let envelope = Envelope {
            id: uuid::Uuid::new_v4().to_string(),
            detail_type: self.settings.detail_type.text(),
            account: ACCOUNT,
            region: &c.region,
            time: self.settings.clock.read(real_now(), self.since),
        };
        self.unsent_events.push(envelope.around(&detail));
    }
}

/// An agent event as an EventBridge Pipe forwards it from Kinesis: a batch of records with base64 data.
pub(super) fn kinesis_batch(event: &Value) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(event.to_string());
    json!([{"eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record", "awsRegion": REGION,
        "kinesisSchemaVersion": "1.0", "partitionKey": event["AgentARN"], "sequenceNumber": "1", "data": data}])
}

/// What EventBridge adds to a contact event.
pub(super) struct Envelope<'e> {
    pub(super) id: String,
    pub(super) detail_type: &'static str,
    pub(super) account: &'e str,
    pub(super) region: &'e str,
    pub(super) time: Timestamp,
}

impl Envelope<'_> {
    pub(super) fn around(&self, detail: &Value) -> Value {
        let text = |name: &str| detail[name].as_str().unwrap_or_default();
        let instance = text("instanceArn");
        json!({
            "version": "0",
            "id": self.id,
            "detail-type": self.detail_type,
            "source": "aws.connect",
            "account": self.account,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": self.region,
            "resources": [instance, format!("{instance}/contact/{}", text("contactId"))],
            "detail": detail,
        })
    }
}
