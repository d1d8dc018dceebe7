//! Removes rows that are past their retention, until none is left. A reader finds the rows and the writer removes them in slices, each in
//! a transaction of its own. A slice ends when its time is over, and the next one waits, so that writes of requests get through.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, TransactionBehavior, params, params_from_iter};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::Retention;
use tokio::time::Instant;

use super::readers::Readers;
use super::rows::{Answer, all, get, millis, run};
use super::writer::Writer;
use super::{audit_cut, failed};

/// How many rows a reader finds at a time.
const PAGE: usize = 2000;
/// How many rows the first slice removes, and the most that any slice does.
const FIRST_SLICE: usize = 50;
pub(super) const LARGEST_SLICE: usize = 500;
/// How long the writer removes rows before it commits a slice. The commit takes a further sync of the disk.
const SLICE_TIME: Duration = Duration::from_millis(3);
/// A slice that takes longer than this with its commit is followed by smaller ones.
const LONGEST_SLICE: Duration = Duration::from_millis(10);
/// The sweep waits this many times as long as a slice took, so that it uses a fourth of the writer's time.
const PAUSE: u32 = 3;

/// The key of a row, as its columns.
pub(super) type Key = Vec<Value>;

/// One slice for the writer: rows that a reader found.
#[derive(Debug)]
pub(super) enum Removal {
    /// By a statement that takes the key and the moment, because a row may have been written again since it was found.
    Older(&'static str, Timestamp, Vec<Key>),
    /// By a statement that takes the key alone.
    ByKey(&'static str, Vec<Key>),
    /// Finished supervisions; without `unsent_too`, only those with nothing left to deliver.
    Supervisions { ids: Vec<Key>, unsent_too: bool },
}

impl Removal {
    /// The supervisions that it may remove.
    pub(super) fn supervisions(&self) -> Vec<SupervisionId> {
        let ids = match self {
            Self::Supervisions { ids, .. } => ids.as_slice(),
            Self::Older(..) | Self::ByKey(..) => &[],
        };
        let texts = ids.iter().flatten().filter_map(|value| match value {
            Value::Text(id) => SupervisionId::parse(id),
            _ => None,
        });
        texts.collect()
    }
}

/// What a slice did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    /// The keys that were tried. The time of the slice may end before all are.
    pub(super) tried: usize,
    /// The rows that were removed, without those that were removed with them.
    pub(super) rows: usize,
    /// How long the writer was busy.
    pub(super) took: Duration,
}

/// A kind of row that is removed by its age alone.
struct Kind {
    find: &'static str,
    columns: &'static [&'static str],
    remove: &'static str,
    before: fn(&Retention) -> Timestamp,
}

/// Not here: supervisions, which take their deliveries, directives and comparisons with them; the audit, see [`audit_cut`];
/// and tables whose size is fixed (cursors, one row an instance, rows that are made once).
const KINDS: [Kind; 7] = [
    Kind {
        find: "SELECT caller, key FROM idempotency_keys WHERE taken_at < ? ORDER BY taken_at LIMIT ?",
        columns: &["caller", "key"],
        remove: "DELETE FROM idempotency_keys WHERE caller = ? AND key = ? AND taken_at < ?",
        before: |r| r.keys_before,
    },
    Kind {
        find: "SELECT seq FROM evidence WHERE learnt_at < ? ORDER BY learnt_at LIMIT ?",
        columns: &["seq"],
        remove: "DELETE FROM evidence WHERE seq = ? AND learnt_at < ?",
        before: |r| r.evidence_before,
    },
    Kind {
        find: "SELECT seq FROM clock_samples WHERE learnt_at < ? ORDER BY learnt_at LIMIT ?",
        columns: &["seq"],
        remove: "DELETE FROM clock_samples WHERE seq = ? AND learnt_at < ?",
        before: |r| r.evidence_before,
    },
    // An epoch is needed while a sample of it may be stored, and the newest of a clock has the number that the next one continues.
    Kind {
        find: "SELECT vendor, instance, source, field, version FROM clock_epochs e WHERE since < ?1 AND EXISTS
               (SELECT 1 FROM clock_epochs n WHERE n.vendor = e.vendor AND n.instance = e.instance AND n.source = e.source
                AND n.field = e.field AND n.version > e.version AND n.since < ?1) ORDER BY since LIMIT ?2",
        columns: &["vendor", "instance", "source", "field", "version"],
        remove: "DELETE FROM clock_epochs WHERE vendor = ? AND instance = ? AND source = ? AND field = ? AND version = ?
                 AND since < ?",
        before: |r| r.evidence_before,
    },
    Kind {
        find: "SELECT id FROM seen_events WHERE seen_at < ? ORDER BY seen_at LIMIT ?",
        columns: &["id"],
        remove: "DELETE FROM seen_events WHERE id = ? AND seen_at < ?",
        before: |r| r.evidence_before,
    },
    // A day is compared in milliseconds, like all other moments.
    Kind {
        find: "SELECT day, instance, channel, queue, agent FROM coverage_days WHERE day < ?1 / 86400000 ORDER BY day LIMIT ?2",
        columns: &["day", "instance", "channel", "queue", "agent"],
        remove: "DELETE FROM coverage_days WHERE day = ? AND instance = ? AND channel = ? AND queue = ? AND agent = ?
                 AND day < ? / 86400000",
        before: |r| r.coverage_before,
    },
    // A leg that is so long overdue is of an instance that is no longer configured.
    Kind {
        find: "SELECT instance, leg_id FROM unexplained_legs WHERE due_at < ? ORDER BY due_at LIMIT ?",
        columns: &["instance", "leg_id"],
        remove: "DELETE FROM unexplained_legs WHERE instance = ? AND leg_id = ? AND due_at < ?",
        before: |r| r.evidence_before,
    },
];

pub(super) async fn sweep(readers: &Readers, writer: &Writer, retention: &Retention) -> Answer<u64> {
    let mut sweep = Sweep {
        writer,
        slice: FIRST_SLICE,
        removed: 0,
    };
    for kind in &KINDS {
        let before = (kind.before)(retention);
        loop {
            let found = readers
                .read(move |db| keys(db, kind.find, kind.columns, before))
                .await?;
            let is_last = found.len() < PAGE;
            let rows = sweep
                .remove(found, |keys| Removal::Older(kind.remove, before, keys))
                .await?;
            if is_last || rows == 0 {
                break;
            }
        }
    }
    let (before, unsent_too) = (retention.supervisions_before, retention.unsent_too);
    let mut since = Timestamp::UNIX_EPOCH;
    loop {
        let (found, last) = readers.read(move |db| finished(db, since, before, unsent_too)).await?;
        let is_last = found.len() < PAGE;
        let rows = sweep
            .remove(found, |ids| Removal::Supervisions { ids, unsent_too })
            .await?;
        if is_last || rows == 0 {
            break;
        }
        // Those that are kept because their record is not written are not found again.
        since = last;
    }
    if let Some(before) = retention.audit_before {
        audit_cut::cut(readers, &mut sweep, before).await?;
    }
    writer.rest().await?;
    Ok(sweep.removed)
}

pub(super) struct Sweep<'w> {
    writer: &'w Writer,
    slice: usize,
    removed: u64,
}

impl Sweep<'_> {
    /// Removes these rows in slices. Returns how many were removed.
    pub(super) async fn remove(&mut self, mut keys: Vec<Key>, removal: impl Fn(Vec<Key>) -> Removal) -> Answer<usize> {
        let mut rows = 0;
        // The oldest are last, where they can be taken off.
        keys.reverse();
        while !keys.is_empty() {
            let slice = keys.split_off(keys.len().saturating_sub(self.slice));
            let (asked, mut left) = (slice.len(), slice.clone());
            let done = self.writer.remove(removal(slice.into_iter().rev().collect())).await?;
            left.truncate(asked - done.tried.min(asked));
            keys.append(&mut left);
            rows += done.rows;
            self.slice = next_slice(self.slice, asked, &done);
            tokio::time::sleep(done.took * PAUSE).await;
        }
        self.removed += rows as u64;
        Ok(rows)
    }
}

/// The size of the next slice, after one for which `asked` rows were handed in.
fn next_slice(slice: usize, asked: usize, done: &Removed) -> usize {
    if done.took > LONGEST_SLICE {
        (done.tried / 2).max(1)
    } else if done.tried == asked && asked == slice && done.took < LONGEST_SLICE / 2 {
        (slice * 2).min(LARGEST_SLICE)
    } else {
        slice
    }
}

fn keys(db: &Connection, find: &str, columns: &[&str], before: Timestamp) -> Answer<Vec<Key>> {
    all(db, find, params![millis(before), PAGE as i64], |row| {
        columns.iter().map(|column| get(row, column)).collect()
    })
}

/// Supervisions that are past their retention and ended at or after `since`, those that ended first, and when the last of them ended.
/// Only a finished one has an end.
fn finished(db: &Connection, since: Timestamp, before: Timestamp, unsent_too: bool) -> Answer<(Vec<Key>, Timestamp)> {
    // Without Salesforce, records are kept until it is configured, but not beyond the retention.
    let sql = if unsent_too {
        "SELECT id, ended_at FROM supervisions WHERE ended_at >= ? AND ended_at < ? ORDER BY ended_at LIMIT ?"
    } else {
        "SELECT s.id AS id, s.ended_at AS ended_at FROM supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id
         WHERE s.ended_at >= ? AND s.ended_at < ? AND COALESCE(d.state, 'RECORDED') = 'RECORDED' ORDER BY s.ended_at LIMIT ?"
    };
    let mut last = since;
    let found = all(db, sql, params![millis(since), millis(before), PAGE as i64], |row| {
        last = super::rows::moment(row, "ended_at")?;
        Ok(vec![get(row, "id")?])
    })?;
    Ok((found, last))
}

/// Removes one slice, in the writer. Stops when the time of a slice is over.
pub(super) fn remove(db: &mut Connection, removal: &Removal) -> Answer<Removed> {
    let began = Instant::now();
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let (Removal::Older(_, _, keys) | Removal::ByKey(_, keys) | Removal::Supervisions { ids: keys, .. }) = removal;
    let (mut tried, mut rows) = (0, 0);
    for key in keys {
        rows += match removal {
            Removal::Older(sql, before, _) => {
                let before = Value::Integer(millis(*before));
                run(&transaction, sql, params_from_iter(key.iter().chain([&before])))?
            }
            Removal::ByKey(sql, _) => run(&transaction, sql, params_from_iter(key))?,
            Removal::Supervisions { unsent_too, .. } => remove_supervision(&transaction, key, *unsent_too)?,
        };
        tried += 1;
        if began.elapsed() >= SLICE_TIME {
            break;
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(Removed {
        tried,
        rows,
        took: began.elapsed(),
    })
}

fn remove_supervision(db: &Transaction<'_>, id: &Key, unsent_too: bool) -> Answer<usize> {
    let unsent_too = Value::Integer(i64::from(unsent_too));
    run(
        db,
        // Checked again here, because a delivery may have become pending since the reader found the supervision.
        "DELETE FROM supervisions WHERE id = ? AND +state IN ('LEFT', 'FAILED') AND (? OR NOT EXISTS
         (SELECT 1 FROM deliveries d WHERE d.supervision_id = supervisions.id AND +d.state <> 'RECORDED'))",
        params_from_iter(id.iter().chain([&unsent_too])),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_slices_follow_the_time_they_take() {
        let done = |tried, ms| Removed {
            tried,
            rows: tried,
            took: Duration::from_millis(ms),
        };
        assert_eq!(next_slice(50, 50, &done(50, 1)), 100);
        assert_eq!(next_slice(400, 400, &done(400, 1)), LARGEST_SLICE);
        assert_eq!(next_slice(100, 100, &done(100, 7)), 100);
        assert_eq!(next_slice(100, 100, &done(40, 4)), 100, "the slice's own time was over");
        assert_eq!(next_slice(100, 100, &done(40, 30)), 20, "the commit took long");
        assert_eq!(next_slice(1, 1, &done(1, 30)), 1);
        assert_eq!(next_slice(100, 3, &done(3, 1)), 100, "the last of a page says nothing");
    }
}
