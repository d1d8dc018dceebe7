//! Idempotency keys, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::ids::SupervisionId;

/// One request's use of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The caller, because two callers may choose the same key.
    pub caller: String,
    /// The key.
    pub key: String,
    /// SHA-256 of method, path, caller and body.
    pub fingerprint: String,
    /// Generated for each request, so that a second request with the same key can neither answer for the first nor free its key.
    pub claim: String,
}

/// What a transaction does to an idempotency key.
#[derive(Debug, Clone)]
pub enum KeyWrite {
    /// Takes the key for a request, which may be about a supervision. Refused as [`CommitOutcome::KeyUsed`] if the key was used before,
    /// unless [`KeyRecord::is_lost`].
    ///
    /// [`CommitOutcome::KeyUsed`]: super::CommitOutcome::KeyUsed
    Take(KeyUse, Option<SupervisionId>, Timestamp),
    /// Stores the response (HTTP status and body) of the request that took the key. Writes nothing for another request.
    Answer(KeyUse, u16, String),
    /// Frees the key, because the request that took it failed with 5xx, which is never replayed. A key with a stored response, or of
    /// another request, stays.
    Forget(KeyUse),
}

/// A key that was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The fingerprint of the request that took it.
    pub fingerprint: String,
    /// The supervision which that request is about, if any.
    pub supervision: Option<SupervisionId>,
    /// The process that took it; empty once a response is stored. If that process crashed, it never stores one.
    pub taken_by: String,
    /// The stored response: HTTP status and body.
    pub answer: Option<(u16, String)>,
}

impl KeyRecord {
    /// Whether the same request may run again: it is about no supervision, and the process that began it was replaced before it stored
    /// a response.
    pub fn is_lost(&self, fingerprint: &str, incarnation: &str) -> bool {
        self.supervision.is_none()
            && self.answer.is_none()
            && self.taken_by != incarnation
            && self.fingerprint == fingerprint
    }
}

/// Reads of idempotency keys. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// How a caller's key was used.
    async fn key(&self, caller: &str, key: &str) -> Result<Option<KeyRecord>, StoreError>;

    /// How many keys of this caller are in the store.
    async fn keys_of(&self, caller: &str) -> Result<u32, StoreError>;

    /// The name of this process in the store, generated at every start.
    fn incarnation(&self) -> &str;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_key_is_lost_if_its_process_crashed_without_effect() {
        let taken = KeyRecord {
            fingerprint: "request".into(),
            supervision: None,
            taken_by: "before".into(),
            answer: None,
        };
        assert!(taken.is_lost("request", "now"));
        assert!(!taken.is_lost("another", "now"), "another request");
        assert!(!taken.is_lost("request", "before"), "that process may still answer");
        let about_one = KeyRecord {
            supervision: Some(crate::test_support::id(1)),
            ..taken.clone()
        };
        assert!(!about_one.is_lost("request", "now"), "the supervision has the answer");
        let answered = KeyRecord {
            answer: Some((201, "{}".into())),
            ..taken
        };
        assert!(!answered.is_lost("request", "now"));
    }
}
