//! Whether the database can be read and written. The use cases get an error for each call that fails; this module keeps the cause for
//! `/readyz`, and notices that the cause is gone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidedoor_domain::ports::StoreError;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SqliteStore;

/// How often a failing store is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long a failed read counts, because other reads may succeed although a page is damaged.
const READ_FAULT_COUNTS: Duration = Duration::from_secs(60);

/// Why the database cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// No space is left.
    DiskFull,
    /// The file, or its file system, may not be written.
    ReadOnly,
    /// Another program has locked the database for longer than the store waits.
    Locked,
    /// A page of the file is damaged.
    Corrupt,
    /// The operating system reported an error.
    Disk,
    /// A write panicked, which is a bug.
    Panicked,
}

impl StoreFault {
    /// The fault behind an error; `None` if the error says nothing about the database as a whole, as a violated constraint.
    fn of(error: &StoreError) -> Option<Self> {
        let StoreError::Store(text) = error else { return None };
        // SQLite's texts do not change, and every error of this module has one.
        let faults = [
            ("disk is full", Self::DiskFull),
            ("readonly", Self::ReadOnly),
            ("is locked", Self::Locked),
            ("malformed", Self::Corrupt),
            ("not a database", Self::Corrupt),
            ("I/O error", Self::Disk),
            ("unable to open", Self::Disk),
            ("panicked", Self::Panicked),
        ];
        let found = faults.iter().find(|(part, _)| text.contains(part));
        found.map(|(_, fault)| *fault)
    }
}

/// A sentence for operators, without paths.
impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "the disk is full",
            Self::ReadOnly => "the database or its file system is read-only",
            Self::Locked => "another program has locked the database",
            Self::Corrupt => "the database file is damaged",
            Self::Disk => "the disk reported an I/O error",
            Self::Panicked => "a write panicked; the log has the details",
        })
    }
}

#[derive(Debug, Default)]
struct Faults {
    write: Option<StoreFault>,
    read: Option<(StoreFault, Instant)>,
}

/// The state of the database, as its threads last saw it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreHealth {
    faults: Arc<Mutex<Faults>>,
    changed: Arc<Notify>,
}

impl StoreHealth {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction was written.
    pub(super) fn written(&self) {
        let before = self.faults().write.take();
        if let Some(fault) = before {
            tracing::info!("the database can be written again (before: {fault})");
            self.changed.notify_one();
        }
    }

    /// A write failed.
    pub(super) fn write_failed(&self, error: &StoreError) {
        let Some(fault) = StoreFault::of(error) else { return };
        let before = self.faults().write.replace(fault);
        if before != Some(fault) {
            tracing::error!(error = %error, "the database cannot be written: {fault}; the service is not ready, and tries again every second");
            self.changed.notify_one();
        }
    }

    /// A read failed.
    pub(super) fn read_failed(&self, error: &StoreError) {
        let Some(fault) = StoreFault::of(error) else { return };
        let before = self.faults().read.replace((fault, Instant::now()));
        if before.is_none_or(|(before, _)| before != fault) {
            tracing::error!(error = %error, "the database cannot be read: {fault}; the service is not ready");
            self.changed.notify_one();
        }
    }

    /// Why the database cannot be used; `None` if it can.
    pub(super) fn fault(&self) -> Option<StoreFault> {
        let mut faults = self.faults();
        if faults.read.is_some_and(|(_, at)| at.elapsed() >= READ_FAULT_COUNTS) {
            faults.read = None;
        }
        faults.write.or(faults.read.map(|(fault, _)| fault))
    }
}

impl SqliteStore {
    /// Reports whether the database can be used, whenever that changes, until `stopping`. While it fails, a write is tried every
    /// second, because without requests nothing else would notice that the cause is gone.
    pub async fn watch(&self, stopping: CancellationToken, report: impl Fn(Option<StoreFault>)) {
        let mut last = None;
        loop {
            let fault = self.health.fault();
            if fault != last {
                report(fault);
                last = fault;
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.health.changed.notified() => {}
                () = tokio::time::sleep(PROBE_EVERY), if fault.is_some() => {
                    // The result is in the health; a full queue is tried again.
                    let _ = self.writer.probe().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_fault_names_the_cause_and_no_path() {
        let of = |text: &str| StoreFault::of(&StoreError::Store(text.into()));
        assert_eq!(of("database or disk is full"), Some(StoreFault::DiskFull));
        assert_eq!(of("attempt to write a readonly database"), Some(StoreFault::ReadOnly));
        assert_eq!(of("database is locked"), Some(StoreFault::Locked));
        assert_eq!(of("database disk image is malformed"), Some(StoreFault::Corrupt));
        assert_eq!(of("file is not a database"), Some(StoreFault::Corrupt));
        assert_eq!(of("disk I/O error"), Some(StoreFault::Disk));
        assert_eq!(
            of("unable to open database file: /data/store.db"),
            Some(StoreFault::Disk)
        );
        assert_eq!(of("a write to the database panicked"), Some(StoreFault::Panicked));
        assert_eq!(of("UNIQUE constraint failed: supervisions.id"), None);
        assert_eq!(StoreFault::of(&StoreError::Overloaded), None);
    }

    #[tokio::test(start_paused = true)]
    async fn store_health_follows_writes_and_forgets_failed_reads() {
        let health = StoreHealth::default();
        let full = StoreError::Store("database or disk is full".into());
        health.write_failed(&full);
        assert_eq!(health.fault(), Some(StoreFault::DiskFull));
        health.written();
        assert_eq!(health.fault(), None);
        health.read_failed(&StoreError::Store("database disk image is malformed".into()));
        health.written();
        assert_eq!(
            health.fault(),
            Some(StoreFault::Corrupt),
            "a write says nothing about a damaged page"
        );
        tokio::time::advance(READ_FAULT_COUNTS).await;
        assert_eq!(health.fault(), None);
    }
}
