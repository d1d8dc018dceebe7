//! An operator discards a dead letter, with a reason: the record is not to be written.
//!
//! Guarantee: only a dead letter is discarded, and the audit says who did it and why. A replay takes it back.

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::DeliveryId;
use sidedoor_domain::ports::store::{Delivery, KeyWrite, RecordState};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::salesforce_sync::{DeliveryError, DeliveryService};

/// The answer to a request to discard a dead letter.
#[derive(Debug, Clone)]
pub enum DiscardOutcome {
    /// The delivery as it is now, which is discarded.
    Discarded(Box<Delivery>),
    /// The key was used before.
    Replay(KeyReplay),
}

impl DeliveryService {
    /// Discards a dead letter for an operator, who gives a reason. A delivery that is discarded already stays as it is.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`DeliveryError::DeliveryNotFound`], [`DeliveryError::NotFailed`], those of idempotency keys, and
    /// the store's.
    pub async fn discard(
        &self,
        id: DeliveryId,
        reason: &str,
        request: &RequestContext,
    ) -> Result<DiscardOutcome, DeliveryError> {
        if !request.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("only an operator may discard deliveries").into());
        }
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(DiscardOutcome::Replay(replay));
        }
        let delivery = self.delivery_with(id).await?;
        let supervision = delivery.stored.supervision.id;
        match state_of(&delivery) {
            RecordState::Failed => {}
            RecordState::Discarded => {
                return Ok(match self.idempotency.take_key(request, Some(supervision)).await? {
                    Some(replay) => DiscardOutcome::Replay(replay),
                    None => DiscardOutcome::Discarded(Box::new(delivery)),
                });
            }
            state => return Err(DeliveryError::NotFailed(state)),
        }
        let now = self.ctx.now();
        let entry = self.ctx.audit(request, AuditAction::DeliveryDiscarded, supervision, "");
        let change = Transaction {
            key: request
                .key
                .clone()
                .map(|key| KeyWrite::Take(key, Some(supervision), now)),
            discarded: vec![supervision],
            audit: vec![entry.because(Some(reason.to_owned()))],
            ..Transaction::default()
        };
        if let CommitOutcome::KeyUsed(record) = self.ctx.transact(change).await? {
            return Ok(DiscardOutcome::Replay(
                self.idempotency.replay_of(request, record).await?,
            ));
        }
        Ok(DiscardOutcome::Discarded(Box::new(self.delivery_with(id).await?)))
    }

    async fn delivery_with(&self, id: DeliveryId) -> Result<Delivery, DeliveryError> {
        let found = self.ctx.store().delivery(id).await?;
        found.ok_or(DeliveryError::DeliveryNotFound)
    }
}

fn state_of(delivery: &Delivery) -> RecordState {
    let sync = delivery.stored.record_sync.as_ref();
    sync.map_or(RecordState::Pending, |sync| sync.state)
}
