//! A MONITOR leg that nobody asked us for: somebody began to listen in Omni Supervisor or the Contact Control Panel. It
//! becomes a supervision of its own (`origin: OBSERVED`), so that Sidedoor is useful from the first day with nothing but
//! the event rule.
//!
//! An event alone makes no leg: the vendor is asked, and only its DescribeContact that says MONITOR gives a
//! [`sidedoor_domain::interlock::LegId`].

use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::EvidenceService;
use crate::usecases::evidence::evaluate::Observation;
use crate::usecases::retry::Backoff;
use jiff::Timestamp;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::UserId;
use sidedoor_domain::interlock::{ContactSeen, LegId};
use sidedoor_domain::ports::store::{SupervisionWrite, UnexplainedLeg};
use sidedoor_domain::ports::{
    CommitOutcome, MetricEvent, Priority, StoreError, Transaction, VendorError, VendorErrorCode,
};
use sidedoor_domain::supervision::State;
use sidedoor_domain::supervision::{Origin, Supervision, Supervisor};

/// How often a leg the vendor does not know is looked for before it is forgotten.
const LOOKS: u32 = 6;

impl EvidenceService {
    /// Whether a leg of this user may be the fruit of a join of ours that has not been answered yet.
    pub(crate) async fn join_pending_for(
        &self,
        instance: &sidedoor_domain::ids::InstanceName,
        user: &sidedoor_domain::ids::UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let active = self.ctx.store().active_of(instance, user).await?;
        Ok(active.iter().any(|s| {
            let waits = matches!(s.supervision.state, State::Requested | State::Joining);
            // Past its time and past the looking that follows, a stuck join explains nothing any more.
            let fresh = s
                .supervision
                .join
                .as_ref()
                .is_some_and(|j| now < j.expires_at + self.ctx.settings.join_ttl);
            waits && fresh
        }))
    }

    /// Looks into one leg that no supervision explains.
    pub(crate) async fn explain(&self, leg: UnexplainedLeg) {
        if let Err(e) = self.try_explain(&leg).await {
            tracing::error!(leg_contact_id = %leg.leg, error = %e, "leg {} could not be looked into", leg.leg);
        }
    }

    async fn try_explain(&self, leg: &UnexplainedLeg) -> Result<(), UseCaseError> {
        if self.ctx.store().by_leg(&leg.instance, &leg.leg).await?.is_some() {
            self.weigh_stored_evidence(&leg.instance, &leg.leg).await?;
            return Ok(self.forget(leg).await?);
        }
        let asked_at = self.ctx.now();
        match self
            .ctx
            .telephony()
            .describe(&leg.instance, &leg.leg, Priority::Poll)
            .await
        {
            Ok(seen) if seen.is_monitor() => self.explain_by(leg, &seen, asked_at).await,
            Ok(_) => {
                tracing::warn!(leg_contact_id = %leg.leg, "an event called {} a MONITOR contact; the vendor does not", leg.leg);
                Ok(self.forget(leg).await?)
            }
            Err(e) => self.look_later(leg, &e).await,
        }
    }

    async fn explain_by(
        &self,
        leg: &UnexplainedLeg,
        seen: &ContactSeen,
        asked_at: jiff::Timestamp,
    ) -> Result<(), UseCaseError> {
        let now = self.ctx.now();
        let user = seen.agent.as_deref().and_then(|id| UserId::parse(id).ok());
        if let Some(user) = &user
            && self.join_pending_for(&leg.instance, user, now).await?
        {
            let again = UnexplainedLeg {
                due_at: now + self.ctx.settings.intervals.unexplained,
                looks: leg.looks + 1,
                ..leg.clone()
            };
            self.ctx
                .store()
                .transact(Transaction {
                    unexplained: vec![again],
                    ..Transaction::default()
                })
                .await?;
            return Ok(());
        }
        let contact = seen.supervised();
        let Ok(id) = LegId::from_description(seen, contact.as_ref()) else {
            return Ok(self.forget(leg).await?);
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
            explained: vec![(leg.instance.clone(), leg.leg.clone())],
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
                self.weigh(&leg.instance, &leg.leg, observation, None).await.map(|_| ())
            }
            // Somebody explained it while we looked.
            _ => Ok(self.forget(leg).await?),
        }
    }

    async fn look_later(&self, leg: &UnexplainedLeg, error: &VendorError) -> Result<(), UseCaseError> {
        let unknown = error.code == VendorErrorCode::ResourceNotFound;
        if leg.looks >= LOOKS && (unknown || !error.is_retryable()) {
            tracing::warn!(leg_contact_id = %leg.leg, code = %error.code, "gave up looking into leg {}", leg.leg);
            return Ok(self.forget(leg).await?);
        }
        let wait = jiff::SignedDuration::try_from(Backoff::LOOK.wait(leg.looks))
            .unwrap_or(self.ctx.settings.intervals.unexplained);
        let due_at = self.ctx.now() + wait.max(self.ctx.settings.intervals.unexplained);
        let again = UnexplainedLeg {
            due_at,
            looks: leg.looks.saturating_add(1),
            ..leg.clone()
        };
        self.ctx
            .store()
            .transact(Transaction {
                unexplained: vec![again],
                ..Transaction::default()
            })
            .await?;
        Ok(())
    }

    async fn forget(&self, leg: &UnexplainedLeg) -> Result<(), StoreError> {
        let explained = vec![(leg.instance.clone(), leg.leg.clone())];
        self.ctx
            .store()
            .transact(Transaction {
                explained,
                ..Transaction::default()
            })
            .await
            .map(|_| ())
    }
}
