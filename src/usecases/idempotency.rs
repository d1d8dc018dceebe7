//! Idempotency keys. A repeat with the same key and body gets the stored answer; the same key with a different body is
//! rejected; a repeat while the first request is still running is rejected as such.
//!
//! A key is taken in the same transaction as the work it starts, so neither exists without the other. The answer is stored
//! when it is given. If the process dies in between, the key has no answer; the next process sees that another process took
//! it, and answers with the current state of the supervision. The same holds if the request ended without an answer in this process,
//! because its client went away or the store failed. Only the request that took a key stores its answer or frees it, so a failed
//! repeat does not change it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sidedoor_domain::authority::Caller;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{KeyRecord, KeyUse, KeyWrite};
use sidedoor_domain::ports::{CommitOutcome, Transaction};

use crate::usecases::RequestContext;
use crate::usecases::context::UseCaseContext;
use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::in_flight::InFlightGuard;

/// The answer to a request whose key was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReplay {
    /// The stored answer: HTTP status and body.
    Answer(u16, String),
    /// The first request started this supervision, but its process died before it answered: answer with the current state.
    State(SupervisionId),
}

/// Why a key cannot be used for this request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdempotencyError {
    /// The key was used for a different request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with this key is still running.
    #[error("the first request with this idempotency key is still running")]
    KeyRunning,
    /// The caller has as many keys in the store as it may.
    #[error("too many idempotency keys of this caller are in use")]
    KeyLimitReached,
    /// A reason that every area shares.
    #[error(transparent)]
    Common(#[from] UseCaseError),
}

crate::usecases::error::from_store_error!(IdempotencyError);

/// Held by the only running request with its key until it has stored its answer.
#[derive(Clone)]
pub struct OnlyWithKey(
    #[allow(dead_code, reason = "frees the key when it drops")] Arc<InFlightGuard<(String, String)>>,
);

impl std::fmt::Debug for OnlyWithKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnlyWithKey")
    }
}

/// Takes idempotency keys, stores answers and replays them.
#[derive(Clone)]
pub struct IdempotencyService {
    ctx: UseCaseContext,
    /// How many keys each caller has in the store, as far as known.
    held: ExpiringCache<String, Arc<AtomicU32>>,
}

/// The most callers whose keys are counted, and how long a count is used.
const MAX_CALLERS: u64 = 10_000;
const COUNTED_FOR: Duration = Duration::from_secs(60);

impl IdempotencyService {
    pub(crate) fn new(ctx: UseCaseContext) -> Self {
        Self {
            ctx,
            held: ExpiringCache::new(MAX_CALLERS, COUNTED_FOR),
        }
    }

    /// Whether this caller may use this key: it is in the store already, or the caller has fewer than it may. So no caller fills the
    /// store with keys, and a repeat is answered nevertheless.
    ///
    /// # Errors
    /// [`IdempotencyError::KeyLimitReached`], or the store's.
    pub async fn require_share(&self, caller: &Caller, key: &KeyUse) -> Result<(), IdempotencyError> {
        let limits = self.ctx.settings.keys;
        let most = if caller.names_one_supervisor() {
            limits.supervisor
        } else {
            limits.caller
        };
        let held = match self.held.get(&key.caller, self.ctx.now()) {
            Some(held) => held,
            None => {
                let counted = self.ctx.store().keys_of(&key.caller).await?;
                let counted = Arc::new(AtomicU32::new(counted));
                self.held.insert(key.caller.clone(), counted.clone(), self.ctx.now());
                counted
            }
        };
        if held.load(Ordering::Relaxed) < most {
            // Too many after a repeat or a failure, until the keys are counted again.
            held.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        match self.ctx.store().key(&key.caller, &key.key).await? {
            Some(_) => Ok(()),
            None => Err(IdempotencyError::KeyLimitReached),
        }
    }

    /// For a request that begins; `None` if another one with its key is running.
    pub fn only_with(&self, key: &KeyUse) -> Option<OnlyWithKey> {
        let name = (key.caller.clone(), key.key.clone());
        let guard = self.ctx.signals.keys_in_flight.try_start(name)?;
        Some(OnlyWithKey(Arc::new(guard)))
    }

    /// The answer to replay, if the request's key was used before.
    ///
    /// # Errors
    /// [`IdempotencyError::KeyReused`], [`IdempotencyError::KeyRunning`], or the store's.
    pub async fn replay(&self, request: &RequestContext) -> Result<Option<KeyReplay>, IdempotencyError> {
        let Some(key) = &request.key else { return Ok(None) };
        match self.ctx.store().key(&key.caller, &key.key).await? {
            None => Ok(None),
            Some(record) => self.known_key(request, key, record).await,
        }
    }

    /// The answer to replay for a key that the commit found to be taken.
    pub(crate) async fn replay_of(
        &self,
        request: &RequestContext,
        record: KeyRecord,
    ) -> Result<KeyReplay, IdempotencyError> {
        let key = request.key.as_ref().ok_or(UseCaseError::Unexpected(
            "the store reported a used key for a request that has none",
        ))?;
        self.known_key(request, key, record)
            .await?
            .ok_or(IdempotencyError::KeyRunning)
    }

    /// The answer to replay for a used key; `None` if a 5xx answer has freed the key meanwhile.
    async fn known_key(
        &self,
        request: &RequestContext,
        key: &KeyUse,
        mut record: KeyRecord,
    ) -> Result<Option<KeyReplay>, IdempotencyError> {
        if record.fingerprint != key.fingerprint {
            return Err(IdempotencyError::KeyReused);
        }
        if record.answer.is_none() && record.taken_by == self.ctx.store().incarnation() {
            // Answers are written in the background, so this one may be queued: flush the queue and read once more.
            self.ctx.store().flush().await?;
            match self.ctx.store().key(&key.caller, &key.key).await? {
                Some(again) => record = again,
                None => return Ok(None),
            }
        }
        let is_running = record.taken_by == self.ctx.store().incarnation() && request.only_with_key.is_none();
        match record.answer {
            Some((status, body)) => Ok(Some(KeyReplay::Answer(status, body))),
            None if is_running => Err(IdempotencyError::KeyRunning),
            // Without a supervision, the store does not know what the first request did, so it is done again.
            None => Ok(record.supervision.map(KeyReplay::State)),
        }
    }

    /// Takes the request's key for an answer that changes nothing, so that a repeat gets the same answer. Returns the answer
    /// to replay if another request used the key meanwhile.
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
        match self.ctx.transact(change).await? {
            CommitOutcome::KeyUsed(record) => self.replay_of(request, record).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Stores the answer of a request for replays, if this request took the key. A 5xx answer is not stored: it frees the key, so
    /// that the client can retry.
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
