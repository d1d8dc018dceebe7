//! Adopts a MONITOR leg that Sidedoor did not request: a supervisor began to listen in Omni Supervisor or the Contact
//! Control Panel. The leg becomes a supervision with `origin: OBSERVED`, so that Sidedoor records departures with nothing
//! but the event rule configured.
//!
//! Guarantee: an event alone is not enough. Only a DescribeContact that says MONITOR yields a
//! [`sidedoor_domain::interlock::LegId`].

use jiff::Timestamp;
use sidedoor_domain::audit::{AuditAction, AuditedCall, Phase};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::{ContactSeen, LegId};
use sidedoor_domain::ports::store::{StoredSupervision, SupervisionWrite, UnknownLeg};
use sidedoor_domain::ports::{
    CommitOutcome, Endpoint, MetricEvent, Priority, StoreError, Transaction, VendorError, VendorErrorCode,
};
use sidedoor_domain::supervision::{Origin, Requester, State, Supervision, Supervisor};

use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::retry::Backoff;

/// How often an unknown leg is looked up before it is dropped.
const MAX_LOOKS: u32 = 6;

/// What became of a supervision that was given its leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegGiven {
    /// It is MONITORING.
    Monitoring,
    /// A leave was requested meanwhile, so it is LEAVING.
    Leaving,
    /// Another supervision has the leg.
    Taken(SupervisionId),
    /// It was no longer JOINING.
    TooLate,
}

impl EvidenceService {
    /// Gives a joining supervision its leg, with what the stored evidence says of it.
    pub(crate) async fn give_leg(&self, id: SupervisionId, leg: LegId) -> Result<LegGiven, UseCaseError> {
        let mut attempts = ConflictAttempts::default();
        loop {
            attempts.start_next()?;
            let Some(StoredSupervision {
                mut supervision,
                revision,
                ..
            }) = self.ctx.store().supervision(id).await?
            else {
                return Ok(LegGiven::TooLate);
            };
            let now = self.ctx.now();
            let first_look = now + self.ctx.settings.intervals.first_look;
            if supervision
                .leg_given(leg.clone(), now, first_look, self.ctx.leave_times())
                .is_err()
            {
                return Ok(LegGiven::TooLate);
            }
            let (instance, state) = (supervision.instance.clone(), supervision.state);
            if state == State::Leaving {
                // Polling carries out the leave unless it is done before.
                supervision.next_check_at = Some(now);
            }
            let change = Transaction {
                adopted_legs: vec![(instance.clone(), leg.to_string())],
                deliver_at: Some(now + self.ctx.settings.intervals.join_row),
                audit: vec![
                    self.ctx
                        .audit_own(AuditAction::LegGiven, id, format!("leg {leg}"))
                        .in_phase(Phase::Done, AuditedCall::MonitorContact.operation(id)),
                ],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), revision)),
                ..Transaction::default()
            };
            match self.ctx.transact(change).await? {
                CommitOutcome::Done(_) => {
                    self.ctx.signals.deliver.notify_one();
                    // Events of this leg may have arrived before this answer.
                    self.evaluate_stored_evidence(&instance, leg.as_str()).await?;
                    return Ok(match state {
                        State::Leaving => LegGiven::Leaving,
                        _ => LegGiven::Monitoring,
                    });
                }
                CommitOutcome::LegTaken(owner) => return Ok(LegGiven::Taken(owner)),
                _ => {}
            }
        }
    }

    /// Gives a described leg to the join of this user that searches for it, if there is one. Returns which.
    pub(crate) async fn give_to_search(
        &self,
        instance: &InstanceName,
        user: &UserId,
        seen: &ContactSeen,
        sent_at: Timestamp,
    ) -> Result<Option<(SupervisionId, LegGiven)>, UseCaseError> {
        let active = self.ctx.store().active_of(instance, user).await?;
        self.give_to_search_among(&active, seen, sent_at).await
    }

    /// The same for joins that were read before.
    async fn give_to_search_among(
        &self,
        active: &[StoredSupervision],
        seen: &ContactSeen,
        sent_at: Timestamp,
    ) -> Result<Option<(SupervisionId, LegGiven)>, UseCaseError> {
        let searching: Vec<&Supervision> = active
            .iter()
            .map(|s| &s.supervision)
            .filter(|s| s.search().is_some())
            .collect();
        let alone = searching.len() == 1;
        let Some(s) = searching.into_iter().find(|s| s.finds(seen, alone)) else {
            return Ok(None);
        };
        let Ok(leg) = LegId::from_description(seen, s.contact.as_ref()) else {
            return Ok(None);
        };
        tracing::info!(supervision_id = %s.id, leg_contact_id = %leg, "found the leg of {} after its join had no answer", s.id);
        let given = self.give_leg(s.id, leg.clone()).await?;
        if matches!(given, LegGiven::Monitoring | LegGiven::Leaving) {
            let observation = Observation::of_description(seen, sent_at, self.ctx.now());
            self.evaluate(&s.instance, leg.as_str(), observation, None).await?;
        }
        Ok(Some((s.id, given)).filter(|_| given != LegGiven::TooLate))
    }

    /// Whether a leg may be the result of one of these joins that has no answer yet.
    fn is_join_pending(&self, active: &[StoredSupervision], now: Timestamp) -> bool {
        let in_flight = self.ctx.signals.joins_in_flight.keys();
        active.iter().any(|s| {
            let waits =
                matches!(s.supervision.state, State::Requested | State::Joining) && s.supervision.search().is_none();
            // A join that is stuck for so long may have no task any more. If it has one, that may wait for the store with the leg.
            let fresh = s
                .supervision
                .join
                .as_ref()
                .is_some_and(|j| now < j.expires_at + self.ctx.settings.join_ttl);
            waits && (fresh || in_flight.contains(&s.supervision.id))
        })
    }

    /// Looks into one leg that belongs to no supervision.
    pub(crate) async fn adopt_leg(&self, leg: UnknownLeg) {
        if let Err(e) = self.try_adopt(&leg).await {
            tracing::error!(leg_contact_id = %leg.leg, error = %e, "could not look into the unknown leg {}; it stays due: {e}", leg.leg);
        }
    }

    async fn try_adopt(&self, leg: &UnknownLeg) -> Result<(), UseCaseError> {
        if self.ctx.store().by_leg(&leg.instance, &leg.leg).await?.is_some() {
            self.evaluate_stored_evidence(&leg.instance, &leg.leg).await?;
            return Ok(self.forget_leg(leg).await?);
        }
        let asked_at = self.ctx.now();
        match self
            .ctx
            .describe_anywhere(&Endpoint::from(&leg.instance), &leg.leg, Priority::UnknownLeg)
            .await
        {
            Ok((seen, found)) if seen.is_monitor() => self.adopt_described(leg, &seen, &found, asked_at).await,
            Ok(_) => {
                tracing::warn!(leg_contact_id = %leg.leg, "dropping leg {}: an event called it a MONITOR contact, but DescribeContact does not", leg.leg);
                Ok(self.forget_leg(leg).await?)
            }
            Err(e) => self.retry_later(leg, &e).await,
        }
    }

    async fn adopt_described(
        &self,
        leg: &UnknownLeg,
        seen: &ContactSeen,
        found: &Endpoint,
        asked_at: jiff::Timestamp,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let user = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        // Read once: a join that begins its search between two reads would be found by neither, and its leg taken for another's.
        let active = match &user {
            Some(user) => self.ctx.store().active_of(&leg.instance, user).await?,
            None => Vec::new(),
        };
        if let Some((id, _)) = self.give_to_search_among(&active, seen, asked_at).await? {
            self.ctx.note_region(id, found.region.as_ref()).await;
            return Ok(self.forget_leg(leg).await?);
        }
        if self.is_join_pending(&active, now) {
            let again = UnknownLeg {
                due_at: now + self.ctx.settings.intervals.unknown_leg,
                looks: leg.looks + 1,
                ..leg.clone()
            };
            self.ctx
                .transact(Transaction {
                    unknown_legs: vec![again],
                    ..Transaction::default()
                })
                .await?;
            return Ok(());
        }
        let contact = match seen.supervised() {
            None => self.associated_contact(seen, found).await,
            named => named,
        };
        let Ok(id) = LegId::from_description(seen, contact.as_ref()) else {
            return Ok(self.forget_leg(leg).await?);
        };
        let compliance = self
            .compliance
            .compliance_of_observed(&leg.instance, contact.as_ref(), user.as_ref())
            .await?;
        let supervisor = Supervisor {
            connect_user_id: user,
            username: None,
            salesforce_user_id: None,
        };
        let mut new = Supervision::observed(
            self.ctx.new_id(),
            leg.instance.clone(),
            id,
            contact,
            supervisor,
            seen.channel,
            now + self.ctx.settings.intervals.first_look,
        );
        new.compliance = compliance;
        new.region.clone_from(&found.region);
        if let Some(by) = self.disconnect_of_lost_join(&new, seen).await? {
            new.ask_to_leave(by, now, self.ctx.leave_times());
            // Polling carries out the leave.
            new.next_check_at = Some(now);
        }
        let supervision_id = new.id;
        let change = Transaction {
            supervision: Some(SupervisionWrite::Insert(Box::new(new))),
            adopted_legs: vec![(leg.instance.clone(), leg.leg.clone())],
            deliver_at: Some(now + self.ctx.settings.intervals.join_row),
            audit: vec![self.ctx.audit_own(
                AuditAction::SupervisionObserved,
                supervision_id,
                format!("leg {}", leg.leg),
            )],
            ..Transaction::default()
        };
        match self.ctx.transact(change).await? {
            CommitOutcome::Done(_) => {
                self.ctx.count(&MetricEvent::Began(Origin::Observed));
                self.ctx.signals.deliver.notify_one();
                let observation = Observation::of_description(seen, asked_at, now);
                self.evaluate(&leg.instance, &leg.leg, observation, None)
                    .await
                    .map(|_| ())
            }
            // Another task has assigned the leg meanwhile.
            _ => Ok(self.forget_leg(leg).await?),
        }
    }

    /// The contact of a leg whose description names none, if its contact tree shows it. Without an answer the leg stays without one.
    async fn associated_contact(&self, leg: &ContactSeen, found: &Endpoint) -> Option<ContactId> {
        match self.ctx.telephony().associated_contacts(found, &leg.id).await {
            Ok(tree) => tree.supervised_by(leg),
            Err(e) => {
                tracing::warn!(leg_contact_id = leg.id, code = %e.code, "could not look up the contact of leg {}, which its description does not name: {}", leg.id, e.for_operators());
                None
            }
        }
    }

    /// Who asked for a disconnect of a join that searched for its leg and was given another one than this.
    async fn disconnect_of_lost_join(
        &self,
        new: &Supervision,
        seen: &ContactSeen,
    ) -> Result<Option<Requester>, StoreError> {
        /// Earlier supervisions of this supervisor on this contact that are considered.
        const MOST: u32 = 8;
        let (Some(contact), Some(user)) = (&new.contact, &new.supervisor.connect_user_id) else {
            return Ok(None);
        };
        let store = self.ctx.store();
        let active = store.active_on(&new.instance, contact).await?;
        if let Some(by) = active.iter().find_map(|s| s.supervision.disconnects_too(seen)) {
            return Ok(Some(by));
        }
        for id in store.over_on(&new.instance, contact, user, MOST).await? {
            let over = store.supervision(id).await?;
            if let Some(by) = over.and_then(|s| s.supervision.disconnects_too(seen)) {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    async fn retry_later(&self, leg: &UnknownLeg, error: &VendorError) -> Result<(), UseCaseError> {
        let unknown = error.code == VendorErrorCode::ResourceNotFound;
        if leg.looks >= MAX_LOOKS && (unknown || !error.is_retryable()) {
            tracing::warn!(leg_contact_id = %leg.leg, code = %error.code, "dropping the unknown leg {} after {} lookups: {}", leg.leg, leg.looks, error.for_operators());
            return Ok(self.forget_leg(leg).await?);
        }
        let wait = jiff::SignedDuration::try_from(Backoff::LOOK.wait(leg.looks, self.ctx.random()))
            .unwrap_or(self.ctx.settings.intervals.unknown_leg);
        let due_at = self.ctx.now() + wait.max(self.ctx.settings.intervals.unknown_leg);
        let again = UnknownLeg {
            due_at,
            looks: leg.looks.saturating_add(1),
            ..leg.clone()
        };
        self.ctx
            .transact(Transaction {
                unknown_legs: vec![again],
                ..Transaction::default()
            })
            .await?;
        Ok(())
    }

    async fn forget_leg(&self, leg: &UnknownLeg) -> Result<(), StoreError> {
        let adopted_legs = vec![(leg.instance.clone(), leg.leg.clone())];
        self.ctx
            .transact(Transaction {
                adopted_legs,
                ..Transaction::default()
            })
            .await
            .map(|_| ())
    }
}
