//! One contact or leg. Times are kept as real times; the vendor's timestamps are computed when they are read, because the
//! settings of the clock may change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::REGION;
use crate::clock::real_now;

/// The routing profile of users for whom no other is set.
const ROUTING_PROFILE: &str = "33333333-3333-4333-8333-333333333333";

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
    /// The id of the queue that the contact came through; none by default.
    pub queue_id: Option<String>,
}

impl Default for NewContact {
    fn default() -> Self {
        Self {
            contact_id: None,
            channel: "VOICE".into(),
            agent_id: "agent-1".into(),
            queue_id: None,
        }
    }
}

/// What to change of a user. A member that is `None` changes nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserChange {
    /// The user name.
    pub username: Option<String>,
    /// Whether the CCP is open. While it is closed, new legs of the user do not connect.
    pub ccp_open: Option<bool>,
    /// The id of the user's routing profile.
    pub routing_profile_id: Option<String>,
    /// The ids of the user's hierarchy groups, level one first, at most five.
    pub hierarchy_group_ids: Option<Vec<String>>,
    /// The status that the user chooses, such as `Available`. An empty one signs the user out.
    pub status: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) ccp_open: bool,
    pub(super) routing_profile: String,
    /// The hierarchy groups of the user, level one first.
    pub(super) hierarchy: Vec<String>,
    /// The status that the user chose, and since when. A user without one is not signed in.
    pub(super) status: Option<(String, Timestamp)>,
}

impl User {
    pub(super) fn new(id: &str) -> Self {
        Self {
            username: format!("{id}@example"),
            ccp_open: true,
            routing_profile: ROUTING_PROFILE.into(),
            hierarchy: Vec::new(),
            status: Some(("Available".into(), real_now())),
        }
    }

    pub(super) fn change(&mut self, change: UserChange) {
        self.username = change.username.unwrap_or_else(|| std::mem::take(&mut self.username));
        self.ccp_open = change.ccp_open.unwrap_or(self.ccp_open);
        if let Some(profile) = change.routing_profile_id {
            self.routing_profile = profile;
        }
        if let Some(groups) = change.hierarchy_group_ids {
            self.hierarchy = groups;
        }
        if let Some(name) = change.status {
            self.status = (!name.is_empty()).then(|| (name, real_now()));
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) channel: String,
    pub(super) initiation_method: &'static str,
    pub(super) user: String,
    pub(super) region: String,
    pub(super) supervised: Option<String>,
    /// The id of the queue that it came through.
    pub(super) queue: Option<String>,
    /// The contact that was transferred to this one.
    pub(super) previous: Option<String>,
    /// The first contact of the chain of transfers, if this is not the first.
    pub(super) initial: Option<String>,
    /// When this contact was transferred, and the contact with which the call continued.
    pub(super) successor: Option<(Timestamp, String)>,
    pub(super) started_at: Timestamp,
    pub(super) connected_at: Option<Timestamp>,
    pub(super) ended: Option<(Timestamp, String)>,
    /// When the agent of this customer's contact hung up while a supervisor who has barged in stayed.
    pub(super) agent_gone: Option<Timestamp>,
    /// The starts (`true`) and ends (`false`) of the customer's holds, oldest first.
    pub(super) holds: Vec<(bool, Timestamp)>,
    /// MonitorContact allowed this leg to barge in.
    pub(super) may_barge: bool,
    /// The modes of a leg, oldest first, each with its start.
    pub(super) modes: Vec<(&'static str, Timestamp)>,
}

impl Contact {
    pub(super) fn new(id: String, channel: String, initiation_method: &'static str, user: String) -> Self {
        Self {
            id,
            channel,
            initiation_method,
            user,
            region: REGION.into(),
            supervised: None,
            queue: None,
            previous: None,
            initial: None,
            successor: None,
            started_at: real_now(),
            connected_at: None,
            ended: None,
            agent_gone: None,
            holds: Vec::new(),
            may_barge: false,
            modes: Vec::new(),
        }
    }

    pub(super) fn is_live_leg(&self) -> bool {
        self.initiation_method == "MONITOR" && self.ended.is_none()
    }

    pub(super) fn on_hold(&self) -> bool {
        self.holds.last().is_some_and(|(on, _)| *on)
    }

    /// When the contact's user was no longer on it.
    pub(super) fn left_at(&self) -> Option<Timestamp> {
        let ended = self.ended.as_ref().map(|(at, _)| *at);
        self.agent_gone.or(ended)
    }

    /// The contact as it was at the real time `at`; `None` if it did not exist.
    pub(super) fn as_of(&self, at: Timestamp) -> Option<Self> {
        if self.started_at > at {
            return None;
        }
        let mut then = self.clone();
        then.connected_at = then.connected_at.filter(|t| *t <= at);
        then.successor = then.successor.filter(|(t, _)| *t <= at);
        then.ended = then.ended.filter(|(t, _)| *t <= at);
        then.agent_gone = then.agent_gone.filter(|t| *t <= at);
        then.holds.retain(|(_, t)| *t <= at);
        then.modes.retain(|(_, t)| *t <= at);
        Some(then)
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
    /// `INBOUND` for a customer's contact, `TRANSFER` if another contact was transferred to it, `MONITOR` for a leg.
    pub initiation_method: String,
    /// `VOICE`, `CHAT` or `TASK`.
    pub channel: String,
    /// The agent of a customer's contact, or the supervisor of a leg.
    pub user_id: String,
    /// The Region in which the contact is.
    pub region: String,
    /// The contact that a leg supervises.
    pub supervised: Option<String>,
    /// The contact that was transferred to this one.
    pub previous_contact_id: Option<String>,
    /// The first contact of the chain of transfers, if this is not the first.
    pub initial_contact_id: Option<String>,
    /// The contact with which the customer's call continued after a transfer.
    pub next_contact_id: Option<String>,
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
