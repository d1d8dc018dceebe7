//! Samples and epochs of the vendors' clocks, written in the transaction of the evidence they come from.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::moment;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, EpochCause, Sample};

use super::failed;
use super::rows::{Answer, all, count, first, get, millis, moment, run, text, unreadable};
use crate::store::documents;

/// At most so many epochs are read, the latest ones, because only these matter to a clock that is stepped so often.
const MOST_EPOCHS: i64 = 10_000;

pub(super) fn write_sample(db: &Connection, key: &ClockId, sample: &Sample) -> Answer<()> {
    run(
        db,
        "INSERT INTO clock_samples (vendor, instance, source, field, learnt_at, doc) VALUES (?, ?, ?, ?, ?, ?)",
        params![
            key.vendor,
            key.instance,
            key.source,
            key.field,
            millis(moment::timestamp(sample.not_after)),
            documents::write_sample(sample).map_err(|e| unreadable(&e))?
        ],
    )
    .map(|_| ())
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
    let mut clock = next_clock(&snapshot, None)?;
    while let Some(key) = clock {
        found.extend(all(
            &snapshot,
            "SELECT learnt_at, seq, doc FROM clock_samples
             WHERE vendor = ? AND instance = ? AND source = ? AND field = ? AND learnt_at >= ?
             ORDER BY learnt_at DESC, seq DESC LIMIT ?",
            params![key.vendor, key.instance, key.source, key.field, millis(since), limit],
            |row| {
                let sample = documents::read_sample(text(row, "doc")?).map_err(|e| unreadable(&e))?;
                let place: (i64, i64) = (get(row, "learnt_at")?, get(row, "seq")?);
                Ok((place, (key.clone(), sample)))
            },
        )?);
        clock = next_clock(&snapshot, Some(&key))?;
    }
    snapshot.commit().map_err(failed)?;
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, sample)| sample).collect())
}

/// The clock after this one in the index, or the first. So the clocks are listed without reading their samples.
fn next_clock(db: &Connection, after: Option<&ClockId>) -> Answer<Option<ClockId>> {
    let part = |of: fn(&ClockId) -> &String| after.map(of).cloned().unwrap_or_default();
    first(
        db,
        "SELECT vendor, instance, source, field FROM clock_samples
         WHERE (vendor, instance, source, field) > (?, ?, ?, ?)
         ORDER BY vendor, instance, source, field LIMIT 1",
        params![
            part(|key| &key.vendor),
            part(|key| &key.instance),
            part(|key| &key.source),
            part(|key| &key.field)
        ],
        key,
    )
}

fn key(row: &Row<'_>) -> Answer<ClockId> {
    Ok(ClockId::new(
        text(row, "vendor")?,
        text(row, "instance")?,
        text(row, "source")?,
        text(row, "field")?,
    ))
}
