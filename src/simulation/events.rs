//! Events on their way to the service: late, twice, never, or from a forger.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::agent_event::{AgentDelivery, AgentEvent, LegSeen};
use sidedoor_domain::authority::{EventSource, Scope};
use sidedoor_domain::contact_event::{ContactEvent, ContactEventType, ContactLinks, InitiationMethod};
use sidedoor_domain::evidence::Sighting;
use sidedoor_domain::unusable_event::EventOrigin;

use super::plan::Forgery;
use super::vendor::{ACCOUNT, INSTANCE_ID, REGION};
use super::world::{World, contact, supervisor};

/// How often an event is sent again after a failure, and how long the sender waits.
const EVENT_ATTEMPTS: u32 = 8;
const EVENT_WAIT: Duration = Duration::from_millis(700);

impl World {
    /// Another agent's snapshot says that the supervisor, who may only listen, has barged in.
    fn forge_barge(&self, leg: String, stamp: Timestamp) {
        let Some(world) = self.this.upgrade() else { return };
        let event = AgentEvent {
            id: Some(format!("forged-{}", self.keys.fetch_add(1, Ordering::Relaxed))),
            instance_id: INSTANCE_ID.into(),
            origin: EventOrigin::new(ACCOUNT, REGION),
            user: "agent-0".into(),
            legs: vec![LegSeen {
                leg,
                is_monitor: true,
                channel: Some(self.plan.conduct.channel),
                sightings: vec![(Sighting::Barged, Some(stamp))],
            }],
            vanished: Vec::new(),
        };
        let delivery = AgentDelivery {
            events: vec![event],
            unusable: Vec::new(),
        };
        tokio::spawn(async move {
            let sender = Self::caller("events", &[Scope::Events]).delivering(Some(EventSource::Any));
            let request = Self::request(sender, None);
            let observed =
                world.on_process(|usecases| async move { usecases.evidence.observe_agents(&delivery, &request).await });
            observed.await;
        });
    }

    /// Sends an event as EventBridge does: late, perhaps twice, perhaps never, and again after a failure.
    pub(super) fn deliver(&self, event: ContactEvent) {
        let conduct = &self.plan.conduct;
        let (lost, doubled) = self.random.with(|rng| (rng.u64(0..100), rng.u64(0..100)));
        if lost < conduct.event_loss && self.is_busy() {
            return;
        }
        for _ in 0..if doubled < conduct.event_doubled { 2 } else { 1 } {
            let late = self.random.with(|rng| rng.u64(conduct.event_ms.clone()));
            self.deliver_after(Duration::from_millis(late), event.clone());
        }
    }

    fn deliver_after(&self, late: Duration, event: ContactEvent) {
        let Some(world) = self.this.upgrade() else { return };
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            for _ in 0..EVENT_ATTEMPTS {
                let sender = Self::caller("events", &[Scope::Events]).delivering(Some(EventSource::Any));
                let request = Self::request(sender, None);
                let outcome = world
                    .on_process(|usecases| {
                        let event = event.clone();
                        async move { usecases.evidence.observe(&event, &request).await }
                    })
                    .await;
                match outcome {
                    Some(Ok(outcome)) => {
                        world.note(|| format!("event {:?} of {}: {outcome:?}", event.event_type, event.contact));
                        return;
                    }
                    Some(Err(_)) | None => tokio::time::sleep(EVENT_WAIT).await,
                }
            }
        });
    }

    pub(super) fn forge(&self, forgery: Forgery, i: usize, on: usize, stamp_off_ms: i64) {
        let stamp = self.vendor.stamp(self.truth.ms() + stamp_off_ms);
        let leg = {
            let state = self.vendor.state();
            let theirs = state
                .legs
                .values()
                .rev()
                .find(|l| l.user == supervisor(i).as_str() && l.is_live());
            theirs.map(|l| (l.id.clone(), l.token.clone()))
        };
        let (leg, token) = leg.map_or((None, None), |(leg, token)| (Some(leg), token));
        let blank = ContactEvent {
            id: Some(format!("forged-{}", self.keys.fetch_add(1, Ordering::Relaxed))),
            event_type: ContactEventType::Disconnected,
            contact: String::new(),
            instance_id: INSTANCE_ID.into(),
            origin: EventOrigin::new(ACCOUNT, REGION),
            initiation_method: InitiationMethod::Monitor,
            channel: Some(self.plan.conduct.channel),
            initiated_at: None,
            user: None,
            queue: None,
            connected_at: None,
            disconnected_at: Some(stamp),
            disconnect_reason: None,
            links: ContactLinks::default(),
        };
        let event = match forgery {
            Forgery::LegEnded => leg.map(|contact| ContactEvent { contact, ..blank }),
            Forgery::ContactEnded => Some(ContactEvent {
                contact: contact(on).to_string(),
                initiation_method: InitiationMethod::Other("INBOUND".into()),
                ..blank
            }),
            Forgery::UnknownLeg => Some(ContactEvent {
                contact: format!("invented-{}", self.keys.load(Ordering::Relaxed)),
                event_type: ContactEventType::ConnectedToAgent,
                user: Some(supervisor(i).to_string()),
                connected_at: Some(stamp),
                disconnected_at: None,
                ..blank
            }),
            Forgery::CarrierClaim => {
                if let Some(leg) = leg {
                    self.forge_carrier_claim(&leg, token.as_deref());
                }
                None
            }
            Forgery::BargedIn => {
                if let Some(leg) = leg {
                    self.forge_barge(leg, stamp);
                }
                None
            }
        };
        if let Some(event) = event {
            self.note(|| format!("forged {:?} of {}", event.event_type, event.contact));
            self.deliver_after(Duration::ZERO, event);
        }
    }
}
