//! Departures compared with the org's own records of them (ConversationParticipant).

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Comparison, StoredSupervision};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::failed;
use super::rows::{Answer, count, get, millis, moment, optional_moment, run, select_stored, skip_unreadable, stored};

/// A [`select_stored`] with the number of legs that the contact has had.
macro_rules! select_with_legs {
    ($rest:literal, $from:literal) => {
        select_stored!(
            $rest,
            ", (SELECT COUNT(*) FROM supervisions o
                WHERE o.contact_id = s.contact_id AND +o.instance = s.instance AND +o.leg_id IS NOT NULL) AS legs_of_contact",
            $from
        )
    };
}

/// See [`DeliveryStore::due_comparisons`](sidedoor_domain::ports::store::DeliveryStore::due_comparisons). The two kinds are two
/// statements, because each is answered by an index of its own.
pub(super) async fn due(
    pool: &SqlitePool,
    since: Timestamp,
    until: Timestamp,
    again: Timestamp,
    limit: u32,
) -> Answer<Vec<(StoredSupervision, u32)>> {
    let mut snapshot = pool.begin().await.map_err(failed)?;
    let mut rows = sqlx::query(select_with_legs!(
        "WHERE s.ended_at > ? AND s.ended_at <= ? AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED' AND NOT EXISTS (SELECT 1 FROM comparisons c WHERE c.supervision_id = s.id)
         ORDER BY s.ended_at LIMIT ?",
        "supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id "
    ))
    .bind(millis(since))
    .bind(millis(until))
    .bind(i64::from(limit))
    .fetch_all(&mut *snapshot)
    .await
    .map_err(failed)?;
    let room = i64::from(limit) - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    // `looked_at > since` excludes nothing, because a departure is compared after it ended; it bounds what the index reads.
    let again = sqlx::query(select_with_legs!(
        "WHERE c.left_at IS NULL AND c.looked_at > ?1 AND c.looked_at <= ?3
           AND +s.ended_at > ?1 AND +s.ended_at <= ?2 AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED'
         ORDER BY c.looked_at LIMIT ?4",
        "comparisons c JOIN supervisions s ON s.id = c.supervision_id JOIN deliveries d ON d.supervision_id = s.id "
    ))
    .bind(millis(since))
    .bind(millis(until))
    .bind(millis(again))
    .bind(room)
    .fetch_all(&mut *snapshot)
    .await
    .map_err(failed)?;
    snapshot.commit().await.map_err(failed)?;
    rows.extend(again);
    let with_legs = |row: &SqliteRow| Ok((stored(row)?, count(row, "legs_of_contact")?));
    Ok(rows
        .iter()
        .filter_map(|row| skip_unreadable(row, with_legs(row)))
        .collect())
}

pub(super) async fn write(db: &mut SqliteConnection, c: &Comparison) -> Answer<()> {
    // The sweep may have removed the supervision meanwhile; a comparison without one could never be read.
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

pub(super) async fn of(pool: &SqlitePool, id: SupervisionId) -> Answer<Option<Comparison>> {
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
            looked_at: moment(&row, "looked_at")?,
            participant_id: get(&row, "participant_id")?,
            left_at: optional_moment(&row, "left_at")?,
            ours_at: moment(&row, "ours_at")?,
            inside: get(&row, "inside")?,
        })
    })
    .transpose()
}
