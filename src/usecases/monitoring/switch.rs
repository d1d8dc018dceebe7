//! Switches a supervisor from one contact to another in one request.
//!
//! Connect lets a supervisor monitor one voice contact at a time, so the second join is sent only when evidence says that
//! the first leg has ended. Until then the new supervision waits in the store: it does not occupy the supervisor's voice
//! place, and it names the supervision that it waits for. If the first leave becomes overdue, or does not end within
//! `join_ttl`, the join is given up, because a late join is worse than none.

use std::time::Duration;

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{Leave, Requester, Supervision};

use crate::usecases::RequestContext;
use crate::usecases::leaving::LeavingError;
use crate::usecases::leaving::disconnect::DisconnectRequest;
use crate::usecases::monitoring::{MonitoringError, MonitoringService};

/// How often a waiting join checks whether the first leg has ended.
const TURN_POLL: Duration = Duration::from_millis(50);

/// Whether a waiting join may be sent.
pub(super) enum JoinTurn {
    /// It waits for no other supervision.
    Now,
    /// Not yet: check again.
    NotYet,
    /// Never, because the first leg does not end.
    Never,
    /// Another supervision has taken the supervisor's voice slot.
    Taken(SupervisionId),
}

impl MonitoringService {
    /// Asks the supervisor to leave these supervisions.
    pub(super) async fn leave_others(
        &self,
        others: &[StoredSupervision],
        request: &RequestContext,
    ) -> Result<(), MonitoringError> {
        // The key belongs to the answer about the new supervision.
        let request = RequestContext {
            key: None,
            ..request.clone()
        };
        let ask = DisconnectRequest {
            reason: Some("switched to another contact".into()),
            // The safety check ran before the new supervision was accepted.
            safety_check_passed: true,
            ..DisconnectRequest::default()
        };
        for other in others {
            self.leaving.disconnect(other.supervision.id, &ask, &request).await?;
        }
        Ok(())
    }

    /// Whether this supervision may join now. If it had to wait, it takes the supervisor's voice slot.
    pub(super) async fn check_turn(&self, s: &mut Supervision, revision: i64) -> Result<JoinTurn, MonitoringError> {
        let Some(first) = s.waits_for else {
            return Ok(JoinTurn::Now);
        };
        let first = self.ctx.store().supervision(first).await?.map(|f| f.supervision);
        match first {
            Some(f) if !f.state.is_final() && s.only_waits => {
                if !f.may_end_soon() {
                    // The claim was refuted: the supervisor listens there.
                    return Ok(JoinTurn::Taken(f.id));
                }
                if f.holds_voice_slot() {
                    tokio::time::sleep(TURN_POLL).await;
                    return Ok(JoinTurn::NotYet);
                }
            }
            Some(f) if !f.state.is_final() && f.overdue => return Ok(JoinTurn::Never),
            Some(f) if !f.state.is_final() => {
                if f.leave.is_none() {
                    // The process stopped between the two halves of the switch, or the barge safety check refused the leave.
                    match self.leaving.check_barge_safety(&f).await {
                        Ok(()) => {}
                        Err(LeavingError::CustomerCallAtRisk(..)) => return Ok(JoinTurn::Never),
                        Err(e) => return Err(e.into()),
                    }
                    self.leave_first_contact(f.id).await?;
                }
                tokio::time::sleep(TURN_POLL).await;
                return Ok(JoinTurn::NotYet);
            }
            _ => {}
        }
        let mut freed = s.clone();
        freed.waits_for = None;
        let change = Transaction {
            supervision: Some(SupervisionWrite::Update(Box::new(freed), revision)),
            ..Transaction::default()
        };
        Ok(match self.ctx.transact(change).await? {
            CommitOutcome::Busy(holder) => JoinTurn::Taken(holder),
            // Written or overtaken by another writer: read again in both cases.
            _ => JoinTurn::NotYet,
        })
    }

    /// Asks the supervisor to leave the first contact, as the request that began the switch would have done.
    async fn leave_first_contact(&self, first: SupervisionId) -> Result<(), MonitoringError> {
        self.ctx
            .update(first, |s| {
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
                        "the switch to another contact resumed after a restart",
                    )],
                    ..Transaction::default()
                })
            })
            .await?;
        Ok(self.leaving.carry_out_leave(first).await?)
    }
}
