//! What the org itself has of departures, beside ours.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::apply::run;
use super::failed;
use super::rows::{get, millis, readable, select_stored, timestamp};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{Comparison, Stored};

/// Recorded departures of contacts whose VoiceCall is known, ended between `since` and `until`, that were never compared, or
/// looked at before `again` and found without theirs; never looked at first. With each, how many supervisions its contact has had.
pub(super) async fn due(
    pool: &SqlitePool,
    since: Timestamp,
    until: Timestamp,
    again: Timestamp,
    limit: u32,
) -> Result<Vec<(Stored, u32)>, StoreError> {
    let mut moment = pool.begin().await.map_err(failed)?;
    let mut rows = sqlx::query(select_stored!(
        "WHERE s.ended_at > ? AND s.ended_at <= ? AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED' AND NOT EXISTS (SELECT 1 FROM comparisons c WHERE c.supervision_id = s.id)
         ORDER BY s.ended_at LIMIT ?",
        ", (SELECT COUNT(*) FROM supervisions o
            WHERE o.contact_id = s.contact_id AND +o.instance = s.instance AND +o.leg_id IS NOT NULL)"
    ))
    .bind(millis(since))
    .bind(millis(until))
    .bind(i64::from(limit))
    .fetch_all(&mut *moment)
    .await
    .map_err(failed)?;
    let room = i64::from(limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    // Nothing is looked at before it has ended, so that what ended after `since` was looked at after it.
    let again = sqlx::query(select_stored!(
        "WHERE c.left_at IS NULL AND c.looked_at > ?1 AND c.looked_at <= ?3
           AND +s.ended_at > ?1 AND +s.ended_at <= ?2 AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED'
         ORDER BY c.looked_at LIMIT ?4",
        ", (SELECT COUNT(*) FROM supervisions o
            WHERE o.contact_id = s.contact_id AND +o.instance = s.instance AND +o.leg_id IS NOT NULL)",
        "comparisons c JOIN supervisions s ON s.id = c.supervision_id JOIN deliveries d ON d.supervision_id = s.id "
    ))
    .bind(millis(since))
    .bind(millis(until))
    .bind(millis(again))
    .bind(room)
    .fetch_all(&mut *moment)
    .await
    .map_err(failed)?;
    moment.commit().await.map_err(failed)?;
    rows.extend(again);
    let with_count = |row| {
        Some((
            readable(std::slice::from_ref(row)).pop()?,
            get::<i64>(row, row.len() - 1).ok()?,
        ))
    };
    let counted = rows.iter().filter_map(with_count);
    Ok(counted
        .map(|(stored, n)| (stored, u32::try_from(n).unwrap_or(u32::MAX)))
        .collect())
}

pub(super) async fn write(db: &mut SqliteConnection, c: &Comparison) -> Result<(), StoreError> {
    // A supervision that was swept meanwhile needs none.
    let upsert = sqlx::query(
        "INSERT OR REPLACE INTO comparisons (supervision_id, looked_at, participant_id, left_at, ours_at, inside)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM supervisions WHERE id = ?1)",
    )
    .bind(c.supervision.to_string())
    .bind(millis(c.looked_at))
    .bind(c.participant_id.clone())
    .bind(c.left_at.map(millis))
    .bind(millis(c.ours_at))
    .bind(c.inside);
    run(db, upsert).await.map(|_| ())
}

pub(super) async fn of(pool: &SqlitePool, id: SupervisionId) -> Result<Option<Comparison>, StoreError> {
    let row = sqlx::query(
        "SELECT looked_at, participant_id, left_at, ours_at, inside FROM comparisons WHERE supervision_id = ?",
    )
    .bind(id.to_string())
    .fetch_optional(pool)
    .await
    .map_err(failed)?;
    row.map(|row| {
        Ok(Comparison {
            supervision: id,
            looked_at: timestamp(get(&row, 0)?)?,
            participant_id: get(&row, 1)?,
            left_at: get::<Option<i64>>(&row, 2)?.map(timestamp).transpose()?,
            ours_at: timestamp(get(&row, 3)?)?,
            inside: get(&row, 4)?,
        })
    })
    .transpose()
}
