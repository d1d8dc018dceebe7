//! Contacts, legs and users, and what happens to them. Real times are kept; stamps are made when they are read.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ledger::{EndEntry, Ledger};
use super::{ConnectSettings, LinkField, REGION};
use crate::clock::{iso, real_now};
use crate::faults::FaultScript;

/// An error as the vendor answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }
}

/// A customer's contact to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewContact {
    /// Its id; one is made if none is given.
    pub contact_id: Option<String>,
    /// `VOICE`, `CHAT` or `TASK`.
    pub channel: String,
    /// The agent.
    pub agent_id: String,
}

impl Default for NewContact {
    fn default() -> Self {
        Self {
            contact_id: None,
            channel: "VOICE".into(),
            agent_id: "agent-1".into(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) ccp_open: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) method: &'static str,
    pub(super) user: String,
    pub(super) supervised: Option<String>,
    pub(super) begun: Timestamp,
    pub(super) connected: Option<Timestamp>,
    pub(super) ended: Option<(Timestamp, String)>,
    /// A customer's contact whose agent has hung up while a barged-in supervisor stayed.
    pub(super) agent_gone: bool,
    /// The agent has put the customer on hold.
    pub(super) on_hold: bool,
    /// A leg that may barge in.
    pub(super) may_barge: bool,
    /// A leg's modes: each and since when.
    pub(super) modes: Vec<(&'static str, Timestamp)>,
}

impl Contact {
    fn new(id: String, channel: String, method: &'static str, user: String) -> Self {
        Self {
            id,
            channel,
            method,
            user,
            supervised: None,
            begun: real_now(),
            connected: None,
            ended: None,
            agent_gone: false,
            on_hold: false,
            may_barge: false,
            modes: Vec::new(),
        }
    }

    pub(super) fn is_live_leg(&self) -> bool {
        self.method == "MONITOR" && self.ended.is_none()
    }

    /// `SILENT_MONITOR` or `BARGE`, for a connected leg.
    pub(super) fn mode(&self) -> Option<&'static str> {
        self.modes.last().map(|(mode, _)| *mode)
    }
}

/// A contact as tests see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// Its id.
    pub contact_id: String,
    /// `INBOUND` or `MONITOR`.
    pub initiation_method: String,
    /// Its channel.
    pub channel: String,
    /// The agent, or for a leg the supervisor.
    pub user_id: String,
    /// The contact a leg listens to.
    pub supervised: Option<String>,
    /// Whether the user is connected.
    pub connected: bool,
    /// `SILENT_MONITOR` or `BARGE`, for a leg that is or was connected.
    pub mode: Option<String>,
    /// Whether the agent has hung up and the contact goes on with a barged-in supervisor.
    pub agent_gone: bool,
    /// Whether it is over.
    pub ended: bool,
    /// The true moment of its beginning, real time.
    pub true_begun_at: Timestamp,
    /// The true moment of its end, real time.
    pub true_disconnect_at: Option<Timestamp>,
    /// The vendor's stamp of it.
    pub vendor_disconnect_at: Option<Timestamp>,
    /// The vendor's reason.
    pub disconnect_reason: Option<String>,
}

/// Everything there is.
pub struct World {
    pub(super) settings: ConnectSettings,
    pub(super) since: Timestamp,
    pub(super) users: BTreeMap<String, User>,
    pub(super) contacts: HashMap<String, Contact>,
    /// Client tokens: what they were used with, and the leg they gave.
    pub(super) tokens: HashMap<String, (String, String)>,
    pub(super) ledger: Ledger,
    pub(super) faults: FaultScript,
    pub(super) happened: Vec<Value>,
}

impl World {
    pub(super) fn new(settings: ConnectSettings) -> Self {
        let people = [
            "agent-1",
            "agent-2",
            "supervisor-1",
            "supervisor-2",
            "supervisor-3",
            "supervisor-4",
        ];
        let user = |name: &&str| {
            (
                (*name).to_owned(),
                User {
                    username: format!("{name}@example"),
                    ccp_open: true,
                },
            )
        };
        Self {
            settings,
            since: real_now(),
            users: people.iter().map(user).collect(),
            contacts: HashMap::new(),
            tokens: HashMap::new(),
            ledger: Ledger::default(),
            faults: FaultScript::default(),
            happened: Vec::new(),
        }
    }

    pub(super) fn take_happened(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.happened)
    }

    /// Its instance's ARN.
    pub(super) fn instance_arn(&self) -> String {
        format!(
            "arn:aws:connect:{REGION}:111122223333:instance/{}",
            self.settings.instance_id
        )
    }

    /// The vendor's stamp of a real moment.
    pub(super) fn stamp(&self, at: Timestamp) -> Timestamp {
        self.settings.clock.stamp(at, self.since)
    }

    pub(super) fn add_user(&mut self, id: &str) {
        let user = User {
            username: format!("{id}@example"),
            ccp_open: true,
        };
        self.users.entry(id.to_owned()).or_insert(user);
    }

    pub(super) fn name_user(&mut self, id: &str, username: &str) {
        self.add_user(id);
        if let Some(user) = self.users.get_mut(id) {
            username.clone_into(&mut user.username);
        }
    }

    pub(super) fn set_ccp_open(&mut self, id: &str, open: bool) {
        self.add_user(id);
        if let Some(user) = self.users.get_mut(id) {
            user.ccp_open = open;
        }
    }

    pub(super) fn create_contact(&mut self, new: NewContact) -> String {
        let id = new.contact_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        self.add_user(&new.agent_id);
        let mut contact = Contact::new(id.clone(), new.channel, "INBOUND", new.agent_id);
        contact.connected = Some(contact.begun);
        self.contacts.insert(id.clone(), contact);
        self.tell(&id, "INITIATED");
        self.tell(&id, "CONNECTED_TO_AGENT");
        id
    }

    /// A leg begins: the contact must be live and have room.
    pub(super) fn begin_leg(&mut self, contact: &str, user: &str, may_barge: bool) -> Result<String, ApiError> {
        let invalid = |message: &str| ApiError::new(400, "InvalidRequestException", message);
        let found = self.contacts.get(contact).filter(|c| c.method != "MONITOR");
        let supervised = found
            .ok_or_else(|| ApiError::new(404, "ResourceNotFoundException", "Contact not found"))?
            .clone();
        if !self.users.contains_key(user) {
            return Err(ApiError::new(404, "ResourceNotFoundException", "User not found"));
        }
        if supervised.ended.is_some() {
            return Err(invalid("One or more of the input parameters are invalid"));
        }
        let live = |c: &&Contact| c.is_live_leg();
        if supervised.channel == "VOICE" {
            if self
                .contacts
                .values()
                .filter(live)
                .any(|c| c.user == user && c.channel == "VOICE")
            {
                return Err(invalid("The user is already monitoring a voice contact"));
            }
            let on_it = self
                .contacts
                .values()
                .filter(live)
                .filter(|c| c.supervised.as_deref() == Some(contact))
                .count();
            if on_it >= self.settings.supervisors_per_call {
                let message = "The maximum number of supervisors is on this contact";
                return Err(ApiError::new(402, "ServiceQuotaExceededException", message));
            }
        }
        let id = uuid::Uuid::new_v4().to_string();
        let leg = Contact {
            supervised: Some(contact.to_owned()),
            may_barge,
            ..Contact::new(id.clone(), supervised.channel, "MONITOR", user.to_owned())
        };
        self.contacts.insert(id.clone(), leg);
        self.tell(&id, "INITIATED");
        Ok(id)
    }

    pub(super) fn connect_leg(&mut self, leg: &str) {
        let Some(found) = self.contacts.get_mut(leg) else {
            return;
        };
        let open = self.users.get(&found.user).is_some_and(|u| u.ccp_open);
        if open && found.ended.is_none() && found.connected.is_none() {
            let now = real_now();
            found.connected = Some(now);
            found.modes.push(("SILENT_MONITOR", now));
            let user = found.user.clone();
            self.tell(leg, "CONNECTED_TO_AGENT");
            self.tell_agent(&user, None);
        }
    }

    /// The supervisor changes the mode of their own leg, as `updateMonitorParticipantState` does.
    pub(super) fn change_mode_in_ccp(&mut self, user: &str, leg: &str, mode: &str) -> Result<(), String> {
        let found = self.contacts.get(leg).ok_or("no such contact")?;
        if !found.is_live_leg() || found.user != user || found.connected.is_none() {
            return Err("this is no connected leg of this supervisor".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let agent_gone = self.contacts.get(&supervised).is_some_and(|c| c.agent_gone);
        let mode = match mode {
            "BARGE" if !found.may_barge => return Err("this leg may not barge in".into()),
            "BARGE" => "BARGE",
            // "may not switch back to silent when only two participants are left"
            "SILENT_MONITOR" if agent_gone => return Err("only two participants are left".into()),
            "SILENT_MONITOR" => "SILENT_MONITOR",
            _ => return Err("there is no such mode".into()),
        };
        if let Some(leg) = self.contacts.get_mut(leg).filter(|l| l.mode() != Some(mode)) {
            leg.modes.push((mode, real_now()));
        }
        self.tell_agent(user, None);
        Ok(())
    }

    /// The agent hangs up. If a supervisor has barged in, the contact goes on with them; else it ends.
    pub(super) fn agent_leaves(&mut self, contact: &str) -> Result<(), String> {
        let barged = self.live_legs(contact);
        let barged = barged
            .iter()
            .filter_map(|leg| self.contacts.get(leg))
            .any(|leg| leg.mode() == Some("BARGE"));
        let found = self.contacts.get_mut(contact).ok_or("no such contact")?;
        if found.method == "MONITOR" || found.ended.is_some() {
            return Err("this is no live customer contact".into());
        }
        if !barged {
            return self.hang_up(contact, "AGENT");
        }
        found.agent_gone = true;
        Ok(())
    }

    pub(super) fn hold(&mut self, contact: &str, on_hold: bool) -> Result<(), String> {
        let found = self.contacts.get_mut(contact).ok_or("no such contact")?;
        found.on_hold = on_hold;
        Ok(())
    }

    /// Whether the leg's supervisor has barged in, its agent has gone, and nobody else is there to talk to the customer.
    pub(super) fn is_last_party(&self, leg: &str) -> bool {
        let Some(found) = self.contacts.get(leg) else {
            return false;
        };
        let supervised = found.supervised.clone().unwrap_or_default();
        let others = self.live_legs(&supervised);
        let others = others
            .iter()
            .filter(|id| *id != leg)
            .filter_map(|id| self.contacts.get(id));
        found.mode() == Some("BARGE")
            && self.contacts.get(&supervised).is_some_and(|c| c.agent_gone)
            && !others.into_iter().any(|leg| leg.mode() == Some("BARGE"))
    }

    /// Returns the customer's contact if its last party has left it now.
    pub(super) fn end_leg_in_ccp(&mut self, user: &str, leg: &str) -> Result<Option<String>, String> {
        let found = self.contacts.get(leg).ok_or("no such contact")?;
        if found.method != "MONITOR" {
            return Err("this is not a MONITOR contact".into());
        }
        if found.user != user {
            return Err("this leg belongs to another supervisor".into());
        }
        if found.ended.is_some() {
            return Err("this leg has ended already".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let was_last = self.is_last_party(leg);
        self.end(leg, "CCP", "AGENT_DISCONNECT");
        // The accident: nobody is left to talk to, and the customer's call will end.
        Ok(was_last.then_some(supervised))
    }

    pub(super) fn hang_up(&mut self, contact: &str, by: &str) -> Result<(), String> {
        let found = self.contacts.get(contact).ok_or("no such contact")?;
        if found.method == "MONITOR" || found.ended.is_some() {
            return Err("this is no live customer contact".into());
        }
        let reason = if by == "AGENT" {
            "AGENT_DISCONNECT"
        } else {
            "CUSTOMER_DISCONNECT"
        };
        self.end(contact, by, reason);
        Ok(())
    }

    /// Ends a contact, and with a customer's contact every leg on it.
    pub(super) fn end(&mut self, id: &str, by: &str, reason: &str) {
        let now = real_now();
        let legs = self.live_legs(id);
        let Some(contact) = self.contacts.get_mut(id) else {
            return;
        };
        if contact.ended.is_some() {
            return;
        }
        contact.ended = Some((now, reason.to_owned()));
        let (is_leg, user) = (contact.method == "MONITOR", contact.user.clone());
        let kind = if contact.method == "MONITOR" { "LEG" } else { "CUSTOMER" };
        self.ledger.end(EndEntry {
            contact_id: id.into(),
            kind: kind.into(),
            by: by.into(),
            at: iso(now),
        });
        self.tell(id, "DISCONNECTED");
        if is_leg {
            self.tell_agent(&user, Some(id));
        }
        for leg in legs {
            self.end(&leg, "CONTACT_ENDED", reason);
        }
    }

    pub(super) fn legs(&self, contact: &str) -> Vec<String> {
        let of = |c: &&Contact| c.supervised.as_deref() == Some(contact);
        self.contacts.values().filter(of).map(|c| c.id.clone()).collect()
    }

    pub(super) fn live_legs(&self, contact: &str) -> Vec<String> {
        self.legs(contact)
            .into_iter()
            .filter(|id| self.contacts.get(id).is_some_and(|c| c.ended.is_none()))
            .collect()
    }

    pub(super) fn view(&self, id: &str) -> Option<ContactView> {
        let c = self.contacts.get(id)?;
        Some(ContactView {
            contact_id: c.id.clone(),
            initiation_method: c.method.into(),
            channel: c.channel.clone(),
            user_id: c.user.clone(),
            supervised: c.supervised.clone(),
            connected: c.connected.is_some() && c.ended.is_none(),
            mode: c.mode().map(ToOwned::to_owned),
            agent_gone: c.agent_gone,
            ended: c.ended.is_some(),
            true_begun_at: c.begun,
            true_disconnect_at: c.ended.as_ref().map(|(at, _)| *at),
            vendor_disconnect_at: c.ended.as_ref().map(|(at, _)| self.stamp(*at)),
            disconnect_reason: c.ended.as_ref().map(|(_, reason)| reason.clone()),
        })
    }

    /// The link of a leg to its contact, under the configured field.
    pub(super) fn link(&self, c: &Contact) -> Option<(&'static str, String)> {
        let supervised = c.supervised.clone()?;
        match self.settings.link_field {
            LinkField::RelatedContactId => Some(("RelatedContactId", supervised)),
            LinkField::InitialContactId => Some(("InitialContactId", supervised)),
            LinkField::PreviousContactId => Some(("PreviousContactId", supervised)),
            LinkField::None => None,
        }
    }
}
