//! Keeps the write-ahead log small. The writer checkpoints after it has answered, so that no caller waits for the copying of pages
//! that others wrote.
//!
//! A reader that holds an old snapshot keeps SQLite from restarting the log, and many short ones that overlap do too. So when the
//! log is larger than its bound, a checkpoint waits a moment for the readers and then empties the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::PATIENCE;

/// A checkpoint copies the pages of the log into the database when it has so many more of them.
const CHECKPOINT_EVERY: u64 = 1000;
/// The log is emptied when it has so many pages (of 4 KiB).
const MAX_PAGES: u64 = 4000;
/// SQLite cuts the file to this size when it restarts the log, bytes.
pub(super) const MAX_BYTES: i64 = 16 * 1024 * 1024;
/// How long a checkpoint that empties the log waits for readers. Writes wait as long.
const WAIT_FOR_READERS: Duration = Duration::from_millis(20);

/// The size of the write-ahead log, and when it was last checkpointed.
pub(super) struct WriteAheadLog {
    pages: Arc<AtomicU64>,
    checkpointed: u64,
}

impl WriteAheadLog {
    /// Takes over the checkpoints of this connection.
    pub(super) fn watch(db: &mut Connection) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicU64::new(0));
        let seen = pages.clone();
        // SQLite's own checkpoints are such a hook, which this one replaces.
        db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            seen.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, checkpointed: 0 })
    }

    /// Checkpoints the log if it has grown enough since the last time.
    pub(super) fn keep_small(&mut self, db: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.checkpointed {
            // The log has restarted.
            self.checkpointed = 0;
        }
        if pages >= self.checkpointed + CHECKPOINT_EVERY {
            self.checkpointed = pages;
            self.checkpoint(db, pages >= MAX_PAGES);
        }
    }

    /// Empties the log if it is larger than its bound, although nothing is written.
    pub(super) fn keep_small_at_rest(&mut self, db: &Connection) {
        if self.pages.load(Ordering::Relaxed) >= MAX_PAGES {
            self.checkpoint(db, true);
        }
    }

    fn checkpoint(&mut self, db: &Connection, empties: bool) {
        let done = if empties { empty(db) } else { copy(db) };
        match done {
            Ok(true) if empties => {
                self.checkpointed = 0;
                self.pages.store(0, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err(e) => {
                tracing::warn!(error = %e, "could not checkpoint the write-ahead log; trying again after more writes: {e}")
            }
        }
    }
}

/// Copies what no reader needs to stay in the log.
fn copy(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        row.get(0).map(|busy: i64| busy == 0)
    })
}

/// Copies everything and empties the file. Returns whether readers allowed it in time.
fn empty(db: &Connection) -> rusqlite::Result<bool> {
    db.busy_timeout(WAIT_FOR_READERS)?;
    let done = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get(0).map(|busy: i64| busy == 0)
    });
    db.busy_timeout(PATIENCE)?;
    done
}
