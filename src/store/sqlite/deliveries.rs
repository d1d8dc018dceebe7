//! Deliveries of records to Salesforce.

use jiff::Timestamp;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::store::{
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryResult, FailureScope, StoredSupervision,
};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::failed;
use super::filters::{Conditions, Page};
use super::rows::{Answer, count, get, millis, readable, record_state_word, run, select_stored, stored};

/// Gives the record a new version. A delivery that waits after a failed attempt keeps its time, because otherwise every new version
/// would retry at once while Salesforce is unavailable.
pub(super) async fn new_version(
    db: &mut SqliteConnection,
    supervision: SupervisionId,
    due_at: Timestamp,
) -> Answer<()> {
    let upsert = sqlx::query(
        "INSERT INTO deliveries (supervision_id, id, state, version, departure_written, due_at)
         VALUES (?, ?, 'PENDING', 1, 0, ?)
         ON CONFLICT (supervision_id) DO UPDATE SET
           version = version + 1, state = 'PENDING',
           due_at = CASE WHEN state = 'PENDING' AND attempts > 0 THEN due_at ELSE excluded.due_at END",
    )
    .bind(supervision.to_string())
    .bind(DeliveryId::of(supervision).to_string())
    .bind(millis(due_at));
    run(db, upsert).await.map(|_| ())
}

/// Stores how an attempt ended. If a newer version was written meanwhile, the delivery stays pending, because that version is still
/// to be sent.
pub(super) async fn settle(db: &mut SqliteConnection, result: &DeliveryResult) -> Answer<()> {
    let (id, version) = (result.supervision.to_string(), i64::from(result.version));
    let update = match &result.result {
        DeliveryOutcome::Written {
            recorded,
            has_departure,
            note,
            look_again_at,
        } => sqlx::query(
            "UPDATE deliveries SET recorded_version = MAX(recorded_version, ?1), object_name = ?2,
               record_id = COALESCE(?3, record_id), recorded_at = ?4, attempts = 0, refusals = 0, refused_at = NULL,
               last_error = ?5, last_answer = NULL,
               state = CASE WHEN version <= ?1 THEN 'RECORDED' ELSE state END, look_again_at = ?7,
               departure_written = MAX(departure_written, ?8)
             WHERE supervision_id = ?6",
        )
        .bind(version)
        .bind(recorded.object_name.clone())
        .bind(recorded.record_id.clone())
        .bind(millis(result.at))
        .bind(note.clone())
        .bind(id)
        .bind(look_again_at.map(millis))
        .bind(i64::from(*has_departure)),
        DeliveryOutcome::Again { due_at, error, blame } => sqlx::query(
            "UPDATE deliveries SET attempts = attempts + 1, due_at = ?, last_error = ?, refusals = refusals + ?,
               refused_at = COALESCE(?, refused_at)
             WHERE supervision_id = ?",
        )
        .bind(millis(*due_at))
        .bind(error.clone())
        .bind(i64::from(*blame == FailureScope::Row))
        .bind((*blame != FailureScope::Crm).then(|| millis(result.at)))
        .bind(id),
        DeliveryOutcome::Dead { error, answer } => sqlx::query(
            "UPDATE deliveries SET attempts = attempts + 1, last_error = ?2, last_answer = ?3,
               state = CASE WHEN version <= ?1 THEN 'DEAD' ELSE state END
             WHERE supervision_id = ?4",
        )
        .bind(version)
        .bind(error.clone())
        .bind(answer.clone())
        .bind(id),
        DeliveryOutcome::LookAgain { at } => {
            sqlx::query("UPDATE deliveries SET look_again_at = ? WHERE supervision_id = ?")
                .bind(at.map(millis))
                .bind(id)
        }
    };
    run(db, update).await.map(|_| ())
}

/// Makes a delivery pending again, with the same version and the same external id.
pub(super) async fn replay(db: &mut SqliteConnection, supervision: SupervisionId, at: Timestamp) -> Answer<()> {
    let update = sqlx::query(
        "UPDATE deliveries SET state = 'PENDING', attempts = 0, refusals = 0, refused_at = NULL, due_at = ?
             WHERE supervision_id = ?",
    )
    .bind(millis(at))
    .bind(supervision.to_string());
    run(db, update).await.map(|_| ())
}

/// Makes a pending delivery that has not failed yet due by `due_at`.
pub(super) async fn expedite(db: &mut SqliteConnection, supervision: SupervisionId, due_at: Timestamp) -> Answer<()> {
    let update = sqlx::query(
        "UPDATE deliveries SET due_at = MIN(due_at, ?) WHERE supervision_id = ? AND state = 'PENDING' AND attempts = 0",
    )
    .bind(millis(due_at))
    .bind(supervision.to_string());
    run(db, update).await.map(|_| ())
}

pub(super) async fn due_deliveries(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
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
        "SELECT COUNT(*) AS number FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_due
             WHERE state = 'PENDING' AND due_at <= ? LIMIT ?)",
    )
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    count(&row, "number")
}

pub(super) async fn due_voice_calls(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
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

pub(super) async fn list(pool: &SqlitePool, filter: &DeliveryFilter) -> Answer<Vec<Delivery>> {
    let mut db = pool.acquire().await.map_err(failed)?;
    Page::new(filter.since, filter.until, filter.before, filter.limit)
        .read(&mut db, |page| select_page(filter, &page), delivery)
        .await
}

fn select_page(filter: &DeliveryFilter, page: &Page) -> QueryBuilder<Sqlite> {
    let mut conditions = Conditions::of(select_stored!(
        "WHERE 1 = 1",
        ", d.last_answer AS last_answer",
        "deliveries d JOIN supervisions s ON s.id = d.supervision_id "
    ));
    conditions.equal("d.state", filter.state.map(record_state_word));
    conditions.newest_first("d.supervision_id", page)
}

pub(super) async fn by_id(pool: &SqlitePool, id: DeliveryId) -> Answer<Option<Delivery>> {
    let found = sqlx::query(select_stored!("WHERE d.id = ?", ", d.last_answer AS last_answer"))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    found.as_ref().map(delivery).transpose()
}

fn delivery(row: &SqliteRow) -> Answer<Delivery> {
    Ok(Delivery {
        stored: stored(row)?,
        last_answer: get(row, "last_answer")?,
    })
}
