//! Somebody asks that the supervisor leave. It never expires and is never refused for the state a supervision is in: at
//! worst it is over already.

use super::keys::Replay;
use super::{FlowError, Flows, LegEnd, Request, STALE_TRIES};
use crate::domain::ids::SupervisionId;
use crate::domain::supervision::{Leave, ServerEnd, Supervision};
use crate::ports::journal::{KeyWrite, Stored, Write};
use crate::ports::{Change, Committed};

/// What came of it.
#[derive(Debug, Clone)]
pub enum Disconnected {
    /// How the supervision stands now.
    Is(Box<Stored>),
    /// The key was used before.
    Replay(Replay),
}

impl Flows {
    /// Asks that the supervisor leave.
    ///
    /// # Errors
    /// [`FlowError::NotFound`], [`FlowError::Forbidden`], those of keys, and the journal's.
    pub async fn disconnect(
        &self,
        id: SupervisionId,
        why: Option<&str>,
        by: &Request,
    ) -> Result<Disconnected, FlowError> {
        // Who may act comes before what is known: a stored answer is for its owner too.
        let seen = self.get(id, by).await?;
        let asker = by.caller.may_end(&seen.supervision);
        let asker = asker.ok_or(FlowError::Forbidden("this credential may not end that supervision"))?;
        if let Some(replay) = self.replay(by).await? {
            return Ok(Disconnected::Replay(replay));
        }
        for _ in 0..STALE_TRIES {
            let stored = self.journal().supervision(id).await?.ok_or(FlowError::NotFound)?;
            let Stored {
                mut supervision,
                revision,
                ..
            } = stored.clone();
            let now = self.now();
            let outcome = match supervision.ask_to_leave(asker, now, self.leave_times()) {
                Leave::AlreadyOver | Leave::Underway | Leave::Kept if supervision == stored.supervision => {
                    return Ok(Disconnected::Is(Box::new(stored)));
                }
                Leave::Begun => {
                    self.prepare_leave(&mut supervision);
                    "the leave begins"
                }
                Leave::Withdrawn => "withdrawn before Connect was asked",
                Leave::Kept | Leave::AlreadyOver | Leave::Underway => "kept until the leg is known",
            };
            let outcome = why.map_or_else(|| outcome.to_owned(), |why| format!("{outcome}; reason given: {why}"));
            let begun = Leg::of(&supervision);
            let change = Change {
                key: by.key.clone().map(|key| KeyWrite::Take(key, id, now)),
                audit: vec![self.audit(by, "disconnect.requested", id, outcome)],
                supervision: Some(Write::Update(Box::new(supervision), revision)),
                ..Change::default()
            };
            match self.journal().commit(change).await? {
                Committed::Done => {
                    self.signals.check.notify_one();
                    if begun == Leg::ToBeEnded {
                        let flows = self.clone();
                        self.run_and_wait(async move {
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
            LegEnd::Ccp => supervision.direct_browser(now, self.leave_times()),
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
