//! Fake Amazon Connect.
//!
//! | file | story |
//! |---|---|
//! | [`world`] | contacts, legs and users, and what happens to them |
//! | [`telling`] | what it tells of itself: contact events, agent events |
//! | [`operations`] | the vendor's operations, as rules on that world |
//! | [`wire`] | rest-json: paths, errors, headers |
//! | [`sigv4`] | signatures are verified |
//! | [`sts`] | who the caller is |
//! | [`events`] | contact events pushed to Sidedoor: late, twice, out of order, lost |
//! | [`ledger`] | who called what, and which contacts ended, by whom |
//! | [`admin`] | the `/_fake` API |

pub mod admin;
pub mod events;
pub mod ledger;
mod operations;
mod sigv4;
mod sts;
mod telling;
mod wire;
pub mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use events::EventSettings;
pub use ledger::{CallEntry, EndEntry, Ledger};
pub use wire::router;
pub use world::{ContactView, NewContact, World};

use super::browser::{Heard, Tab};
use super::clock::VendorClock;
use super::faults::Fault;
use events::Events;

/// The default instance's id.
pub const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";
/// The Region of the ARNs.
pub const REGION: &str = "us-west-2";
/// The access key id the fake knows.
pub const ACCESS_KEY: &str = "fake-access-key";
/// Its secret.
pub const SECRET_KEY: &str = "fake-secret-key";

/// What StopContact does with a MONITOR voice leg. Undocumented, so settable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopVoiceLeg {
    /// 400 InvalidRequestException (what we infer).
    Refuse400,
    /// 410 ContactNotFoundException.
    Gone410,
    /// 200, and nothing happens.
    AcceptAndIgnore,
}

/// Which field of a leg names the contact it listens to. Undocumented, so settable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkField {
    /// `RelatedContactId`
    RelatedContactId,
    /// `InitialContactId`
    InitialContactId,
    /// `PreviousContactId`
    PreviousContactId,
    /// None does.
    None,
}

/// How fake Connect behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ConnectSettings {
    /// Its instance's id.
    pub instance_id: String,
    /// Its clock.
    pub clock: VendorClock,
    /// How long the supervisor's CCP takes to connect, ms.
    pub connect_delay_ms: u64,
    /// StopContact on a MONITOR voice leg.
    pub stop_voice_leg: StopVoiceLeg,
    /// How a leg is linked to its contact.
    pub link_field: LinkField,
    /// Supervisors a voice call takes.
    pub supervisors_per_call: usize,
    /// How long after its last party has left a customer's call ends, ms. Undocumented, so settable.
    pub last_party_delay_ms: u64,
    /// Whether signatures are verified, not only required.
    pub verify_signatures: bool,
    /// Operations that the caller's policy does not allow: 403. Beside those, what Sidedoor has no need of.
    pub denied_operations: Vec<String>,
    /// Instance attributes that are switched off, such as `ENHANCED_CONTACT_MONITORING`.
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

/// Fake Connect's handle. Cheap to clone.
#[derive(Clone)]
pub struct ConnectFake {
    world: Arc<Mutex<World>>,
    events: Events,
    tabs: Arc<Mutex<Vec<(String, Tab)>>>,
    stop: CancellationToken,
}

/// Tabs open at a time.
const TABS: usize = 1000;

impl ConnectFake {
    pub(super) fn new(settings: ConnectSettings, events: EventSettings, seed: u64, stop: CancellationToken) -> Self {
        Self {
            world: Arc::new(Mutex::new(World::new(settings))),
            events: Events::start(events, seed, stop.clone()),
            tabs: Arc::default(),
            stop,
        }
    }

    /// The world, for a moment.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the event pusher what has happened.
    pub(super) fn publish(&self) {
        let happened = self.world().take_happened();
        for event in happened {
            self.events.push(event);
        }
    }

    /// A customer's contact with an agent, connected now. Returns its id.
    pub fn create_contact(&self, new: NewContact) -> String {
        let id = self.world().create_contact(new);
        self.publish();
        id
    }

    /// A voice call with the first agent.
    pub fn create_call(&self) -> String {
        self.create_contact(NewContact::default())
    }

    /// A MONITOR leg begun by hand in Omni Supervisor or the CCP: no API call of ours.
    ///
    /// # Errors
    /// In words, when the vendor would refuse.
    pub fn begin_leg_by_hand(&self, contact: &str, user: &str) -> Result<String, String> {
        let leg = self.world().begin_leg(contact, user, true).map_err(|e| e.message)?;
        self.after_leg_began(&leg);
        Ok(leg)
    }

    /// The CCP of a leg's supervisor connects after its delay.
    pub(super) fn after_leg_began(&self, leg: &str) {
        self.publish();
        let (fake, leg, delay) = (
            self.clone(),
            leg.to_owned(),
            self.world().settings.connect_delay_ms.min(60_000),
        );
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if !fake.stop.is_cancelled() {
                fake.world().connect_leg(&leg);
                fake.publish();
            }
        });
    }

    /// The supervisor ends their own leg in the CCP, as `destroy()` on their own agent connection does.
    ///
    /// # Errors
    /// In words, unless `leg` is a live MONITOR contact of `user`.
    pub fn end_leg_in_ccp(&self, user: &str, leg: &str) -> Result<(), String> {
        let done = self.world().end_leg_in_ccp(user, leg);
        self.publish();
        self.end_what_is_left(done?);
        Ok(())
    }

    /// A call that its last party has left ends after its delay.
    fn end_what_is_left(&self, left: Option<String>) {
        let Some(contact) = left else { return };
        let (fake, delay) = (self.clone(), self.world().settings.last_party_delay_ms.min(60_000));
        let end = move || {
            fake.world().end(&contact, "LAST_PARTY_LEFT", "AGENT_DISCONNECT");
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

    /// The same, unless the supervisor is the last one left with the customer: what a leg control that repeats our check does.
    ///
    /// # Errors
    /// In words; `Ok(false)` when it would have been the last.
    pub fn end_leg_unless_last(&self, user: &str, leg: &str) -> Result<bool, String> {
        let done = {
            let mut world = self.world();
            if world.is_last_party(leg) {
                return Ok(false);
            }
            world.end_leg_in_ccp(user, leg)
        };
        self.publish();
        done.map(|_| true)
    }

    /// The supervisor changes the mode of their own leg (`SILENT_MONITOR`, `BARGE`), as `updateMonitorParticipantState` does.
    ///
    /// # Errors
    /// In words, when their CCP would refuse.
    pub fn change_mode_in_ccp(&self, user: &str, leg: &str, mode: &str) -> Result<(), String> {
        let done = self.world().change_mode_in_ccp(user, leg, mode);
        self.publish();
        done
    }

    /// The agent hangs up: the contact ends, unless a supervisor has barged in and stays with the customer.
    ///
    /// # Errors
    /// In words, when there is no such live contact.
    pub fn agent_leaves(&self, contact: &str) -> Result<(), String> {
        let done = self.world().agent_leaves(contact);
        self.publish();
        done
    }

    /// The agent puts the customer on hold, or takes them back.
    ///
    /// # Errors
    /// In words, when there is no such contact.
    pub fn hold(&self, contact: &str, on_hold: bool) -> Result<(), String> {
        self.world().hold(contact, on_hold)
    }

    /// The customer (`CUSTOMER`) or the agent (`AGENT`) hangs up: the contact ends, and every leg on it.
    ///
    /// # Errors
    /// In words, when there is no such live contact.
    pub fn hang_up(&self, contact: &str, by: &str) -> Result<(), String> {
        let done = self.world().hang_up(contact, by);
        self.publish();
        done
    }

    fn tabs(&self) -> MutexGuard<'_, Vec<(String, Tab)>> {
        self.tabs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a user's tab open, unless there are too many.
    pub(super) fn keep_tab(&self, user: &str, tab: Tab) -> bool {
        let mut tabs = self.tabs();
        let room = tabs.len() < TABS;
        if room {
            tabs.push((user.to_owned(), tab));
        }
        room
    }

    /// What each of a user's tabs has heard.
    pub(super) fn tabs_heard(&self, user: &str) -> Vec<Vec<Heard>> {
        let theirs = |(of, tab): &(String, Tab)| (of == user).then(|| tab.heard());
        self.tabs().iter().filter_map(theirs).collect()
    }

    pub(super) fn close_tabs(&self, user: &str) {
        self.tabs().retain(|(of, _)| of != user);
    }

    /// One contact or leg.
    pub fn contact(&self, id: &str) -> Option<ContactView> {
        self.world().view(id)
    }

    /// The legs on a contact that are alive.
    pub fn live_legs(&self, contact: &str) -> Vec<String> {
        self.world().live_legs(contact)
    }

    /// All legs there ever were on a contact.
    pub fn legs(&self, contact: &str) -> Vec<String> {
        self.world().legs(contact)
    }

    /// What was called and what ended.
    pub fn ledger(&self) -> Ledger {
        self.world().ledger.clone()
    }

    /// The customer contacts that ended by somebody else than the customer or the agent: must always be none.
    pub fn customer_contacts_we_ended(&self) -> Vec<EndEntry> {
        let ours = |e: &&EndEntry| e.kind == "CUSTOMER" && !matches!(e.by.as_str(), "CUSTOMER" | "AGENT");
        self.world().ledger.ended.iter().filter(ours).cloned().collect()
    }

    /// How many calls of an operation came in.
    pub fn calls(&self, operation: &str) -> usize {
        self.world()
            .ledger
            .calls
            .iter()
            .filter(|c| c.operation == operation)
            .count()
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.world().faults.add(fault);
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Changes the settings.
    pub fn change(&self, how: impl FnOnce(&mut ConnectSettings)) {
        how(&mut self.world().settings);
    }

    /// Changes where and how events go.
    pub fn change_events(&self, how: impl FnOnce(&mut EventSettings)) {
        self.events.change(how);
    }

    /// Events on their way (or waiting to be repeated).
    pub fn pending_events(&self) -> usize {
        self.events.pending()
    }

    /// Gives a user another name.
    pub fn name_user(&self, user: &str, username: &str) {
        self.world().name_user(user, username);
    }

    /// Whether a user's CCP is open: closed, their legs never connect. A user nobody knew is made.
    pub fn set_ccp_open(&self, user: &str, open: bool) {
        self.world().set_ccp_open(user, open);
    }
}
