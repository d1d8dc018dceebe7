//! What only a store in memory has: crashes and faults.

use std::sync::Mutex;

use futures::poll;
use jiff::Timestamp;
use sidedoor_domain::ports::store::{IdempotencyStore, JobStore, KeyUse, KeyWrite, Retention};

use super::*;

fn cursor(seq: i64) -> Transaction {
    Transaction {
        cursor: Some(("follower", seq)),
        ..Transaction::default()
    }
}

async fn committed(disk: &MemoryDisk) -> Option<i64> {
    let store = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    store.cursor("follower").await.expect("read")
}

/// Gives every commit the same fate, and notes every call.
struct Fate(CommitFate, Mutex<Vec<String>>);

impl Fate {
    fn of(fate: CommitFate) -> Arc<Self> {
        Arc::new(Self(fate, Mutex::default()))
    }

    fn note(&self, what: String) {
        self.1.lock().expect("no panic").push(what);
    }
}

#[async_trait]
impl StoreFaults for Fate {
    async fn before(&self, call: &'static str) {
        self.note(format!("before {call}"));
    }

    async fn after(&self, call: &'static str) {
        self.note(format!("after {call}"));
    }

    fn commit(&self, _change: &Transaction) -> CommitFate {
        self.note("commit".into());
        self.0
    }
}

#[tokio::test]
async fn memory_crash_before_commit_loses_the_transaction() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    store.transact_later(cursor(1));
    let mut answer = std::pin::pin!(store.transact(cursor(2)));
    assert!(poll!(&mut answer).is_pending(), "yields before the commit");
    store.crash();
    assert!(poll!(&mut answer).is_pending());
    store.drain();
    assert_eq!(committed(&disk).await, None);
}

#[tokio::test]
async fn memory_crash_after_commit_loses_only_the_answer() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    let mut answer = std::pin::pin!(store.transact(cursor(2)));
    assert!(poll!(&mut answer).is_pending());
    assert!(poll!(&mut answer).is_pending(), "yields between commit and answer");
    store.crash();
    assert!(poll!(&mut answer).is_pending());
    assert_eq!(committed(&disk).await, Some(2));
}

#[tokio::test]
async fn memory_crashed_store_answers_and_writes_nothing() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    store.crash();
    let retention = Retention {
        keys_before: Timestamp::MAX,
        evidence_before: Timestamp::MAX,
        supervisions_before: Timestamp::MAX,
        coverage_before: Timestamp::MAX,
        unsent_too: true,
        audit_before: None,
    };
    assert!(poll!(std::pin::pin!(store.cursor("follower"))).is_pending());
    assert!(poll!(std::pin::pin!(store.transact(cursor(1)))).is_pending());
    assert!(poll!(std::pin::pin!(store.flush())).is_pending());
    assert!(poll!(std::pin::pin!(store.sweep(&retention))).is_pending());
    store.transact_later(cursor(1));
    store.drain();
    assert_eq!(committed(&disk).await, None);
}

#[tokio::test]
async fn memory_disk_opened_again_stops_the_process_before() {
    let disk = MemoryDisk::default();
    let first = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    let second = MemoryStore::open(disk.clone(), Arc::new(NoFaults));
    assert!(poll!(std::pin::pin!(first.cursor("follower"))).is_pending());
    assert!(second.transact(cursor(1)).await.expect("done").is_done());
    assert_ne!(first.incarnation(), second.incarnation());
}

#[tokio::test]
async fn memory_queued_transaction_waits_for_the_next_write() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk, Arc::new(NoFaults));
    store.transact_later(cursor(1));
    assert_eq!(store.cursor("follower").await.expect("read"), None);
    store.transact(Transaction::default()).await.expect("done");
    assert_eq!(store.cursor("follower").await.expect("read"), Some(1));
    store.transact_later(cursor(2));
    store.drain();
    assert_eq!(store.cursor("follower").await.expect("read"), Some(2));
}

#[tokio::test]
async fn memory_transaction_is_written_without_its_caller() {
    let disk = MemoryDisk::default();
    let store = MemoryStore::open(disk, Arc::new(NoFaults));
    {
        let answer = std::pin::pin!(store.transact(cursor(1)));
        assert!(poll!(answer).is_pending());
    }
    store.flush().await.expect("done");
    assert_eq!(store.cursor("follower").await.expect("read"), Some(1));
}

#[tokio::test]
async fn memory_commit_ends_as_the_faults_say() {
    let take = || {
        let key = KeyUse {
            caller: "c".into(),
            key: "k".into(),
            fingerprint: "f".into(),
            claim: "1".into(),
        };
        Transaction {
            key: Some(KeyWrite::Take(key, None, Timestamp::UNIX_EPOCH)),
            ..Transaction::default()
        }
    };
    for (fate, written) in [
        (CommitFate::FailNotCommitted, false),
        (CommitFate::FailCommitted, true),
        (CommitFate::Overloaded, false),
    ] {
        let disk = MemoryDisk::default();
        let store = MemoryStore::open(disk.clone(), Fate::of(fate));
        let error = store.transact(take()).await.expect_err("fails");
        let full = matches!(error, StoreError::Overloaded);
        assert_eq!(full, fate == CommitFate::Overloaded, "{error}");
        let store = MemoryStore::open(disk, Arc::new(NoFaults));
        assert_eq!(store.key("c", "k").await.expect("read").is_some(), written, "{fate:?}");
    }
}

#[tokio::test]
async fn memory_faults_see_every_call_and_commit() {
    let faults = Fate::of(CommitFate::Commit);
    let store = MemoryStore::open(MemoryDisk::default(), faults.clone());
    store.transact(cursor(1)).await.expect("done");
    store.cursor("follower").await.expect("read");
    let seen = faults.1.lock().expect("no panic").clone();
    let expected = [
        "before transact",
        "commit",
        "after transact",
        "before cursor",
        "after cursor",
    ];
    assert_eq!(seen, expected);
}
