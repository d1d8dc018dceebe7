//! Rows that need a person: seen with the CRM's answer, and sent again when its cause is gone; one, or all of a time. Nothing new is
//! made by it: the row goes out as it is now, by its own external id, so a row that was taken after all is only written again.

use crate::usecases::RequestContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;
use crate::usecases::salesforce_sync::DeliveryError;
use crate::usecases::salesforce_sync::DeliveryService;
use crate::usecases::salesforce_sync::rate::DeliveryPause;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::store::KeyWrite;
pub use sidedoor_domain::ports::store::{DeliveryFilter, Row};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

/// The most rows sent again by one request.
pub const MAX_REPLAYED: u32 = 10_000;

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySummary {
    /// How many rows.
    pub rows: usize,
    /// The first of them, for looking at before it is done.
    pub first: Vec<Row>,
    /// There are more than one request takes.
    pub more: bool,
    /// Nothing was done: it was a dry run.
    pub dry_run: bool,
}

/// What came of asking for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// It was done, or looked at.
    Done(ReplaySummary),
    /// The key was used before.
    Replay(KeyReplay),
}

/// How many rows are sent again in one transaction.
const BATCH: usize = 250;
/// How many rows a replay shows.
const SHOWN: usize = 20;

impl DeliveryService {
    /// Why nothing is sent to the CRM now, if so.
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

    /// The org's use of its day's calls, as it last told.
    pub fn crm_usage(&self) -> Option<sidedoor_domain::ports::Usage> {
        self.ctx.deps.crm.as_ref().and_then(|crm| crm.usage())
    }

    /// Rows, newest first.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn rows(&self, filter: &DeliveryFilter, request: &RequestContext) -> Result<Vec<Row>, DeliveryError> {
        if ![Scope::Read, Scope::Operate]
            .iter()
            .any(|scope| request.caller.has(*scope))
        {
            return Err(UseCaseError::Forbidden("this credential may not read deliveries").into());
        }
        Ok(self.ctx.store().rows(filter).await?)
    }

    /// Sends one row again.
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
        let row = self.ctx.store().row(id).await?.ok_or(DeliveryError::DeliveryNotFound)?;
        self.send_again(vec![row], false, dry_run, request).await
    }

    /// Sends all rows again that a filter finds.
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
        let mut rows = self.ctx.store().rows(&asked).await?;
        let more = rows.len() > MAX_REPLAYED as usize;
        rows.truncate(MAX_REPLAYED as usize);
        self.send_again(rows, more, dry_run, request).await
    }

    async fn send_again(
        &self,
        rows: Vec<Row>,
        more: bool,
        dry_run: bool,
        request: &RequestContext,
    ) -> Result<ReplayOutcome, DeliveryError> {
        let now = self.ctx.now();
        let mut key = request.key.clone().map(|key| KeyWrite::Take(key, None, now));
        if dry_run || rows.is_empty() {
            if let Some(replay) = self.idempotency.take_key(request, None).await? {
                return Ok(ReplayOutcome::Replay(replay));
            }
        } else {
            let ids: Vec<SupervisionId> = rows.iter().map(|r| r.stored.supervision.id).collect();
            // In parts, so that nobody else's write waits long for its turn.
            for part in ids.chunks(BATCH) {
                let change = Transaction {
                    // With the first part: what a crash leaves undone of the others is done when it is asked for again.
                    key: key.take(),
                    replayed: part.iter().map(|id| (*id, now)).collect(),
                    audit: part
                        .iter()
                        .map(|id| self.ctx.audit(request, AuditAction::DeliveryReplayed, *id, ""))
                        .collect(),
                    ..Transaction::default()
                };
                if let CommitOutcome::KeyUsed(record) = self.ctx.store().transact(change).await? {
                    return Ok(ReplayOutcome::Replay(
                        self.idempotency.replay_of(request, record).await?,
                    ));
                }
            }
            self.ctx.signals.deliver.notify_one();
        }
        Ok(ReplayOutcome::Done(ReplaySummary {
            rows: rows.len(),
            first: rows.into_iter().take(SHOWN).collect(),
            more,
            dry_run,
        }))
    }
}

fn may_replay(request: &RequestContext) -> Result<(), DeliveryError> {
    if request.caller.has(Scope::Operate) {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden("only an operator may send rows again").into())
    }
}
