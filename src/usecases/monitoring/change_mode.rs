//! Changes the mode of a supervisor between silent and barged. Only the supervisor's browser can do it, so the change is a
//! directive. The vendor's evidence confirms it (`StateTransitions`, agent events), never the browser's answer.
//!
//! The modes of a supervision are granted when it is monitored (`AllowedMonitorCapabilities`). They cannot be extended
//! later, because Connect has no call for it.

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{KeyWrite, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};
use sidedoor_domain::supervision::{AMAZON_CONNECT, Channel, Mode, Requester, State, Supervision};

use crate::usecases::RequestContext;
use crate::usecases::context::ConflictAttempts;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::monitoring::{MUTE, MonitoringError, MonitoringService};

/// The answer to a request to change the mode.
#[derive(Debug, Clone)]
pub enum ModeChangeOutcome {
    /// The browser has been directed to change the mode.
    Directed(Box<StoredSupervision>),
    /// Evidence says that the supervisor is already in that mode, and no other change is in progress.
    Already(Box<StoredSupervision>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl MonitoringService {
    /// Directs the supervisor's browser to change the mode.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`MonitoringError::NotMonitoring`],
    /// [`MonitoringError::ModeNotGranted`], [`MonitoringError::ModeUnsupported`], those of idempotency keys, and the store's.
    pub async fn change_mode(
        &self,
        id: SupervisionId,
        to: Mode,
        request: &RequestContext,
    ) -> Result<ModeChangeOutcome, MonitoringError> {
        let seen = self.ctx.get(id, request).await?;
        let requester = mode_requester(&seen.supervision, to, request)?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(ModeChangeOutcome::Replay(replay));
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
            match mode_request_state(&stored.supervision, to, now)? {
                ModeRequestState::New => {}
                known => {
                    return Ok(match (self.idempotency.take_key(request, Some(id)).await?, known) {
                        (Some(replay), _) => ModeChangeOutcome::Replay(replay),
                        (None, ModeRequestState::Already) => ModeChangeOutcome::Already(Box::new(stored)),
                        (None, _) => ModeChangeOutcome::Directed(Box::new(stored)),
                    });
                }
            }
            let mut supervision = stored.supervision;
            supervision
                .direct_mode(to, requester, now, self.ctx.leave_times())
                .map_err(|_| {
                    UseCaseError::Unexpected("a supervision that is MONITORING should accept a mode change")
                })?;
            let change = Transaction {
                key: request.key.clone().map(|key| KeyWrite::Take(key, Some(id), now)),
                audit: vec![self.ctx.audit(request, AuditAction::ModeRequested, id, to.as_str())],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), stored.revision)),
                ..Transaction::default()
            };
            match self.ctx.transact(change).await? {
                CommitOutcome::Done(_) => {
                    let stored = self
                        .ctx
                        .store()
                        .supervision(id)
                        .await?
                        .ok_or(UseCaseError::SupervisionNotFound)?;
                    return Ok(ModeChangeOutcome::Directed(Box::new(stored)));
                }
                CommitOutcome::KeyUsed(record) => {
                    return Ok(ModeChangeOutcome::Replay(
                        self.idempotency.replay_of(request, record).await?,
                    ));
                }
                CommitOutcome::Stale => {}
                CommitOutcome::Busy(_) | CommitOutcome::LegTaken(_) | CommitOutcome::Duplicate => {
                    return Err(UseCaseError::Unexpected(
                        "a mode change should only be committed, stale, or refused for its key",
                    )
                    .into());
                }
            }
        }
    }
}

/// Who asks: the supervisor, for any mode; or an operator, only for silent.
fn mode_requester(s: &Supervision, to: Mode, request: &RequestContext) -> Result<Requester, MonitoringError> {
    if request.caller.owns(s) {
        return if to == Mode::Silent || request.caller.may_barge() {
            Ok(Requester::Supervisor)
        } else {
            Err(MUTE.into())
        };
    }
    match (request.caller.has(Scope::Operate), to) {
        (true, Mode::Silent) => Ok(Requester::Operator),
        (true, Mode::Barge) => {
            Err(UseCaseError::Forbidden("an operator may ask a supervisor to be silent, not make them speak").into())
        }
        (false, _) => Err(UseCaseError::Forbidden("this credential may not change that supervisor's mode").into()),
    }
}

/// How a requested mode compares with the supervision's state.
enum ModeRequestState {
    Already,
    Underway,
    New,
}

fn mode_request_state(s: &Supervision, to: Mode, now: jiff::Timestamp) -> Result<ModeRequestState, MonitoringError> {
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
            "a task is only watched; a supervisor cannot speak on it",
        ));
    }
    if s.allowed.is_some_and(|most| to > most) {
        return Err(MonitoringError::ModeNotGranted);
    }
    let wanted = s.mode_change.as_ref().filter(|c| c.confirmed_at.is_none());
    let open = |id| s.directives.iter().any(|d| d.id == id && d.is_open(now));
    Ok(match wanted {
        Some(change) if change.to == to && open(change.directive) => ModeRequestState::Underway,
        None if s.mode == to => ModeRequestState::Already,
        _ => ModeRequestState::New,
    })
}
