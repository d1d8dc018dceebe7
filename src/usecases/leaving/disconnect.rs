//! Somebody asks that the supervisor leave. It never expires and is never refused for the state a supervision is in: at
//! worst it is over already.

use crate::usecases::error::UseCaseError;
use crate::usecases::leaving::LeavingError;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::usecases::context::ConflictAttempts;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::leaving::LeavingService;
use crate::usecases::{LegEndMethod, RequestContext};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{Filter, KeyWrite, Stored, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{Asker, Leave, ServerEnd, State, Supervision};

/// Among so many of a supervisor's last supervisions the last one of an instance is looked for.
const RECENT_SUPERVISIONS: u32 = 50;

/// Why somebody is to leave.
#[derive(Debug, Clone, Default)]
pub struct DisconnectRequest {
    /// In the asker's words.
    pub reason: Option<String>,
    /// An operator takes it on themselves that the customer's call may end. Needs `operate` and a reason.
    pub customer_call_may_end: bool,
    /// The guard was asked a moment ago, and agreed.
    pub(crate) safety_check_passed: bool,
}

impl DisconnectRequest {
    /// Why, as a caller says it.
    pub fn new(reason: Option<String>, customer_call_may_end: bool) -> Self {
        Self {
            reason,
            customer_call_may_end,
            safety_check_passed: false,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum DisconnectOutcome {
    /// How the supervision stands now.
    Current(Box<Stored>),
    /// It was over before anybody asked this time.
    AlreadyOver(Box<Stored>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl LeavingService {
    /// Asks that the supervisor leave.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`LeavingError::CustomerCallAtRisk`], those of keys, and the
    /// store's.
    pub async fn disconnect(
        &self,
        id: SupervisionId,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<DisconnectOutcome, LeavingError> {
        // Who may act comes before what is known: a stored answer is for its owner too.
        let seen = self.ctx.get(id, request).await?;
        let asker = request.caller.may_end(&seen.supervision);
        let asker = asker.ok_or(UseCaseError::Forbidden("this credential may not end that supervision"))?;
        check_may_accept(ask, request)?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(DisconnectOutcome::Replay(replay));
        }
        let (this, ask, request) = (self.clone(), ask.clone(), request.clone());
        self.ctx
            .run_detached(async move {
                let asked = this.ask_to_leave(&seen.supervision, asker, &ask, &request).await?;
                this.wait_until_carried_out([&asked], &request).await;
                this.current_outcome(asked).await
            })
            .await
    }

    /// Asks, and begins what the server has to do about it without waiting for it.
    async fn ask_to_leave(
        &self,
        seen: &Supervision,
        asker: Asker,
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
            let Stored {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            let now = self.ctx.now();
            let asked = supervision.ask_to_leave(asker, now, self.ctx.leave_times());
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
                // A browser tried and could not, would not, or did not, or nothing shows that it did: whoever asks again wants
                // it tried again.
                Leave::Underway if supervision.is_to_be_directed_anew(now) => {
                    let _ = supervision.direct_anew(now, self.ctx.leave_times());
                    "under way; the browser is told again, since nothing shows that it has done it"
                }
                Leave::Underway | Leave::Kept if supervision == stored.supervision => {
                    let replay = self.idempotency.take_key(request, Some(id)).await?;
                    let known = replay.map_or(DisconnectOutcome::Current(Box::new(stored)), DisconnectOutcome::Replay);
                    return Ok(LeaveProgress::Known(known));
                }
                // An operator's word on a leave under way: what its directive says must follow.
                Leave::Underway => {
                    let _ = supervision.direct_anew(now, self.ctx.leave_times());
                    "under way; the customer's call may end"
                }
                Leave::Begun => {
                    self.prepare_leave(&mut supervision);
                    "the leave begins"
                }
                Leave::Withdrawn => "withdrawn before Connect was asked",
                Leave::Kept => "kept until the leg is known",
            };
            let server_part = ServerPart::of(&supervision);
            let change = Transaction {
                key: request.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                // Of the same moment as the directive that follows from it, so that a timeline tells them in order.
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
            match self.ctx.store().transact(change).await? {
                CommitOutcome::Done => {
                    self.ctx.signals.check.notify_one();
                    let done = CancellationToken::new();
                    // Dropped with the work, also if that panics.
                    let guard = done.clone().drop_guard();
                    if server_part == ServerPart::Pending {
                        let this = self.clone();
                        self.ctx.spawn(async move {
                            let _guard = guard;
                            if let Err(e) = this.carry_out_leave(id).await {
                                tracing::error!(supervision_id = %id, error = %e, "leave of {id} could not be carried on");
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
                        "the store refused the change for a reason that cannot occur here",
                    )
                    .into());
                }
            }
        }
    }

    /// Waits, as long as the answer may take, until the server has done what it had to do about all of these.
    async fn wait_until_carried_out(&self, asked: impl IntoIterator<Item = &LeaveProgress>, request: &RequestContext) {
        let all = asked.into_iter().filter_map(|asked| match asked {
            LeaveProgress::Begun(_, done) => Some(done.cancelled()),
            LeaveProgress::Known(_) => None,
        });
        let _ = tokio::time::timeout(self.ctx.time_left(request), join_all(all)).await;
    }

    /// How what was asked stands now.
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

    /// Asks that a supervisor leave whatever they listen to. With several legs (chats) all are left, and the answer is of the
    /// newest; with none it is of the last one they had.
    ///
    /// # Errors
    /// As [`Self::disconnect`]; [`UseCaseError::SupervisionNotFound`] when they never listened to anything.
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
            .or_else(|| self.ctx.settings.default_instance.clone())
            .filter(|name| self.ctx.instance(name).is_some())
            .ok_or(UseCaseError::InstanceNotFound)?;
        let active = self.ctx.store().active_of(&instance, user).await?;
        if active.is_empty() {
            let theirs = Filter {
                supervisor: Some(user.clone()),
                limit: RECENT_SUPERVISIONS,
                ..Filter::default()
            };
            let over = |s: &Stored| s.supervision.instance == instance && s.supervision.state.is_final();
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

    /// Leaves all of them: each is asked whatever becomes of the others, and only then the server's part is waited for.
    async fn leave_all(
        &self,
        active: Vec<Stored>,
        ask: &DisconnectRequest,
        request: &RequestContext,
    ) -> Result<DisconnectOutcome, LeavingError> {
        check_may_accept(ask, request)?;
        // The key stands for one answer, and that is the newest's.
        let without_key = RequestContext {
            key: None,
            ..request.clone()
        };
        let newest = active.len().saturating_sub(1);
        let asking = active.iter().enumerate().map(|(i, stored)| {
            let request = if i == newest { request } else { &without_key };
            async move {
                let forbidden = UseCaseError::Forbidden("this credential may not end that supervision");
                let asker = request.caller.may_end(&stored.supervision).ok_or(forbidden)?;
                self.ask_to_leave(&stored.supervision, asker, ask, request).await
            }
        });
        let mut asked = join_all(asking).await;
        self.wait_until_carried_out(asked.iter().flatten(), request).await;
        let newest = asked.pop().unwrap_or(Err(UseCaseError::SupervisionNotFound.into()))?;
        // What holds back one holds back no other, and is told all the same.
        if let Some(failed) = asked.into_iter().find_map(Result::err) {
            return Err(failed);
        }
        self.current_outcome(newest).await
    }

    /// Decides how the leg ends as far as that is known without asking the vendor, so that the common case, a voice leg
    /// ended by its browser, is one transaction.
    pub(crate) fn prepare_leave(&self, supervision: &mut Supervision) {
        let now = self.ctx.now();
        supervision.next_check_at = Some(now + self.ctx.settings.intervals.leaving_first_look);
        let Some(channel) = supervision.channel else { return };
        let method = self
            .ctx
            .instance(&supervision.instance)
            .map_or(LegEndMethod::Ccp, |i| i.leg_end(channel));
        // Neither can be refused: the supervision is LEAVING.
        let _ = match method {
            LegEndMethod::Ccp => supervision.direct_browser(now, self.ctx.leave_times()).map(|_| ()),
            LegEndMethod::StopContactThenCcp => supervision.server_end(ServerEnd::Due),
        };
    }
}

/// What came of asking for one leave.
enum LeaveProgress {
    /// The answer is known.
    Known(DisconnectOutcome),
    /// It was written, and the server's part is done when the token is cancelled.
    Begun(SupervisionId, CancellationToken),
}

/// Whether the caller may take it on themselves that the customer's call ends, if they want to.
fn check_may_accept(ask: &DisconnectRequest, request: &RequestContext) -> Result<(), LeavingError> {
    if ask.customer_call_may_end && (!request.caller.has(Scope::Operate) || ask.reason.is_none()) {
        return Err(UseCaseError::Forbidden(
            "only an operator may accept that the customer's call may end, and must say why",
        )
        .into());
    }
    Ok(())
}

/// Whether the server still has something to do about the leg.
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
