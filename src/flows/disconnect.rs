//! Somebody asks that the supervisor leave. It never expires and is never refused for the state a supervision is in: at
//! worst it is over already.

use super::keys::Replay;
use super::{FlowError, Flows, LegEnd, Request, STALE_TRIES};
use crate::domain::audit::AuditEntry;
use crate::domain::authority::Scope;
use crate::domain::ids::{InstanceName, SupervisionId, UserId};
use crate::domain::supervision::{Leave, ServerEnd, State, Supervision};
use crate::ports::journal::{Filter, KeyWrite, Stored, Write};
use crate::ports::{Change, Committed};

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
    pub(super) guard_has_agreed: bool,
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

impl Flows {
    /// Asks that the supervisor leave.
    ///
    /// # Errors
    /// [`FlowError::NotFound`], [`FlowError::Forbidden`], [`FlowError::WouldEndCustomerCall`], those of keys, and the
    /// journal's.
    pub async fn disconnect(&self, id: SupervisionId, why: &Why, by: &Request) -> Result<Disconnected, FlowError> {
        // Who may act comes before what is known: a stored answer is for its owner too.
        let seen = self.get(id, by).await?;
        let asker = by.caller.may_end(&seen.supervision);
        let asker = asker.ok_or(FlowError::Forbidden("this credential may not end that supervision"))?;
        if why.customer_call_may_end && (!by.caller.has(Scope::Operate) || why.reason.is_none()) {
            return Err(FlowError::Forbidden(
                "only an operator may accept that the customer's call may end, and must say why",
            ));
        }
        if let Some(replay) = self.replay(by).await? {
            return Ok(Disconnected::Replay(replay));
        }
        let since = tokio::time::Instant::now();
        let again = seen.supervision.end_was_not_done();
        if !why.customer_call_may_end && !why.guard_has_agreed && (seen.supervision.state == State::Monitoring || again)
        {
            self.guarded(&seen.supervision, by).await?;
        }
        for _ in 0..STALE_TRIES {
            let stored = self.journal().supervision(id).await?.ok_or(FlowError::NotFound)?;
            let Stored {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            let now = self.now();
            let asked = supervision.ask_to_leave(asker, now, self.leave_times());
            if why.customer_call_may_end {
                supervision.accept_the_call_may_end();
            }
            let outcome = match asked {
                Leave::AlreadyOver => return Ok(Disconnected::WasOver(Box::new(stored))),
                // A browser tried and could not, or would not: whoever asks again wants it tried again.
                Leave::Underway if supervision.end_was_not_done() => {
                    let _ = supervision.direct_anew(now, self.leave_times());
                    "under way; the browser is told again, since it had not done it"
                }
                Leave::Underway | Leave::Kept if supervision == stored.supervision => {
                    return Ok(Disconnected::Is(Box::new(stored)));
                }
                // An operator's word on a leave under way: what its directive says must follow.
                Leave::Underway => {
                    let _ = supervision.direct_anew(now, self.leave_times());
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
            let change = Change {
                key: by.key.clone().map(|key| KeyWrite::Take(key, id, now)),
                // Of the same moment as the directive that follows from it, so that a timeline tells them in order.
                audit: vec![AuditEntry {
                    at: now,
                    ..self
                        .audit(by, "disconnect.requested", id, outcome)
                        .because(why.reason.clone())
                }],
                supervision: Some(Write::Update(Box::new(supervision), revision)),
                ..Change::default()
            };
            match self.journal().commit(change).await? {
                Committed::Done => {
                    self.signals.check.notify_one();
                    if begun == Leg::ToBeEnded {
                        let flows = self.clone();
                        let left = self.settings.answer_within.saturating_sub(since.elapsed());
                        self.run_and_wait(left, async move {
                            if let Err(e) = flows.carry_out_leave(id).await {
                                tracing::error!(supervision_id = %id, error = %e, "leave of {id} could not be carried on");
                            }
                        })
                        .await;
                    }
                    let stored = self.journal().supervision(id).await?.ok_or(FlowError::NotFound)?;
                    return Ok(Disconnected::Is(Box::new(stored)));
                }
                Committed::KeyUsed(record) => {
                    return Ok(Disconnected::Replay(self.replay_of(by, record).await?));
                }
                Committed::Stale => {}
                Committed::Busy(_) | Committed::LegTaken(_) | Committed::Duplicate => return Err(FlowError::Contended),
            }
        }
        Err(FlowError::Contended)
    }

    /// Asks that a supervisor leave whatever they listen to. With several legs (chats) all are left, and the answer is of the
    /// newest; with none it is of the last one they had.
    ///
    /// # Errors
    /// As [`Flows::disconnect`]; [`FlowError::NotFound`] when they never listened to anything.
    pub async fn disconnect_supervisor(
        &self,
        user: &UserId,
        instance: Option<InstanceName>,
        why: &Why,
        by: &Request,
    ) -> Result<Disconnected, FlowError> {
        if !by.caller.may_act_as(user) && !by.caller.has(Scope::Operate) {
            return Err(FlowError::Forbidden(
                "this credential may not end that supervisor's supervisions",
            ));
        }
        if let Some(replay) = self.replay(by).await? {
            return Ok(Disconnected::Replay(replay));
        }
        let instance = instance
            .or_else(|| self.settings.default_instance.clone())
            .filter(|name| self.instance(name).is_some())
            .ok_or(FlowError::UnknownInstance)?;
        let mut active = self.journal().active_of(&instance, user).await?;
        let Some(newest) = active.pop() else {
            let theirs = Filter {
                supervisor: Some(user.clone()),
                limit: LAST_OF_THEIRS,
                ..Filter::default()
            };
            let over = |s: &Stored| s.supervision.instance == instance && s.supervision.state.is_final();
            let last = self.journal().list(&theirs).await?.into_iter().find(over);
            return Ok(Disconnected::WasOver(Box::new(last.ok_or(FlowError::NotFound)?)));
        };
        // The key stands for one answer, and that is the newest's.
        let without_key = Request {
            key: None,
            ..by.clone()
        };
        // What the guard holds back holds back nothing else.
        let mut held_back = None;
        for older in active {
            match self.disconnect(older.supervision.id, why, &without_key).await {
                Err(refused @ FlowError::WouldEndCustomerCall(..)) => held_back = Some(refused),
                other => drop(other?),
            }
        }
        let newest = self.disconnect(newest.supervision.id, why, by).await?;
        held_back.map_or(Ok(newest), Err)
    }

    /// Decides how the leg ends as far as that is known without asking the vendor, so that the common case, a voice leg
    /// ended by its browser, is one transaction.
    pub(super) fn prepare_leave(&self, supervision: &mut Supervision) {
        let now = self.now();
        supervision.next_check_at = Some(now + self.settings.pace.leaving_first_look);
        let Some(channel) = supervision.channel else { return };
        let way = self
            .instance(&supervision.instance)
            .map_or(LegEnd::Ccp, |i| i.leg_end(channel));
        // Neither can be refused: the supervision is LEAVING.
        let _ = match way {
            LegEnd::Ccp => supervision.direct_browser(now, self.leave_times()).map(|_| ()),
            LegEnd::StopContactThenCcp => supervision.server_end(ServerEnd::Due),
        };
    }
}

/// Whether the server still has something to do about the leg.
#[derive(PartialEq, Eq)]
enum Leg {
    ToBeEnded,
    LeftToOthers,
}

impl Leg {
    fn of(s: &Supervision) -> Self {
        if super::leave::is_to_be_carried_out(s) {
            Self::ToBeEnded
        } else {
            Self::LeftToOthers
        }
    }
}
