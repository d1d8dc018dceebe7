//! What only the SQLite store has: a lock of its file, and triggers that protect the audit. `src/store/conformance.rs` tests the rules
//! of the port.

use jiff::{SignedDuration, Timestamp};
use sidedoor::store::sqlite::{OpenError, SqliteStore};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::SupervisionWrite;
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
