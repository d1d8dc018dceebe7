//! Events of a partner carrier about a leg. If the carrier transports the audio of a Connect leg, its stamps are further
//! evidence for that leg, on the carrier's own clock. If the leg is unknown to Connect, it becomes an observed supervision
//! whose Salesforce record has a key that every writer derives in the same way.

use jiff::Timestamp;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::evidence::{Evidence, Sighting, Source};
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::SupervisionWrite;
use sidedoor_domain::supervision::{Supervision, Supervisor};
use sidedoor_domain::unusable_event::UnusableEvent;

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::carrier_limits::{CarrierEventError, LEG_TTL};
use crate::usecases::evidence::contact_events::EventOutcome;
use crate::usecases::evidence::event_rights::{check_instance, check_vendor, remembered_id};
use crate::usecases::evidence::observation::Observation;

/// An event of a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerEvent {
    /// The carrier's id of the event, the same if it is sent twice.
    pub id: Option<String>,
    /// The leg.
    pub leg: PartnerLeg,
    /// The Connect instance; the default one if `None`.
    pub instance: Option<InstanceName>,
    /// Connected or disconnected.
    pub sighting: Sighting,
    /// The carrier's stamp, on its own clock.
    pub stamp: Option<Timestamp>,
    /// The carrier's reason for a disconnect.
    pub reason: Option<String>,
    /// The monitored Connect contact, if the carrier knows it.
    pub contact: Option<ContactId>,
}

/// The leg that a carrier's event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartnerLeg {
    /// A Connect leg whose audio it transports.
    Connect(ContactId),
    /// A leg of the carrier's own.
    Own {
        /// The carrier's name of the leg.
        name: String,
        /// The supervisor whose leg it is.
        supervisor: UserId,
    },
}

impl EvidenceService {
    /// Processes a carrier's event.
    ///
    /// # Errors
    /// [`CarrierEventError`]; among the common ones [`UseCaseError::Forbidden`], [`UseCaseError::VendorNotFound`],
    /// [`UseCaseError::InstanceNotFound`], and the store's.
    pub async fn observe_partner(
        &self,
        carrier: &str,
        event: &PartnerEvent,
        request: &RequestContext,
    ) -> Result<EventOutcome, CarrierEventError> {
        let learnt_at = self.ctx.now();
        check_vendor(&request.caller, carrier)?;
        if !self.ctx.carriers().any(|known| known == carrier) {
            return Err(UseCaseError::vendor_not_found(carrier, self.ctx.carriers()).into());
        }
        let named = event
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let instance = named.ok_or_else(|| self.ctx.instance_not_found(None))?;
        check_instance(&request.caller, carrier, &instance)
            .inspect_err(|_| self.note_unusable(UnusableEvent::InstanceForbidden))?;
        if self.ctx.instance(&instance).is_none() {
            return Err(self.ctx.instance_not_found(Some(&instance)).into());
        }
        let evidence = Evidence {
            source: Source::PartnerEvent,
            sighting: event.sighting,
            learnt_at,
            vendor_stamp: event.stamp,
            disconnect_reason: event.reason.clone(),
            event_id: event.id.clone(),
            carrier: Some(carrier.to_owned()),
            credential: Some(request.caller.name.clone()),
            authentic: false,
        };
        let leg = match &event.leg {
            PartnerLeg::Connect(leg) => leg.to_string(),
            PartnerLeg::Own { name, supervisor } => {
                let leg = LegId::of_carrier(carrier, instance.as_str(), name);
                // The end of a known leg must not depend on Connect, so only a new leg is checked.
                if self.ctx.store().by_leg(&instance, leg.as_str()).await?.is_none() {
                    self.check_supervisor(&instance, supervisor, request).await?;
                    self.check_room(carrier, &instance).await?;
                    self.begin_carrier_leg(carrier, &instance, &leg, event.contact.clone(), supervisor)
                        .await?;
                }
                leg.to_string()
            }
        };
        let observation = Observation {
            evidence: vec![evidence],
            ..Observation::default()
        };
        let id = remembered_id(carrier, event.id.as_ref());
        Ok(self.evaluate(&instance, &leg, observation, id).await?)
    }

    /// Creates the supervision of a carrier's own leg.
    async fn begin_carrier_leg(
        &self,
        carrier: &str,
        instance: &InstanceName,
        leg: &LegId,
        contact: Option<ContactId>,
        supervisor: &UserId,
    ) -> Result<(), UseCaseError> {
        let supervisor = Supervisor {
            connect_user_id: Some(supervisor.clone()),
            username: None,
            salesforce_user_id: None,
        };
        let mut new = Supervision::of_carrier(
            self.ctx.new_id(),
            carrier,
            instance.clone(),
            leg.clone(),
            contact,
            supervisor,
        );
        let id = new.id;
        new.next_check_at = Some(self.ctx.now() + LEG_TTL);
        let change = Transaction {
            supervision: Some(SupervisionWrite::Insert(Box::new(new))),
            deliver_at: Some(self.ctx.now() + self.ctx.settings.intervals.join_row),
            audit: vec![
                self.ctx
                    .audit_own(AuditAction::SupervisionObserved, id, format!("leg {leg} of {carrier}")),
            ],
            ..Transaction::default()
        };
        // If the commit is refused, another event of this leg has created the supervision, which is just as good.
        if self.ctx.transact(change).await?.is_done() {
            self.ctx.signals.deliver.notify_one();
        }
        Ok(())
    }
}
