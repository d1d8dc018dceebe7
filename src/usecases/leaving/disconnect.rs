//! A caller asks a supervisor to leave.
//!
//! Guarantee: a disconnect never expires and is never refused because of the supervision's state. The only refusal is the
//! barge safety check's, and an operator can override it.

use std::time::Duration;

use futures::future::join_all;
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{Filter, KeyWrite, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Priority, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Leave, Requester, ServerEnd, State, Supervision};
use tokio_util::sync::CancellationToken;

use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::evidence::observation::Observation;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::leaving::after_check::was_described;
use crate::usecases::leaving::{LeavingError, LeavingService};
use crate::usecases::{LegEndMethod, RequestContext};

/// How long a disconnect of a departed supervisor waits for the vendor.
const ASK_ABOUT_DEPARTED: Duration = Duration::from_secs(2);
/// How many of a supervisor's last supervisions are searched for the last one in an instance.
const RECENT_SUPERVISIONS: u32 = 50;

/// A request that a supervisor leave.
#[derive(Debug, Clone, Default)]
pub struct DisconnectRequest {
    /// The reason, in the caller's words.
    pub reason: Option<String>,
    /// The operator accepts that the customer's call may end. Needs the scope `operate` and a reason.
    pub customer_call_may_end: bool,
    /// The barge safety check has just passed, so it is not repeated.
    pub(crate) safety_check_passed: bool,
}

impl DisconnectRequest {
    /// A request as a caller makes it.
    pub fn new(reason: Option<String>, customer_call_may_end: bool) -> Self {
        Self {
            reason,
            customer_call_may_end,
            safety_check_passed: false,
        }
    }
}

/// The answer to a request to leave.
#[derive(Debug, Clone)]
pub enum DisconnectOutcome {
    /// The supervision as it is now.
    Current(Box<StoredSupervision>),
    /// The supervision was already over before this request.
    AlreadyOver(Box<StoredSupervision>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl LeavingService {
    /// Asks the supervisor of one supervision to leave.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`LeavingError::CustomerCallAtRisk`], those of
    /// idempotency keys, and the store's.
    pub async fn disconnect(
        &self,
        id: SupervisionId,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<DisconnectOutcome, LeavingError> {
        // Authorization comes before the replay, because a stored answer is confidential too.
        let seen = self.ctx.get(id, request).await?;
        let requester = request.caller.may_end(&seen.supervision);
        let requester = requester.ok_or(UseCaseError::Forbidden("this credential may not end that supervision"))?;
        check_may_accept(ask, request)?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(DisconnectOutcome::Replay(replay));
        }
        let (this, ask, request) = (self.clone(), ask.clone(), request.clone());
        self.ctx
            .run_detached(async move {
                this.ask_about_departed(&seen.supervision).await?;
                let asked = this.ask_to_leave(&seen.supervision, requester, &ask, &request).await?;
                this.wait_until_carried_out([&asked], &request).await;
                this.current_outcome(asked).await
            })
            .await
    }

    /// The supervision is LEFT, and a caller says that the supervisor still listens. Unless DescribeContact itself has shown the end,
    /// it is asked, at most once in some seconds a leg and not for long, because the answer waits.
    async fn ask_about_departed(&self, s: &Supervision) -> Result<(), LeavingError> {
        let (State::Left, Some(leg)) = (s.state, &s.leg) else {
            return Ok(());
        };
        let now = self.ctx.now();
        let doubtful = s.vendor == AMAZON_CONNECT && !was_described(s);
        if !doubtful || !self.ctx.signals.departed_asks.is_due(s.id, self.ctx.elapsed()) {
            return Ok(());
        }
        let asked = self.ctx.describe_for(s, leg.as_str(), Priority::Claim);
        if let Ok(Ok(seen)) = tokio::time::timeout(ASK_ABOUT_DEPARTED, asked).await {
            let observation = Observation::of_description(&seen, now, self.ctx.now());
            self.evidence
                .evaluate(&s.instance, leg.as_str(), observation, None)
                .await?;
        }
        Ok(())
    }

    /// Stores the request and starts the server's part in a task, without waiting for it.
    async fn ask_to_leave(
        &self,
        seen: &Supervision,
        requester: Requester,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<LeaveProgress, LeavingError> {
        let id = seen.id;
        let again = seen.is_to_be_directed_anew(self.ctx.now());
        if !ask.customer_call_may_end && !ask.safety_check_passed && (seen.state == State::Monitoring || again) {
            self.require_safe_leave(seen, request).await?;
        }
        let mut attempts = ConflictAttempts::default();
        loop {
            attempts.start_next()?;
            let stored = self
                .ctx
                .store()
                .supervision(id)
                .await?
                .ok_or(UseCaseError::SupervisionNotFound)?;
            let StoredSupervision {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            let now = self.ctx.now();
            let asked = supervision.ask_to_leave(requester, now, self.ctx.leave_times());
            if ask.customer_call_may_end {
                supervision.accept_the_call_may_end();
            }
            let outcome = match asked {
                Leave::AlreadyOver => {
                    let replay = self.idempotency.take_key(request, Some(id)).await?;
                    let known = replay.map_or(
                        DisconnectOutcome::AlreadyOver(Box::new(stored)),
                        DisconnectOutcome::Replay,
                    );
                    return Ok(LeaveProgress::Known(known));
                }
                // The browser failed, refused, did not answer, or no evidence confirms its answer: a repeated request means
                // that the caller wants it tried again.
                Leave::Underway if supervision.is_to_be_directed_anew(now) => {
                    let _ = supervision.direct_anew(now, self.ctx.leave_times());
                    "in progress; the browser gets a new directive because no evidence confirms that the leg ended"
                }
                Leave::Underway | Leave::Kept if supervision == stored.supervision => {
                    let replay = self.idempotency.take_key(request, Some(id)).await?;
                    let known = replay.map_or(DisconnectOutcome::Current(Box::new(stored)), DisconnectOutcome::Replay);
                    return Ok(LeaveProgress::Known(known));
                }
                // An operator has overridden the safety check of a leave in progress, so its directive must be reissued.
                Leave::Underway => {
                    let _ = supervision.direct_anew(now, self.ctx.leave_times());
                    "in progress; the operator accepts that the customer's call may end"
                }
                Leave::Begun => {
                    self.prepare_leave(&mut supervision);
                    "the leave starts"
                }
                Leave::Withdrawn => "cancelled before Connect was asked",
                Leave::Kept => "kept until the leg is known",
            };
            let server_part = ServerPart::of(&supervision);
            let change = Transaction {
                key: request.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                // The same time as the directive that follows, so that a timeline shows them in this order.
                audit: vec![AuditEntry {
                    at: now,
                    ..self
                        .ctx
                        .audit(request, AuditAction::DisconnectRequested, id, outcome)
                        .because(ask.reason.clone())
                }],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), revision)),
                ..Transaction::default()
            };
            match self.ctx.transact(change).await? {
                CommitOutcome::Done(_) => {
                    let done = CancellationToken::new();
                    // Dropped when the task ends, also if it panics, so that no request waits for it longer.
                    let guard = done.clone().drop_guard();
                    if server_part == ServerPart::Pending {
                        let this = self.clone();
                        self.ctx.spawn(async move {
                            let _guard = guard;
                            if let Err(e) = this.carry_out_leave(id).await {
                                tracing::error!(supervision_id = %id, error = %e, "could not carry out the leave of {id}; the next poll tries again: {e}");
                            }
                        });
                    }
                    return Ok(LeaveProgress::Begun(id, done));
                }
                CommitOutcome::KeyUsed(record) => {
                    let replay = self.idempotency.replay_of(request, record).await?;
                    return Ok(LeaveProgress::Known(DisconnectOutcome::Replay(replay)));
                }
                CommitOutcome::Stale => {}
                CommitOutcome::Busy(_) | CommitOutcome::LegTaken(_) | CommitOutcome::Duplicate => {
                    return Err(UseCaseError::Unexpected(
                        "a leave should only be committed, stale, or refused for its key",
                    )
                    .into());
                }
            }
        }
    }

    /// Waits until the server's part of all these leaves is done, at most as long as the answer may take.
    async fn wait_until_carried_out(&self, asked: impl IntoIterator<Item = &LeaveProgress>, request: &RequestContext) {
        let all = asked.into_iter().filter_map(|asked| match asked {
            LeaveProgress::Begun(_, done) => Some(done.cancelled()),
            LeaveProgress::Known(_) => None,
        });
        let _ = tokio::time::timeout(self.ctx.time_left(request), join_all(all)).await;
    }

    /// The answer to a stored request, with the supervision as it is now.
    async fn current_outcome(&self, asked: LeaveProgress) -> Result<DisconnectOutcome, LeavingError> {
        match asked {
            LeaveProgress::Known(known) => Ok(known),
            LeaveProgress::Begun(id, _) => {
                let stored = self
                    .ctx
                    .store()
                    .supervision(id)
                    .await?
                    .ok_or(UseCaseError::SupervisionNotFound)?;
                Ok(DisconnectOutcome::Current(Box::new(stored)))
            }
        }
    }

    /// Asks a supervisor to leave everything that they monitor. With several legs (chats) all are left and the answer is about
    /// the newest; with none the answer is about the last one.
    ///
    /// # Errors
    /// As [`Self::disconnect`]; [`UseCaseError::SupervisionNotFound`] when they never had a supervision.
    pub async fn disconnect_supervisor(
        &self,
        user: &UserId,
        instance: Option<InstanceName>,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<DisconnectOutcome, LeavingError> {
        if !request.caller.may_act_as(user) && !request.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("this credential may not end that supervisor's supervisions").into());
        }
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(DisconnectOutcome::Replay(replay));
        }
        let instance = instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone())
            .filter(|name| self.ctx.instance(name).is_some())
            .ok_or_else(|| self.ctx.instance_not_found(instance.as_ref()))?;
        let active = self.ctx.store().active_of(&instance, user).await?;
        if active.is_empty() {
            let theirs = Filter {
                supervisor: Some(user.clone()),
                limit: RECENT_SUPERVISIONS,
                ..Filter::default()
            };
            let over = |s: &StoredSupervision| s.supervision.instance == instance && s.supervision.state.is_final();
            let last = self.ctx.store().list(&theirs).await?.into_iter().find(over);
            let last = last.ok_or(UseCaseError::SupervisionNotFound)?;
            let replay = self.idempotency.take_key(request, Some(last.supervision.id)).await?;
            return Ok(replay.map_or(
                DisconnectOutcome::AlreadyOver(Box::new(last)),
                DisconnectOutcome::Replay,
            ));
        }
        let (this, ask, request) = (self.clone(), ask.clone(), request.clone());
        self.ctx
            .run_detached(async move { this.leave_all(active, &ask, &request).await })
            .await
    }

    /// Asks for each leave even if another one fails, then waits for the server's part of all of them.
    async fn leave_all(
        &self,
        active: Vec<StoredSupervision>,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<DisconnectOutcome, LeavingError> {
        check_may_accept(ask, request)?;
        // The key stores one answer, which is about the newest supervision.
        let without_key = RequestContext {
            key: None,
            ..request.clone()
        };
        let newest = active.len().saturating_sub(1);
        let asking = active.iter().enumerate().map(|(i, stored)| {
            let request = if i == newest { request } else { &without_key };
            async move {
                let forbidden = UseCaseError::Forbidden("this credential may not end that supervision");
                let requester = request.caller.may_end(&stored.supervision).ok_or(forbidden)?;
                self.ask_to_leave(&stored.supervision, requester, ask, request).await
            }
        });
        let mut asked = join_all(asking).await;
        self.wait_until_carried_out(asked.iter().flatten(), request).await;
        let newest = asked.pop().unwrap_or(Err(UseCaseError::SupervisionNotFound.into()))?;
        // A failure of one does not stop the others, but is reported.
        if let Some(failed) = asked.into_iter().find_map(Result::err) {
            return Err(failed);
        }
        self.current_outcome(newest).await
    }

    /// Decides how the leg ends if that is known without asking the vendor, so that the common case, a voice leg that its
    /// browser ends, is one transaction.
    pub(crate) fn prepare_leave(&self, supervision: &mut Supervision) {
        let now = self.ctx.now();
        supervision.next_check_at = Some(now + self.ctx.settings.intervals.leaving_first_look);
        let Some(channel) = supervision.channel else { return };
        let method = self
            .ctx
            .instance(&supervision.instance)
            .map_or(LegEndMethod::Ccp, |i| i.leg_end(channel));
        // Neither call can fail, because the supervision is LEAVING.
        let _ = match method {
            LegEndMethod::Ccp => supervision.direct_browser(now, self.ctx.leave_times()).map(|_| ()),
            LegEndMethod::StopContactThenCcp => supervision.server_end(ServerEnd::Due),
        };
    }
}

/// The progress of one request to leave.
enum LeaveProgress {
    /// The answer is known without further work.
    Known(DisconnectOutcome),
    /// The request is stored; the token is cancelled when the server's part is done.
    Begun(SupervisionId, CancellationToken),
}

/// Checks that a caller who accepts that the customer's call may end is an operator and gives a reason.
fn check_may_accept(ask: &DisconnectRequest, request: &RequestContext) -> Result<(), LeavingError> {
    if ask.customer_call_may_end && (!request.caller.has(Scope::Operate) || ask.reason.is_none()) {
        return Err(UseCaseError::Forbidden(
            "only an operator may accept that the customer's call may end, and must give a reason",
        )
        .into());
    }
    Ok(())
}

/// Whether the server must still act to end the leg.
#[derive(PartialEq, Eq)]
enum ServerPart {
    Pending,
    None,
}

impl ServerPart {
    fn of(s: &Supervision) -> Self {
        if crate::usecases::leaving::end_leg::is_to_be_carried_out(s) {
            Self::Pending
        } else {
            Self::None
        }
    }
}
