//! Evidence of legs, unknown legs, and the events that were seen.

use jiff::Timestamp;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::{LegEvidence, UnknownLeg};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::failed;
use super::rows::{Answer, count, get, millis, moment, run, unreadable};
use crate::store::documents;

pub(super) async fn of_leg(pool: &SqlitePool, instance: &InstanceName, leg: &str) -> Answer<Vec<Evidence>> {
    let rows = sqlx::query("SELECT doc FROM evidence WHERE instance = ? AND leg_id = ? ORDER BY seq LIMIT 200")
        .bind(instance.as_str())
        .bind(leg)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| documents::read_evidence(get(row, "doc")?).map_err(|e| unreadable(&e)))
        .collect()
}

pub(super) async fn unknown_leg_count(pool: &SqlitePool, instance: &InstanceName, limit: u32) -> Answer<u32> {
    let row = sqlx::query("SELECT COUNT(*) AS number FROM (SELECT 1 FROM unexplained_legs WHERE instance = ? LIMIT ?)")
        .bind(instance.as_str())
        .bind(i64::from(limit))
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    count(&row, "number")
}

pub(super) async fn due_unknown_legs(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<UnknownLeg>> {
    let rows = sqlx::query(
        "SELECT instance, leg_id, due_at, looks FROM unexplained_legs WHERE due_at <= ? ORDER BY due_at LIMIT ?",
    )
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(UnknownLeg {
                instance: InstanceName::parse(get::<String>(row, "instance")?).map_err(|e| unreadable(&e))?,
                leg: get(row, "leg_id")?,
                due_at: moment(row, "due_at")?,
                looks: count(row, "looks")?,
            })
        })
        .collect()
}

pub(super) async fn write(db: &mut SqliteConnection, new: &LegEvidence) -> Answer<()> {
    let insert = sqlx::query("INSERT INTO evidence (instance, leg_id, learnt_at, doc) VALUES (?, ?, ?, ?)")
        .bind(new.instance.to_string())
        .bind(new.leg.clone())
        .bind(millis(new.evidence.learnt_at))
        .bind(documents::write_evidence(&new.evidence).map_err(|e| unreadable(&e))?);
    run(db, insert).await.map(|_| ())
}

pub(super) async fn write_unknown(db: &mut SqliteConnection, leg: &UnknownLeg) -> Answer<()> {
    // A leg that is observed again keeps its count of looks and its earlier time, unless this write is the result of a look.
    let upsert = sqlx::query(
        "INSERT INTO unexplained_legs (instance, leg_id, due_at, looks) VALUES (?, ?, ?, ?)
         ON CONFLICT (instance, leg_id) DO UPDATE SET
           due_at = CASE WHEN excluded.looks > looks THEN excluded.due_at ELSE MIN(due_at, excluded.due_at) END,
           looks = MAX(looks, excluded.looks)",
    )
    .bind(leg.instance.to_string())
    .bind(leg.leg.clone())
    .bind(millis(leg.due_at))
    .bind(i64::from(leg.looks));
    run(db, upsert).await.map(|_| ())
}

pub(super) async fn remove_unknown(db: &mut SqliteConnection, instance: &InstanceName, leg: &str) -> Answer<()> {
    let delete = sqlx::query("DELETE FROM unexplained_legs WHERE instance = ? AND leg_id = ?")
        .bind(instance.to_string())
        .bind(leg.to_owned());
    run(db, delete).await.map(|_| ())
}

pub(super) async fn event_was_seen(db: &mut SqliteConnection, id: &str) -> Answer<bool> {
    let seen = sqlx::query("SELECT 1 FROM seen_events WHERE id = ?").bind(id.to_owned());
    Ok(seen.fetch_optional(&mut *db).await.map_err(failed)?.is_some())
}

pub(super) async fn write_event(db: &mut SqliteConnection, id: &str, at: Timestamp) -> Answer<()> {
    let insert = sqlx::query("INSERT INTO seen_events (id, seen_at) VALUES (?, ?)")
        .bind(id.to_owned())
        .bind(millis(at));
    run(db, insert).await.map(|_| ())
}
