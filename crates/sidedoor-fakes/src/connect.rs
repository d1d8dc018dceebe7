//! The fake Amazon Connect.
//!
//! | module | holds |
//! |---|---|
//! | [`state`] | contacts, legs and users, and the rules by which they change |
//! | [`operations`] | the API operations, as rules on that state |
//! | [`rest_api`] | the rest-json protocol: paths, errors, headers |
//! | [`sigv4`] | verification of AWS signatures |
//! | [`sts`] | STS GetCallerIdentity |
//! | [`event_payloads`] | the bodies of contact events and agent events |
//! | [`event_delivery`] | sends events to Sidedoor: late, twice, out of order, or not at all |
//! | [`ledger`] | which operations were called, and which contacts ended, each with its cause |
//! | [`control_api`] | the `/_fake` API |

mod control_api;
mod event_delivery;
mod event_payloads;
mod ledger;
mod operations;
mod rest_api;
mod sigv4;
mod state;
mod sts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_delivery::EventPusher;
pub use event_delivery::EventSettings;
pub use ledger::{CallEntry, EndEntry, Ledger};
pub(super) use rest_api::router;
use serde::{Deserialize, Serialize};
use state::InstanceState;
pub use state::{ContactView, NewContact};
use tokio_util::sync::CancellationToken;

use super::browser::{Heard, Tab};
use super::clock::VendorClock;
use super::faults::Fault;

/// Id of the Connect instance in the default settings.
pub const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";
/// The AWS Region in all ARNs.
pub const REGION: &str = "us-west-2";
/// The AWS account of the instance.
pub const ACCOUNT: &str = "111122223333";
/// The only accepted AWS access key id.
pub const ACCESS_KEY: &str = "fake-access-key";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "fake-secret-key";

/// What StopContact does with a MONITOR voice leg. AWS does not document it, so every possible answer can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopVoiceLeg {
    /// 400 InvalidRequestException: the default, inferred from the documentation of other contacts.
    Refuse400,
    /// 410 ContactNotFoundException.
    Gone410,
    /// 200, but the leg does not end.
    AcceptAndIgnore,
}

/// Which field of a leg holds the id of the supervised contact. AWS does not document it, so every possible field can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkField {
    /// `RelatedContactId`
    RelatedContactId,
    /// `InitialContactId`
    InitialContactId,
    /// `PreviousContactId`
    PreviousContactId,
    /// No field does.
    None,
}

/// Settings of the fake Connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConnectSettings {
    /// Id of the Connect instance.
    pub instance_id: String,
    /// Error of the vendor's clock, in timestamps and in the `Date` header.
    pub clock: VendorClock,
    /// Time from MonitorContact until the supervisor's CCP has connected the leg, ms.
    pub connect_delay_ms: u64,
    /// The answer to StopContact for a MONITOR voice leg.
    pub stop_voice_leg: StopVoiceLeg,
    /// The field of a leg that names the supervised contact.
    pub link_field: LinkField,
    /// The most supervisors on one voice call; one more gets 402 ServiceQuotaExceededException.
    pub supervisors_per_call: usize,
    /// Time until a customer's call ends after its last other party has left, ms. AWS does not document it.
    pub last_party_delay_ms: u64,
    /// Verify AWS signatures. With `false`, the header must be there but any signature is accepted.
    pub verify_signatures: bool,
    /// Operations that answer 403 AccessDeniedException. The default denies an operation that Sidedoor does not need, so that a
    /// test notices when it starts to use it.
    pub denied_operations: Vec<String>,
    /// Instance attributes that are off, such as `ENHANCED_CONTACT_MONITORING`.
    pub attributes_off: Vec<String>,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self {
            instance_id: INSTANCE.into(),
            clock: VendorClock::default(),
            connect_delay_ms: 50,
            stop_voice_leg: StopVoiceLeg::Refuse400,
            link_field: LinkField::RelatedContactId,
            supervisors_per_call: 2,
            last_party_delay_ms: 0,
            verify_signatures: true,
            denied_operations: vec!["ListSecurityProfiles".into()],
            attributes_off: Vec::new(),
        }
    }
}

/// Controls the fake Connect from the same process. Clones share one state.
#[derive(Clone)]
pub struct ConnectFake {
    state: Arc<Mutex<InstanceState>>,
    events: EventPusher,
    tabs: Arc<Mutex<Vec<(String, Tab)>>>,
    stop: CancellationToken,
}

/// The most open tabs of all simulated browsers together.
const MAX_TABS: usize = 1000;

impl ConnectFake {
    pub(super) fn new(settings: ConnectSettings, events: EventSettings, seed: u64, stop: CancellationToken) -> Self {
        Self {
            state: Arc::new(Mutex::new(InstanceState::new(settings))),
            events: EventPusher::start(events, seed, stop.clone()),
            tabs: Arc::default(),
            stop,
        }
    }

    fn state(&self) -> MutexGuard<'_, InstanceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the events that the last changes of the state have caused.
    pub(super) fn publish(&self) {
        let events = self.state().take_unsent_events();
        for event in events {
            self.events.push(event);
        }
    }

    /// Creates a customer's contact that is already connected to its agent. Returns the contact's id.
    pub fn create_contact(&self, new: NewContact) -> String {
        let id = self.state().create_contact(new);
        self.publish();
        id
    }

    /// Creates a voice call with `agent-1`. Returns the contact's id.
    pub fn create_call(&self) -> String {
        self.create_contact(NewContact::default())
    }

    /// Creates a MONITOR leg as a supervisor does by hand in Omni Supervisor or the CCP, without a MonitorContact call. Returns
    /// the leg's id.
    ///
    /// # Errors
    /// The message with which Connect would reject it.
    pub fn begin_leg_by_hand(&self, contact: &str, user: &str) -> Result<String, String> {
        let leg = self.state().begin_leg(contact, user, true).map_err(|e| e.message)?;
        self.after_leg_began(&leg);
        Ok(leg)
    }

    /// Connects a new leg after `connect_delay_ms`, as the supervisor's CCP does.
    pub(super) fn after_leg_began(&self, leg: &str) {
        self.publish();
        let (fake, leg, delay) = (
            self.clone(),
            leg.to_owned(),
            self.state().settings.connect_delay_ms.min(60_000),
        );
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if !fake.stop.is_cancelled() {
                fake.state().connect_leg(&leg);
                fake.publish();
            }
        });
    }

    /// The supervisor ends their own leg in the CCP, as `destroy()` on their own agent connection does.
    ///
    /// # Errors
    /// When `leg` is not a live MONITOR contact of `user`.
    pub fn end_leg_in_ccp(&self, user: &str, leg: &str) -> Result<(), String> {
        let outcome = self.state().end_leg_in_ccp(user, leg);
        self.publish();
        self.end_call_after_last_party(outcome?);
        Ok(())
    }

    /// Ends a customer's call after `last_party_delay_ms`, because only the customer is left.
    fn end_call_after_last_party(&self, abandoned: Option<String>) {
        let Some(contact) = abandoned else { return };
        let (fake, delay) = (self.clone(), self.state().settings.last_party_delay_ms.min(60_000));
        let end = move || {
            fake.state().end(&contact, "LAST_PARTY_LEFT", "AGENT_DISCONNECT");
            fake.publish();
        };
        if delay == 0 {
            return end();
        }
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            end();
        });
    }

    /// Ends the leg like [`Self::end_leg_in_ccp`], but only if another person stays with the customer. A leg control that repeats
    /// Sidedoor's check does this. Returns `false` if the supervisor is the last party, so that the leg was not ended.
    ///
    /// # Errors
    /// When `leg` is not a live MONITOR contact of `user`.
    pub fn end_leg_unless_last(&self, user: &str, leg: &str) -> Result<bool, String> {
        let outcome = {
            let mut state = self.state();
            if state.is_last_party(leg) {
                return Ok(false);
            }
            state.end_leg_in_ccp(user, leg)
        };
        self.publish();
        outcome.map(|_| true)
    }

    /// The supervisor changes the mode of their own leg (`SILENT_MONITOR`, `BARGE`), as `updateMonitorParticipantState` does.
    ///
    /// # Errors
    /// When the leg is not a connected leg of this supervisor, or the mode is not allowed for it.
    pub fn change_mode_in_ccp(&self, user: &str, leg: &str, mode: &str) -> Result<(), String> {
        let outcome = self.state().change_mode_in_ccp(user, leg, mode);
        self.publish();
        outcome
    }

    /// The agent hangs up: the contact ends, unless a supervisor has barged in and stays with the customer.
    ///
    /// # Errors
    /// When the contact is unknown, ended, or a leg.
    pub fn agent_leaves(&self, contact: &str) -> Result<(), String> {
        let outcome = self.state().agent_leaves(contact);
        self.publish();
        outcome
    }

    /// The agent puts the customer on hold, or ends the hold.
    ///
    /// # Errors
    /// When the contact is unknown.
    pub fn hold(&self, contact: &str, on_hold: bool) -> Result<(), String> {
        self.state().hold(contact, on_hold)
    }

    /// The customer (`CUSTOMER`) or the agent (`AGENT`) hangs up: the contact ends, and every leg on it.
    ///
    /// # Errors
    /// When the contact is unknown, ended, or a leg.
    pub fn hang_up(&self, contact: &str, by: &str) -> Result<(), String> {
        let outcome = self.state().hang_up(contact, by);
        self.publish();
        outcome
    }

    fn tabs(&self) -> MutexGuard<'_, Vec<(String, Tab)>> {
        self.tabs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a user's tab open. Returns `false` and closes it when [`MAX_TABS`] tabs are open.
    pub(super) fn keep_tab(&self, user: &str, tab: Tab) -> bool {
        let mut tabs = self.tabs();
        let accepted = tabs.len() < MAX_TABS;
        if accepted {
            tabs.push((user.to_owned(), tab));
        }
        accepted
    }

    /// The events that each tab of a user has received.
    pub(super) fn tabs_heard(&self, user: &str) -> Vec<Vec<Heard>> {
        let theirs = |(of, tab): &(String, Tab)| (of == user).then(|| tab.heard());
        self.tabs().iter().filter_map(theirs).collect()
    }

    pub(super) fn close_tabs(&self, user: &str) {
        self.tabs().retain(|(of, _)| of != user);
    }

    /// A contact or leg; `None` if the id is unknown.
    pub fn contact(&self, id: &str) -> Option<ContactView> {
        self.state().view(id)
    }

    /// Ids of the legs on a contact that have not ended.
    pub fn live_legs(&self, contact: &str) -> Vec<String> {
        self.state().live_legs(contact)
    }

    /// Ids of all legs on a contact, ended ones included.
    pub fn legs(&self, contact: &str) -> Vec<String> {
        self.state().legs(contact)
    }

    /// The API calls and the ended contacts.
    pub fn ledger(&self) -> Ledger {
        self.state().ledger.clone()
    }

    /// Customer contacts that neither the customer nor the agent ended. A test must find this empty, because every entry is a
    /// customer's call that we ended.
    pub fn customer_contacts_we_ended(&self) -> Vec<EndEntry> {
        let ours = |e: &&EndEntry| e.kind == "CUSTOMER" && !matches!(e.by.as_str(), "CUSTOMER" | "AGENT");
        self.state().ledger.ended.iter().filter(ours).cloned().collect()
    }

    /// Number of calls of an operation, failed ones included.
    pub fn calls(&self, operation: &str) -> usize {
        self.state()
            .ledger
            .calls
            .iter()
            .filter(|c| c.operation == operation)
            .count()
    }

    /// Adds a scripted fault.
    pub fn fault(&self, fault: Fault) {
        self.state().faults.add(fault);
    }

    /// Removes the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Changes the settings; the next call sees them.
    pub fn change(&self, how: impl FnOnce(&mut ConnectSettings)) {
        how(&mut self.state().settings);
    }

    /// Changes where and how events are sent.
    pub fn change_events(&self, how: impl FnOnce(&mut EventSettings)) {
        self.events.change(how);
    }

    /// Number of events that are delayed or waiting for a retry.
    pub fn pending_events(&self) -> usize {
        self.events.pending()
    }

    /// Sets a user's user name. Creates the user if the id is unknown.
    pub fn name_user(&self, user: &str, username: &str) {
        self.state().name_user(user, username);
    }

    /// Opens or closes a user's CCP. While it is closed, new legs of the user do not connect. Creates the user if the id is
    /// unknown.
    pub fn set_ccp_open(&self, user: &str, open: bool) {
        self.state().set_ccp_open(user, open);
    }
}

/// Method and path of every route of the control API.
pub fn control_routes() -> Vec<(&'static str, &'static str)> {
    control_api::routes()
        .iter()
        .map(|route| (route.method, route.path))
        .collect()
}
