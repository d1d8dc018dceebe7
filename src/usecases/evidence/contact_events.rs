//! Events of Amazon Connect. They may be late, duplicated, out of order, or about an unknown leg.
//!
//! An event about a MONITOR contact is evidence for that leg. The end of a customer's contact is only a hint that the legs
//! on it will end too, so these are polled sooner.

use sidedoor_domain::agent_event::AgentEvent;
use sidedoor_domain::contact_event::ContactEvent;
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::store::{StoredSupervision, UnknownLeg};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::AMAZON_CONNECT;

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::evidence::event_rights::{check_instance, check_vendor, remembered_id};

/// Whether an event was processed, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// It was processed.
    Accepted,
    /// It was processed before.
    Duplicate,
    /// It is irrelevant: from an instance that is not configured, or about a contact without a supervision.
    Ignored,
}

impl EvidenceService {
    /// Processes agent events: each is a snapshot of the legs of one supervisor. A repeated snapshot adds no evidence.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's: the sender should then retry.
    pub async fn observe_agents(
        &self,
        events: &[AgentEvent],
        request: &RequestContext,
    ) -> Result<EventOutcome, UseCaseError> {
        let learnt_at = self.ctx.now();
        check_vendor(&request.caller, AMAZON_CONNECT)?;
        let instances: Vec<_> = events
            .iter()
            .map(|event| self.instance_of(&event.instance_id))
            .collect();
        // Before anything is stored, because a refused request must change nothing.
        for instance in instances.iter().flatten() {
            check_instance(&request.caller, AMAZON_CONNECT, instance)?;
        }
        let mut outcome = EventOutcome::Ignored;
        for (event, instance) in events.iter().zip(instances) {
            let Some(instance) = instance else {
                continue;
            };
            for seen in &event.legs {
                let Ok(leg) = ContactId::parse(seen.leg.clone()) else {
                    continue;
                };
                let observation = Observation::of_agent_event(seen, event.id.as_ref(), learnt_at);
                if self.evaluate(&instance, leg.as_str(), observation, None).await? == EventOutcome::Accepted {
                    outcome = EventOutcome::Accepted;
                }
            }
            for leg in &event.vanished {
                self.leg_vanished(&instance, leg).await?;
            }
        }
        Ok(outcome)
    }

    /// Polls a leg that is missing in a newer snapshot, because the snapshot does not say when it ended.
    async fn leg_vanished(&self, instance: &InstanceName, leg: &str) -> Result<(), UseCaseError> {
        let Some(stored) = self.ctx.store().by_leg(instance, leg).await? else {
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
            self.ctx.store().transact(change).await?;
            self.ctx.signals.check.notify_one();
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
        if committed.await? == CommitOutcome::Done {
            self.ctx.signals.check.notify_one();
        }
        Ok(())
    }

    /// Processes a contact event.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's: the sender should then retry.
    pub async fn observe(&self, event: &ContactEvent, request: &RequestContext) -> Result<EventOutcome, UseCaseError> {
        let learnt_at = self.ctx.now();
        check_vendor(&request.caller, AMAZON_CONNECT)?;
        let Some(instance) = self.instance_of(&event.instance_id) else {
            return Ok(EventOutcome::Ignored);
        };
        check_instance(&request.caller, AMAZON_CONNECT, &instance)?;
        if event.is_monitor() {
            let Ok(leg) = ContactId::parse(event.contact.clone()) else {
                return Ok(EventOutcome::Ignored);
            };
            let observation = Observation::of_event(event, learnt_at);
            return self
                .evaluate(
                    &instance,
                    leg.as_str(),
                    observation,
                    remembered_id(AMAZON_CONNECT, event.id.as_ref()),
                )
                .await;
        }
        match ContactId::parse(event.contact.clone()) {
            Ok(contact) if event.is_end() => self.contact_ended(&instance, &contact, event.user.as_deref()).await,
            _ => Ok(EventOutcome::Ignored),
        }
    }

    fn instance_of(&self, vendor_id: &str) -> Option<InstanceName> {
        let found = self
            .ctx
            .settings
            .instances
            .iter()
            .find(|(_, i)| i.vendor_id.eq_ignore_ascii_case(vendor_id));
        found.map(|(name, _)| name.clone())
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
                if s.state.is_final() || s.contact_ended {
                    return None;
                }
                s.contact_ended = true;
                s.agent = s.agent.take().or_else(|| agent.clone());
                // Wait a moment, because the leg's own event is probably in flight and saves the call.
                let soon = self.ctx.now() + self.ctx.settings.intervals.after_done;
                s.next_check_at = s.leg.as_ref().map(|_| s.next_check_at.map_or(soon, |t| t.min(soon)));
                Some(Transaction::default())
            });
            if committed.await? == CommitOutcome::Done {
                self.ctx.signals.check.notify_one();
                outcome = EventOutcome::Accepted;
            }
        }
        Ok(outcome)
    }
}
