//! Transfers: the customer's contact ends, and the call continues in a new contact with another agent.

use serde_json::{Value, json};

use super::contact::Contact;
use super::operations::{before, epoch_seconds};
use super::state::{InstanceState, unknown_contact};
use crate::clock::real_now;

/// The reason of the first contact's end. AWS's list of disconnect reasons of voice contacts has none for a transfer, so this
/// is inferred: the agent is the one who leaves.
pub(super) const TRANSFER_REASON: &str = "AGENT_DISCONNECT";

impl InstanceState {
    /// The agent transfers the call to another agent, who is connected at once. Returns the new contact's id.
    pub(super) fn transfer(&mut self, contact: &str, agent: &str, reason: &str) -> Result<String, String> {
        let now = real_now();
        let id = uuid::Uuid::new_v4().to_string();
        let found = self.contacts.get_mut(contact).ok_or_else(|| unknown_contact(contact))?;
        if found.initiation_method == "MONITOR" || found.left_at().is_some() {
            return Err("not a live customer contact with an agent".into());
        }
        found.successor = Some((now, id.clone()));
        let successor = Contact {
            previous: Some(contact.to_owned()),
            initial: Some(found.initial.clone().unwrap_or_else(|| contact.to_owned())),
            started_at: now,
            connected_at: Some(now),
            ..Contact::new(id.clone(), found.channel.clone(), "TRANSFER", agent.to_owned())
        };
        self.user(agent);
        self.contacts.insert(id.clone(), successor);
        // AWS: "When the agent ends the conversation, monitoring stops automatically." So the legs end, too.
        self.end_at(contact, "TRANSFER", reason, now);
        self.emit_contact_event(&id, "INITIATED");
        self.emit_contact_event(&id, "CONNECTED_TO_AGENT");
        Ok(id)
    }

    /// `NextContacts` of DescribeContact. The only type in the model is that of a quick connect.
    pub(super) fn next_contacts(&self, c: &Contact) -> Option<Value> {
        let (at, id) = c.successor.as_ref()?;
        if *at > before(real_now(), self.settings.next_contacts_lag_ms) {
            return None;
        }
        let agent = self.contacts.get(id).map(|next| next.user.as_str()).unwrap_or_default();
        let name = self.users.get(agent).map_or(agent, |user| &user.username);
        let data = json!({"ContactId": id, "InitiationTimestamp": epoch_seconds(self.describe_stamp(*at).as_millisecond()),
            "QuickConnectId": format!("quick-connect-{agent}"), "QuickConnectName": name, "QuickConnectType": "USER"});
        Some(json!([{"Type": "QUICK_CONNECT", "NextContactMetadata": {"QuickConnectContactData": data}}]))
    }
}
