//! Removes rows that are past their retention. A reader finds the rows and the writer removes them in slices, each in a transaction of its own,
//! so that a write never waits longer than for one slice.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use sidedoor_domain::ports::store::Retention;

use super::failed;
use super::readers::Readers;
use super::rows::{Answer, all, get, millis, run};
use super::writer::Writer;

/// How many rows of a kind one sweep removes at most.
const SWEEP_ROWS: usize = 1000;
/// How many rows the writer removes at a time.
const SLICE: usize = 100;

/// One slice for the writer.
#[derive(Debug)]
pub(super) enum Removal {
    /// At most a slice of the rows that are older than this moment, by a statement that takes the moment and the limit.
    Older(&'static str, Timestamp),
    /// These finished supervisions; without `unsent_too`, only those with nothing left to deliver.
    Supervisions { ids: Vec<String>, unsent_too: bool },
}

/// The moment before which a kind of row is past its retention.
type Before = fn(&Retention) -> Timestamp;

/// The statements that remove rows by their age alone. The audit is never removed.
const OLDER: [(&str, Before); 4] = [
    (
        "DELETE FROM idempotency_keys WHERE (caller, key) IN
         (SELECT caller, key FROM idempotency_keys WHERE taken_at < ? LIMIT ?)",
        |r| r.keys_before,
    ),
    (
        "DELETE FROM evidence WHERE seq IN (SELECT seq FROM evidence WHERE learnt_at < ? LIMIT ?)",
        |r| r.evidence_before,
    ),
    (
        "DELETE FROM clock_samples WHERE seq IN (SELECT seq FROM clock_samples WHERE learnt_at < ? LIMIT ?)",
        |r| r.evidence_before,
    ),
    (
        "DELETE FROM seen_events WHERE id IN (SELECT id FROM seen_events WHERE seen_at < ? LIMIT ?)",
        |r| r.evidence_before,
    ),
];

pub(super) async fn sweep(readers: &Readers, writer: &Writer, retention: &Retention) -> Answer<u64> {
    let mut removed = 0;
    for (sql, before) in OLDER {
        for _ in 0..SWEEP_ROWS / SLICE {
            let rows = writer.remove(Removal::Older(sql, before(retention))).await?;
            removed += rows as u64;
            if rows < SLICE {
                break;
            }
        }
    }
    let (before, unsent_too) = (retention.supervisions_before, retention.unsent_too);
    let finished = readers.read(move |db| finished(db, before, unsent_too)).await?;
    for ids in finished.chunks(SLICE) {
        let ids = ids.to_vec();
        removed += writer.remove(Removal::Supervisions { ids, unsent_too }).await? as u64;
    }
    Ok(removed)
}

/// The supervisions that are past their retention, those that ended first. Only a finished one has an end.
fn finished(db: &Connection, before: Timestamp, unsent_too: bool) -> Answer<Vec<String>> {
    // Without Salesforce, records are kept until it is configured, but not beyond the retention.
    let sql = if unsent_too {
        "SELECT id FROM supervisions WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
    } else {
        "SELECT s.id FROM supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id
         WHERE s.ended_at < ? AND COALESCE(d.state, 'RECORDED') = 'RECORDED' ORDER BY s.ended_at LIMIT ?"
    };
    all(db, sql, params![millis(before), SWEEP_ROWS as i64], |row| {
        get(row, "id")
    })
}

/// Removes one slice, in the writer.
pub(super) fn remove(db: &mut Connection, removal: &Removal) -> Answer<usize> {
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let rows = match removal {
        Removal::Older(sql, before) => run(&transaction, sql, params![millis(*before), SLICE as i64])?,
        Removal::Supervisions { ids, unsent_too } => remove_supervisions(&transaction, ids, *unsent_too)?,
    };
    transaction.commit().map_err(failed)?;
    Ok(rows)
}

fn remove_supervisions(db: &Transaction<'_>, ids: &[String], unsent_too: bool) -> Answer<usize> {
    let mut removed = 0;
    for id in ids {
        removed += run(
            db,
            // Checked again here, because a delivery may have become pending since the reader found the supervision.
            "DELETE FROM supervisions WHERE id = ? AND +state IN ('LEFT', 'FAILED') AND (? OR NOT EXISTS
             (SELECT 1 FROM deliveries d WHERE d.supervision_id = supervisions.id AND +d.state <> 'RECORDED'))",
            params![id, unsent_too],
        )?;
    }
    Ok(removed)
}
