//! The browser acknowledges a directive. The acknowledgement does not prove the drop; only the vendor's evidence does. But a
//! DONE proves that the leg was alive when the directive was issued, which tightens the time range of the departure, and
//! every acknowledgement sets the time of the next poll.

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::directive::{AckOutcome, Acknowledgement};
use sidedoor_domain::ids::{DirectiveId, SupervisionId};
use sidedoor_domain::ports::store::{KeyWrite, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, MetricEvent, Transaction};
use sidedoor_domain::supervision::State;

use crate::usecases::RequestContext;
use crate::usecases::context::ConflictAttempts;
use crate::usecases::directives::{DirectiveError, DirectiveService};
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;

/// A browser's answer to a directive.
#[derive(Debug, Clone)]
pub struct DirectiveAnswer {
    /// The directive.
    pub directive: DirectiveId,
    /// The outcome.
    pub outcome: AckOutcome,
    /// The time of the answer on the browser's own clock.
    pub at: Option<jiff::Timestamp>,
    /// An explanation for people.
    pub detail: Option<String>,
}

/// The answer to an acknowledgement.
#[derive(Debug, Clone)]
pub enum AcknowledgeOutcome {
    /// The supervision as it is now.
    Current(Box<StoredSupervision>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl DirectiveService {
    /// Stores a browser's answer to a directive.
    ///
    /// # Errors
    /// [`UseCaseError::SupervisionNotFound`], [`UseCaseError::Forbidden`], [`DirectiveError::DirectiveNotFound`], those of
    /// idempotency keys, and the store's.
    pub async fn acknowledge(
        &self,
        id: SupervisionId,
        answer: DirectiveAnswer,
        request: &RequestContext,
    ) -> Result<AcknowledgeOutcome, DirectiveError> {
        let received_at = self.ctx.now();
        let seen = self.ctx.get(id, request).await?;
        if !request.caller.owns(&seen.supervision) {
            return Err(UseCaseError::Forbidden("this credential may not answer for that supervisor's browser").into());
        }
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(AcknowledgeOutcome::Replay(replay));
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
            let ack = Acknowledgement {
                outcome: answer.outcome,
                at: answer.at,
                received_at,
                detail: answer.detail.clone(),
                credential: Some(request.caller.name.clone()),
            };
            let is_new = supervision
                .acknowledge(answer.directive, ack)
                .map_err(|_| DirectiveError::DirectiveNotFound)?;
            if !is_new {
                if let Some(replay) = self.idempotency.take_key(request, Some(id)).await? {
                    return Ok(AcknowledgeOutcome::Replay(replay));
                }
                return Ok(AcknowledgeOutcome::Current(Box::new(stored)));
            }
            if matches!(supervision.state, State::Leaving | State::Monitoring) {
                // After DONE the event is in flight, so wait for it. After any other outcome there is nothing to wait for.
                let delay = match answer.outcome {
                    AckOutcome::Done => self.ctx.settings.intervals.after_done,
                    _ => jiff::SignedDuration::ZERO,
                };
                supervision.next_check_at = Some(received_at + delay);
            }
            let answered = supervision
                .directives
                .iter()
                .find(|d| d.id == answer.directive)
                .cloned();
            let (instance, leg, state) = (supervision.instance.clone(), supervision.leg.clone(), supervision.state);
            let change = Transaction {
                key: request
                    .key
                    .clone()
                    .map(|key| KeyWrite::Take(key, Some(id), received_at)),
                audit: vec![
                    self.ctx
                        .audit(request, AuditAction::DirectiveAcknowledged, id, answer.outcome.as_str()),
                ],
                supervision: Some(SupervisionWrite::Update(Box::new(supervision), revision)),
                ..Transaction::default()
            };
            match self.ctx.transact(change).await? {
                CommitOutcome::Done(_) => {
                    if let Some(directive) = answered {
                        self.ctx.count(&MetricEvent::Directive(&directive, directive.status()));
                    }
                    if let (State::Left | State::Leaving | State::Monitoring, Some(leg)) = (state, leg) {
                        // It may be the second sender of the end, or tighten the time of a departure.
                        self.evidence.evaluate_stored_evidence(&instance, leg.as_str()).await?;
                    }
                    let stored = self
                        .ctx
                        .store()
                        .supervision(id)
                        .await?
                        .ok_or(UseCaseError::SupervisionNotFound)?;
                    return Ok(AcknowledgeOutcome::Current(Box::new(stored)));
                }
                CommitOutcome::KeyUsed(record) => {
                    return Ok(AcknowledgeOutcome::Replay(
                        self.idempotency.replay_of(request, record).await?,
                    ));
                }
                CommitOutcome::Stale => {}
                CommitOutcome::Busy(_) | CommitOutcome::LegTaken(_) | CommitOutcome::Duplicate => {
                    return Err(UseCaseError::Unexpected(
                        "an acknowledgement should only be committed, stale, or refused for its key",
                    )
                    .into());
                }
            }
        }
    }
}
