//! What the world tells of itself: contact events, and the agent event stream's snapshots.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::events::envelope;
use super::world::{Contact, World};
use crate::clock::{iso, real_now};

impl World {
    /// Notes an agent event: the user's own snapshot. What has just ended is in it, at ENDED.
    pub(super) fn tell_agent(&mut self, user: &str, just_ended: Option<&str>) {
        let stamp = |at: Timestamp| json!(iso(self.stamp(at)));
        let theirs = |c: &&Contact| c.user == user && (c.ended.is_none() || just_ended == Some(c.id.as_str()));
        let contact = |c: &Contact| {
            let (state, since) = match (&c.ended, c.mode(), c.connected) {
                (Some((at, _)), ..) => ("ENDED", *at),
                // Nobody has shown what a barged-in supervisor's own snapshot says; elsewhere the state is called so.
                (None, Some("BARGE"), _) => ("BARGE", c.modes.last().map_or(c.begun, |(_, at)| *at)),
                (None, _, Some(at)) => ("CONNECTED", at),
                (None, _, None) => ("CONNECTING", c.begun),
            };
            json!({"ContactId": c.id, "Channel": c.channel, "InitiationMethod": c.method, "State": state,
                "StateStartTimestamp": stamp(since), "ConnectedToAgentTimestamp": c.connected.map(stamp),
                "Queue": null, "QueueTimestamp": null})
        };
        let contacts: Vec<Value> = self.contacts.values().filter(theirs).map(contact).collect();
        let arn = self.instance_arn();
        let event = json!({"AWSAccountId": "111122223333", "AgentARN": format!("{arn}/agent/{user}"), "InstanceARN": arn,
            "EventId": uuid::Uuid::new_v4().to_string(), "EventType": "STATE_CHANGE", "Version": "2017-10-01",
            "EventTimestamp": stamp(real_now()),
            "CurrentAgentSnapshot": {"AgentStatus": {"Name": "Available"}, "Configuration": {}, "Contacts": contacts},
            "PreviousAgentSnapshot": null});
        self.happened.push(event);
    }

    /// Notes an event about a contact.
    pub(super) fn tell(&mut self, id: &str, event_type: &str) {
        let Some(c) = self.contacts.get(id) else { return };
        let stamp = |at: Timestamp| json!(iso(self.stamp(at)));
        let account = self.instance_arn();
        let mut detail = json!({
            "eventType": event_type,
            "contactId": c.id,
            "channel": c.channel,
            "instanceArn": account,
            "initiationMethod": c.method,
            "initiationTimestamp": stamp(c.begun),
        });
        if let Some((field, supervised)) = self.link(c) {
            detail[field[..1].to_lowercase() + &field[1..]] = json!(supervised);
        }
        if let Some(at) = c.connected {
            detail["connectedToSystemTimestamp"] = stamp(c.begun);
            detail["agentInfo"] =
                json!({"agentArn": format!("{account}/agent/{}", c.user), "connectedToAgentTimestamp": stamp(at)});
        }
        if let Some((at, reason)) = &c.ended {
            detail["disconnectTimestamp"] = stamp(*at);
            detail["disconnectReason"] = json!(reason);
        }
        self.happened
            .push(envelope(&detail, self.settings.clock.read(real_now(), self.since)));
    }
}
