//! The same random transactions on both stores. Every outcome and every read must be equal.

mod reads;
mod steps;

use std::sync::Arc;

use proptest::prelude::*;
use reads::read_everything;
use sidedoor_domain::ports::store::KeyRecord;
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError};
use steps::{Step, Subjects, step};

use super::{Disk, SqliteDisk};
use crate::store::memory::{MemoryDisk, MemoryStore, NoFaults};

/// The number of sequences; set `STORE_CASES` for a longer run.
fn cases() -> u32 {
    let asked = std::env::var("STORE_CASES").ok().and_then(|n| n.parse().ok());
    asked.unwrap_or(64)
}

/// An outcome without what the stores name differently: processes, and the reason of an error.
fn comparable(outcome: Result<CommitOutcome, StoreError>, store: &dyn Store) -> String {
    match outcome {
        Ok(CommitOutcome::KeyUsed(record)) => format!("KeyUsed({})", comparable_key(record, store)),
        Ok(CommitOutcome::Done(Some(written))) => format!("{:?}", reads::without_id(*written)),
        Ok(outcome) => format!("{outcome:?}"),
        Err(StoreError::Store(_)) => "an error".into(),
        Err(other) => format!("{other:?}"),
    }
}

fn comparable_key(record: KeyRecord, store: &dyn Store) -> String {
    let taken_by = if record.taken_by == store.incarnation() {
        "this process"
    } else {
        "another process"
    };
    let record = KeyRecord {
        taken_by: taken_by.into(),
        ..record
    };
    format!("{record:?}")
}

/// The two stores of one sequence.
struct Pair {
    disks: (SqliteDisk, MemoryDisk),
    sqlite: Box<dyn Store>,
    memory: Box<dyn Store>,
}

impl Pair {
    async fn open() -> Self {
        let disks = (SqliteDisk::new().await, MemoryDisk::default());
        let (sqlite, memory) = (disks.0.open().await, disks.1.open().await);
        Self { disks, sqlite, memory }
    }

    async fn restart(&mut self) {
        self.flush().await;
        // The file is locked until the store is dropped.
        self.sqlite = Box::new(MemoryStore::open(MemoryDisk::default(), Arc::new(NoFaults)));
        self.sqlite = self.disks.0.open().await;
        self.memory = self.disks.1.open().await;
    }

    async fn flush(&self) {
        self.sqlite.flush().await.expect("done");
        self.memory.flush().await.expect("done");
    }

    async fn run(&mut self, steps: Vec<Step>) {
        let mut subjects = Subjects::default();
        for (n, step) in steps.iter().enumerate() {
            self.take(step, &mut subjects).await;
            if n % 32 == 31 {
                self.compare(&subjects, n).await;
            }
        }
        self.compare(&subjects, steps.len()).await;
    }

    async fn take(&mut self, step: &Step, subjects: &mut Subjects) {
        let stores = [&*self.sqlite, &*self.memory];
        match step {
            Step::Transact(parts) => {
                let change = subjects.transaction(parts, stores[1]).await;
                let sqlite = comparable(stores[0].transact(change.clone()).await, stores[0]);
                let memory = comparable(stores[1].transact(change.clone()).await, stores[1]);
                assert_eq!(memory, sqlite, "{change:#?}");
            }
            Step::Later(parts) => {
                let change = subjects.transaction(parts, stores[1]).await;
                for store in stores {
                    store.transact_later(change.clone());
                }
            }
            Step::Sweep(retention) => {
                self.flush().await;
                let sqlite = stores[0].sweep(retention).await.expect("swept");
                let memory = stores[1].sweep(retention).await.expect("swept");
                assert_eq!(memory, sqlite, "{retention:?}");
            }
            Step::Restart => self.restart().await,
        }
    }

    async fn compare(&self, subjects: &Subjects, after: usize) {
        self.flush().await;
        let sqlite = read_everything(&*self.sqlite, subjects).await;
        let memory = read_everything(&*self.memory, subjects).await;
        for (sqlite, memory) in sqlite.iter().zip(&memory) {
            assert_eq!(memory, sqlite, "after step {after}");
        }
        assert_eq!(memory.len(), sqlite.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_transactions_leave_both_stores_equal(steps in prop::collection::vec(step(), 20..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async { Pair::open().await.run(steps).await });
    }
}
