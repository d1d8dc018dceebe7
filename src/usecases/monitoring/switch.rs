//! From one contact to the next: the supervisor leaves what they listen to and joins another, in one request.
//!
//! Connect lets a supervisor monitor one voice contact at a time, so the next join is sent only when evidence says that the
//! first leg is gone. Until then the new supervision waits: it is on disk, holds no voice place, and knows for which it
//! waits. If the first leave turns out overdue, or does not end within `join_ttl`, the join is given up: a late join is
//! worse than none.

use crate::usecases::leaving::LeavingError;
use crate::usecases::monitoring::MonitoringError;
use std::time::Duration;

use crate::usecases::Request;
use crate::usecases::leaving::disconnect::Why;
use crate::usecases::monitoring::MonitoringService;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Stored, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{Leave, Requester, Supervision};

/// How often a waiting join looks whether the first one is gone.
const LOOK: Duration = Duration::from_millis(50);

/// Whether a waiting join may go on.
pub(crate) enum Turn {
    /// It waits for nobody, or no more.
    Now,
    /// Not yet: look again.
    NotYet,
    /// Never: the first one does not leave.
    Never,
    /// Somebody else was faster to the voice place.
    Taken(SupervisionId),
}

impl MonitoringService {
    /// Asks that everything but `next` that this supervisor listens to be left.
    pub(crate) async fn leave_others(&self, others: &[Stored], by: &Request) -> Result<(), MonitoringError> {
        // The key stands for the new supervision's answer.
        let by = Request {
            key: None,
            ..by.clone()
        };
        let why = Why {
            reason: Some("switched to another contact".into()),
            // Asked before the next one was accepted.
            guard_has_agreed: true,
            ..Why::default()
        };
        for other in others {
            self.leaving.disconnect(other.supervision.id, &why, &by).await?;
        }
        Ok(())
    }

    /// Whether it is this supervision's turn; if so and it waited, it takes the voice place now.
    pub(crate) async fn turn_of(&self, s: &mut Supervision, revision: i64) -> Result<Turn, MonitoringError> {
        let Some(first) = s.waits_for else {
            return Ok(Turn::Now);
        };
        let first = self.ctx.store().supervision(first).await?.map(|f| f.supervision);
        match first {
            Some(f) if !f.state.is_final() && f.overdue => return Ok(Turn::Never),
            Some(f) if !f.state.is_final() => {
                if f.leave.is_none() {
                    // A crash came between the two halves of the switch, or the guard refused the first.
                    match self.leaving.may_leave(&f).await {
                        Ok(()) => {}
                        Err(LeavingError::CustomerCallAtRisk(..)) => return Ok(Turn::Never),
                        Err(e) => return Err(e.into()),
                    }
                    self.begin_first_half(f.id).await?;
                }
                tokio::time::sleep(LOOK).await;
                return Ok(Turn::NotYet);
            }
            _ => {}
        }
        let mut freed = s.clone();
        freed.waits_for = None;
        let change = Transaction {
            supervision: Some(SupervisionWrite::Update(Box::new(freed), revision)),
            ..Transaction::default()
        };
        Ok(match self.ctx.store().transact(change).await? {
            CommitOutcome::Busy(holder) => Turn::Taken(holder),
            // Whether it was written or somebody was faster: look anew.
            _ => Turn::NotYet,
        })
    }

    /// Asks the first one to leave, as the request that began the switch would have.
    async fn begin_first_half(&self, first: SupervisionId) -> Result<(), MonitoringError> {
        self.ctx
            .amend(first, |s| {
                if s.leave.is_some() {
                    return None;
                }
                if s.ask_to_leave(Requester::Supervisor, self.ctx.now(), self.ctx.leave_times()) == Leave::Begun {
                    self.leaving.prepare_leave(s);
                }
                Some(Transaction {
                    audit: vec![self.ctx.audit_own(
                        AuditAction::DisconnectRequested,
                        first,
                        "a switch taken up after a restart",
                    )],
                    ..Transaction::default()
                })
            })
            .await?;
        self.ctx.signals.check.notify_one();
        Ok(self.leaving.carry_out_leave(first).await?)
    }
}
