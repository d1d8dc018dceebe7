//! Events of Amazon Connect. They may be late, duplicated, out of order, or about an unknown leg.
//!
//! An event about a MONITOR contact is evidence for that leg. The end of a customer's contact is only a hint that the legs
//! on it will end too, so these are polled sooner.

use sidedoor_domain::agent_event::{AgentDelivery, AgentEvent, VanishedLeg};
use sidedoor_domain::authority::Caller;
use sidedoor_domain::contact_event::{ContactEvent, InitiationMethod};
use sidedoor_domain::departure::Continuity;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::{Filter, StoredSupervision, UnknownLeg};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State, Supervision};
use sidedoor_domain::unusable_event::{EventOrigin, UnusableEvent};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::event_rights::{check_instance, check_vendor, remembered_id};
use crate::usecases::evidence::observation::Observation;

/// The most supervisions of one contact to which a claimed successor is noted, the newest first.
const LEGS_OF_CONTACT: u32 = 20;

/// Whether an event was processed, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was processed.
    Accepted,
    /// It was processed before.
    Duplicate,
    /// It is irrelevant (about a contact without a supervision), or cannot be used.
    Ignored,
}

impl EvidenceService {
    /// Processes agent events: each is a snapshot of the legs of one supervisor. A repeated snapshot adds no evidence.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's: the sender should then retry.
    pub async fn observe_agents(
        &self,
        delivery: &AgentDelivery,
        request: &RequestContext,
    ) -> Result<EventOutcome, UseCaseError> {
        check_vendor(&request.caller, AMAZON_CONNECT)?;
        // All before any is stored, because a refused request must change nothing.
        let mut usable = Vec::with_capacity(delivery.events.len());
        for event in &delivery.events {
            if let Some(instance) = self.accepted_instance(&event.instance_id, &event.origin, &request.caller)? {
                usable.push((instance, event));
            }
        }
        for kind in &delivery.unusable {
            self.note_unusable(*kind);
        }
        let mut outcome = EventOutcome::Ignored;
        for (instance, event) in usable {
            if self.observe_agent(&instance, event, &request.caller).await? == EventOutcome::Accepted {
                outcome = EventOutcome::Accepted;
            }
        }
        Ok(outcome)
    }

    async fn observe_agent(
        &self,
        instance: &InstanceName,
        event: &AgentEvent,
        sender: &Caller,
    ) -> Result<EventOutcome, UseCaseError> {
        let learnt_at = self.ctx.now();
        let mut outcome = EventOutcome::Ignored;
        for seen in &event.legs {
            let Ok(leg) = ContactId::parse(seen.leg.clone()) else {
                continue;
            };
            if !seen.is_monitor && !self.is_known_leg(instance, &leg).await? {
                continue;
            }
            let observation = Observation::of_agent_event(seen, &event.user, event.id.as_ref(), learnt_at, sender);
            if self.evaluate(instance, leg.as_str(), observation, None).await? == EventOutcome::Accepted {
                outcome = EventOutcome::Accepted;
            }
        }
        for leg in &event.vanished {
            self.leg_vanished(instance, leg).await?;
        }
        Ok(outcome)
    }

    async fn is_known_leg(&self, instance: &InstanceName, leg: &ContactId) -> Result<bool, UseCaseError> {
        Ok(self.ctx.store().by_leg(instance, leg.as_str()).await?.is_some())
    }

    /// The instance that an event of Connect is about; `None`, and counted, if the event cannot be used.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`] if the credential does not name the instance.
    fn accepted_instance(
        &self,
        vendor_id: &str,
        origin: &EventOrigin,
        caller: &Caller,
    ) -> Result<Option<InstanceName>, UseCaseError> {
        let mut instances = self.ctx.settings.instances.iter();
        let found = instances.find(|(_, i)| i.vendor_id.eq_ignore_ascii_case(vendor_id));
        let Some((name, settings)) = found else {
            self.note_unusable(UnusableEvent::UnknownInstance);
            return Ok(None);
        };
        check_instance(caller, AMAZON_CONNECT, name)
            .inspect_err(|_| self.note_unusable(UnusableEvent::InstanceForbidden))?;
        match origin.mismatch(settings.account_id.as_deref(), &settings.regions()) {
            Some(kind) => {
                self.note_unusable(kind);
                Ok(None)
            }
            None => Ok(Some(name.clone())),
        }
    }

    /// Polls a leg that is missing in a newer snapshot, because the snapshot does not say when it ended.
    async fn leg_vanished(&self, instance: &InstanceName, vanished: &VanishedLeg) -> Result<(), UseCaseError> {
        let leg = vanished.leg.as_str();
        let Some(stored) = self.ctx.store().by_leg(instance, leg).await? else {
            if !vanished.is_monitor {
                return Ok(());
            }
            // No earlier event mentioned the leg; the vendor may still describe it.
            let unknown = UnknownLeg {
                instance: instance.clone(),
                leg: leg.to_owned(),
                due_at: self.ctx.now() + self.ctx.settings.intervals.unknown_leg,
                looks: 0,
            };
            let change = Transaction {
                unknown_legs: vec![unknown],
                ..Transaction::default()
            };
            self.ctx.transact(change).await?;
            return Ok(());
        };
        let committed = self.ctx.update(stored.supervision.id, |s| {
            let now = self.ctx.now();
            let soon = now + self.ctx.settings.intervals.after_done;
            // A check that is already due may be in flight and may have asked before this event, so it does not count.
            if s.state.is_final() || s.next_check_at.is_some_and(|t| now < t && t <= soon) {
                return None;
            }
            s.next_check_at = Some(soon);
            Some(Transaction::default())
        });
        committed.await?;
        Ok(())
    }

    /// Processes a contact event.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's: the sender should then retry.
    pub async fn observe(&self, event: &ContactEvent, request: &RequestContext) -> Result<EventOutcome, UseCaseError> {
        let learnt_at = self.ctx.now();
        check_vendor(&request.caller, AMAZON_CONNECT)?;
        let Some(instance) = self.accepted_instance(&event.instance_id, &event.origin, &request.caller)? else {
            return Ok(EventOutcome::Ignored);
        };
        let Ok(contact) = ContactId::parse(event.contact.clone()) else {
            self.note_unusable(UnusableEvent::Unreadable);
            return Ok(EventOutcome::Ignored);
        };
        let is_leg = match event.initiation_method {
            InitiationMethod::Monitor => true,
            // Connect has left the method of legs empty, and never that of customers' contacts as far as is known. A leg that a
            // supervisor started elsewhere would otherwise not be seen; DescribeContact decides, in the lowest class.
            InitiationMethod::Unknown => event.user.is_some() || self.is_known_leg(&instance, &contact).await?,
            InitiationMethod::Other(_) => false,
        };
        if is_leg {
            let observation = Observation::of_event(event, learnt_at, &request.caller);
            return self
                .evaluate(
                    &instance,
                    contact.as_str(),
                    observation,
                    remembered_id(AMAZON_CONNECT, event.id.as_ref()),
                )
                .await;
        }
        if let Some(previous) = &event.links.previous {
            self.note_successor_claim(&instance, previous, &contact).await?;
        }
        let is_counted = self.count_handled(&instance, &contact, event).await?;
        if event.is_end() {
            let outcome = self.contact_ended(&instance, &contact, event.user.as_deref()).await?;
            let is_news = outcome == EventOutcome::Accepted || is_counted;
            return Ok(if is_news { EventOutcome::Accepted } else { outcome });
        }
        Ok(EventOutcome::Ignored)
    }

    /// An event says that `successor` continues the contact `previous`, such as after a transfer. The after-checks of that contact
    /// ask the vendor whether it is so.
    async fn note_successor_claim(
        &self,
        instance: &InstanceName,
        previous: &str,
        successor: &ContactId,
    ) -> Result<(), UseCaseError> {
        let Ok(previous) = ContactId::parse(previous) else {
            return Ok(());
        };
        let filter = Filter {
            instance: Some(instance.clone()),
            contact: Some(previous),
            limit: LEGS_OF_CONTACT,
            ..Filter::default()
        };
        for StoredSupervision { supervision, .. } in self.ctx.store().list(&filter).await? {
            let change = |s: &mut Supervision| {
                let known = s.departure.as_ref().map(|d| d.continuity);
                let is_open = known.is_none_or(|known| known == Continuity::Unknown) && s.state != State::Failed;
                (is_open && s.note_successor_claim(successor)).then(Transaction::default)
            };
            self.ctx.update(supervision.id, change).await?;
        }
        Ok(())
    }

    /// The customer's contact has ended: polls the legs on it.
    async fn contact_ended(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        agent: Option<&str>,
    ) -> Result<EventOutcome, UseCaseError> {
        let agent = agent.and_then(|id| UserId::parse(id).ok());
        let listening = self.ctx.store().active_on(instance, contact).await?;
        let mut outcome = EventOutcome::Ignored;
        for StoredSupervision { supervision, .. } in listening {
            let committed = self.ctx.update(supervision.id, |s| {
                if s.state.is_final() || s.watch.contact_end_claimed_at.is_some() {
                    return None;
                }
                s.watch.contact_end_claimed_at = Some(self.ctx.now());
                if s.agent.is_none() {
                    s.set_agent(agent.clone());
                }
                // Wait a moment, because the leg's own event is probably in flight and saves the call.
                let soon = self.ctx.now() + self.ctx.settings.intervals.after_done;
                s.next_check_at = s.leg.as_ref().map(|_| s.next_check_at.map_or(soon, |t| t.min(soon)));
                Some(Transaction::default())
            });
            if committed.await?.is_done() {
                outcome = EventOutcome::Accepted;
            }
        }
        Ok(outcome)
    }
}
