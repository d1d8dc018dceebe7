//! Rows that need a person: seen with the CRM's answer, and sent again when its cause is gone; one, or all of a time. Nothing new is
//! made by it: the row goes out as it is now, by its own external id, so a row that was taken after all is only written again.

use crate::usecases::Request;
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::Replay;
use crate::usecases::salesforce_sync::DeliveryError;
use crate::usecases::salesforce_sync::DeliveryService;
use crate::usecases::salesforce_sync::rate::Held;
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::store::KeyWrite;
pub use sidedoor_domain::ports::store::{DeliveryFilter, Row};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

/// The most rows sent again by one request.
pub const MOST: u32 = 10_000;

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
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
pub enum Replaying {
    /// It was done, or looked at.
    Done(Replayed),
    /// The key was used before.
    Replay(Replay),
}

/// How many rows are sent again in one transaction.
const PART: usize = 250;
/// How many rows a replay shows.
const SHOWN: usize = 20;

impl DeliveryService {
    /// Why nothing is sent to the CRM now, if so.
    pub fn delivery_held(&self) -> Option<Held> {
        let now = self.ctx.now();
        let held = self
            .ctx
            .signals
            .held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        held.clone().filter(|held| now < held.until)
    }

    /// The org's use of its day's calls, as it last told.
    pub fn crm_usage(&self) -> Option<sidedoor_domain::ports::Usage> {
        self.ctx.parts.crm.as_ref().and_then(|crm| crm.usage())
    }

    /// Rows, newest first.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn rows(&self, filter: &DeliveryFilter, by: &Request) -> Result<Vec<Row>, DeliveryError> {
        if ![Scope::Read, Scope::Operate].iter().any(|scope| by.caller.has(*scope)) {
            return Err(UseCaseError::Forbidden("this credential may not read deliveries").into());
        }
        Ok(self.ctx.store().rows(filter).await?)
    }

    /// Sends one row again.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`DeliveryError::DeliveryNotFound`], those of keys, and the store's.
    pub async fn replay_row(&self, id: DeliveryId, dry_run: bool, by: &Request) -> Result<Replaying, DeliveryError> {
        may_replay(by)?;
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Replaying::Replay(replay));
        }
        let row = self.ctx.store().row(id).await?.ok_or(DeliveryError::DeliveryNotFound)?;
        self.send_again(vec![row], false, dry_run, by).await
    }

    /// Sends all rows again that a filter finds.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn replay_rows(
        &self,
        filter: &DeliveryFilter,
        dry_run: bool,
        by: &Request,
    ) -> Result<Replaying, DeliveryError> {
        may_replay(by)?;
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Replaying::Replay(replay));
        }
        let asked = DeliveryFilter {
            limit: MOST + 1,
            ..filter.clone()
        };
        let mut rows = self.ctx.store().rows(&asked).await?;
        let more = rows.len() > MOST as usize;
        rows.truncate(MOST as usize);
        self.send_again(rows, more, dry_run, by).await
    }

    async fn send_again(
        &self,
        rows: Vec<Row>,
        more: bool,
        dry_run: bool,
        by: &Request,
    ) -> Result<Replaying, DeliveryError> {
        let now = self.ctx.now();
        let mut key = by.key.clone().map(|key| KeyWrite::Take(key, None, now));
        if dry_run || rows.is_empty() {
            if let Some(replay) = self.idempotency.take_key(by, None).await? {
                return Ok(Replaying::Replay(replay));
            }
        } else {
            let ids: Vec<SupervisionId> = rows.iter().map(|r| r.stored.supervision.id).collect();
            // In parts, so that nobody else's write waits long for its turn.
            for part in ids.chunks(PART) {
                let change = Transaction {
                    // With the first part: what a crash leaves undone of the others is done when it is asked for again.
                    key: key.take(),
                    replayed: part.iter().map(|id| (*id, now)).collect(),
                    audit: part
                        .iter()
                        .map(|id| self.ctx.audit(by, AuditAction::DeliveryReplayed, *id, ""))
                        .collect(),
                    ..Transaction::default()
                };
                if let CommitOutcome::KeyUsed(record) = self.ctx.store().transact(change).await? {
                    return Ok(Replaying::Replay(self.idempotency.replay_of(by, record).await?));
                }
            }
            self.ctx.signals.deliver.notify_one();
        }
        Ok(Replaying::Done(Replayed {
            rows: rows.len(),
            first: rows.into_iter().take(SHOWN).collect(),
            more,
            dry_run,
        }))
    }
}

fn may_replay(by: &Request) -> Result<(), DeliveryError> {
    if by.caller.has(Scope::Operate) {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden("only an operator may send rows again").into())
    }
}
