//! Adopts a MONITOR leg that Sidedoor did not request: a supervisor began to listen in Omni Supervisor or the Contact
//! Control Panel. The leg becomes a supervision with `origin: OBSERVED`, so that Sidedoor records departures with nothing
//! but the event rule configured.
//!
//! Guarantee: an event alone is not enough. Only a DescribeContact that says MONITOR yields a
//! [`sidedoor_domain::interlock::LegId`].

use jiff::Timestamp;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::interlock::{ContactSeen, LegId};
use sidedoor_domain::ports::store::{SupervisionWrite, UnknownLeg};
use sidedoor_domain::ports::{
    CommitOutcome, MetricEvent, Priority, StoreError, Transaction, VendorError, VendorErrorCode,
};
use sidedoor_domain::supervision::{Origin, State, Supervision, Supervisor};

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::retry::Backoff;

/// How often an unknown leg is looked up before it is dropped.
const MAX_LOOKS: u32 = 6;

impl EvidenceService {
    /// Whether a leg of this user may be the result of one of our joins that has no answer yet.
    async fn join_pending_for(
        &self,
        instance: &sidedoor_domain::ids::InstanceName,
        user: &sidedoor_domain::ids::UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let active = self.ctx.store().active_of(instance, user).await?;
        Ok(active.iter().any(|s| {
            let waits = matches!(s.supervision.state, State::Requested | State::Joining);
            // After its time, including the search that follows, a stuck join can no longer own a new leg.
            let fresh = s
                .supervision
                .join
                .as_ref()
                .is_some_and(|j| now < j.expires_at + self.ctx.settings.join_ttl);
            waits && fresh
        }))
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
            .telephony()
            .describe(&leg.instance, &leg.leg, Priority::UnknownLeg)
            .await
        {
            Ok(seen) if seen.is_monitor() => self.adopt_described(leg, &seen, asked_at).await,
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
        asked_at: jiff::Timestamp,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let user = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        if let Some(user) = &user
            && self.join_pending_for(&leg.instance, user, now).await?
        {
            let again = UnknownLeg {
                due_at: now + self.ctx.settings.intervals.unknown_leg,
                looks: leg.looks + 1,
                ..leg.clone()
            };
            self.ctx
                .store()
                .transact(Transaction {
                    unknown_legs: vec![again],
                    ..Transaction::default()
                })
                .await?;
            return Ok(());
        }
        let contact = seen.supervised();
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
        match self.ctx.store().transact(change).await? {
            CommitOutcome::Done => {
                self.ctx.count(&MetricEvent::Began(Origin::Observed));
                self.ctx.signals.deliver.notify_one();
                let observation = Observation::of_description(seen, asked_at, now, self.ctx.settings.poll_staleness);
                self.evaluate(&leg.instance, &leg.leg, observation, None)
                    .await
                    .map(|_| ())
            }
            // Another task has assigned the leg meanwhile.
            _ => Ok(self.forget_leg(leg).await?),
        }
    }

    async fn retry_later(&self, leg: &UnknownLeg, error: &VendorError) -> Result<(), UseCaseError> {
        let unknown = error.code == VendorErrorCode::ResourceNotFound;
        if leg.looks >= MAX_LOOKS && (unknown || !error.is_retryable()) {
            tracing::warn!(leg_contact_id = %leg.leg, code = %error.code, "dropping the unknown leg {} after {} lookups: {}", leg.leg, leg.looks, error.message);
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
            .store()
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
            .store()
            .transact(Transaction {
                adopted_legs,
                ..Transaction::default()
            })
            .await
            .map(|_| ())
    }
}
