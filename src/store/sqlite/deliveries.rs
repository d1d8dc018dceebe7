//! Rows on their way to the CRM, in the store.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::apply::run;
use super::failed;
use super::rows::{get, millis, passed_over, readable, record_state_word, select_stored, stored};
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{Delivered, DeliveryFilter, DeliveryResult, FailureScope, Row, Stored};

type Answer<T> = Result<T, StoreError>;

/// The row has a new version. One that waits after a failed attempt keeps its waiting time: a new version is no reason
/// to hurry a CRM that is down.
pub(super) async fn new_version(
    db: &mut SqliteConnection,
    supervision: SupervisionId,
    due_at: Timestamp,
) -> Answer<()> {
    let upsert = sqlx::query(
        "INSERT INTO deliveries (supervision_id, id, state, version, due_at) VALUES (?, ?, 'PENDING', 1, ?)
         ON CONFLICT (supervision_id) DO UPDATE SET
           version = version + 1, state = 'PENDING',
           due_at = CASE WHEN state = 'PENDING' AND attempts > 0 THEN due_at ELSE excluded.due_at END",
    )
    .bind(supervision.to_string())
    .bind(DeliveryId::generate().to_string())
    .bind(millis(due_at));
    run(db, upsert).await.map(|_| ())
}

/// An attempt ended. If a newer version came meanwhile, the row stays on its way whatever became of the old one.
pub(super) async fn settle(db: &mut SqliteConnection, result: &DeliveryResult) -> Answer<()> {
    let (id, version) = (result.supervision.to_string(), i64::from(result.version));
    let update = match &result.result {
        Delivered::Recorded {
            recorded,
            note,
            look_again_at,
        } => sqlx::query(
            "UPDATE deliveries SET recorded_version = MAX(recorded_version, ?1), object_name = ?2,
               record_id = COALESCE(?3, record_id), recorded_at = ?4, attempts = 0, refusals = 0, refused_at = NULL,
               last_error = ?5, last_answer = NULL,
               state = CASE WHEN version <= ?1 THEN 'RECORDED' ELSE state END, look_again_at = ?7
             WHERE supervision_id = ?6",
        )
        .bind(version)
        .bind(recorded.object_name.clone())
        .bind(recorded.record_id.clone())
        .bind(millis(result.at))
        .bind(note.clone())
        .bind(id)
        .bind(look_again_at.map(millis)),
        Delivered::Again { due_at, error, blame } => sqlx::query(
            "UPDATE deliveries SET attempts = attempts + 1, due_at = ?, last_error = ?, refusals = refusals + ?,
               refused_at = COALESCE(?, refused_at)
             WHERE supervision_id = ?",
        )
        .bind(millis(*due_at))
        .bind(error.clone())
        .bind(i64::from(*blame == FailureScope::Row))
        .bind((*blame != FailureScope::Crm).then(|| millis(result.at)))
        .bind(id),
        Delivered::Dead { error, answer } => sqlx::query(
            "UPDATE deliveries SET attempts = attempts + 1, last_error = ?2, last_answer = ?3,
               state = CASE WHEN version <= ?1 THEN 'DEAD' ELSE state END
             WHERE supervision_id = ?4",
        )
        .bind(version)
        .bind(error.clone())
        .bind(answer.clone())
        .bind(id),
        Delivered::LookAgain { at } => sqlx::query("UPDATE deliveries SET look_again_at = ? WHERE supervision_id = ?")
            .bind(at.map(millis))
            .bind(id),
    };
    run(db, update).await.map(|_| ())
}

/// The row goes out again, as it is now: same row, same external id, same version.
pub(super) async fn replay(db: &mut SqliteConnection, supervision: SupervisionId, at: Timestamp) -> Answer<()> {
    let update = sqlx::query(
        "UPDATE deliveries SET state = 'PENDING', attempts = 0, refusals = 0, refused_at = NULL, due_at = ?
             WHERE supervision_id = ?",
    )
    .bind(millis(at))
    .bind(supervision.to_string());
    run(db, update).await.map(|_| ())
}

pub(super) async fn due_deliveries(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE d.state = 'PENDING' AND d.due_at <= ? ORDER BY d.due_at LIMIT ?",
        "",
        "deliveries d INDEXED BY deliveries_due JOIN supervisions s ON s.id = d.supervision_id "
    ))
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

pub(super) async fn due_delivery_count(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<u32> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_due
             WHERE state = 'PENDING' AND due_at <= ? LIMIT ?)",
    )
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    get::<i64>(&row, 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

pub(super) async fn due_voice_calls(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE d.look_again_at <= ? ORDER BY d.look_again_at LIMIT ?"
    ))
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

pub(super) async fn rows(pool: &SqlitePool, filter: &DeliveryFilter) -> Answer<Vec<Row>> {
    let most = filter.limit as usize;
    let mut before = filter.before.map(|id| id.to_string());
    let mut rows = Vec::new();
    // What cannot be read is passed over, and the page filled with what comes after it.
    loop {
        let wanted = most.saturating_sub(rows.len());
        let found = page(filter, before.as_deref(), wanted)
            .build()
            .fetch_all(pool)
            .await
            .map_err(failed)?;
        rows.extend(found.iter().filter_map(|r| passed_over(r, row(r))));
        match found.last() {
            Some(last) if found.len() == wanted && rows.len() < most => before = Some(get(last, last.len() - 1)?),
            _ => return Ok(rows),
        }
    }
}

fn page(filter: &DeliveryFilter, before: Option<&str>, limit: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::<Sqlite>::new(select_stored!(
        "WHERE 1 = 1",
        ", d.last_answer, s.id",
        "deliveries d JOIN supervisions s ON s.id = d.supervision_id "
    ));
    if let Some(state) = filter.state {
        sql.push(" AND d.state = ").push_bind(record_state_word(state));
    }
    if let Some(since) = filter.since {
        sql.push(" AND d.supervision_id >= ")
            .push_bind(SupervisionId::least_at(since).to_string());
    }
    if let Some(until) = filter.until {
        sql.push(" AND d.supervision_id < ")
            .push_bind(SupervisionId::least_at(until).to_string());
    }
    if let Some(before) = before {
        sql.push(" AND d.supervision_id < ").push_bind(before.to_owned());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.push(" ORDER BY d.supervision_id DESC LIMIT ").push_bind(limit);
    sql
}

pub(super) async fn one(pool: &SqlitePool, id: DeliveryId) -> Answer<Option<Row>> {
    let found = sqlx::query(select_stored!("WHERE d.id = ?", ", d.last_answer, s.id"))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    found.as_ref().map(row).transpose()
}

fn row(found: &sqlx::sqlite::SqliteRow) -> Answer<Row> {
    Ok(Row {
        stored: stored(found)?,
        last_answer: get(found, found.len() - 2)?,
    })
}
