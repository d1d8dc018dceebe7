//! Background jobs: due times, and the cursors of the followers of changes.

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::{NextDue, PollStaleness, StoredSupervision};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::failed;
use super::rows::{Answer, get, millis, optional_moment, readable, run, select_stored};

pub(super) async fn next_due(pool: &SqlitePool) -> Answer<NextDue> {
    let row = sqlx::query(
        "SELECT (SELECT MIN(next_check_at) FROM supervisions WHERE next_check_at IS NOT NULL) AS next_check,
                (SELECT MIN(due_at) FROM unexplained_legs) AS unknown_leg,
                (SELECT MIN(due_at) FROM deliveries WHERE state = 'PENDING') AS delivery,
                (SELECT MIN(look_again_at) FROM deliveries WHERE look_again_at IS NOT NULL) AS voice_call",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    Ok(NextDue {
        check: optional_moment(&row, "next_check")?,
        unknown_leg: optional_moment(&row, "unknown_leg")?,
        delivery: optional_moment(&row, "delivery")?,
        voice_call: optional_moment(&row, "voice_call")?,
    })
}

pub(super) async fn due_checks(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
    let rows = sqlx::query(select_stored!(
        "WHERE s.next_check_at <= ? ORDER BY s.next_check_at LIMIT ?"
    ))
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

pub(super) async fn cursor(pool: &SqlitePool, name: &'static str) -> Answer<Option<i64>> {
    let row = sqlx::query("SELECT seq FROM cursors WHERE name = ?")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map(|row| get(&row, "seq")).transpose()
}

pub(super) async fn note_staleness(db: &mut SqliteConnection, measured: &PollStaleness) -> Answer<()> {
    let upsert = sqlx::query(
        "INSERT INTO poll_staleness (instance, measured_at, age_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (instance) DO UPDATE SET measured_at = ?2, age_ms = ?3 WHERE age_ms <= ?3 OR measured_at < ?4",
    )
    .bind(measured.instance.to_string())
    .bind(millis(measured.measured_at))
    .bind(whole_ms(measured.age))
    .bind(millis(measured.measured_at - PollStaleness::KEPT_FOR));
    run(db, upsert).await.map(|_| ())
}

pub(super) async fn poll_staleness(pool: &SqlitePool, instance: &InstanceName) -> Answer<Option<PollStaleness>> {
    let row = sqlx::query("SELECT measured_at, age_ms FROM poll_staleness WHERE instance = ?")
        .bind(instance.to_string())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let measured_at = optional_moment(&row, "measured_at")?;
    let age = SignedDuration::from_millis(get(&row, "age_ms")?);
    Ok(measured_at.map(|measured_at| PollStaleness {
        instance: instance.clone(),
        measured_at,
        age,
    }))
}

fn whole_ms(age: SignedDuration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}

pub(super) async fn move_cursor(db: &mut SqliteConnection, name: &'static str, seq: i64) -> Answer<()> {
    let upsert = sqlx::query(
        "INSERT INTO cursors (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = MAX(seq, excluded.seq)",
    )
    .bind(name)
    .bind(seq);
    run(db, upsert).await.map(|_| ())
}
