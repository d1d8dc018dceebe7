//! Somebody asks that the supervisor leave. It never expires and is never refused for the state a supervision is in: at
//! worst it is over already.

use crate::usecases::error::UseCaseError;
use crate::usecases::leaving::LeavingError;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::usecases::context::ConflictAttempts;
use crate::usecases::idempotency::Replay;
use crate::usecases::leaving::LeavingService;
use crate::usecases::{LegEnd, Request};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{Filter, KeyWrite, Stored, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{Leave, Requester, ServerEnd, State, Supervision};

/// Among so many of a supervisor's last supervisions the last one of an instance is looked for.
const LAST_OF_THEIRS: u32 = 50;

/// Why somebody is to leave.
#[derive(Debug, Clone, Default)]
pub struct Why {
    /// In the asker's words.
    pub reason: Option<String>,
    /// An operator takes it on themselves that the customer's call may end. Needs `operate` and a reason.
    pub customer_call_may_end: bool,
    /// The guard was asked a moment ago, and agreed.
    pub(crate) guard_has_agreed: bool,
}

impl Why {
    /// Why, as a caller says it.
    pub fn asked(reason: Option<String>, customer_call_may_end: bool) -> Self {
        Self {
            reason,
            customer_call_may_end,
            guard_has_agreed: false,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Disconnected {
    /// How the supervision stands now.
    Is(Box<Stored>),
    /// It was over before anybody asked this time.
    WasOver(Box<Stored>),
    /// The key was used before.
    Replay(Replay),
}

impl LeavingService {
    /// Asks that the supervisor leave.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`LeavingError::CustomerCallAtRisk`], those of keys, and the
    /// store's.
    pub async fn disconnect(&self, id: SupervisionId, why: &Why, by: &Request) -> Result<Disconnected, LeavingError> {
        // Who may act comes before what is known: a stored answer is for its owner too.
        let seen = self.ctx.get(id, by).await?;
        let asker = by.caller.may_end(&seen.supervision);
        let asker = asker.ok_or(UseCaseError::Forbidden("this credential may not end that supervision"))?;
        may_accept(why, by)?;
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Disconnected::Replay(replay));
        }
        let (this, why, by) = (self.clone(), why.clone(), by.clone());
        self.ctx
            .own(async move {
                let asked = this.ask_to_leave(&seen.supervision, asker, &why, &by).await?;
                this.carried_out([&asked], &by).await;
                this.stands(asked).await
            })
            .await
    }

    /// Asks, and begins what the server has to do about it without waiting for it.
    async fn ask_to_leave(
        &self,
        seen: &Supervision,
        asker: Requester,
        why: &Why,
        by: &Request,
    ) -> Result<Asked, LeavingError> {
        let id = seen.id;
        let again = seen.is_to_be_directed_anew(self.ctx.now());
        if !why.customer_call_may_end && !why.guard_has_agreed && (seen.state == State::Monitoring || again) {
            self.guarded(seen, by).await?;
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
            if why.customer_call_may_end {
                supervision.accept_the_call_may_end();
            }
            let outcome = match asked {
                Leave::AlreadyOver => {
                    let replay = self.idempotency.take_key(by, Some(id)).await?;
                    let known = replay.map_or(Disconnected::WasOver(Box::new(stored)), Disconnected::Replay);
                    return Ok(Asked::Known(known));
                }
                // A browser tried and could not, would not, or did not, or nothing shows that it did: whoever asks again wants
                // it tried again.
                Leave::Underway if supervision.is_to_be_directed_anew(now) => {
                    let _ = supervision.direct_anew(now, self.ctx.leave_times());
                    "under way; the browser is told again, since nothing shows that it has done it"
                }
                Leave::Underway | Leave::Kept if supervision == stored.supervision => {
                    let replay = self.idempotency.take_key(by, Some(id)).await?;
                    let known = replay.map_or(Disconnected::Is(Box::new(stored)), Disconnected::Replay);
                    return Ok(Asked::Known(known));
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
            let begun = Leg::of(&supervision);
            let change = Transaction {
                key: by.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                // Of the same moment as the directive that follows from it, so that a timeline tells them in order.
                audit: vec![AuditEntry {
                    at: now,
                    ..self
                        .ctx
                        .audit(by, AuditAction::DisconnectRequested, id, outcome)
                        .because(why.reason.clone())
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
                    if begun == Leg::ToBeEnded {
                        let this = self.clone();
                        self.ctx.spawn(async move {
                            let _guard = guard;
                            if let Err(e) = this.carry_out_leave(id).await {
                                tracing::error!(supervision_id = %id, error = %e, "leave of {id} could not be carried on");
                            }
                        });
                    }
                    return Ok(Asked::Begun(id, done));
                }
                CommitOutcome::KeyUsed(record) => {
                    let replay = self.idempotency.replay_of(by, record).await?;
                    return Ok(Asked::Known(Disconnected::Replay(replay)));
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
    async fn carried_out(&self, asked: impl IntoIterator<Item = &Asked>, by: &Request) {
        let all = asked.into_iter().filter_map(|asked| match asked {
            Asked::Begun(_, done) => Some(done.cancelled()),
            Asked::Known(_) => None,
        });
        let _ = tokio::time::timeout(self.ctx.left(by), join_all(all)).await;
    }

    /// How what was asked stands now.
    async fn stands(&self, asked: Asked) -> Result<Disconnected, LeavingError> {
        match asked {
            Asked::Known(known) => Ok(known),
            Asked::Begun(id, _) => {
                let stored = self
                    .ctx
                    .store()
                    .supervision(id)
                    .await?
                    .ok_or(UseCaseError::SupervisionNotFound)?;
                Ok(Disconnected::Is(Box::new(stored)))
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
        why: &Why,
        by: &Request,
    ) -> Result<Disconnected, LeavingError> {
        if !by.caller.may_act_as(user) && !by.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("this credential may not end that supervisor's supervisions").into());
        }
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Disconnected::Replay(replay));
        }
        let instance = instance
            .or_else(|| self.ctx.settings.default_instance.clone())
            .filter(|name| self.ctx.instance(name).is_some())
            .ok_or(UseCaseError::InstanceNotFound)?;
        let active = self.ctx.store().active_of(&instance, user).await?;
        if active.is_empty() {
            let theirs = Filter {
                supervisor: Some(user.clone()),
                limit: LAST_OF_THEIRS,
                ..Filter::default()
            };
            let over = |s: &Stored| s.supervision.instance == instance && s.supervision.state.is_final();
            let last = self.ctx.store().list(&theirs).await?.into_iter().find(over);
            let last = last.ok_or(UseCaseError::SupervisionNotFound)?;
            let replay = self.idempotency.take_key(by, Some(last.supervision.id)).await?;
            return Ok(replay.map_or(Disconnected::WasOver(Box::new(last)), Disconnected::Replay));
        }
        let (this, why, by) = (self.clone(), why.clone(), by.clone());
        self.ctx
            .own(async move { this.leave_all(active, &why, &by).await })
            .await
    }

    /// Leaves all of them: each is asked whatever becomes of the others, and only then the server's part is waited for.
    async fn leave_all(&self, active: Vec<Stored>, why: &Why, by: &Request) -> Result<Disconnected, LeavingError> {
        may_accept(why, by)?;
        // The key stands for one answer, and that is the newest's.
        let without_key = Request {
            key: None,
            ..by.clone()
        };
        let newest = active.len().saturating_sub(1);
        let asking = active.iter().enumerate().map(|(i, stored)| {
            let by = if i == newest { by } else { &without_key };
            async move {
                let forbidden = UseCaseError::Forbidden("this credential may not end that supervision");
                let asker = by.caller.may_end(&stored.supervision).ok_or(forbidden)?;
                self.ask_to_leave(&stored.supervision, asker, why, by).await
            }
        });
        let mut asked = join_all(asking).await;
        self.carried_out(asked.iter().flatten(), by).await;
        let newest = asked.pop().unwrap_or(Err(UseCaseError::SupervisionNotFound.into()))?;
        // What holds back one holds back no other, and is told all the same.
        if let Some(failed) = asked.into_iter().find_map(Result::err) {
            return Err(failed);
        }
        self.stands(newest).await
    }

    /// Decides how the leg ends as far as that is known without asking the vendor, so that the common case, a voice leg
    /// ended by its browser, is one transaction.
    pub(crate) fn prepare_leave(&self, supervision: &mut Supervision) {
        let now = self.ctx.now();
        supervision.next_check_at = Some(now + self.ctx.settings.intervals.leaving_first_look);
        let Some(channel) = supervision.channel else { return };
        let way = self
            .ctx
            .instance(&supervision.instance)
            .map_or(LegEnd::Ccp, |i| i.leg_end(channel));
        // Neither can be refused: the supervision is LEAVING.
        let _ = match way {
            LegEnd::Ccp => supervision.direct_browser(now, self.ctx.leave_times()).map(|_| ()),
            LegEnd::StopContactThenCcp => supervision.server_end(ServerEnd::Due),
        };
    }
}

/// What came of asking for one leave.
enum Asked {
    /// The answer is known.
    Known(Disconnected),
    /// It was written, and the server's part is done when the token is cancelled.
    Begun(SupervisionId, CancellationToken),
}

/// Whether the caller may take it on themselves that the customer's call ends, if they want to.
fn may_accept(why: &Why, by: &Request) -> Result<(), LeavingError> {
    if why.customer_call_may_end && (!by.caller.has(Scope::Operate) || why.reason.is_none()) {
        return Err(UseCaseError::Forbidden(
            "only an operator may accept that the customer's call may end, and must say why",
        )
        .into());
    }
    Ok(())
}

/// Whether the server still has something to do about the leg.
#[derive(PartialEq, Eq)]
enum Leg {
    ToBeEnded,
    LeftToOthers,
}

impl Leg {
    fn of(s: &Supervision) -> Self {
        if crate::usecases::leaving::end_leg::is_to_be_carried_out(s) {
            Self::ToBeEnded
        } else {
            Self::LeftToOthers
        }
    }
}
