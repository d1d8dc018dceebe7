//! Idempotency keys.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{IdempotencyStore, KeyRecord, KeyUse, KeyWrite};

use super::MemoryStore;
use super::tables::millis;

/// A key that was taken.
pub(super) struct Row {
    claim: String,
    pub(super) taken_at: i64,
    record: KeyRecord,
}

/// Every key, by caller and key.
#[derive(Default)]
pub(super) struct Keys(pub(super) BTreeMap<(String, String), Row>);

impl Keys {
    /// The earlier use of a key that keeps this one from taking it.
    pub(super) fn earlier_use(&self, incarnation: &str, key: &KeyUse) -> Option<KeyRecord> {
        let record = self.get(&key.caller, &key.key)?;
        (!record.is_lost(&key.fingerprint, incarnation)).then(|| record.clone())
    }

    fn get(&self, caller: &str, key: &str) -> Option<&KeyRecord> {
        let row = self.0.get(&(caller.to_owned(), key.to_owned()))?;
        Some(&row.record)
    }

    fn number_of(&self, caller: &str) -> u32 {
        let theirs = self.0.range((caller.to_owned(), String::new())..);
        let number = theirs.take_while(|((of, _), _)| of == caller).count();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    pub(super) fn write(&mut self, incarnation: &str, write: &KeyWrite) {
        let (KeyWrite::Take(key, ..) | KeyWrite::Answer(key, ..) | KeyWrite::Forget(key)) = write;
        let place = (key.caller.clone(), key.key.clone());
        if let KeyWrite::Take(_, supervision, at) = write {
            let row = Row {
                claim: key.claim.clone(),
                taken_at: millis(*at),
                record: KeyRecord {
                    fingerprint: key.fingerprint.clone(),
                    supervision: *supervision,
                    taken_by: incarnation.to_owned(),
                    answer: None,
                },
            };
            self.0.insert(place, row);
            return;
        }
        let of_claim = |row: &&mut Row| row.claim == key.claim && row.record.answer.is_none();
        let Some(row) = self.0.get_mut(&place).filter(of_claim) else {
            return;
        };
        if let KeyWrite::Answer(_, status, body) = write {
            row.record.answer = Some((*status, body.clone()));
            row.record.taken_by.clear();
        } else {
            self.0.remove(&place);
        }
    }
}

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn key(&self, caller: &str, key: &str) -> Result<Option<KeyRecord>, StoreError> {
        self.read("key", |t| t.keys.get(caller, key).cloned()).await
    }

    async fn keys_of(&self, caller: &str) -> Result<u32, StoreError> {
        self.read("keys_of", |t| t.keys.number_of(caller)).await
    }

    fn incarnation(&self) -> &str {
        &self.incarnation
    }
}
