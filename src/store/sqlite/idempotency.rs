//! Idempotency keys.

use sidedoor_domain::ports::store::{KeyRecord, KeyUse, KeyWrite};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::failed;
use super::rows::{Answer, get, millis, run, supervision_id};

/// A caller's key. The readers and the writer select it.
const SELECT_KEY: &str =
    "SELECT fingerprint, supervision_id, taken_by, status, body FROM idempotency_keys WHERE caller = ? AND key = ?";

pub(super) async fn key(pool: &SqlitePool, caller: &str, key: &str) -> Answer<Option<KeyRecord>> {
    let row = sqlx::query(SELECT_KEY)
        .bind(caller)
        .bind(key)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(record).transpose()
}

/// The earlier use of a key that keeps this one from taking it.
pub(super) async fn earlier_use(
    db: &mut SqliteConnection,
    incarnation: &str,
    key: &KeyUse,
) -> Answer<Option<KeyRecord>> {
    let row = sqlx::query(SELECT_KEY)
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .fetch_optional(&mut *db)
        .await
        .map_err(failed)?;
    let earlier = row.as_ref().map(record).transpose()?;
    Ok(earlier.filter(|record| !record.is_lost(&key.fingerprint, incarnation)))
}

fn record(row: &SqliteRow) -> Answer<KeyRecord> {
    let status = get::<Option<i64>>(row, "status")?.and_then(|s| u16::try_from(s).ok());
    let body = get::<Option<String>>(row, "body")?;
    let about_one = get::<Option<&str>>(row, "supervision_id")?.is_some();
    Ok(KeyRecord {
        fingerprint: get(row, "fingerprint")?,
        supervision: about_one.then(|| supervision_id(row, "supervision_id")).transpose()?,
        taken_by: get(row, "taken_by")?,
        answer: status.zip(body),
    })
}

pub(super) async fn write(db: &mut SqliteConnection, incarnation: &str, write: &KeyWrite) -> Answer<()> {
    let query = match write {
        KeyWrite::Take(key, supervision, at) => sqlx::query(
            "INSERT OR REPLACE INTO idempotency_keys (caller, key, fingerprint, claim, supervision_id, taken_by, taken_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .bind(key.fingerprint.clone())
        .bind(key.claim.clone())
        .bind(supervision.map(|id| id.to_string()))
        .bind(incarnation.to_owned())
        .bind(millis(*at)),
        KeyWrite::Answer(key, status, body) => sqlx::query(
            "UPDATE idempotency_keys SET status = ?, body = ? WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL",
        )
        .bind(i64::from(*status))
        .bind(body.clone())
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .bind(key.claim.clone()),
        KeyWrite::Forget(key) => {
            sqlx::query("DELETE FROM idempotency_keys WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL")
                .bind(key.caller.clone())
                .bind(key.key.clone())
                .bind(key.claim.clone())
        }
    };
    run(db, query).await.map(|_| ())
}
