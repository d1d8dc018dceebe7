//! Supervisions whose document cannot be read: it is damaged, or a later version of Sidedoor wrote it. Each is logged once and listed by
//! `sidedoor check`. Its delivery is tried again an hour later, because otherwise it would be read, logged and skipped in every round, and
//! a page full of them would stop the others.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ports::StoreError;

use super::rows::{Answer, all, document, first, get, millis, moment, optional_text, run, text};

/// How long the work of an unreadable supervision is put off.
const PARKED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// The most that are remembered as logged. Then all are forgotten, and logged once more.
const MOST_LOGGED: usize = 10_000;
/// The most that are listed.
const MOST_LISTED: i64 = 1000;

thread_local! {
    /// Those that this thread has found since the last [`take`].
    static FOUND: RefCell<Vec<UnreadableRow>> = const { RefCell::new(Vec::new()) };
}

/// A supervision whose document could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnreadableRow {
    /// The supervision's id, as it is stored.
    supervision_id: String,
    /// Why it cannot be read.
    reason: String,
    /// The beginning of the document.
    beginning: String,
}

#[cfg(test)]
impl UnreadableRow {
    pub(super) fn new(supervision_id: &str, reason: &str) -> Self {
        Self {
            supervision_id: supervision_id.into(),
            reason: reason.into(),
            beginning: String::new(),
        }
    }
}

/// Notes the row of a supervision that could not be read.
pub(super) fn note(row: &Row<'_>, error: &StoreError) {
    let found = UnreadableRow {
        supervision_id: text(row, "supervision_id").unwrap_or_default().to_owned(),
        reason: error.to_string(),
        beginning: beginning(row).chars().take(60).collect(),
    };
    FOUND.with_borrow_mut(|all| all.push(found));
}

/// The text of the document, if it is not compressed.
fn beginning<'r>(row: &'r Row<'_>) -> &'r str {
    let unfinished = optional_text(row, "unfinished").ok().flatten();
    unfinished.unwrap_or_else(|| text(row, "doc").unwrap_or_default())
}

/// What this thread has noted since the last [`take`].
pub(super) fn found() -> Vec<UnreadableRow> {
    FOUND.with_borrow(Clone::clone)
}

/// What this thread has noted since the last call.
pub(super) fn take() -> Vec<UnreadableRow> {
    FOUND.take()
}

/// The supervisions that were logged.
#[derive(Debug, Default)]
pub(super) struct Logged(Mutex<BTreeSet<String>>);

impl Logged {
    /// Logs those that were not logged before.
    pub(super) fn log(&self, found: &[UnreadableRow]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in found {
            if known.len() >= MOST_LOGGED {
                known.clear();
            }
            if known.insert(row.supervision_id.clone()) {
                let UnreadableRow {
                    supervision_id,
                    reason,
                    beginning,
                } = row;
                tracing::error!(
                    supervision_id,
                    beginning,
                    "the stored supervision {supervision_id} cannot be read; skipping it, and trying its work again every hour: {reason}"
                );
            }
        }
    }
}

/// Puts off the deliveries and searches of these supervisions that are due, and keeps their ids for `sidedoor check`.
pub(super) fn park(db: &Connection, found: &[UnreadableRow], now: Timestamp) -> Answer<()> {
    let (now, later) = (millis(now), millis(now + PARKED_FOR));
    for UnreadableRow {
        supervision_id, reason, ..
    } in found
    {
        run(
            db,
            "INSERT OR IGNORE INTO unreadable_supervisions (supervision_id, found_at, reason)
             SELECT id, ?, ? FROM supervisions WHERE id = ?",
            params![now, reason, supervision_id],
        )?;
        run(
            db,
            "UPDATE deliveries SET due_at = ? WHERE supervision_id = ? AND state = 'PENDING' AND due_at <= ?",
            params![later, supervision_id, now],
        )?;
        run(
            db,
            "UPDATE deliveries SET look_again_at = ? WHERE supervision_id = ? AND look_again_at <= ?",
            params![later, supervision_id, now],
        )?;
    }
    Ok(())
}

/// Forgets those that this version of Sidedoor can read, and makes their deliveries due.
pub(super) fn recheck(db: &Connection) -> Answer<()> {
    for (supervision_id, _, reason) in rows(db)? {
        if reason.is_none() {
            run(
                db,
                "DELETE FROM unreadable_supervisions WHERE supervision_id = ?",
                [&supervision_id],
            )?;
            run(
                db,
                "UPDATE deliveries SET due_at = 0 WHERE supervision_id = ? AND state = 'PENDING'",
                [&supervision_id],
            )?;
        }
    }
    Ok(())
}

/// The supervisions that were found to be unreadable and still are, and when they were found, the latest first.
pub(super) fn list(db: &Connection) -> Answer<Vec<(String, Timestamp)>> {
    let table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'unreadable_supervisions'";
    // The store may be of an earlier version, because only the service upgrades it.
    if first(db, table, [], |_| Ok(()))?.is_none() {
        return Ok(Vec::new());
    }
    let still = rows(db)?.into_iter().filter(|(_, _, reason)| reason.is_some());
    Ok(still.map(|(id, found_at, _)| (id, found_at)).collect())
}

/// The kept supervisions, each with the reason why it cannot be read now.
fn rows(db: &Connection) -> Answer<Vec<(String, Timestamp, Option<String>)>> {
    all(
        db,
        "SELECT r.supervision_id AS supervision_id, r.found_at AS found_at, u.doc AS unfinished, s.packed AS packed, s.doc AS doc
         FROM unreadable_supervisions r INDEXED BY unreadable_by_time CROSS JOIN supervisions s ON s.id = r.supervision_id
           LEFT JOIN unfinished u INDEXED BY unfinished_by_supervision ON u.supervision_id = s.id
         ORDER BY r.found_at DESC LIMIT ?",
        [MOST_LISTED],
        |row| {
            let read = document(row);
            Ok((
                get(row, "supervision_id")?,
                moment(row, "found_at")?,
                read.err().map(|e| e.to_string()),
            ))
        },
    )
}
