//! The fake Amazon Connect.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | the settings: a switch for everything that AWS does not document |
//! | [`contact`] | one contact or leg, and its history |
//! | [`state`] | contacts, legs and users, and the rules by which they change |
//! | [`endings`] | how contacts and legs end |
//! | [`transfers`] | transfers of a call to another agent |
//! | [`operations`] | the API operations, as rules on that state |
//! | [`associations`] | ListAssociatedContacts |
//! | [`constraints`] | what the service's model refuses: missing members, lengths, enums, patterns |
//! | [`contact_search`] | SearchContacts |
//! | [`user_data`] | GetCurrentUserData, which may be stale |
//! | [`regions`] | the two Regions of a replicated instance |
//! | [`rest_api`] | the rest-json protocol: paths, errors, headers |
//! | [`sigv4`] | verification of AWS signatures |
//! | [`sts`] | STS GetCallerIdentity |
//! | [`event_payloads`] | the bodies of contact events and agent events |
//! | [`forged_events`] | events that nothing caused, to test a receiver |
//! | [`event_delivery`] | sends events to Sidedoor: late, twice, out of order, or not at all |
//! | [`ledger`] | which operations were called, and which contacts ended, each with its cause |
//! | [`control_api`] | the `/_fake` API |

mod associations;
mod constraints;
mod contact;
mod contact_search;
mod control_api;
mod endings;
mod event_delivery;
mod event_payloads;
mod forged_events;
mod ledger;
mod operations;
mod regions;
mod rest_api;
mod settings;
mod sigv4;
mod state;
mod sts;
mod transfers;
mod user_data;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use contact::{ContactView, NewContact, UserChange};
use event_delivery::EventPusher;
pub use event_delivery::EventSettings;
pub use forged_events::ForgedEvent;
use jiff::SignedDuration;
pub use ledger::{CallEntry, EndEntry, Ledger};
pub(super) use rest_api::router;
use serde_json::Value;
pub use settings::{ConnectSettings, ConstraintError, DetailType, LinkField, OtherRegion, StopVoiceLeg};
use sigv4::SignatureRules;
use state::InstanceState;
use tokio_util::sync::CancellationToken;
use transfers::TRANSFER_REASON;

use super::browser::{Heard, Tab};
use super::clock::real_now;
use super::faults::Fault;

/// Id of the Connect instance in the default settings.
pub const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";
/// The AWS Region of the instance, in all ARNs of a contact there.
pub const REGION: &str = "us-west-2";
/// The other Region of the instance, if the setting `replicated` is on.
pub const REPLICA_REGION: &str = "us-east-1";
/// The AWS account in all ARNs and events.
pub const ACCOUNT: &str = "111122223333";
/// The only accepted AWS access key id.
pub const ACCESS_KEY: &str = "fake-access-key";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "fake-secret-key";

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
            state: Arc::new(Mutex::new(InstanceState::new(settings, seed))),
            events: EventPusher::start(events, seed, stop.clone()),
            tabs: Arc::default(),
            stop,
        }
    }

    fn state(&self) -> MutexGuard<'_, InstanceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the signatures of API calls are checked for.
    fn signature_rules(&self) -> SignatureRules {
        let state = self.state();
        let now = state.settings.clock.read(real_now(), state.since);
        let most = state.settings.signature_age_s;
        SignatureRules {
            verify: state.settings.verify_signatures,
            age: most.map(|s| (now, SignedDuration::from_secs(i64::from(s)))),
        }
    }

    /// Sends the events that the last changes of the state have caused, and lets customers hang up who will.
    pub(super) fn publish(&self) {
        let (events, hang_ups) = {
            let mut state = self.state();
            let hang_ups = std::mem::take(&mut state.planned_hang_ups);
            (std::mem::take(&mut state.unsent_events), hang_ups)
        };
        for event in events {
            self.events.push(event);
        }
        for (contact, delay_ms) in hang_ups {
            let fake = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                // Fails if the call has ended meanwhile, and then there is nothing to do.
                fake.hang_up(&contact, "CUSTOMER").ok();
            });
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

    /// The agent transfers the call to another agent, who is connected at once; an unknown user is created. The contact and its
    /// legs end, and the call continues in a new contact. Returns the new contact's id.
    ///
    /// # Errors
    /// When the contact is unknown, ended, a leg, or without an agent.
    pub fn transfer(&self, contact: &str, agent: &str) -> Result<String, String> {
        self.transfer_with_reason(contact, agent, TRANSFER_REASON)
    }

    /// Like [`Self::transfer`], with another `DisconnectReason` of the first contact, because AWS documents none.
    ///
    /// # Errors
    /// As for [`Self::transfer`].
    pub fn transfer_with_reason(&self, contact: &str, agent: &str, reason: &str) -> Result<String, String> {
        let outcome = self.state().transfer(contact, agent, reason);
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

    /// Moves a contact and its legs to the other Region of a replicated instance.
    ///
    /// # Errors
    /// When the contact or the Region is unknown.
    pub fn move_to_region(&self, contact: &str, region: &str) -> Result<(), String> {
        self.state().move_to_region(contact, region)
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

    /// Number of API calls since the start, by operation.
    pub fn call_totals(&self) -> BTreeMap<String, u64> {
        self.state().ledger.totals.clone()
    }

    /// Customer contacts that neither the customer nor the agent ended, and that were not transferred. A test must find this
    /// empty, because every entry is a customer's call that we ended.
    pub fn customer_contacts_we_ended(&self) -> Vec<EndEntry> {
        let ours = |e: &&EndEntry| e.kind == "CUSTOMER" && !matches!(e.by.as_str(), "CUSTOMER" | "AGENT" | "TRANSFER");
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

    /// The scripted faults that have not happened yet.
    pub fn faults(&self) -> Vec<Fault> {
        self.state().faults.pending()
    }

    /// Removes the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Changes the settings; the next call sees them. A value out of bounds is cut to its bound.
    pub fn change(&self, how: impl FnOnce(&mut ConnectSettings)) {
        let mut state = self.state();
        let mut settings = state.settings.clone();
        how(&mut settings);
        state.settings = settings.bounded();
    }

    /// Changes where and how events are sent.
    pub fn change_events(&self, how: impl FnOnce(&mut EventSettings)) {
        self.events.change(how);
    }

    /// The contact event that `forged` describes. Nothing is sent, and no contact changes.
    pub fn forge_event(&self, forged: &ForgedEvent) -> Value {
        self.state().forged_event(forged)
    }

    /// Sends a forged contact event at once and exactly once, whatever the settings of events say about delays and losses.
    /// Without a target nothing is sent. Returns the event.
    pub fn send_forged_event(&self, forged: &ForgedEvent) -> Value {
        let event = self.forge_event(forged);
        self.events.send(event.clone());
        event
    }

    /// Number of events that are delayed or waiting for a retry.
    pub fn pending_events(&self) -> usize {
        self.events.pending()
    }

    /// Changes a user. Creates the user if the id is unknown.
    pub fn change_user(&self, user: &str, change: UserChange) {
        self.state().user(user).change(change);
    }

    /// Sets a user's user name. Creates the user if the id is unknown.
    pub fn name_user(&self, user: &str, username: &str) {
        let username = Some(username.to_owned());
        self.change_user(
            user,
            UserChange {
                username,
                ..UserChange::default()
            },
        );
    }

    /// Opens or closes a user's CCP. While it is closed, new legs of the user do not connect. Creates the user if the id is
    /// unknown.
    pub fn set_ccp_open(&self, user: &str, open: bool) {
        let ccp_open = Some(open);
        self.change_user(
            user,
            UserChange {
                ccp_open,
                ..UserChange::default()
            },
        );
    }
}

/// Method and path of every route of the control API.
pub fn control_routes() -> Vec<(&'static str, &'static str)> {
    control_api::routes()
        .iter()
        .map(|route| (route.method, route.path))
        .collect()
}
