//! Removes rows that are past their retention. A reader finds the rows and the writer removes them in slices, each in a transaction of its own,
//! so that a write never waits longer than for one slice.

use jiff::Timestamp;
use sidedoor_domain::ports::store::Retention;
use sqlx::Executor;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::failed;
use super::rows::{Answer, get, millis, run};
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

pub(super) async fn sweep(pool: &SqlitePool, writer: &Writer, retention: &Retention) -> Answer<u64> {
    let mut removed = 0;
    for (sql, before) in OLDER {
        for _ in 0..SWEEP_ROWS / SLICE {
            let rows = writer.remove(Removal::Older(sql, before(retention))).await?;
            removed += rows;
            if rows < SLICE as u64 {
                break;
            }
        }
    }
    for ids in finished(pool, retention).await?.chunks(SLICE) {
        let (ids, unsent_too) = (ids.to_vec(), retention.unsent_too);
        removed += writer.remove(Removal::Supervisions { ids, unsent_too }).await?;
    }
    Ok(removed)
}

/// The supervisions that are past their retention, those that ended first. Only a finished one has an end.
async fn finished(pool: &SqlitePool, retention: &Retention) -> Answer<Vec<String>> {
    // Without Salesforce, records are kept until it is configured, but not beyond the retention.
    let sql = if retention.unsent_too {
        "SELECT id FROM supervisions WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
    } else {
        "SELECT s.id FROM supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id
         WHERE s.ended_at < ? AND COALESCE(d.state, 'RECORDED') = 'RECORDED' ORDER BY s.ended_at LIMIT ?"
    };
    let rows = sqlx::query(sql)
        .bind(millis(retention.supervisions_before))
        .bind(SWEEP_ROWS as i64)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| get(row, "id")).collect()
}

/// Removes one slice, in the writer.
pub(super) async fn remove(db: &mut SqliteConnection, removal: &Removal) -> Answer<u64> {
    db.execute("BEGIN IMMEDIATE").await.map_err(failed)?;
    let done = match removal {
        Removal::Older(sql, before) => {
            let delete = sqlx::query(*sql).bind(millis(*before)).bind(SLICE as i64);
            run(db, delete).await
        }
        Removal::Supervisions { ids, unsent_too } => remove_supervisions(db, ids, *unsent_too).await,
    };
    match done {
        Ok(rows) => db.execute("COMMIT").await.map(|_| rows).map_err(failed),
        Err(e) => {
            let _ = db.execute("ROLLBACK").await;
            Err(e)
        }
    }
}

async fn remove_supervisions(db: &mut SqliteConnection, ids: &[String], unsent_too: bool) -> Answer<u64> {
    let mut removed = 0;
    for id in ids {
        // Checked again here, because a delivery may have become pending since the reader found the supervision.
        let delete = sqlx::query(
            "DELETE FROM supervisions WHERE id = ? AND +state IN ('LEFT', 'FAILED') AND (? OR NOT EXISTS
             (SELECT 1 FROM deliveries d WHERE d.supervision_id = supervisions.id AND +d.state <> 'RECORDED'))",
        )
        .bind(id.clone())
        .bind(unsent_too);
        removed += run(db, delete).await?;
    }
    Ok(removed)
}
