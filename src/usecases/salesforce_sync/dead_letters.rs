//! Shows Salesforce records that need a person, with the error of Salesforce, and delivers them again when the cause is
//! fixed: one record, or all that match a filter.
//!
//! Guarantee: a replay creates no duplicates. It writes the present version of the record under its external id, so a record
//! that Salesforce had accepted after all is only written again.

use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::store::{Delivery, DeliveryFilter, KeyWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::salesforce_sync::rate::DeliveryPause;
use crate::usecases::salesforce_sync::{DeliveryError, DeliveryService};

/// The most records that one request delivers again.
pub const MAX_REPLAYED: u32 = 10_000;

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySummary {
    /// The number of records.
    pub records: usize,
    /// The first of them, for a preview.
    pub first: Vec<Delivery>,
    /// Whether more records match than one request may replay.
    pub more: bool,
    /// Whether this was a dry run, so nothing was delivered.
    pub dry_run: bool,
}

/// The answer to a request to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// It was done, or previewed.
    Done(ReplaySummary),
    /// The key was used before.
    Replay(KeyReplay),
}

/// How many records are marked for delivery in one transaction.
const BATCH: usize = 250;
/// How many records the answer shows.
const SHOWN: usize = 20;

impl DeliveryService {
    /// Why nothing is delivered to Salesforce now; `None` while delivery runs.
    pub fn delivery_pause(&self) -> Option<DeliveryPause> {
        let now = self.ctx.now();
        let pause = self
            .ctx
            .signals
            .delivery_pause
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        pause.clone().filter(|pause| now < pause.until)
    }

    /// The org's use of its daily API calls, as it last reported it.
    pub fn crm_usage(&self) -> Option<sidedoor_domain::ports::Usage> {
        self.ctx.deps.crm.as_ref().and_then(|crm| crm.usage())
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        request: &RequestContext,
    ) -> Result<Vec<Delivery>, DeliveryError> {
        if ![Scope::Read, Scope::Operate]
            .iter()
            .any(|scope| request.caller.has(*scope))
        {
            return Err(UseCaseError::Forbidden("this credential may not read deliveries").into());
        }
        Ok(self.ctx.store().deliveries(filter).await?)
    }

    /// Delivers one record again.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`DeliveryError::DeliveryNotFound`], those of keys, and the store's.
    pub async fn replay_row(
        &self,
        id: DeliveryId,
        dry_run: bool,
        request: &RequestContext,
    ) -> Result<ReplayOutcome, DeliveryError> {
        may_replay(request)?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(ReplayOutcome::Replay(replay));
        }
        let delivery = self
            .ctx
            .store()
            .delivery(id)
            .await?
            .ok_or(DeliveryError::DeliveryNotFound)?;
        self.send_again(vec![delivery], false, dry_run, request).await
    }

    /// Delivers all records again that match a filter.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn replay_rows(
        &self,
        filter: &DeliveryFilter,
        dry_run: bool,
        request: &RequestContext,
    ) -> Result<ReplayOutcome, DeliveryError> {
        may_replay(request)?;
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(ReplayOutcome::Replay(replay));
        }
        let asked = DeliveryFilter {
            limit: MAX_REPLAYED + 1,
            ..filter.clone()
        };
        let mut deliveries = self.ctx.store().deliveries(&asked).await?;
        let more = deliveries.len() > MAX_REPLAYED as usize;
        deliveries.truncate(MAX_REPLAYED as usize);
        self.send_again(deliveries, more, dry_run, request).await
    }

    async fn send_again(
        &self,
        deliveries: Vec<Delivery>,
        more: bool,
        dry_run: bool,
        request: &RequestContext,
    ) -> Result<ReplayOutcome, DeliveryError> {
        let now = self.ctx.now();
        let mut key = request.key.clone().map(|key| KeyWrite::Take(key, None, now));
        if dry_run || deliveries.is_empty() {
            if let Some(replay) = self.idempotency.take_key(request, None).await? {
                return Ok(ReplayOutcome::Replay(replay));
            }
        } else {
            let ids: Vec<SupervisionId> = deliveries.iter().map(|r| r.stored.supervision.id).collect();
            // In parts, so that other writers do not wait long.
            for part in ids.chunks(BATCH) {
                let change = Transaction {
                    // The key is taken with the first part: after a crash, a repeat of the request replays the rest.
                    key: key.take(),
                    replayed: part.iter().map(|id| (*id, now)).collect(),
                    audit: part
                        .iter()
                        .map(|id| self.ctx.audit(request, AuditAction::DeliveryReplayed, *id, ""))
                        .collect(),
                    ..Transaction::default()
                };
                if let CommitOutcome::KeyUsed(record) = self.ctx.transact(change).await? {
                    return Ok(ReplayOutcome::Replay(
                        self.idempotency.replay_of(request, record).await?,
                    ));
                }
            }
            self.ctx.signals.deliver.notify_one();
        }
        Ok(ReplayOutcome::Done(ReplaySummary {
            records: deliveries.len(),
            first: deliveries.into_iter().take(SHOWN).collect(),
            more,
            dry_run,
        }))
    }
}

fn may_replay(request: &RequestContext) -> Result<(), DeliveryError> {
    if request.caller.has(Scope::Operate) {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden("only an operator may replay deliveries").into())
    }
}
