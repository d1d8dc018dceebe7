//! Idempotency keys.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{IdempotencyStore, KeyRecord, KeyUse, KeyWrite};

use super::SqliteStore;
use super::rows::{Answer, count, first, get, millis, optional_text, run, supervision_id, unpacked, unreadable};
use crate::store::documents;

/// A caller's key. The readers and the writer select it.
const SELECT_KEY: &str = "SELECT fingerprint, supervision_id, taken_by, status, body, packed FROM idempotency_keys WHERE caller = ? AND key = ?";

#[async_trait]
impl IdempotencyStore for SqliteStore {
    async fn key(&self, caller: &str, key: &str) -> Result<Option<KeyRecord>, StoreError> {
        let (caller, key) = (caller.to_owned(), key.to_owned());
        self.readers.read(move |db| self::key(db, &caller, &key)).await
    }

    async fn keys_of(&self, caller: &str) -> Result<u32, StoreError> {
        let caller = caller.to_owned();
        self.readers.read(move |db| keys_of(db, &caller)).await
    }

    fn incarnation(&self) -> &str {
        &self.incarnation
    }
}

fn keys_of(db: &Connection, caller: &str) -> Answer<u32> {
    let number = first(
        db,
        "SELECT COUNT(*) AS number FROM idempotency_keys WHERE caller = ?",
        [caller],
        |row| count(row, "number"),
    )?;
    Ok(number.unwrap_or(0))
}

fn key(db: &Connection, caller: &str, key: &str) -> Answer<Option<KeyRecord>> {
    first(db, SELECT_KEY, [caller, key], record)
}

/// The earlier use of a key that keeps this one from taking it.
pub(super) fn earlier_use(db: &Connection, incarnation: &str, key: &KeyUse) -> Answer<Option<KeyRecord>> {
    let earlier = self::key(db, &key.caller, &key.key)?;
    Ok(earlier.filter(|record| !record.is_lost(&key.fingerprint, incarnation)))
}

fn record(row: &Row<'_>) -> Answer<KeyRecord> {
    let status = get::<Option<i64>>(row, "status")?.and_then(|s| u16::try_from(s).ok());
    let body = match unpacked(row)? {
        Some(body) => Some(body),
        None => get::<Option<String>>(row, "body")?,
    };
    let about_one = optional_text(row, "supervision_id")?.is_some();
    Ok(KeyRecord {
        fingerprint: get(row, "fingerprint")?,
        supervision: about_one.then(|| supervision_id(row, "supervision_id")).transpose()?,
        taken_by: get(row, "taken_by")?,
        answer: status.zip(body),
    })
}

pub(super) fn write(db: &Connection, incarnation: &str, write: &KeyWrite) -> Answer<()> {
    match write {
        KeyWrite::Take(key, supervision, at) => run(
            db,
            "INSERT OR REPLACE INTO idempotency_keys (caller, key, fingerprint, claim, supervision_id, taken_by, taken_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                key.caller,
                key.key,
                key.fingerprint,
                key.claim,
                supervision.map(|id| id.to_string()),
                incarnation,
                millis(*at)
            ],
        ),
        KeyWrite::Answer(key, status, body) => run(
            db,
            // Who has taken the key matters only until it is answered.
            "UPDATE idempotency_keys SET status = ?, packed = ?, claim = NULL, taken_by = '' WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL",
            params![
                status,
                documents::packed::pack(body).map_err(|e| unreadable(&e))?,
                key.caller,
                key.key,
                key.claim
            ],
        ),
        KeyWrite::Forget(key) => run(
            db,
            "DELETE FROM idempotency_keys WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL",
            params![key.caller, key.key, key.claim],
        ),
    }
    .map(|_| ())
}
