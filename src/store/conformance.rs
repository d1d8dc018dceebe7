//! The rules of the store's port, tested on every store: one file for each aggregate, and random transactions that compare the stores
//! with each other.
//!
//! A case is a function of `&dyn Store`. [`on_every_store`] makes one test of it for each store.

mod audit;
mod clocks;
mod comparisons;
mod coverage;
mod deliveries;
mod directives;
mod evidence;
mod idempotency;
mod jobs;
mod lists;
mod random;
mod restarts;
mod samples;
mod supervisions;
mod sweep;
mod transactions;
mod voice_slots;

use std::sync::Arc;

use async_trait::async_trait;
use sidedoor_domain::ports::Store;
use tokio::sync::{RwLock, RwLockReadGuard};

use super::memory::{MemoryDisk, MemoryStore, NoFaults};
use super::sqlite::SqliteStore;

/// Where a store keeps its data. Opening it again, after the store was dropped, is a restart of the service.
#[async_trait]
trait Disk: Send + Sync {
    async fn open(&self) -> Box<dyn Store> {
        self.open_with_voice_legs(1).await
    }

    async fn open_with_voice_legs(&self, most: usize) -> Box<dyn Store>;
}

/// Held for reading by every test that opens a SQLite store, because the test of the query plans hears the statements of all stores in
/// the process. It holds the lock for writing.
pub(super) static SQLITE_STATEMENTS: RwLock<()> = RwLock::const_new(());

struct SqliteDisk {
    folder: tempfile::TempDir,
    _statements: RwLockReadGuard<'static, ()>,
}

impl SqliteDisk {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            _statements: SQLITE_STATEMENTS.read().await,
        }
    }
}

#[async_trait]
impl Disk for SqliteDisk {
    async fn open_with_voice_legs(&self, most: usize) -> Box<dyn Store> {
        let url = format!("sqlite://{}", self.folder.path().join("store.db").display());
        Box::new(SqliteStore::open(&url, most).await.expect("opens"))
    }
}

#[async_trait]
impl Disk for MemoryDisk {
    async fn open_with_voice_legs(&self, most: usize) -> Box<dyn Store> {
        let disk = self.clone().with_voice_legs(most);
        Box::new(MemoryStore::open(disk, Arc::new(NoFaults)))
    }
}

/// Makes a test for each store of every case, which takes the `store`, or the `disk` to open it more than once.
macro_rules! on_every_store {
    (store: $($case:ident),* $(,)?) => {
        $crate::store::conformance::on_every_store!(@make |disk, case| { case(&*disk.open().await).await } $($case)*);
    };
    (disk: $($case:ident),* $(,)?) => {
        $crate::store::conformance::on_every_store!(@make |disk, case| { case(&disk).await } $($case)*);
    };
    (@make |$disk:ident, $function:ident| $run:block $($case:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                let ($disk, $function) = ($crate::store::conformance::SqliteDisk::new().await, super::$case);
                #[allow(unused_imports, reason = "not every case opens the store itself")]
                use $crate::store::conformance::Disk as _;
                $run
            })*
        }
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                let ($disk, $function) = ($crate::store::memory::MemoryDisk::default(), super::$case);
                #[allow(unused_imports, reason = "not every case opens the store itself")]
                use $crate::store::conformance::Disk as _;
                $run
            })*
        }
    };
}
use on_every_store;
