//! A supervisor asks to listen to a live contact.
//!
//! The request is on disk before anything is sent: at REQUESTED while it waits for its turn in the rate budget, at
//! JOINING, with its `ClientToken`, from the moment MonitorContact may be sent. The answer waits for Connect's as long
//! as an answer may take; the work itself does not depend on anybody waiting.

use crate::usecases::error::UseCaseError;
use crate::usecases::monitoring::MonitoringError;
use crate::usecases::monitoring::MonitoringService;

use jiff::SignedDuration;

use crate::usecases::Request;
use crate::usecases::idempotency::Replay;
use crate::usecases::identity::supervisors::SupervisorRef;
use crate::usecases::monitoring::compliance;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::join_failure::OwnJoinFailure;
use sidedoor_domain::ports::store::{KeyWrite, Stored, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Transaction};
use sidedoor_domain::supervision::{Mode, Origin, State, Supervision, Supervisor};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The contact to listen to.
    pub contact: ContactId,
    /// Who listens.
    pub supervisor: SupervisorRef,
    /// Their Salesforce User, for the row's lookup.
    pub salesforce_user_id: Option<String>,
    /// The Salesforce VoiceCall, for the row's lookup.
    pub voice_call_id: Option<String>,
    /// What they may do there at most; every join begins silently.
    pub mode: Mode,
    /// Which instance, where there are several.
    pub instance: Option<InstanceName>,
    /// Leave what they listen to first.
    pub leave_current: bool,
    /// The agent on the contact, if the caller knows.
    pub agent: Option<UserId>,
    /// Whose rules hold; the instance's if none is named.
    pub jurisdiction: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Started {
    /// A new supervision, as far as it got.
    New(Box<Stored>),
    /// A new supervision that waits until the supervisor has left the other one.
    Waiting(Box<Stored>, Box<Stored>),
    /// The same supervisor listens to this contact already.
    Already(Box<Stored>),
    /// The key was used before.
    Replay(Replay),
}

impl MonitoringService {
    /// Starts a supervision.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::InstanceNotFound`], [`MonitoringError::JurisdictionNotFound`],
    /// [`MonitoringError::RejoinForbidden`], [`MonitoringError::SupervisorBusy`], [`LeavingError::CustomerCallAtRisk`] (of a switch),
    /// [`MonitoringError::ContactFull`], [`MonitoringError::JoinFailed`], those of keys, and the store's.
    pub async fn start(&self, ask: StartRequest, by: &Request) -> Result<Started, MonitoringError> {
        let (this, by) = (self.clone(), by.clone());
        self.ctx.own(async move { this.start_owned(ask, &by).await }).await
    }

    async fn start_owned(&self, ask: StartRequest, by: &Request) -> Result<Started, MonitoringError> {
        tracing::Span::current().record("contact_id", tracing::field::display(&ask.contact));
        if matches!(&ask.supervisor, SupervisorRef::Id(user) if !by.caller.may_act_as(user)) {
            return Err(UseCaseError::Forbidden("this credential may not listen as that supervisor").into());
        }
        let instance = ask
            .instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone());
        let instance = instance
            .filter(|name| self.ctx.instance(name).is_some())
            .ok_or(UseCaseError::InstanceNotFound)?;
        let (user, username) = self.identity.who(&instance, &ask.supervisor, by).await?;
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Started::Replay(replay));
        }
        let salesforce_user_id = self.identity.recorded_as(&ask, &user, &instance, by).await?;
        if self.ctx.is_stopping() {
            return Err(UseCaseError::Stopping.into());
        }
        if let Some(already) = self.already(&instance, &user, &ask).await? {
            return self.already_is(already, by).await;
        }

        let compliance = self.compliance.comply(&instance, &user, &ask, by).await?;
        let supervisor = Supervisor {
            connect_user_id: Some(user),
            username,
            salesforce_user_id,
        };
        let now = self.ctx.now();
        // A late join is worse than none, and late is counted from the request, not from what had to be asked before it.
        let waited = SignedDuration::try_from(by.arrived.elapsed()).unwrap_or(SignedDuration::MAX);
        let join_ttl = self
            .ctx
            .settings
            .join_ttl
            .saturating_sub(waited)
            .max(SignedDuration::ZERO);
        let mut new = Supervision::request(instance, ask.contact.clone(), supervisor, ask.mode, now, join_ttl);
        new.voice_call_id.clone_from(&ask.voice_call_id);
        new.agent.clone_from(&ask.agent);
        new.compliance = compliance;
        new.trace_parent = crate::telemetry::spans::current();
        let id = new.id;
        tracing::Span::current().record("supervision_id", tracing::field::display(id));
        let others = self.to_be_left(&new, &ask).await?;
        for other in &others {
            self.leaving.guarded(&other.supervision, by).await?;
        }
        new.waits_for = others
            .iter()
            .find(|o| o.supervision.holds_voice_place())
            .map(|o| o.supervision.id);
        let waits_for = new.waits_for;
        let admission = match waits_for {
            Some(_) => None,
            None => self.ctx.telephony().try_admit_monitor(&new.instance),
        };
        if admission.is_some() {
            // Its turn is now: one transaction for "accepted" and "about to be sent".
            new.start_joining(now)
                .map_err(|_| UseCaseError::Unexpected("a new supervision cannot start to join"))?;
        }
        let told = format!("contact {}, {}", ask.contact, compliance::told(&new.compliance));
        let mut audit = vec![self.ctx.audit(by, AuditAction::SupervisionRequested, id, told)];
        audit.extend(admission.is_some().then(|| self.join_begins(id)));
        let change = Transaction {
            key: by.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
            audit,
            supervision: Some(SupervisionWrite::Insert(Box::new(new))),
            ..Transaction::default()
        };
        match self.ctx.store().transact(change).await? {
            CommitOutcome::Done => self.ctx.count(&MetricEvent::Began(Origin::Api)),
            CommitOutcome::KeyUsed(record) => {
                return Ok(Started::Replay(self.idempotency.replay_of(by, record).await?));
            }
            CommitOutcome::Busy(holder) => return self.busy(holder, &ask, by).await,
            CommitOutcome::Stale | CommitOutcome::LegTaken(_) | CommitOutcome::Duplicate => {
                return Err(UseCaseError::Unexpected(
                    "the store refused a new supervision for a reason that cannot occur here",
                )
                .into());
            }
        }
        let this = self.clone();
        let join = async move { this.join(id, admission, false).await };
        let Some(first) = waits_for else {
            self.leave_others(&others, by).await?;
            self.ctx.run_and_wait(self.ctx.left(by), join).await;
            return self.started(id).await;
        };
        // From here on the join is in somebody's hands, whatever becomes of the leave. The answer holds the directive that
        // ends the first leg: it must not wait for what only follows from it.
        self.ctx.spawn(join);
        self.leave_others(&others, by).await?;
        let stored = |s: Option<Stored>| s.map(Box::new).ok_or(UseCaseError::SupervisionNotFound);
        let (new, first) = (
            self.ctx.store().supervision(id).await?,
            self.ctx.store().supervision(first).await?,
        );
        Ok(Started::Waiting(stored(new)?, stored(first)?))
    }

    /// What the supervisor listens to by voice elsewhere and is to leave first.
    async fn to_be_left(&self, new: &Supervision, ask: &StartRequest) -> Result<Vec<Stored>, MonitoringError> {
        let (true, Some(user)) = (ask.leave_current, &new.supervisor.connect_user_id) else {
            return Ok(Vec::new());
        };
        let mut active = self.ctx.store().active_of(&new.instance, user).await?;
        active.retain(|s| s.supervision.holds_voice_place() || s.supervision.waits_for.is_some());
        Ok(active)
    }

    /// How a supervision just started stands; a failed join is an error.
    async fn started(&self, id: SupervisionId) -> Result<Started, MonitoringError> {
        let stored = self
            .ctx
            .store()
            .supervision(id)
            .await?
            .ok_or(UseCaseError::SupervisionNotFound)?;
        match (&stored.supervision.state, &stored.supervision.failure) {
            (State::Failed, Some(failure)) if failure.code == OwnJoinFailure::ContactLimitReached.as_str() => {
                Err(MonitoringError::ContactFull {
                    supervision: id,
                    on_call: self.others_on_call(&stored.supervision).await?,
                })
            }
            (State::Failed, Some(failure)) => Err(MonitoringError::JoinFailed {
                supervision: id,
                code: failure.code.clone(),
                detail: failure.detail.clone(),
            }),
            _ => Ok(Started::New(Box::new(stored))),
        }
    }

    /// The unfinished supervision of this very supervisor on this very contact, if there is one.
    async fn already(
        &self,
        instance: &InstanceName,
        user: &UserId,
        ask: &StartRequest,
    ) -> Result<Option<Stored>, MonitoringError> {
        let active = self.ctx.store().active_of(instance, user).await?;
        Ok(active
            .into_iter()
            .find(|s| s.supervision.contact.as_ref() == Some(&ask.contact)))
    }

    /// The answer that nothing is to be started; the key keeps it, so that a repeat starts nothing either.
    async fn already_is(&self, stored: Stored, by: &Request) -> Result<Started, MonitoringError> {
        let replay = self.idempotency.take_key(by, Some(stored.supervision.id)).await?;
        Ok(replay.map_or(Started::Already(Box::new(stored)), Started::Replay))
    }

    /// Somebody holds the voice place: the very one asked for (a race of two equal requests), or another.
    async fn busy(&self, holder: SupervisionId, ask: &StartRequest, by: &Request) -> Result<Started, MonitoringError> {
        let stored = self
            .ctx
            .store()
            .supervision(holder)
            .await?
            .ok_or(UseCaseError::Conflict)?;
        if stored.supervision.contact.as_ref() == Some(&ask.contact) {
            self.already_is(stored, by).await
        } else {
            Err(MonitoringError::SupervisorBusy(holder))
        }
    }
}
