//! What only the SQLite store has: a lock of its file, its permissions, upgrades, and triggers that protect the audit.
//! `src/store/conformance.rs` tests the rules of the port.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use sidedoor::store::sqlite::{OpenError, SqliteStore};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{SupervisionStore, SupervisionWrite};
use sidedoor_domain::ports::{Store, Transaction};
use sidedoor_domain::supervision::{Mode, Supervision, Supervisor};

use crate::support::sql;

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.folder.path().join("store.db").display())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.url(), 1).await.expect("opens")
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000).expect("in range")
}

fn supervision(contact: &str, user: &str) -> Supervision {
    let supervisor = Supervisor {
        connect_user_id: Some(UserId::parse(user).expect("a user")),
        username: None,
        salesforce_user_id: None,
    };
    let (instance, contact) = (
        InstanceName::parse("main").expect("a name"),
        ContactId::parse(contact).expect("an id"),
    );
    Supervision::request(
        SupervisionId::new(now(), 0, 1),
        instance,
        contact,
        supervisor,
        Mode::Silent,
        now(),
        SignedDuration::from_secs(30),
    )
}

fn insert(s: &Supervision) -> Transaction {
    let audit = AuditEntry::done(now(), "test", AuditAction::SupervisionRequested, "ok").of(s.id);
    Transaction {
        supervision: Some(SupervisionWrite::Insert(Box::new(s.clone()))),
        audit: vec![audit],
        ..Transaction::default()
    }
}

#[tokio::test]
async fn store_is_locked_against_a_second_process() {
    let desk = Desk::new();
    let store = desk.open().await;
    assert!(matches!(
        SqliteStore::open(&desk.url(), 1).await,
        Err(OpenError::InUse(_))
    ));
    store.close().await;
    drop(store);
    desk.open().await;
}

#[tokio::test]
async fn audit_cannot_be_changed_by_sql() {
    let desk = Desk::new();
    let store = desk.open().await;
    store
        .transact(insert(&supervision("contact", "user")))
        .await
        .expect("done");
    let path = desk.folder.path().join("store.db");
    for tried in [
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit (seq, at, actor, action, outcome) SELECT seq, at, 'x', action, outcome FROM audit",
    ] {
        let refused = sql(&path, tried).await.expect_err("refused");
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

/// Two names of one file are one store.
#[tokio::test]
async fn store_is_locked_under_every_name_of_its_file() {
    let desk = Desk::new();
    let store = desk.open().await;
    let other = desk.folder.path().join("other.db");
    std::os::unix::fs::symlink(desk.folder.path().join("store.db"), &other).expect("linked");
    let second = SqliteStore::open(&format!("sqlite://{}", other.display()), 1).await;
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    store.close().await;
}

/// Names of the files in the store's folder, and their permissions.
fn files(desk: &Desk) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(desk.folder.path()).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("readable");
            let mode = entry.metadata().expect("readable").permissions().mode() & 0o777;
            (entry.file_name().to_string_lossy().into_owned(), mode)
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn store_is_for_its_owner_and_one_file_after_a_clean_stop() {
    let desk = Desk::new();
    let store = desk.open().await;
    let new = supervision("contact", "user");
    store.transact(insert(&new)).await.expect("done");
    store.supervision(new.id).await.expect("read").expect("there");
    let files_of = |suffixes: &[&str]| -> Vec<(String, u32)> {
        suffixes
            .iter()
            .map(|suffix| (format!("store.db{suffix}"), 0o600))
            .collect()
    };
    assert_eq!(files(&desk), files_of(&["", "-shm", "-wal", ".lock"]));
    store.close().await;
    assert_eq!(files(&desk), files_of(&["", ".lock"]));
}

fn old_store() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-0008.db")
}

/// The newest migration that a store has, by the record that its version keeps.
async fn version(path: &Path, record: &'static str) -> String {
    sql(path, record).await.expect("read").remove(0).remove(0)
}

/// An earlier upgrade was interrupted, so an incomplete copy is there. It is replaced.
#[tokio::test]
async fn upgrade_keeps_a_copy_of_the_old_store() {
    let desk = Desk::new();
    let path = desk.folder.path().join("store.db");
    std::fs::copy(old_store(), &path).expect("copied");
    std::fs::write(desk.folder.path().join("store.db.version-8.unfinished"), "half").expect("written");
    desk.open().await.close().await;
    let copy = desk.folder.path().join("store.db.version-8");
    assert_eq!(version(&copy, "SELECT MAX(version) FROM _sqlx_migrations").await, "8");
    assert_eq!(version(&path, "SELECT MAX(version) FROM migrations").await, "18");
    let old = version(&copy, "SELECT COUNT(*) FROM supervisions").await;
    assert_eq!(version(&path, "SELECT COUNT(*) FROM supervisions").await, old);
    assert!(files(&desk).contains(&("store.db.version-8".into(), 0o600)));

    // A store that needs no upgrade is not copied, and the copy stays as it is.
    let written = std::fs::metadata(&copy).expect("there").modified().expect("a time");
    desk.open().await.close().await;
    assert_eq!(
        std::fs::metadata(&copy).expect("there").modified().expect("a time"),
        written
    );
    let names: Vec<String> = files(&desk).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["store.db", "store.db.lock", "store.db.version-8"]);
}

/// A store that this version cannot read is left as it is.
#[tokio::test]
async fn store_of_a_later_version_is_refused() {
    let desk = Desk::new();
    desk.open().await.close().await;
    let path = desk.folder.path().join("store.db");
    let later = "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (99, 'later', x'00', 0)";
    sql(&path, later).await.expect("written");
    let refused = SqliteStore::open(&desk.url(), 1).await.expect_err("refused");
    assert!(refused.to_string().contains("a later version of Sidedoor"), "{refused}");
    let files: Vec<String> = files(&desk).into_iter().map(|(name, _)| name).collect();
    assert!(!files.iter().any(|name| name.contains("version")), "{files:?}");
}

/// A write costs pages of the write-ahead log, and each is synced to the disk: the row, and the indexes of the columns that changed.
#[tokio::test]
async fn update_writes_only_the_indexes_of_changed_columns() {
    const UPDATES: i64 = 50;
    let desk = Desk::new();
    let store = desk.open().await;
    let mut one = supervision("contact", "user");
    store.transact(insert(&one)).await.expect("done");
    let log = desk.folder.path().join("store.db-wal");
    let pages = || std::fs::metadata(&log).expect("there").len() / (4096 + 24);
    let before = pages();
    for i in 1..=UPDATES {
        one.next_check_at = Some(now() + SignedDuration::from_secs(i));
        let update = Transaction {
            supervision: Some(SupervisionWrite::Update(Box::new(one.clone()), i)),
            ..Transaction::default()
        };
        assert!(store.transact(update).await.expect("answered").is_done());
    }
    let each = (pages() - before) / u64::try_from(UPDATES).expect("positive");
    assert!(each <= 2, "an update of the next poll wrote {each} pages");
    store.close().await;
}
