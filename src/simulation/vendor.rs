//! A simulated Amazon Connect: contacts, legs, and answers that are late, old, lost, cut or refused. It knows the truth, which
//! the service never sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::contact_event::{ContactEvent, ContactEventType, ContactLinks, InitiationMethod};
use sidedoor_domain::ports::{Operation, VendorErrorCode, Verdict};
use sidedoor_domain::supervision::Channel;
use sidedoor_domain::unusable_event::EventOrigin;

use super::plan::{Conduct, Outage};
use super::time::{SeededRandom, TrueTime, WrongClock};
use super::world::World;

/// The id by which events name the simulated instance.
pub(super) const INSTANCE_ID: &str = "instance-1";
pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const REGION: &str = "us-west-2";

/// Who ended a contact or a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    Customer,
    Transfer,
    /// The supervisor, in their CCP.
    Ccp,
    /// The contact, which took the leg with it.
    Contact,
    /// Our StopContact.
    StopContact,
}

#[derive(Debug, Clone)]
pub(super) struct SimContact {
    pub(super) agent: String,
    pub(super) started: i64,
    pub(super) ended: Option<(i64, EndedBy)>,
    pub(super) successor: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct SimLeg {
    pub(super) id: String,
    pub(super) contact: String,
    pub(super) user: String,
    pub(super) started: i64,
    pub(super) connected: Option<i64>,
    pub(super) ended: Option<(i64, EndedBy)>,
    /// The ClientToken of the MonitorContact that made it.
    pub(super) token: Option<String>,
}

impl SimLeg {
    pub(super) fn is_live(&self) -> bool {
        self.ended.is_none()
    }
}

/// An operation's outage: until when, ms, and how its calls fail.
type OutageWindow = (Operation, Outage, i64);

#[derive(Default)]
pub(super) struct VendorState {
    pub(super) contacts: BTreeMap<String, SimContact>,
    pub(super) legs: BTreeMap<String, SimLeg>,
    outages: Vec<OutageWindow>,
    calls: BTreeMap<Operation, u64>,
    serial: u64,
}

/// The simulated Amazon Connect.
pub(super) struct Vendor {
    state: Mutex<VendorState>,
    pub(super) conduct: Conduct,
    pub(super) truth: TrueTime,
    pub(super) random: SeededRandom,
    /// Whether the busy time is over: from then on no call fails.
    calm: std::sync::atomic::AtomicBool,
}

/// What happens to one call.
pub(super) struct Fate {
    pub(super) before: u64,
    pub(super) after: u64,
    /// The error instead of the effect.
    pub(super) refused: Option<(VendorErrorCode, Verdict)>,
    /// The error instead of the answer, after the effect.
    pub(super) lost: Option<VendorErrorCode>,
}

impl Vendor {
    pub(super) fn new(conduct: Conduct, seed: u64, truth: TrueTime) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            conduct,
            truth,
            random: SeededRandom::new(seed),
            calm: false.into(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, VendorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn calm_down(&self) {
        self.calm.store(true, std::sync::atomic::Ordering::Relaxed);
        self.state().outages.clear();
    }

    fn is_calm(&self) -> bool {
        self.calm.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn clock(&self) -> WrongClock {
        WrongClock {
            truth: self.truth,
            offset_ms: self.conduct.offset_ms,
            drift_ppm: self.conduct.drift_ppm,
        }
    }

    /// The vendor's timestamp of a true time.
    pub(super) fn stamp(&self, true_ms: i64) -> Timestamp {
        let reads = self.clock().reads(true_ms).as_millisecond();
        let cut = reads - reads.rem_euclid(self.conduct.granularity_ms);
        Timestamp::from_millisecond(cut).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn id(&self, kind: &str) -> String {
        let mut state = self.state();
        state.serial += 1;
        format!("{kind}-{}", state.serial)
    }

    pub(super) fn add_contact(&self, id: &str, agent: &str) {
        let contact = SimContact {
            agent: agent.to_owned(),
            started: self.truth.ms(),
            ended: None,
            successor: None,
        };
        self.state().contacts.insert(id.to_owned(), contact);
    }

    pub(super) fn begin_outage(&self, operation: Operation, outage: Outage, for_ms: u64) {
        let until = self.truth.ms() + i64::try_from(for_ms).unwrap_or(0);
        self.state().outages.push((operation, outage, until));
    }

    /// The contact ends, and every leg on it.
    pub(super) fn end_contact(self: &Arc<Self>, world: &Arc<World>, id: &str, by: EndedBy) {
        let now = self.truth.ms();
        let legs: Vec<String> = {
            let mut state = self.state();
            let Some(contact) = state.contacts.get_mut(id).filter(|c| c.ended.is_none()) else {
                return;
            };
            contact.ended = Some((now, by));
            let on_it = state.legs.values().filter(|l| l.contact == id && l.is_live());
            on_it.map(|l| l.id.clone()).collect()
        };
        world.note(|| format!("contact {id} ends: {by:?}"));
        if by == EndedBy::StopContact {
            world.violated(
                "customer_call_ended",
                format!("StopContact ended the customer's contact {id}"),
            );
        }
        world.deliver(self.contact_event(id, ContactEventType::Disconnected));
        for leg in legs {
            self.end_leg(world, &leg, EndedBy::Contact);
        }
    }

    /// The agent transfers the customer: the contact ends and its successor goes on.
    pub(super) fn transfer(self: &Arc<Self>, world: &Arc<World>, id: &str) {
        if self.state().contacts.get(id).is_none_or(|c| c.ended.is_some()) {
            return;
        }
        let successor = self.id("successor");
        self.add_contact(&successor, "agent-9");
        if let Some(contact) = self.state().contacts.get_mut(id) {
            contact.successor = Some(successor);
        }
        self.end_contact(world, id, EndedBy::Transfer);
    }

    /// A leg begins: the effect of MonitorContact, or of a supervisor in their CCP.
    pub(super) fn begin_leg(
        self: &Arc<Self>,
        world: &Arc<World>,
        contact: &str,
        user: &str,
        token: Option<&str>,
    ) -> Result<String, VendorErrorCode> {
        {
            let state = self.state();
            if let Some(known) = state
                .legs
                .values()
                .find(|l| token.is_some() && l.token.as_deref() == token)
            {
                return Ok(known.id.clone());
            }
            let live = state.contacts.get(contact).is_some_and(|c| c.ended.is_none());
            let mine = |l: &&SimLeg| l.is_live() && l.user == user;
            let voice = self.conduct.channel == Channel::Voice;
            if !live || (voice && state.legs.values().any(|l| mine(&l))) {
                return Err(VendorErrorCode::RequestInvalid);
            }
        }
        let id = self.id("leg");
        let leg = SimLeg {
            id: id.clone(),
            contact: contact.to_owned(),
            user: user.to_owned(),
            started: self.truth.ms(),
            connected: None,
            ended: None,
            token: token.map(ToOwned::to_owned),
        };
        world.note(|| format!("leg {id} of {user} on {contact} begins"));
        {
            let mut state = self.state();
            let twin = state
                .legs
                .values()
                .find(|l| l.is_live() && l.user == user && l.contact == contact);
            if let Some(twin) = twin.filter(|twin| twin.token.is_some() && token.is_some()) {
                world.violated(
                    "two_live_legs",
                    format!("{} and {id} of {user} on {contact} are both live", twin.id),
                );
            }
            state.legs.insert(id.clone(), leg);
        }
        world.deliver(self.leg_event(&id, ContactEventType::Initiated));
        let (this, world, leg) = (self.clone(), world.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(this.conduct.connect_ms)).await;
            let now = this.truth.ms();
            let connected = {
                let mut state = this.state();
                let found = state.legs.get_mut(&leg).filter(|l| l.is_live());
                found.map(|l| l.connected = Some(now)).is_some()
            };
            if connected && this.conduct.says_connected {
                world.deliver(this.leg_event(&leg, ContactEventType::ConnectedToAgent));
            }
        });
        Ok(id)
    }

    /// Ends a leg. Returns whether it was live.
    pub(super) fn end_leg(self: &Arc<Self>, world: &Arc<World>, id: &str, by: EndedBy) -> bool {
        let now = self.truth.ms();
        let ended = {
            let mut state = self.state();
            let found = state.legs.get_mut(id).filter(|l| l.is_live());
            found.map(|l| l.ended = Some((now, by))).is_some()
        };
        if ended {
            world.note(|| format!("leg {id} ends: {by:?}"));
            world.deliver(self.leg_event(id, ContactEventType::Disconnected));
        }
        ended
    }

    pub(super) fn method(&self) -> InitiationMethod {
        match self.conduct.says_monitor {
            true => InitiationMethod::Monitor,
            false => InitiationMethod::Unknown,
        }
    }

    fn leg_event(&self, id: &str, event_type: ContactEventType) -> ContactEvent {
        let event_id = self.id("event");
        let state = self.state();
        let leg = &state.legs[id];
        ContactEvent {
            id: Some(event_id),
            event_type,
            contact: id.to_owned(),
            instance_id: INSTANCE_ID.into(),
            origin: EventOrigin::new(ACCOUNT, REGION),
            initiation_method: self.method(),
            channel: Some(self.conduct.channel),
            initiated_at: Some(self.stamp(leg.started)),
            user: Some(leg.user.clone()),
            queue: None,
            connected_at: leg
                .connected
                .filter(|_| self.conduct.says_connected)
                .map(|t| self.stamp(t)),
            disconnected_at: leg.ended.map(|(t, _)| self.stamp(t)),
            disconnect_reason: leg.ended.map(|_| "AGENT_DISCONNECT".into()),
            links: ContactLinks::default(),
        }
    }

    fn contact_event(&self, id: &str, event_type: ContactEventType) -> ContactEvent {
        let event_id = self.id("event");
        let state = self.state();
        let contact = &state.contacts[id];
        ContactEvent {
            id: Some(event_id),
            event_type,
            contact: id.to_owned(),
            instance_id: INSTANCE_ID.into(),
            origin: EventOrigin::new(ACCOUNT, REGION),
            initiation_method: InitiationMethod::Other("INBOUND".into()),
            channel: Some(self.conduct.channel),
            initiated_at: Some(self.stamp(contact.started)),
            user: Some(contact.agent.clone()),
            queue: None,
            connected_at: Some(self.stamp(contact.started)),
            disconnected_at: contact.ended.map(|(t, _)| self.stamp(t)),
            disconnect_reason: contact.ended.map(|_| "CUSTOMER_DISCONNECT".into()),
            links: ContactLinks::default(),
        }
    }

    pub(super) fn fate(&self, operation: Operation) -> Fate {
        let call_ms = self.conduct.call_ms.clone();
        let (before, after, chance) = self
            .random
            .with(|rng| (rng.u64(call_ms.clone()) / 2, rng.u64(call_ms) / 2, rng.u64(0..100)));
        let mut fate = Fate {
            before,
            after,
            refused: None,
            lost: None,
        };
        if self.is_calm() {
            return fate;
        }
        let now = self.truth.ms();
        let mut state = self.state();
        state.outages.retain(|(_, _, until)| *until > now);
        *state.calls.entry(operation).or_default() += 1;
        let outage = state
            .outages
            .iter()
            .find(|(of, ..)| *of == operation)
            .map(|(_, outage, _)| *outage);
        let random = match chance {
            c if c >= self.conduct.call_faults => None,
            c if c % 3 == 0 => Some(Outage::AnswerLost),
            c if c % 3 == 1 => Some(Outage::Unavailable),
            _ => Some(Outage::Throttled),
        };
        match outage.or(random) {
            None => {}
            Some(Outage::Slow(ms)) => fate.before = ms,
            Some(Outage::AnswerLost) => fate.lost = Some(VendorErrorCode::NetworkUnavailable),
            Some(Outage::AnswerCut) => fate.lost = Some(VendorErrorCode::ResponseInvalid),
            Some(Outage::Unavailable) => fate.refused = Some((VendorErrorCode::Unavailable, Verdict::Retry)),
            Some(Outage::Throttled) => fate.refused = Some((VendorErrorCode::RateLimitReached, Verdict::Retry)),
            Some(Outage::Hangs) => fate.after = 60_000,
            Some(Outage::Denied) => fate.refused = Some((VendorErrorCode::AccessForbidden, Verdict::Never)),
            Some(Outage::NotFound) => fate.refused = Some((VendorErrorCode::ResourceNotFound, Verdict::Never)),
        }
        fate
    }
}
