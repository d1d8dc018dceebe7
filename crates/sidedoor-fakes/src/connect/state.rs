//! Contacts, legs and users, and the rules by which they change.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use super::contact::{Contact, ContactView, NewContact, User};
use super::ledger::Ledger;
use super::{ACCOUNT, ConnectSettings, LinkField, REGION};
use crate::clock::real_now;
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

/// The first use of a client token.
#[derive(Debug, Clone)]
pub(super) struct UsedToken {
    /// The parameters of MonitorContact, which a repeat must not change.
    pub(super) with: String,
    pub(super) leg: String,
    pub(super) at: Timestamp,
}

/// Everything that the fake knows about its Connect instance.
pub(super) struct InstanceState {
    pub(super) settings: ConnectSettings,
    pub(super) since: Timestamp,
    pub(super) users: BTreeMap<String, User>,
    pub(super) contacts: HashMap<String, Contact>,
    pub(super) tokens: HashMap<String, UsedToken>,
    /// Chooses by the settings' shares, and the age of polled answers.
    pub(super) rng: fastrand::Rng,
    pub(super) ledger: Ledger,
    pub(super) faults: FaultScript,
    pub(super) unsent_events: Vec<Value>,
    /// Customers who will hang up: the contact, and the delay in ms.
    pub(super) planned_hang_ups: Vec<(String, u64)>,
}

impl InstanceState {
    pub(super) fn new(settings: ConnectSettings, seed: u64) -> Self {
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
            settings: settings.bounded(),
            since: real_now(),
            users: people.iter().map(user).collect(),
            contacts: HashMap::new(),
            tokens: HashMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            ledger: Ledger::default(),
            faults: FaultScript::default(),
            unsent_events: Vec::new(),
            planned_hang_ups: Vec::new(),
        }
    }

    /// Whether something happens that happens in this share of cases, 0 to 1.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        self.rng.f64() < share
    }

    /// The ARN of the instance in its first Region.
    pub(super) fn instance_arn(&self) -> String {
        self.arn_in(REGION)
    }

    /// The ARN of the instance in a Region.
    pub(super) fn arn_in(&self, region: &str) -> String {
        format!(
            "arn:aws:connect:{region}:{ACCOUNT}:instance/{}",
            self.settings.instance_id
        )
    }

    /// The vendor's timestamp of a real time.
    pub(super) fn stamp(&self, at: Timestamp) -> Timestamp {
        self.settings.clock.stamp(at, self.since)
    }

    /// The vendor's timestamp of a real time, with the granularity of one source.
    fn stamp_with(&self, granularity_ms: Option<u64>, at: Timestamp) -> Timestamp {
        let mut clock = self.settings.clock;
        if let Some(ms) = granularity_ms.and_then(|ms| i64::try_from(ms).ok()) {
            clock.granularity_ms = ms;
        }
        clock.stamp(at, self.since)
    }

    /// The timestamp in an event.
    pub(super) fn event_stamp(&self, at: Timestamp) -> Timestamp {
        self.stamp_with(self.settings.event_granularity_ms, at)
    }

    /// The timestamp in DescribeContact.
    pub(super) fn describe_stamp(&self, at: Timestamp) -> Timestamp {
        self.stamp_with(self.settings.describe_granularity_ms, at)
    }

    /// When a leg or contact was connected, if the settings let any source say it.
    pub(super) fn known_connection(&self, c: &Contact) -> Option<Timestamp> {
        let hidden = c.initiation_method == "MONITOR" && !self.settings.connected_evidence;
        c.connected_at.filter(|_| !hidden)
    }

    /// The initiation method as GetCurrentUserData and events show it.
    pub(super) fn shown_method(&self, c: &Contact) -> Option<&'static str> {
        let hidden = c.initiation_method == "MONITOR" && self.settings.initiation_method_null;
        (!hidden).then_some(c.initiation_method)
    }

    /// The user, who is created if the id is unknown.
    pub(super) fn user(&mut self, id: &str) -> &mut User {
        self.users.entry(id.to_owned()).or_insert_with(|| User::new(id))
    }

    pub(super) fn create_contact(&mut self, new: NewContact) -> String {
        let id = new.contact_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        self.user(&new.agent_id);
        let mut contact = Contact::new(id.clone(), new.channel, "INBOUND", new.agent_id);
        contact.connected_at = Some(contact.started_at);
        contact.queue = new.queue_id;
        contact.region.clone_from(&self.settings.active_region);
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
        let Some(listener) = self.users.get(user) else {
            return Err(ApiError::new(404, "ResourceNotFoundException", "User not found"));
        };
        if self.settings.refuse_closed_ccp && !listener.ccp_open {
            let message = "Service quota exceeded";
            return Err(ApiError::new(402, "ServiceQuotaExceededException", message));
        }
        if supervised.ended.is_some() {
            return Err(invalid("One or more of the input parameters are invalid"));
        }
        let live = |c: &&Contact| c.is_live_leg();
        if supervised.channel == "VOICE" {
            let theirs = self.contacts.values().filter(live);
            let theirs = theirs.filter(|c| c.user == user && c.channel == "VOICE");
            if theirs.count() >= self.settings.voice_legs_per_user {
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
            region: supervised.region.clone(),
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
            if self.settings.connected_evidence {
                self.emit_contact_event(leg, "CONNECTED_TO_AGENT");
                self.emit_agent_event(&user, None);
            }
        }
    }

    /// The supervisor changes the mode of their own leg, as `updateMonitorParticipantState` does.
    pub(super) fn change_mode_in_ccp(&mut self, user: &str, leg: &str, mode: &str) -> Result<(), String> {
        let found = self.contacts.get(leg).ok_or_else(|| unknown_contact(leg))?;
        if !found.is_live_leg() || found.user != user || found.connected_at.is_none() {
            return Err("not a connected leg of this supervisor".into());
        }
        let supervised = found.supervised.clone().unwrap_or_default();
        let agent_gone = self.contacts.get(&supervised).is_some_and(|c| c.agent_gone.is_some());
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
        found.agent_gone.get_or_insert_with(real_now);
        Ok(())
    }

    pub(super) fn hold(&mut self, contact: &str, on_hold: bool) -> Result<(), String> {
        let found = self.contacts.get_mut(contact).ok_or_else(|| unknown_contact(contact))?;
        if found.on_hold() != on_hold {
            found.holds.push((on_hold, real_now()));
        }
        Ok(())
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
            region: c.region.clone(),
            supervised: c.supervised.clone(),
            previous_contact_id: c.previous.clone(),
            initial_contact_id: c.initial.clone(),
            next_contact_id: c.successor.as_ref().map(|(_, id)| id.clone()),
            connected: c.connected_at.is_some() && c.ended.is_none(),
            mode: c.mode().map(ToOwned::to_owned),
            agent_gone: c.agent_gone.is_some(),
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

pub(super) fn unknown_contact(id: &str) -> String {
    format!("unknown contact `{id}`")
}
