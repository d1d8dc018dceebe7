//! The vendors' clocks in the store: samples and epochs, written in the transaction of the evidence they come from.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::failed;
use super::rows::{get, millis, timestamp, unreadable};
use crate::store::documents;
use sidedoor_domain::moment;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, EpochCause, Sample};

type Answer<T> = Result<T, StoreError>;

/// More epochs than this are not read: a clock that is stepped so often is known by its latest ones.
const MOST_EPOCHS: i64 = 10_000;

pub(super) async fn write_sample(db: &mut SqliteConnection, key: &ClockId, sample: &Sample) -> Answer<()> {
    let doc = documents::write_sample(sample).map_err(|e| unreadable(&e))?;
    sqlx::query("INSERT INTO clock_samples (vendor, instance, source, field, learnt_at, doc) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(key.vendor.clone())
        .bind(key.instance.clone())
        .bind(key.source.clone())
        .bind(key.field.clone())
        .bind(millis(moment::timestamp(sample.not_after)))
        .bind(doc)
        .execute(&mut *db)
        .await
        .map(|_| ())
        .map_err(failed)
}

/// One that stands already is left as it is: two changes may carry it.
pub(super) async fn write_epoch(db: &mut SqliteConnection, epoch: &ClockEpoch) -> Answer<()> {
    sqlx::query(
        "INSERT OR IGNORE INTO clock_epochs (vendor, instance, source, field, version, since, corroborated, cause)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(epoch.stream.vendor.clone())
    .bind(epoch.stream.instance.clone())
    .bind(epoch.stream.source.clone())
    .bind(epoch.stream.field.clone())
    .bind(i64::from(epoch.version))
    .bind(millis(epoch.since))
    .bind(millis(epoch.corroborated))
    .bind(epoch.cause.as_str())
    .execute(&mut *db)
    .await
    .map(|_| ())
    .map_err(failed)
}

pub(super) async fn epochs(pool: &SqlitePool) -> Answer<Vec<ClockEpoch>> {
    let rows = sqlx::query(
        "SELECT vendor, instance, source, field, version, since, corroborated, cause FROM clock_epochs
         ORDER BY since DESC LIMIT ?",
    )
    .bind(MOST_EPOCHS)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let one = |row: &SqliteRow| {
        Ok(ClockEpoch {
            stream: key(row)?,
            version: u32::try_from(get::<i64>(row, 4)?).unwrap_or(u32::MAX),
            since: timestamp(get(row, 5)?)?,
            corroborated: timestamp(get(row, 6)?)?,
            cause: EpochCause::parse(get(row, 7)?).ok_or_else(|| unreadable(&"an epoch's cause"))?,
        })
    };
    rows.iter().rev().map(one).collect()
}

pub(super) async fn samples(pool: &SqlitePool, since: Timestamp, limit: u32) -> Answer<Vec<(ClockId, Sample)>> {
    let rows = sqlx::query(
        "SELECT vendor, instance, source, field, doc FROM (
           SELECT *, ROW_NUMBER() OVER (PARTITION BY vendor, instance, source, field ORDER BY learnt_at DESC) AS nth
           FROM clock_samples WHERE learnt_at >= ?)
         WHERE nth <= ? ORDER BY learnt_at, seq",
    )
    .bind(millis(since))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let one = |row: &SqliteRow| {
        Ok((
            key(row)?,
            documents::read_sample(get(row, 4)?).map_err(|e| unreadable(&e))?,
        ))
    };
    rows.iter().map(one).collect()
}

fn key(row: &SqliteRow) -> Answer<ClockId> {
    Ok(ClockId::new(get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?))
}
