//! Contacts, legs and users, and the rules by which they change. Times are kept as real times; the vendor's timestamps are
//! computed when they are read, because the settings of the clock may change.

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
pub(super) struct ApiError {
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

/// A customer's contact to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct NewContact {
    /// The contact's id; random by default.
    pub contact_id: Option<String>,
    /// `VOICE`, `CHAT` or `TASK`.
    pub channel: String,
    /// The agent's user id. An unknown user is created.
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

impl User {
    fn new(id: &str) -> Self {
        Self {
            username: format!("{id}@example"),
            ccp_open: true,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) initiation_method: &'static str,
    pub(super) user: String,
    pub(super) supervised: Option<String>,
    pub(super) started_at: Timestamp,
    pub(super) connected_at: Option<Timestamp>,
    pub(super) ended: Option<(Timestamp, String)>,
    /// The agent of this customer's contact has hung up, and a supervisor who has barged in stays.
    pub(super) agent_gone: bool,
    /// The agent has put the customer on hold.
    pub(super) on_hold: bool,
    /// MonitorContact allowed this leg to barge in.
    pub(super) may_barge: bool,
    /// The modes of a leg, oldest first, each with its start.
    pub(super) modes: Vec<(&'static str, Timestamp)>,
}

impl Contact {
    fn new(id: String, channel: String, initiation_method: &'static str, user: String) -> Self {
        Self {
            id,
            channel,
            initiation_method,
            user,
            supervised: None,
            started_at: real_now(),
            connected_at: None,
            ended: None,
            agent_gone: false,
            on_hold: false,
            may_barge: false,
            modes: Vec::new(),
        }
    }

    pub(super) fn is_live_leg(&self) -> bool {
        self.initiation_method == "MONITOR" && self.ended.is_none()
    }

    /// `SILENT_MONITOR` or `BARGE`; `None` if the leg has never been connected.
    pub(super) fn mode(&self) -> Option<&'static str> {
        self.modes.last().map(|(mode, _)| *mode)
    }
}

/// A contact or leg as the control API and tests see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// The contact's id.
    pub contact_id: String,
    /// `INBOUND` for a customer's contact, `MONITOR` for a leg.
    pub initiation_method: String,
    /// `VOICE`, `CHAT` or `TASK`.
    pub channel: String,
    /// The agent of a customer's contact, or the supervisor of a leg.
    pub user_id: String,
    /// The contact that a leg supervises.
    pub supervised: Option<String>,
    /// Whether the agent or supervisor is connected now.
    pub connected: bool,
    /// The last mode of a leg, `SILENT_MONITOR` or `BARGE`; `None` if it has never been connected.
    pub mode: Option<String>,
    /// Whether the agent has hung up and the contact continues with a supervisor who has barged in.
    pub agent_gone: bool,
    /// Whether the contact has ended.
    pub ended: bool,
    /// Real time at which the contact started.
    pub true_begun_at: Timestamp,
    /// Real time at which the contact ended.
    pub true_disconnect_at: Option<Timestamp>,
    /// The vendor's timestamp of the end.
    pub vendor_disconnect_at: Option<Timestamp>,
    /// The vendor's reason of the end, such as `CUSTOMER_DISCONNECT`.
    pub disconnect_reason: Option<String>,
}

/// Everything that the fake knows about its Connect instance.
pub(super) struct InstanceState {
    pub(super) settings: ConnectSettings,
    pub(super) since: Timestamp,
    pub(super) users: BTreeMap<String, User>,
    pub(super) contacts: HashMap<String, Contact>,
    /// By client token: the parameters of its first use, and the leg that was created.
    pub(super) tokens: HashMap<String, (String, String)>,
    pub(super) ledger: Ledger,
    pub(super) faults: FaultScript,
    pub(super) unsent_events: Vec<Value>,
}

impl InstanceState {
    pub(super) fn new(settings: ConnectSettings) -> Self {
        let people = [
            "agent-1",
            "agent-2",
            "supervisor-1",
            "supervisor-2",
            "supervisor-3",
            "supervisor-4",
        ];
        let user = |id: &&str| ((*id).to_owned(), User::new(id));
        Self {
            settings,
            since: real_now(),
            users: people.iter().map(user).collect(),
            contacts: HashMap::new(),
            tokens: HashMap::new(),
            ledger: Ledger::default(),
            faults: FaultScript::default(),
            unsent_events: Vec::new(),
        }
    }

    pub(super) fn take_unsent_events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.unsent_events)
    }

    pub(super) fn instance_arn(&self) -> String {
        format!(
            "arn:aws:connect:{REGION}:{}:instance/{}",
            super::ACCOUNT,
            self.settings.instance_id
        )
    }

    /// The vendor's timestamp of a real time.
    pub(super) fn stamp(&self, at: Timestamp) -> Timestamp {
        self.settings.clock.stamp(at, self.since)
    }

    /// The user, who is created if the id is unknown.
    fn user(&mut self, id: &str) -> &mut User {
        self.users.entry(id.to_owned()).or_insert_with(|| User::new(id))
    }

    pub(super) fn name_user(&mut self, id: &str, username: &str) {
        username.clone_into(&mut self.user(id).username);
    }

    pub(super) fn set_ccp_open(&mut self, id: &str, open: bool) {
        self.user(id).ccp_open = open;
    }

    pub(super) fn create_contact(&mut self, new: NewContact) -> String {
        let id = new.contact_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        self.user(&new.agent_id);
        let mut contact = Contact::new(id.clone(), new.channel, "INBOUND", new.agent_id);
        contact.connected_at = Some(contact.started_at);
        self.contacts.insert(id.clone(), contact);
        self.emit_contact_event(&id, "INITIATED");
        self.emit_contact_event(&id, "CONNECTED_TO_AGENT");
        id
    }

    /// Creates a leg. The contact must be live, and the limits of supervisors a call and calls a supervisor must allow it.
    pub(super) fn begin_leg(&mut self, contact: &str, user: &str, may_barge: bool) -> Result<String, ApiError> {
        let invalid = |message: &str| ApiError::new(400, "InvalidRequestException", message);
        let found = self.contacts.get(contact).filter(|c| c.initiation_method != "MONITOR");
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
        self.emit_contact_event(&id, "INITIATED");
        Ok(id)
    }

    pub(super) fn connect_leg(&mut self, leg: &str) {
        let Some(found) = self.contacts.get_mut(leg) else {
            return;
        };
        let open = self.users.get(&found.user).is_some_and(|u| u.ccp_open);
        if open && found.ended.is_none() && found.connected_at.is_none() {
            let now = real_now();
            found.connected_at = Some(now);
            found.modes.push(("SILENT_MONITOR", now));
            let user = found.user.clone();
            self.emit_contact_event(leg, "CONNECTED_TO_AGENT");
            self.emit_agent_event(&user, None);
        }
    }

    /// The supervisor changes the mode of their own leg, as `updateMonitorParticipantState` does.
    pub(super) fn change_mode_in_ccp(&mut self, user: &str, leg: &str, mode: &str) -> Result<(), String> {
        let found = self.contacts.get(leg).ok_or_else(|| unknown_contact(leg))?;
        if !found.is_live_leg() || found.user != user || found.connected_at.is_none() {
            return Err("not a connected leg of this supervisor".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let agent_gone = self.contacts.get(&supervised).is_some_and(|c| c.agent_gone);
        let mode = match mode {
            "BARGE" if !found.may_barge => return Err("MonitorContact did not allow this leg to barge in".into()),
            "BARGE" => "BARGE",
            // AWS: a supervisor "may not switch back to silent when only two participants are left".
            "SILENT_MONITOR" if agent_gone => return Err("only two participants are left".into()),
            "SILENT_MONITOR" => "SILENT_MONITOR",
            _ => return Err(format!("unknown mode `{mode}`; expected SILENT_MONITOR or BARGE")),
        };
        if let Some(leg) = self.contacts.get_mut(leg).filter(|l| l.mode() != Some(mode)) {
            leg.modes.push((mode, real_now()));
        }
        self.emit_agent_event(user, None);
        Ok(())
    }

    /// The agent hangs up. The contact continues if a supervisor has barged in; otherwise it ends.
    pub(super) fn agent_leaves(&mut self, contact: &str) -> Result<(), String> {
        let barged = self.live_legs(contact);
        let barged = barged
            .iter()
            .filter_map(|leg| self.contacts.get(leg))
            .any(|leg| leg.mode() == Some("BARGE"));
        let found = self.contacts.get_mut(contact).ok_or_else(|| unknown_contact(contact))?;
        if found.initiation_method == "MONITOR" || found.ended.is_some() {
            return Err("not a live customer contact".into());
        }
        if !barged {
            return self.hang_up(contact, "AGENT");
        }
        found.agent_gone = true;
        Ok(())
    }

    pub(super) fn hold(&mut self, contact: &str, on_hold: bool) -> Result<(), String> {
        let found = self.contacts.get_mut(contact).ok_or_else(|| unknown_contact(contact))?;
        found.on_hold = on_hold;
        Ok(())
    }

    /// Whether the customer's call would end if this leg ended: its supervisor has barged in, the agent has left, and no other
    /// supervisor has barged in.
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

    /// Returns the customer's contact if only the customer is left on it now.
    pub(super) fn end_leg_in_ccp(&mut self, user: &str, leg: &str) -> Result<Option<String>, String> {
        let found = self.contacts.get(leg).ok_or_else(|| unknown_contact(leg))?;
        if found.initiation_method != "MONITOR" {
            return Err("not a MONITOR contact".into());
        }
        if found.user != user {
            return Err("the leg belongs to another supervisor".into());
        }
        if found.ended.is_some() {
            return Err("the leg has already ended".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let was_last = self.is_last_party(leg);
        self.end(leg, "CCP", "AGENT_DISCONNECT");
        // The accident that Sidedoor must prevent: the customer is alone, so the call will end.
        Ok(was_last.then_some(supervised))
    }

    pub(super) fn hang_up(&mut self, contact: &str, by: &str) -> Result<(), String> {
        let found = self.contacts.get(contact).ok_or_else(|| unknown_contact(contact))?;
        if found.initiation_method == "MONITOR" || found.ended.is_some() {
            return Err("not a live customer contact".into());
        }
        let reason = if by == "AGENT" {
            "AGENT_DISCONNECT"
        } else {
            "CUSTOMER_DISCONNECT"
        };
        self.end(contact, by, reason);
        Ok(())
    }

    /// Ends a contact. A customer's contact ends every leg on it.
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
        let (is_leg, user) = (contact.initiation_method == "MONITOR", contact.user.clone());
        let kind = if contact.initiation_method == "MONITOR" {
            "LEG"
        } else {
            "CUSTOMER"
        };
        self.ledger.end(EndEntry {
            contact_id: id.into(),
            kind: kind.into(),
            by: by.into(),
            at: iso(now),
        });
        self.emit_contact_event(id, "DISCONNECTED");
        if is_leg {
            self.emit_agent_event(&user, Some(id));
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
            initiation_method: c.initiation_method.into(),
            channel: c.channel.clone(),
            user_id: c.user.clone(),
            supervised: c.supervised.clone(),
            connected: c.connected_at.is_some() && c.ended.is_none(),
            mode: c.mode().map(ToOwned::to_owned),
            agent_gone: c.agent_gone,
            ended: c.ended.is_some(),
            true_begun_at: c.started_at,
            true_disconnect_at: c.ended.as_ref().map(|(at, _)| *at),
            vendor_disconnect_at: c.ended.as_ref().map(|(at, _)| self.stamp(*at)),
            disconnect_reason: c.ended.as_ref().map(|(_, reason)| reason.clone()),
        })
    }

    /// The configured field that links a leg to its contact, and the contact's id.
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

fn unknown_contact(id: &str) -> String {
    format!("unknown contact `{id}`")
}
