//! What only the SQLite store does: sweeps in slices, a bounded write-ahead log, and the state of the database for `/readyz`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::ports::store::{AuditFilter, AuditStore, DeliveryStore, JobStore, Retention};
use sidedoor_domain::ports::{Store, StoreError, Transaction};
use tokio::sync::RwLockReadGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sweep::LARGEST_SLICE;
use super::{SqliteStore, StoreFault};
use crate::store::conformance::SQLITE_STATEMENTS;

struct Desk {
    folder: tempfile::TempDir,
    _statements: RwLockReadGuard<'static, ()>,
}

impl Desk {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            _statements: SQLITE_STATEMENTS.read().await,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn open(&self) -> Arc<SqliteStore> {
        let url = format!("sqlite://{}", self.path().display());
        Arc::new(SqliteStore::open(&url, 1).await.expect("opens"))
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("store.db-wal")).map_or(0, |file| file.len())
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000).expect("in range")
}

/// A line of the audit of about two pages.
fn line(text: &str) -> Transaction {
    let outcome = format!("{text} {}", "x".repeat(8000));
    Transaction {
        audit: vec![AuditEntry::done(
            now(),
            "test",
            AuditAction::SupervisionRequested,
            outcome,
        )],
        ..Transaction::default()
    }
}

async fn lines(store: &SqliteStore) -> usize {
    let filter = AuditFilter {
        limit: 100_000,
        ..AuditFilter::default()
    };
    store.audit_lines(&filter).await.expect("read").len()
}

fn everything_before(before: Timestamp) -> Retention {
    Retention {
        keys_before: before,
        evidence_before: before,
        supervisions_before: before,
        coverage_before: before,
        unsent_too: false,
        audit_before: None,
    }
}

/// A backlog of several kinds, as after a time in which the sweep did not run.
fn fill(path: &std::path::Path, rows: u32) {
    let db = Connection::open(path).expect("opens");
    let numbers = format!("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
    db.execute_batch(&format!(
        "BEGIN;
         {numbers} INSERT INTO evidence (instance, leg_id, learnt_at, doc) SELECT 'main', 'leg-' || i, i, '{{}}' FROM n;
         {numbers} INSERT INTO seen_events (id, seen_at) SELECT 'event-' || i, i FROM n;
         {numbers} INSERT INTO idempotency_keys (caller, key, fingerprint, taken_by, taken_at)
                   SELECT 'c', 'key-' || i, 'f', 'p', i FROM n;
         {numbers} INSERT INTO supervisions (id, revision, origin, instance, state, voice_slot, ended_at, doc)
                   SELECT printf('00000000-0000-7000-8000-%012x', i), 1, 'API', 'main', 'LEFT', 0, i, hex(zeroblob(1000)) FROM n;
         {numbers} INSERT INTO deliveries (supervision_id, id, state, version, due_at)
                   SELECT printf('00000000-0000-7000-8000-%012x', i), 'd-' || i, CASE WHEN i % 10 THEN 'RECORDED' ELSE 'DEAD' END, 1, 0
                   FROM n;
         COMMIT;"
    ))
    .expect("filled");
}

/// One run removes everything, however much that is. Meanwhile other writes are stored, and wait for one slice at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_finishes_a_backlog_and_lets_writes_through() {
    const ROWS: u32 = 10_000;
    let desk = Desk::new().await;
    desk.open().await.close().await;
    fill(&desk.path(), ROWS);
    let store = desk.open().await;
    let (swept, writing) = (Arc::new(AtomicBool::new(false)), store.clone());
    let done = swept.clone();
    let other_writes = tokio::spawn(async move {
        let mut waits = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            writing.transact(line("other")).await.expect("written");
            waits.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        waits
    });
    let removed = store.sweep(&everything_before(now())).await.expect("swept");
    swept.store(true, Ordering::Relaxed);
    let mut waits = other_writes.await.expect("no panic");
    // A tenth of the supervisions has a dead letter, which needs a person.
    assert_eq!(removed, u64::from(ROWS * 4 - ROWS / 10));
    assert_eq!(store.sweep(&everything_before(now())).await.expect("swept"), 0);

    let slices = store.writer.slices.lock().expect("not poisoned").clone();
    assert!(slices.iter().all(|slice| slice.tried <= LARGEST_SLICE));
    let mut times: Vec<Duration> = slices.iter().map(|slice| slice.took).collect();
    times.sort_unstable();
    waits.sort_unstable();
    println!(
        "{} slices: median {:?}, p99 {:?}, longest {:?}; {} other writes: median {:?}, longest {:?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        waits.len(),
        waits[waits.len() / 2],
        waits[waits.len() - 1]
    );
    // Generous, because other tests use the same disk and cores.
    assert!(
        times[times.len() / 2] <= Duration::from_millis(10),
        "{:?}",
        times[times.len() / 2]
    );
    assert!(waits.len() >= 20, "only {} writes got through", waits.len());
    assert!(
        waits[waits.len() / 2] <= Duration::from_millis(50),
        "{:?}",
        waits[waits.len() / 2]
    );
    store.close().await;
}

/// A transaction between two slices may make a row current again, so that it stays.
#[tokio::test]
async fn sweep_keeps_a_row_that_was_written_again() {
    let desk = Desk::new().await;
    desk.open().await.close().await;
    fill(&desk.path(), 10);
    let store = desk.open().await;
    let pending = "UPDATE deliveries SET state = 'PENDING' WHERE id = 'd-1'";
    let path = desk.path();
    Connection::open(path)
        .expect("opens")
        .execute(pending, [])
        .expect("written");
    let ids = (1..=2).map(|i| {
        vec![rusqlite::types::Value::Text(format!(
            "00000000-0000-7000-8000-{i:012x}"
        ))]
    });
    let (mut left, mut rows): (Vec<_>, _) = (ids.collect(), 0);
    // The time of a slice may be over after the first row.
    while !left.is_empty() {
        let removal = super::sweep::Removal::Supervisions {
            ids: left.clone(),
            unsent_too: false,
        };
        let removed = store.writer.remove(removal).await.expect("removed");
        left.drain(..removed.tried);
        rows += removed.rows;
    }
    assert_eq!(rows, 1);
    store.close().await;
}

/// SQLite cannot restart the log while a reader holds an old snapshot. When the reader is gone, the file shrinks.
#[tokio::test]
async fn log_shrinks_after_a_long_reader() {
    let desk = Desk::new().await;
    let store = desk.open().await;
    store.transact(line("first")).await.expect("written");
    let reader = Connection::open(desk.path()).expect("opens");
    reader
        .execute_batch("BEGIN; SELECT COUNT(*) FROM audit;")
        .expect("a snapshot");
    let mut longest = Duration::ZERO;
    for i in 0..40 {
        let writes: Vec<_> = (0..100).map(|n| line(&format!("{i}-{n}"))).collect();
        let began = Instant::now();
        futures::future::try_join_all(writes.into_iter().map(|change| store.transact(change)))
            .await
            .expect("written");
        longest = longest.max(began.elapsed());
    }
    let large = desk.log_bytes();
    assert!(large > 20_000_000, "{large} bytes while the reader keeps them");
    assert!(
        longest < Duration::from_secs(2),
        "a write waited {longest:?} for the reader"
    );
    reader.execute_batch("COMMIT").expect("the reader ends");
    // The sweep comes every minute, so that this needs no further writes.
    store
        .sweep(&everything_before(Timestamp::UNIX_EPOCH))
        .await
        .expect("swept");
    assert_eq!(desk.log_bytes(), 0);
    assert_eq!(lines(&store).await, 4001);
    store.close().await;
}

/// Short readers that overlap all the time keep SQLite from restarting the log, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_stays_bounded_while_readers_are_busy() {
    let desk = Desk::new().await;
    let store = desk.open().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..4 {
        let (store, stop) = (store.clone(), stop.clone());
        readers.push(tokio::spawn(async move {
            let newest = AuditFilter {
                limit: 200,
                ..AuditFilter::default()
            };
            while !stop.load(Ordering::Relaxed) {
                store.audit_lines(&newest).await.expect("read");
            }
        }));
    }
    let mut largest = 0;
    for i in 0..120 {
        let writes: Vec<_> = (0..100).map(|n| line(&format!("{i}-{n}"))).collect();
        futures::future::try_join_all(writes.into_iter().map(|change| store.transact(change)))
            .await
            .expect("written");
        largest = largest.max(desk.log_bytes());
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("no panic");
    }
    println!("the log grew to {largest} bytes while 12,000 lines of 8 KB were written");
    assert!(largest < 48 * 1024 * 1024, "{largest} bytes");
    store.close().await;
}

/// A failure of the writer's connection, and how it ends.
async fn fails_and_recovers(breaks: &'static str, mends: &'static str, expected: StoreFault) {
    let desk = Desk::new().await;
    let store = desk.open().await;
    let pragma = |sql: &'static str| store.writer.run(move |db| db.execute_batch(sql).expect("done"));
    store.transact(line("before")).await.expect("written");
    let stopping = CancellationToken::new();
    let (watched, stop) = (store.clone(), stopping.clone());
    let (sender, mut reported) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn(async move {
        let report = |fault| sender.send(fault).expect("heard");
        watched.watch(stop, report).await;
    });
    pragma(breaks).await.expect("done");
    let mut refused = None;
    for i in 0..200 {
        if let Err(e) = store.transact(line(&format!("during-{i}"))).await {
            refused = Some(e);
            break;
        }
    }
    assert!(matches!(refused, Some(StoreError::Store(_))), "{refused:?}");
    assert_eq!(reported.recv().await, Some(Some(expected)));
    // It stays reported, although the service tries to write.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(store.health.fault(), Some(expected));
    assert_ne!(lines(&store).await, 0, "reads go on");
    pragma(mends).await.expect("done");
    let ready = tokio::time::timeout(Duration::from_secs(10), reported.recv()).await;
    assert_eq!(ready.expect("noticed without a request"), Some(None));
    store.transact(line("after")).await.expect("written");
    stopping.cancel();
    watch.await.expect("no panic");
    store.close().await;
}

#[tokio::test]
async fn full_disk_is_reported_until_there_is_room() {
    fails_and_recovers(
        "PRAGMA max_page_count = 1",
        "PRAGMA max_page_count = 1000000",
        StoreFault::DiskFull,
    )
    .await;
}

#[tokio::test]
async fn read_only_database_is_reported_until_it_can_be_written() {
    fails_and_recovers("PRAGMA query_only = 1", "PRAGMA query_only = 0", StoreFault::ReadOnly).await;
}

/// A panic in the writer thread fails the work that caused it, and nothing else.
#[tokio::test]
async fn panic_of_the_writer_fails_one_write_only() {
    let desk = Desk::new().await;
    let store = desk.open().await;
    let panicked = store.writer.run(|_| panic!("as planned")).await;
    assert!(matches!(panicked, Err(StoreError::Store(_))), "{panicked:?}");
    assert_eq!(store.health.fault(), Some(StoreFault::Panicked));
    store.transact(line("after")).await.expect("written");
    assert_eq!(store.health.fault(), None);
    store.close().await;
}

/// Three hundred of them would fill every page. The readable supervision is found at once, and the others wait an hour.
#[tokio::test]
async fn unreadable_supervisions_do_not_hide_others() {
    let desk = Desk::new().await;
    let store = desk.open().await;
    let good = super::plans::history::requested("contact", "user");
    let change = Transaction {
        supervision: Some(sidedoor_domain::ports::store::SupervisionWrite::Insert(Box::new(
            good.clone(),
        ))),
        deliver_at: Some(now()),
        ..Transaction::default()
    };
    store.transact(change).await.expect("written");
    fill(&desk.path(), 300);
    let due = "UPDATE deliveries SET state = 'PENDING', look_again_at = 0 WHERE due_at = 0";
    Connection::open(desk.path())
        .expect("opens")
        .execute(due, [])
        .expect("written");
    let later = now() + SignedDuration::from_mins(1);
    let found = store.due_deliveries(later, 100).await.expect("read");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].supervision.id, good.id);
    assert_eq!(store.due_contact_records(later, 100).await.expect("read"), []);
    assert_eq!(store.due_delivery_count(later, 1000).await.expect("read"), 1);
    let next = store.next_due().await.expect("read");
    assert_eq!(
        (next.delivery, next.contact_record),
        (Some(now()), Some(later + SignedDuration::from_hours(1)))
    );
    let listed = store.readers.read(super::unreadable::list).await.expect("read");
    assert_eq!(listed.len(), 300);
    assert_eq!(listed[0].1, later);

    // Another version of Sidedoor can read them: they are due at its start, and listed no longer.
    store.close().await;
    let document = crate::store::documents::write_supervision(&good).expect("written");
    let mend = "UPDATE supervisions SET doc = ?1 WHERE doc <> ?1";
    Connection::open(desk.path())
        .expect("opens")
        .execute(mend, [document])
        .expect("written");
    drop(store);
    let store = desk.open().await;
    assert_eq!(store.readers.read(super::unreadable::list).await.expect("read"), []);
    assert_eq!(store.due_delivery_count(later, 1000).await.expect("read"), 301);
    store.close().await;
}

/// A write without a waiting caller costs no fsync of its own if something else is written in time.
#[tokio::test]
async fn transaction_that_nobody_waits_for_is_written_with_the_next() {
    let desk = Desk::new().await;
    let store = desk.open().await;
    let lines = async || {
        let filter = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        store.audit_lines(&filter).await.expect("read").len()
    };
    store.transact_later(line("first"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(lines().await, 0, "it waits for another");
    store.transact(line("second")).await.expect("written");
    assert_eq!(lines().await, 2);
    store.transact_later(line("third"));
    for _ in 0..100 {
        if lines().await == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is never written");
}
