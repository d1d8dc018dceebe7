//! A supervisor asks to listen to a live contact.
//!
//! Guarantee: the request is in the store before anything is sent, as REQUESTED while it waits for its turn in the rate
//! budget, and as JOINING, with its `ClientToken`, before MonitorContact is sent. The answer waits for Connect's as long as
//! the request's time allows; the work continues without it.

use jiff::SignedDuration;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::join_failure::OwnJoinFailure;
use sidedoor_domain::ports::store::{KeyWrite, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Transaction};
use sidedoor_domain::supervision::{Mode, Origin, State, Supervision, Supervisor};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::identity::supervisors::SupervisorRef;
use crate::usecases::monitoring::{MUTE, MonitoringError, MonitoringService, compliance};

/// A request to listen to a contact.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// What to listen to.
    pub target: StartTarget,
    /// The supervisor who listens.
    pub supervisor: SupervisorRef,
    /// The supervisor's Salesforce User, for the record's lookup.
    pub salesforce_user_id: Option<String>,
    /// The Salesforce VoiceCall, for the record's lookup. Used only for a caller that may act as any supervisor.
    pub voice_call_id: Option<String>,
    /// The most that the supervisor may do; every join starts silent.
    pub mode: Mode,
    /// The Connect instance; needed if several are configured.
    pub instance: Option<InstanceName>,
    /// Whether to leave the contacts that the supervisor monitors now.
    pub leave_current: bool,
    /// Why the supervisor listens, for the audit and the record.
    pub reason: Option<String>,
    /// The jurisdiction whose rules apply; the instance's if `None`.
    pub jurisdiction: Option<String>,
}

/// What a request wants to listen to.
#[derive(Debug, Clone)]
pub enum StartTarget {
    /// This contact, with the agent on it if the caller knows them.
    Contact(ContactId, Option<UserId>),
    /// The only live contact of this agent.
    Agent(UserId),
}

/// The answer to a request to listen.
#[derive(Debug, Clone)]
pub enum StartOutcome {
    /// A new supervision, in the state that it has reached.
    New(Box<StoredSupervision>),
    /// A new supervision that waits until the supervisor has left the second one.
    Waiting(Box<StoredSupervision>, Box<StoredSupervision>),
    /// The supervisor already listens to this contact.
    Already(Box<StoredSupervision>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl MonitoringService {
    /// Starts a supervision.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], [`UseCaseError::Stopping`],
    /// [`MonitoringError::JurisdictionNotFound`], [`MonitoringError::RejoinForbidden`], [`MonitoringError::SupervisorBusy`],
    /// [`MonitoringError::ContactFull`], [`MonitoringError::JoinFailed`], when switching also
    /// [`crate::usecases::leaving::LeavingError::CustomerCallAtRisk`], those of idempotency keys, and the store's.
    pub async fn start(&self, ask: StartRequest, request: &RequestContext) -> Result<StartOutcome, MonitoringError> {
        let (this, request) = (self.clone(), request.clone());
        self.ctx
            .run_detached(async move { this.start_detached(ask, &request).await })
            .await
    }

    async fn start_detached(
        &self,
        ask: StartRequest,
        request: &RequestContext,
    ) -> Result<StartOutcome, MonitoringError> {
        if matches!(&ask.supervisor, SupervisorRef::Id(user) if !request.caller.may_act_as(user)) {
            return Err(UseCaseError::Forbidden("this credential may not listen as that supervisor").into());
        }
        if ask.mode == Mode::Barge && !request.caller.may_barge() {
            return Err(MUTE.into());
        }
        let instance = ask
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let instance = instance
            .filter(|name| self.ctx.instance(name).is_some())
            .ok_or_else(|| self.ctx.instance_not_found(ask.instance.as_ref()))?;
        let (user, username) = self
            .identity
            .resolve_supervisor(&instance, &ask.supervisor, request)
            .await?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(StartOutcome::Replay(replay));
        }
        let (contact, agent) = match ask.target.clone() {
            StartTarget::Contact(contact, agent) => (contact, agent),
            StartTarget::Agent(agent) => (self.contact_of_agent(&instance, &agent, request).await?, Some(agent)),
        };
        tracing::Span::current().record("contact_id", tracing::field::display(&contact));
        let salesforce_user_id = self
            .identity
            .resolve_salesforce_user(&ask, &user, &instance, request)
            .await?;
        if self.ctx.is_stopping() {
            return Err(UseCaseError::Stopping.into());
        }
        if let Some(already) = self.find_existing(&instance, &user, &contact).await? {
            return self.answer_existing(already, request).await;
        }

        let compliance = self
            .compliance
            .check_compliance(&instance, &user, &contact, ask.jurisdiction.as_deref(), request)
            .await?;
        let supervisor = Supervisor {
            connect_user_id: Some(user),
            username,
            salesforce_user_id,
        };
        let now = self.ctx.now();
        // `join_ttl` counts from the arrival of the request, not from the end of the lookups above.
        let waited = SignedDuration::try_from(request.arrived.elapsed()).unwrap_or(SignedDuration::MAX);
        let join_ttl = self
            .ctx
            .settings
            .join_ttl
            .saturating_sub(waited)
            .max(SignedDuration::ZERO);
        let mut new = Supervision::request(
            self.ctx.new_id(),
            instance,
            contact.clone(),
            supervisor,
            ask.mode,
            now,
            join_ttl,
        );
        // A supervisor's word is not enough: their record is linked to the VoiceCall that Salesforce finds by the contact.
        if request.caller.has(Scope::SuperviseAny) {
            new.voice_call_id.clone_from(&ask.voice_call_id);
        }
        match &ask.target {
            // Connect has just said so.
            StartTarget::Agent(_) => new.set_agent(agent),
            StartTarget::Contact(..) => new.claim_agent(agent),
        }
        new.request_reason.clone_from(&ask.reason);
        new.compliance = compliance;
        new.trace_parent = crate::telemetry::spans::current();
        let id = new.id;
        tracing::Span::current().record("supervision_id", tracing::field::display(id));
        let others = self.supervisions_to_leave(&new, &ask).await?;
        for other in &others {
            self.leaving.require_safe_leave(&other.supervision, request).await?;
        }
        new.waits_for = others
            .iter()
            .find(|o| o.supervision.holds_voice_slot())
            .map(|o| o.supervision.id);
        let ending = self.ending_elsewhere(&new).await?;
        if let (None, Some(first)) = (new.waits_for, &ending) {
            (new.waits_for, new.only_waits) = (Some(first.id), true);
        }
        let (waits_for, only_waits) = (new.waits_for, new.only_waits);
        let admission = match waits_for {
            Some(_) => None,
            None => self.ctx.telephony().try_admit_monitor(&new.endpoint()),
        };
        if admission.is_some() {
            // A place in the rate budget is free, so one transaction stores "accepted" and "about to be sent".
            new.start_joining(now)
                .map_err(|_| UseCaseError::Unexpected("a new supervision should be able to start joining"))?;
        }
        let outcome = format!("contact {contact}, {}", compliance::describe(&new.compliance));
        let requested = self.ctx.audit(request, AuditAction::SupervisionRequested, id, outcome);
        let mut audit = vec![requested.because(ask.reason.clone())];
        audit.extend(admission.is_some().then(|| self.join_begun_entry(id)));
        let change = Transaction {
            key: request.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
            audit,
            supervision: Some(SupervisionWrite::Insert(Box::new(new))),
            ..Transaction::default()
        };
        match self.ctx.transact(change).await? {
            CommitOutcome::Done(_) => self.ctx.count(&MetricEvent::Began(Origin::Api)),
            CommitOutcome::KeyUsed(record) => {
                return Ok(StartOutcome::Replay(self.idempotency.replay_of(request, record).await?));
            }
            CommitOutcome::Busy(holder) => return self.answer_busy(holder, &contact, request).await,
            CommitOutcome::Stale | CommitOutcome::LegTaken(_) | CommitOutcome::Duplicate => {
                return Err(UseCaseError::Unexpected(
                    "a new supervision should only be committed, or refused for its key or a busy supervisor",
                )
                .into());
            }
        }
        let this = self.clone();
        let join = async move { this.join(id, admission, false).await };
        let Some(first) = waits_for.filter(|_| !only_waits) else {
            if let Some(first) = waits_for {
                self.expedite_end(first).await?;
            }
            self.leave_others(&others, request).await?;
            self.ctx.run_and_wait(self.ctx.time_left(request), join).await;
            return self.start_outcome(id, &request.caller).await;
        };
        // The join task now runs whatever happens to the leave. The answer does not wait for the join, because it
        // contains the directive that ends the first leg.
        self.ctx.spawn(join);
        self.leave_others(&others, request).await?;
        let stored = |s: Option<StoredSupervision>| s.map(Box::new).ok_or(UseCaseError::SupervisionNotFound);
        let (new, first) = (
            self.ctx.store().supervision(id).await?,
            self.ctx.store().supervision(first).await?,
        );
        Ok(StartOutcome::Waiting(stored(new)?, stored(first)?))
    }

    /// If the supervisor has no free voice slot, the supervision in one of them whose end was requested or is claimed: the start then
    /// waits for that end instead of being refused.
    async fn ending_elsewhere(&self, new: &Supervision) -> Result<Option<Supervision>, MonitoringError> {
        let Some(user) = &new.supervisor.connect_user_id else {
            return Ok(None);
        };
        let active = self.ctx.store().active_of(&new.instance, user).await?;
        let mut holders: Vec<Supervision> = active.into_iter().map(|s| s.supervision).collect();
        holders.retain(Supervision::holds_voice_slot);
        let has_room = holders.len() < self.ctx.settings.max_voice_legs;
        Ok(holders.into_iter().find(|s| !has_room && s.may_end_soon()))
    }

    /// Asks at once about a leg whose end another start waits for.
    async fn expedite_end(&self, id: SupervisionId) -> Result<(), MonitoringError> {
        self.ctx
            .update(id, |s| {
                s.next_check_at = s.next_check_at.map(|at| at.min(self.ctx.now()));
                Some(Transaction::default())
            })
            .await?;
        Ok(())
    }

    /// The supervisions that the supervisor must leave first, because Connect allows one monitored voice contact at a time.
    async fn supervisions_to_leave(
        &self,
        new: &Supervision,
        ask: &StartRequest,
    ) -> Result<Vec<StoredSupervision>, MonitoringError> {
        let (true, Some(user)) = (ask.leave_current, &new.supervisor.connect_user_id) else {
            return Ok(Vec::new());
        };
        let mut active = self.ctx.store().active_of(&new.instance, user).await?;
        active.retain(|s| s.supervision.holds_voice_slot() || s.supervision.waits_for.is_some());
        Ok(active)
    }

    /// The answer for a supervision that was just started. A failed join is an error.
    async fn start_outcome(&self, id: SupervisionId, caller: &Caller) -> Result<StartOutcome, MonitoringError> {
        let stored = self
            .ctx
            .store()
            .supervision(id)
            .await?
            .ok_or(UseCaseError::SupervisionNotFound)?;
        match (&stored.supervision.state, &stored.supervision.failure) {
            (State::Failed, Some(failure)) if failure.code == OwnJoinFailure::ContactLimitReached.as_str() => {
                let mut on_call = self.others_on_call(&stored.supervision).await?;
                let others = on_call.len();
                // A supervisor must not learn by a refused start who else listens.
                on_call.retain(|_| caller.sees_all());
                Err(MonitoringError::ContactFull {
                    supervision: id,
                    on_call,
                    others,
                })
            }
            (State::Failed, Some(failure)) => Err(MonitoringError::JoinFailed {
                supervision: id,
                code: failure.code.clone(),
                detail: failure.detail.clone(),
            }),
            _ => Ok(StartOutcome::New(Box::new(stored))),
        }
    }

    /// The unfinished supervision of this supervisor on this contact, if there is one.
    async fn find_existing(
        &self,
        instance: &InstanceName,
        user: &UserId,
        contact: &ContactId,
    ) -> Result<Option<StoredSupervision>, MonitoringError> {
        let active = self.ctx.store().active_of(instance, user).await?;
        Ok(active
            .into_iter()
            .find(|s| s.supervision.contact.as_ref() == Some(contact)))
    }

    /// Answers that the supervisor already listens. The key stores the answer, so that a repeat starts nothing either.
    async fn answer_existing(
        &self,
        stored: StoredSupervision,
        request: &RequestContext,
    ) -> Result<StartOutcome, MonitoringError> {
        let replay = self.idempotency.take_key(request, Some(stored.supervision.id)).await?;
        Ok(replay.map_or(StartOutcome::Already(Box::new(stored)), StartOutcome::Replay))
    }

    /// The supervisor's voice slot is taken: by an equal request that was faster, or by another contact.
    async fn answer_busy(
        &self,
        holder: SupervisionId,
        contact: &ContactId,
        request: &RequestContext,
    ) -> Result<StartOutcome, MonitoringError> {
        let stored = self
            .ctx
            .store()
            .supervision(holder)
            .await?
            .ok_or(UseCaseError::Conflict)?;
        if stored.supervision.contact.as_ref() == Some(contact) {
            self.answer_existing(stored, request).await
        } else {
            Err(MonitoringError::SupervisorBusy(Box::new(stored.supervision)))
        }
    }
}
