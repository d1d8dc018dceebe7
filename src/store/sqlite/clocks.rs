//! Samples and epochs of the vendors' clocks, written in the transaction of the evidence they come from.

use async_trait::async_trait;
use clock_calibration::{Cause, Moment};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::moment;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, ClockStore, EpochCause, Sample};

use super::rows::{Answer, all, count, first, get, millis, moment, run, text, unreadable};
use super::{SqliteStore, failed};

/// At most so many epochs are read, the latest ones, because only these matter to a clock that is stepped so often.
const MOST_EPOCHS: i64 = 10_000;

pub(super) fn write_sample(db: &Connection, clock: &ClockId, sample: &Sample) -> Answer<()> {
    run(
        db,
        "INSERT INTO clock_samples (clock, learnt_at, not_before, asked, not_after, stamp, cause)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            number(db, clock)?,
            millis(moment::timestamp(sample.not_after)),
            sample.not_before.map(Moment::as_nanos),
            sample.asked.map(Moment::as_nanos),
            sample.not_after.as_nanos(),
            sample.stamp.as_nanos(),
            sample.cause.as_str()
        ],
    )
    .map(|_| ())
}

/// The number of a clock, which it gets with its first sample.
fn number(db: &Connection, clock: &ClockId) -> Answer<i64> {
    let names = params![clock.vendor, clock.instance, clock.source, clock.field];
    let known = "SELECT id FROM clocks WHERE vendor = ? AND instance = ? AND source = ? AND field = ?";
    if let Some(number) = first(db, known, names, |row| get(row, "id"))? {
        return Ok(number);
    }
    let new = "INSERT INTO clocks (vendor, instance, source, field) VALUES (?, ?, ?, ?)";
    run(db, new, names)?;
    Ok(db.last_insert_rowid())
}

/// Leaves an epoch that is stored already as it is, because two transactions may carry the same one.
pub(super) fn write_epoch(db: &Connection, epoch: &ClockEpoch) -> Answer<()> {
    run(
        db,
        "INSERT OR IGNORE INTO clock_epochs (vendor, instance, source, field, version, since, corroborated, cause)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            epoch.stream.vendor,
            epoch.stream.instance,
            epoch.stream.source,
            epoch.stream.field,
            epoch.version,
            millis(epoch.since),
            millis(epoch.corroborated),
            epoch.cause.as_str()
        ],
    )
    .map(|_| ())
}

pub(super) fn epochs(db: &Connection) -> Answer<Vec<ClockEpoch>> {
    let mut found = all(
        db,
        "SELECT vendor, instance, source, field, version, since, corroborated, cause FROM clock_epochs
         ORDER BY since DESC LIMIT ?",
        [MOST_EPOCHS],
        |row| {
            Ok(ClockEpoch {
                stream: key(row)?,
                version: count(row, "version")?,
                since: moment(row, "since")?,
                corroborated: moment(row, "corroborated")?,
                cause: EpochCause::parse(text(row, "cause")?).ok_or_else(|| unreadable(&"an epoch's cause"))?,
            })
        },
    )?;
    found.reverse();
    Ok(found)
}

pub(super) fn samples(db: &Connection, since: Timestamp, limit: u32) -> Answer<Vec<(ClockId, Sample)>> {
    let snapshot = db.unchecked_transaction().map_err(failed)?;
    let mut found = Vec::new();
    let clocks = all(
        &snapshot,
        "SELECT id, vendor, instance, source, field FROM clocks",
        [],
        |row| Ok((get::<i64>(row, "id")?, key(row)?)),
    )?;
    for (number, clock) in clocks {
        found.extend(all(
            &snapshot,
            "SELECT learnt_at, seq, not_before, asked, not_after, stamp, cause FROM clock_samples
             WHERE clock = ? AND learnt_at >= ? ORDER BY learnt_at DESC, seq DESC LIMIT ?",
            params![number, millis(since), limit],
            |row| {
                let place: (i64, i64) = (get(row, "learnt_at")?, get(row, "seq")?);
                Ok((place, (clock.clone(), sample(row)?)))
            },
        )?);
    }
    snapshot.commit().map_err(failed)?;
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, sample)| sample).collect())
}

fn sample(row: &Row<'_>) -> Answer<Sample> {
    let moment = |column: &str| get(row, column).map(Moment::from_nanos);
    let optional = |column: &str| get::<Option<i64>>(row, column).map(|nanos| nanos.map(Moment::from_nanos));
    Ok(Sample {
        not_before: optional("not_before")?,
        asked: optional("asked")?,
        not_after: moment("not_after")?,
        stamp: moment("stamp")?,
        cause: Cause::parse(text(row, "cause")?).ok_or_else(|| unreadable(&"a sample's cause"))?,
    })
}

fn key(row: &Row<'_>) -> Answer<ClockId> {
    Ok(ClockId::new(
        text(row, "vendor")?,
        text(row, "instance")?,
        text(row, "source")?,
        text(row, "field")?,
    ))
}

#[async_trait]
impl ClockStore for SqliteStore {
    async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError> {
        self.readers.read(epochs).await
    }

    async fn clock_samples(&self, since: Timestamp, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError> {
        self.readers.read(move |db| samples(db, since, limit)).await
    }
}
