//! Idempotency keys: the same key and body get the stored answer; the same key with another body is refused; a first
//! request still running is said to be so.
//!
//! A key is taken in the same transaction as what it starts, so there is no moment at which one stands without the
//! other. Its answer follows when it is given. A process that dies in between leaves a key without an answer; the next
//! one sees that another process took it, and answers with what became of the supervision. Only the request that took a key
//! answers for it or frees it: a repeat that fails leaves it as it is.

use crate::usecases::RequestContext;
use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;
use sidedoor_domain::ids::SupervisionId;
pub use sidedoor_domain::ports::store::KeyUse;
use sidedoor_domain::ports::store::{KeyRecord, KeyWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

/// What a key used before leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReplay {
    /// The stored answer: HTTP status and body.
    Answer(u16, String),
    /// It began this before a crash: answer with what became of it.
    State(SupervisionId),
}

/// Why a key cannot be used for this request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdempotencyError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with this key is still running.
    #[error("the first request with this idempotency key is still running")]
    KeyRunning,
    /// What every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

crate::usecases::error::from_store_error!(IdempotencyError);

/// Takes, answers and replays idempotency keys.
#[derive(Clone)]
pub struct IdempotencyService {
    ctx: UseCaseContext,
}

impl IdempotencyService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self { ctx }
    }

    /// Whether the request's key was used before.
    ///
    /// # Errors
    /// [`IdempotencyError::KeyReused`], [`IdempotencyError::KeyRunning`], or the store's.
    pub async fn replay(&self, request: &RequestContext) -> Result<Option<KeyReplay>, IdempotencyError> {
        let Some(key) = &request.key else { return Ok(None) };
        match self.ctx.store().key(&key.caller, &key.key).await? {
            None => Ok(None),
            Some(record) => self.known_key(key, record).await,
        }
    }

    /// What a key that turned out to be used, when it was about to be taken, leads to.
    pub(crate) async fn replay_of(
        &self,
        request: &RequestContext,
        record: KeyRecord,
    ) -> Result<KeyReplay, IdempotencyError> {
        let key = request
            .key
            .as_ref()
            .ok_or(UseCaseError::Unexpected("a key was taken by a request without one"))?;
        self.known_key(key, record).await?.ok_or(IdempotencyError::KeyRunning)
    }

    /// What a used key leads to; nothing if a fault of ours has freed it meanwhile.
    async fn known_key(&self, key: &KeyUse, mut record: KeyRecord) -> Result<Option<KeyReplay>, IdempotencyError> {
        if record.fingerprint != key.fingerprint {
            return Err(IdempotencyError::KeyReused);
        }
        if record.answer.is_none() && record.taken_by == self.ctx.store().incarnation() {
            // The answer is written without waiting for it: it may be on its way. Wait for the queue, look once more.
            self.ctx.store().flush().await?;
            match self.ctx.store().key(&key.caller, &key.key).await? {
                Some(again) => record = again,
                None => return Ok(None),
            }
        }
        match record.answer {
            Some((status, body)) => Ok(Some(KeyReplay::Answer(status, body))),
            None if record.taken_by == self.ctx.store().incarnation() => Err(IdempotencyError::KeyRunning),
            // What is of no supervision is done anew: nothing would say what became of it.
            None => Ok(record.supervision.map(KeyReplay::State)),
        }
    }

    /// Takes the request's key for an answer that changes nothing, so that this answer too is the one it gets again. Something
    /// if the key was used meanwhile.
    pub(crate) async fn take_key(
        &self,
        request: &RequestContext,
        of: Option<SupervisionId>,
    ) -> Result<Option<KeyReplay>, IdempotencyError> {
        let Some(key) = request.key.clone() else {
            return Ok(None);
        };
        let change = Transaction {
            key: Some(KeyWrite::Take(key, of, self.ctx.now())),
            ..Transaction::default()
        };
        match self.ctx.store().transact(change).await? {
            CommitOutcome::KeyUsed(record) => self.replay_of(request, record).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Keeps the answer a request was given, for replays, if it is the one that took the key. A fault of ours (5xx) is never
    /// kept: it frees the key.
    pub fn remember_answer(&self, request: &RequestContext, status: u16, body: &str) {
        let Some(key) = &request.key else { return };
        let write = if status >= 500 {
            KeyWrite::Forget(key.clone())
        } else {
            KeyWrite::Answer(key.clone(), status, body.to_owned())
        };
        self.ctx.store().transact_later(Transaction {
            key: Some(write),
            ..Transaction::default()
        });
    }
}
