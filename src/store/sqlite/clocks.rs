//! Samples and epochs of the vendors' clocks, written in the transaction of the evidence they come from.

use jiff::Timestamp;
use sidedoor_domain::moment;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, EpochCause, Sample};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::failed;
use super::rows::{Answer, count, get, millis, moment, unreadable};
use crate::store::documents;

/// At most so many epochs are read, the latest ones, because only these matter to a clock that is stepped so often.
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

/// Leaves an epoch that is stored already as it is, because two transactions may carry the same one.
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
            version: count(row, "version")?,
            since: moment(row, "since")?,
            corroborated: moment(row, "corroborated")?,
            cause: EpochCause::parse(get(row, "cause")?).ok_or_else(|| unreadable(&"an epoch's cause"))?,
        })
    };
    rows.iter().rev().map(one).collect()
}

pub(super) async fn samples(pool: &SqlitePool, since: Timestamp, limit: u32) -> Answer<Vec<(ClockId, Sample)>> {
    let mut snapshot = pool.begin().await.map_err(failed)?;
    let mut found = Vec::new();
    let mut clock = next_clock(&mut snapshot, None).await?;
    while let Some(key) = clock {
        let rows = sqlx::query(
            "SELECT learnt_at, seq, doc FROM clock_samples
             WHERE vendor = ? AND instance = ? AND source = ? AND field = ? AND learnt_at >= ?
             ORDER BY learnt_at DESC, seq DESC LIMIT ?",
        )
        .bind(key.vendor.clone())
        .bind(key.instance.clone())
        .bind(key.source.clone())
        .bind(key.field.clone())
        .bind(millis(since))
        .bind(i64::from(limit))
        .fetch_all(&mut *snapshot)
        .await
        .map_err(failed)?;
        for row in &rows {
            let sample = documents::read_sample(get(row, "doc")?).map_err(|e| unreadable(&e))?;
            let place: (i64, i64) = (get(row, "learnt_at")?, get(row, "seq")?);
            found.push((place, (key.clone(), sample)));
        }
        clock = next_clock(&mut snapshot, Some(&key)).await?;
    }
    snapshot.commit().await.map_err(failed)?;
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, sample)| sample).collect())
}

/// The clock after this one in the index, or the first. So the clocks are listed without reading their samples.
async fn next_clock(db: &mut SqliteConnection, after: Option<&ClockId>) -> Answer<Option<ClockId>> {
    let part = |of: fn(&ClockId) -> &String| after.map(of).cloned().unwrap_or_default();
    let row = sqlx::query(
        "SELECT vendor, instance, source, field FROM clock_samples
         WHERE (vendor, instance, source, field) > (?, ?, ?, ?)
         ORDER BY vendor, instance, source, field LIMIT 1",
    )
    .bind(part(|key| &key.vendor))
    .bind(part(|key| &key.instance))
    .bind(part(|key| &key.source))
    .bind(part(|key| &key.field))
    .fetch_optional(&mut *db)
    .await
    .map_err(failed)?;
    row.as_ref().map(self::key).transpose()
}

fn key(row: &SqliteRow) -> Answer<ClockId> {
    Ok(ClockId::new(
        get(row, "vendor")?,
        get(row, "instance")?,
        get(row, "source")?,
        get(row, "field")?,
    ))
}
