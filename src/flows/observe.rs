//! A vendor's event comes in: perhaps late, twice, out of order, or about a leg we have not heard of.
//!
//! An event of a MONITOR contact is evidence of that leg. The end of a customer's contact is only a hint: the legs on it
//! will end too, so they are looked at sooner.

use super::conclude::Observation;
use super::{FlowError, Flows, Request};
use crate::domain::contact_event::ContactEvent;
use crate::domain::ids::{ContactId, InstanceName};
use crate::ports::journal::Stored;
use crate::ports::{Change, Committed};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It was taken.
    Taken,
    /// It was seen before.
    Duplicate,
    /// It is of no interest: another instance's, or a contact nobody listens to.
    Ignored,
}

impl Flows {
    /// Takes a contact event.
    ///
    /// # Errors
    /// [`FlowError::Forbidden`], and the journal's: then the sender should send it again.
    pub async fn observe(&self, event: &ContactEvent, by: &Request) -> Result<Observed, FlowError> {
        let learnt_at = self.now();
        if !by.caller.has(crate::domain::authority::Scope::Events) {
            return Err(FlowError::Forbidden("this credential may not deliver events"));
        }
        let Some(instance) = self.instance_of(&event.instance_id) else {
            return Ok(Observed::Ignored);
        };
        if event.is_monitor() {
            let Ok(leg) = ContactId::parse(event.contact.clone()) else {
                return Ok(Observed::Ignored);
            };
            let observation = Observation::of_event(event, learnt_at);
            return self.weigh(&instance, leg.as_str(), observation, event.id.clone()).await;
        }
        match ContactId::parse(event.contact.clone()) {
            Ok(contact) if event.is_end() => self.contact_ended(&instance, &contact).await,
            _ => Ok(Observed::Ignored),
        }
    }

    fn instance_of(&self, vendor_id: &str) -> Option<InstanceName> {
        let found = self
            .settings
            .instances
            .iter()
            .find(|(_, i)| i.vendor_id.eq_ignore_ascii_case(vendor_id));
        found.map(|(name, _)| name.clone())
    }

    /// The customer's contact is over: those who listened to it are looked at now.
    async fn contact_ended(&self, instance: &InstanceName, contact: &ContactId) -> Result<Observed, FlowError> {
        let listening = self.journal().active_on(instance, contact).await?;
        let mut taken = Observed::Ignored;
        for Stored { supervision, .. } in listening {
            let committed = self.amend(supervision.id, |s| {
                if s.state.is_final() || s.contact_ended {
                    return None;
                }
                s.contact_ended = true;
                // The leg's own event is likely on its way: a moment's patience may save a call.
                let soon = self.now() + self.settings.pace.after_done;
                s.next_check_at = s.leg.as_ref().map(|_| s.next_check_at.map_or(soon, |t| t.min(soon)));
                Some(Change::default())
            });
            if committed.await? == Committed::Done {
                self.signals.check.notify_one();
                taken = Observed::Taken;
            }
        }
        Ok(taken)
    }
}
