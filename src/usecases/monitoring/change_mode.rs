//! From listening to speaking and back. Only the supervisor's browser can do it, so it is a directive; what confirms it is the
//! vendor's evidence (`StateTransitions`, agent events), never the browser's word.
//!
//! What a supervision may become is granted when it is monitored (`AllowedMonitorCapabilities`) and not afterwards: there is no
//! call that widens it.

use crate::usecases::Request;
use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::Replay;
use crate::usecases::monitoring::MonitoringError;
use crate::usecases::monitoring::MonitoringService;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{KeyWrite, Stored, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Channel, Mode, Requester, State, Supervision};

/// What came of it.
#[derive(Debug, Clone)]
pub enum ModeAnswer {
    /// Accepted; the browser is to do it.
    Directed(Box<Stored>),
    /// Evidence says that they are in that mode already, and nothing else is under way.
    Already(Box<Stored>),
    /// The key was used before.
    Replay(Replay),
}

impl MonitoringService {
    /// Asks that a supervisor change their mode.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`MonitoringError::NotMonitoring`], [`MonitoringError::ModeNotGranted`],
    /// [`MonitoringError::ModeUnsupported`], those of keys, and the store's.
    pub async fn change_mode(&self, id: SupervisionId, to: Mode, by: &Request) -> Result<ModeAnswer, MonitoringError> {
        let seen = self.ctx.get(id, by).await?;
        let asker = mode_asker(&seen.supervision, to, by)?;
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(ModeAnswer::Replay(replay));
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
            let now = self.ctx.now();
            match standing(&stored.supervision, to, now)? {
                Standing::ToBeDone => {}
                so => {
                    return Ok(match (self.idempotency.take_key(by, Some(id)).await?, so) {
                        (Some(replay), _) => ModeAnswer::Replay(replay),
                        (None, Standing::Already) => ModeAnswer::Already(Box::new(stored)),
                        (None, _) => ModeAnswer::Directed(Box::new(stored)),
                    });
                }
            }
            let mut supervision = stored.supervision;
            supervision
                .direct_mode(to, asker, now, self.ctx.leave_times())
                .map_err(|_| UseCaseError::Unexpected("the mode cannot change in this state"))?;
            let change = Transaction {
                key: by.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                audit: vec![self.ctx.audit(by, AuditAction::ModeRequested, id, to.as_str())],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), stored.revision)),
                ..Transaction::default()
            };
            match self.ctx.store().transact(change).await? {
                CommitOutcome::Done => {
                    let stored = self
                        .ctx
                        .store()
                        .supervision(id)
                        .await?
                        .ok_or(UseCaseError::SupervisionNotFound)?;
                    return Ok(ModeAnswer::Directed(Box::new(stored)));
                }
                CommitOutcome::KeyUsed(record) => {
                    return Ok(ModeAnswer::Replay(self.idempotency.replay_of(by, record).await?));
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
}

/// Who may ask: the supervisor; an operator only that somebody be silent.
fn mode_asker(s: &Supervision, to: Mode, by: &Request) -> Result<Requester, MonitoringError> {
    if by.caller.owns(s) {
        return Ok(Requester::Supervisor);
    }
    match (by.caller.has(Scope::Operate), to) {
        (true, Mode::Silent) => Ok(Requester::Operator),
        (true, Mode::Barge) => {
            Err(UseCaseError::Forbidden("an operator may ask a supervisor to be silent, not make them speak").into())
        }
        (false, _) => Err(UseCaseError::Forbidden("this credential may not change that supervisor's mode").into()),
    }
}

enum Standing {
    Already,
    Underway,
    ToBeDone,
}

fn standing(s: &Supervision, to: Mode, now: jiff::Timestamp) -> Result<Standing, MonitoringError> {
    if s.state != State::Monitoring {
        return Err(MonitoringError::NotMonitoring(s.state));
    }
    if s.vendor != AMAZON_CONNECT {
        return Err(MonitoringError::ModeUnsupported(
            "a partner carrier's leg is not Amazon Connect's to change",
        ));
    }
    if s.channel == Some(Channel::Task) {
        return Err(MonitoringError::ModeUnsupported(
            "a task is watched, nobody speaks on it",
        ));
    }
    if s.allowed.is_some_and(|most| to > most) {
        return Err(MonitoringError::ModeNotGranted);
    }
    let wanted = s.mode_change.as_ref().filter(|c| c.confirmed_at.is_none());
    let open = |id| s.directives.iter().any(|d| d.id == id && d.is_open(now));
    Ok(match wanted {
        Some(change) if change.to == to && open(change.directive) => Standing::Underway,
        None if s.mode == to => Standing::Already,
        _ => Standing::ToBeDone,
    })
}
