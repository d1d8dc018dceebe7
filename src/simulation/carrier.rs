//! A partner carrier: it has legs of its own, which Amazon Connect does not know, and may say false things about a leg of Connect.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sidedoor_domain::authority::{Caller, EventInstances, EventSource, Scope};
use sidedoor_domain::evidence::Sighting;
use sidedoor_domain::ids::{ContactId, SupervisionId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::StoredSupervision;
use sidedoor_domain::supervision::State;

use super::time::TrueTime;
use super::world::{World, lock, main_instance, supervisor};
use crate::usecases::evidence::carrier_events::{PartnerEvent, PartnerLeg};

/// The carrier's name in the settings.
pub(super) const CARRIER: &str = "acme";
/// How often the carrier sends an event again after a failure, and how long it waits. It gives up later than the longest outage.
const ATTEMPTS: u32 = 300;
const WAIT: Duration = Duration::from_secs(1);
/// The carrier's clock is ahead of the true time, ms.
const AHEAD_MS: i64 = 1234;

impl World {
    fn carrier() -> Caller {
        let source = EventSource::Vendor {
            name: CARRIER.into(),
            instances: EventInstances::All,
            is_authentic: false,
        };
        Self::caller("acme", &[Scope::Events]).delivering(Some(source))
    }

    /// A supervisor listens through a leg of the carrier's own for a while.
    pub(super) async fn carrier_leg(&self, i: usize, for_ms: u64) {
        let name = format!("leg-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let leg = LegId::of_carrier(CARRIER, main_instance().as_str(), &name);
        lock(&self.carrier_legs).insert(leg.to_string(), None);
        let of = |sighting| PartnerEvent {
            id: Some(format!("{name}/{sighting:?}")),
            leg: PartnerLeg::Own {
                name: name.clone(),
                supervisor: supervisor(i),
            },
            instance: None,
            sighting,
            stamp: Some(TrueTime::at(self.truth.ms() + AHEAD_MS)),
            reason: None,
            contact: None,
        };
        self.send_partner(of(Sighting::Joined));
        tokio::time::sleep(Duration::from_millis(for_ms)).await;
        lock(&self.carrier_legs).insert(leg.to_string(), Some(self.truth.ms()));
        self.send_partner(of(Sighting::Dropped));
    }

    /// The carrier says that a live leg of Connect has ended, which we asked for.
    pub(super) fn forge_carrier_claim(&self, leg: &str, token: Option<&str>) {
        // With a forged event of Connect's it is one of two false senders, and the service may believe it.
        let Some(id) = token.and_then(SupervisionId::parse) else {
            return;
        };
        lock(&self.carrier_lies).insert(id);
        let Ok(leg) = ContactId::parse(leg) else { return };
        self.note(|| format!("the carrier says that {leg} has ended"));
        self.send_partner(PartnerEvent {
            id: None,
            leg: PartnerLeg::Connect(leg),
            instance: None,
            sighting: Sighting::Dropped,
            stamp: Some(TrueTime::at(self.truth.ms() + AHEAD_MS)),
            reason: None,
            contact: None,
        });
    }

    fn send_partner(&self, event: PartnerEvent) {
        let Some(world) = self.this.upgrade() else { return };
        let late = self.random.with(|rng| rng.u64(self.plan.conduct.event_ms.clone()));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(late)).await;
            for _ in 0..ATTEMPTS {
                let request = Self::request(Self::carrier(), None);
                let outcome = world.on_process(|usecases| {
                    let event = event.clone();
                    async move { usecases.evidence.observe_partner(CARRIER, &event, &request).await }
                });
                if let Some(Ok(outcome)) = outcome.await {
                    return world.note(|| format!("the carrier's {:?}: {outcome:?}", event.sighting));
                }
                tokio::time::sleep(WAIT).await;
            }
        });
    }

    /// Each leg of the carrier has one supervision, which is LEFT by the carrier's word, not before the leg had ended.
    pub(super) fn check_carrier_legs(&self, all: &[StoredSupervision]) {
        for (leg, ended) in lock(&self.carrier_legs).clone() {
            let is_of = |s: &&StoredSupervision| s.supervision.leg.as_ref().is_some_and(|l| l.as_str() == leg);
            let owners: Vec<&StoredSupervision> = all.iter().filter(is_of).collect();
            let [one] = owners.as_slice() else {
                self.violated(
                    "leg_owners",
                    format!("the carrier's {leg} has {} supervisions", owners.len()),
                );
                continue;
            };
            let s = &one.supervision;
            let Some(truth) = ended.map(TrueTime::at) else { continue };
            match &s.departure {
                Some(d) if s.state == State::Left => {
                    if !self.our_readings(truth).any(|truth| truth <= d.latest) {
                        let detail = format!("{}: the carrier's leg ended at {truth}, after {}", s.id, d.latest);
                        self.violated("departure_wrong", detail);
                    }
                }
                _ => self.violated(
                    "end_unnoticed",
                    format!("{} is {}, its carrier's leg has ended", s.id, s.state.as_str()),
                ),
            }
        }
    }
}
