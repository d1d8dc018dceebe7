//! The bodies of contact events and of the agent event stream's snapshots.

use base64::Engine;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::REGION;
use super::state::{Contact, InstanceState};
use crate::clock::{iso, real_now};

impl InstanceState {
    /// Adds an agent event to the unsent events: a snapshot of the user's live contacts, and of `just_ended`.
    pub(super) fn emit_agent_event(&mut self, user: &str, just_ended: Option<&str>) {
        let stamp = |at: Timestamp| json!(iso(self.stamp(at)));
        let theirs = |c: &&Contact| c.user == user && (c.ended.is_none() || just_ended == Some(c.id.as_str()));
        let contact = |c: &Contact| {
            let (state, since) = match (&c.ended, c.mode(), c.connected_at) {
                (Some((at, _)), ..) => ("ENDED", *at),
                // AWS does not show the snapshot of a supervisor who has barged in. This state is its name in other APIs.
                (None, Some("BARGE"), _) => ("BARGE", c.modes.last().map_or(c.started_at, |(_, at)| *at)),
                (None, _, Some(at)) => ("CONNECTED", at),
                (None, _, None) => ("CONNECTING", c.started_at),
            };
            json!({"ContactId": c.id, "Channel": c.channel, "InitiationMethod": c.initiation_method, "State": state,
                "StateStartTimestamp": stamp(since), "ConnectedToAgentTimestamp": c.connected_at.map(stamp),
                "Queue": null, "QueueTimestamp": null})
        };
        let contacts: Vec<Value> = self.contacts.values().filter(theirs).map(contact).collect();
        let arn = self.instance_arn();
        let event = json!({"AWSAccountId": super::ACCOUNT, "AgentARN": format!("{arn}/agent/{user}"), "InstanceARN": arn,
            "EventId": uuid::Uuid::new_v4().to_string(), "EventType": "STATE_CHANGE", "Version": "2017-10-01",
            "EventTimestamp": stamp(real_now()),
            "CurrentAgentSnapshot": {"AgentStatus": {"Name": "Available"}, "Configuration": {}, "Contacts": contacts},
            "PreviousAgentSnapshot": null});
        self.unsent_events.push(event);
    }

    /// Adds a contact event to the unsent events.
    pub(super) fn emit_contact_event(&mut self, id: &str, event_type: &str) {
        let Some(c) = self.contacts.get(id) else { return };
        let stamp = |at: Timestamp| json!(iso(self.stamp(at)));
        let account = self.instance_arn();
        let mut detail = json!({
            "eventType": event_type,
            "contactId": c.id,
            "channel": c.channel,
            "instanceArn": account,
            "initiationMethod": c.initiation_method,
            "initiationTimestamp": stamp(c.started_at),
        });
        if let Some((field, supervised)) = self.link(c) {
            detail[field[..1].to_lowercase() + &field[1..]] = json!(supervised);
        }
        if let Some(at) = c.connected_at {
            detail["connectedToSystemTimestamp"] = stamp(c.started_at);
            detail["agentInfo"] =
                json!({"agentArn": format!("{account}/agent/{}", c.user), "connectedToAgentTimestamp": stamp(at)});
        }
        if let Some((at, reason)) = &c.ended {
            detail["disconnectTimestamp"] = stamp(*at);
            detail["disconnectReason"] = json!(reason);
        }
        self.unsent_events
            .push(envelope(&detail, self.settings.clock.read(real_now(), self.since)));
    }
}

/// An agent event as an EventBridge Pipe forwards it from Kinesis: a batch of records with base64 data.
pub(super) fn kinesis_batch(event: &Value) -> Value {
    let data = base64::engine::general_purpose::STANDARD.encode(event.to_string());
    json!([{"eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record", "awsRegion": REGION,
        "kinesisSchemaVersion": "1.0", "partitionKey": event["AgentARN"], "sequenceNumber": "1", "data": data}])
}

/// A contact event as EventBridge sends it. `vendor_now` is its `time`.
fn envelope(detail: &Value, vendor_now: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Amazon Connect Contact Event",
        "source": "aws.connect",
        "account": super::ACCOUNT,
        "time": vendor_now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [],
        "detail": detail,
    })
}
