//! The store by itself: a committed transaction is still there after reopening, and a refused one writes nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sidedoor::store::sqlite::{OpenError, SqliteStore};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::join_failure::OwnJoinFailure;
use sidedoor_domain::ports::store::{
    Filter, IdempotencyStore, JobStore, KeyUse, KeyWrite, Retention, SupervisionStore, SupervisionWrite,
};
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};
use sidedoor_domain::supervision::{Mode, State, Supervision, Supervisor};

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
        SqliteStore::open(&self.url()).await.expect("opens")
    }
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000).expect("in range")
}

/// A supervision id that no earlier call returned.
fn new_id() -> SupervisionId {
    static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    SupervisionId::new(now(), 0, SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
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
        new_id(),
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

fn key(name: &str, fingerprint: &str) -> KeyUse {
    KeyUse {
        caller: "c".into(),
        key: name.into(),
        fingerprint: fingerprint.into(),
        claim: "first".into(),
    }
}

#[tokio::test]
async fn transaction_survives_reopening() {
    let desk = Desk::new();
    let store = Arc::new(desk.open().await);
    let many: Vec<Supervision> = (0..200).map(|i| supervision("contact", &format!("user-{i}"))).collect();
    let done = futures::future::join_all(many.iter().map(|s| store.transact(insert(s)))).await;
    assert!(done.iter().all(|d| matches!(d, Ok(CommitOutcome::Done))));
    store.close().await;
    drop(store);
    let store = desk.open().await;
    for s in &many {
        let stored = store.supervision(s.id).await.expect("read").expect("there");
        assert_eq!((&stored.supervision, stored.revision), (s, 1));
    }
    let page = store
        .list(&Filter {
            limit: 200,
            ..Filter::default()
        })
        .await
        .expect("read");
    assert_eq!(page.len(), 200);
    assert!(
        page.windows(2).all(|w| w[0].supervision.id > w[1].supervision.id),
        "newest first"
    );
}

#[tokio::test]
async fn transaction_from_old_revision_writes_nothing() {
    let desk = Desk::new();
    let store = desk.open().await;
    let s = supervision("contact", "user");
    store.transact(insert(&s)).await.expect("done");
    let mut next = s.clone();
    next.start_joining(now()).expect("fits");
    let update = Transaction {
        supervision: Some(SupervisionWrite::Update(Box::new(next), 1)),
        ..Transaction::default()
    };
    assert_eq!(store.transact(update.clone()).await.expect("done"), CommitOutcome::Done);
    let with_key = Transaction {
        key: Some(KeyWrite::Take(key("k", "f"), Some(s.id), now())),
        ..update
    };
    assert_eq!(store.transact(with_key).await.expect("answered"), CommitOutcome::Stale);
    assert_eq!(
        store.key("c", "k").await.expect("read"),
        None,
        "a refused change writes nothing"
    );
}

#[tokio::test]
async fn transaction_takes_places_legs_keys_and_events_once() {
    let desk = Desk::new();
    let store = desk.open().await;
    let first = supervision("contact-1", "user");
    let second = supervision("contact-2", "user");
    let mut taking = insert(&first);
    taking.key = Some(KeyWrite::Take(key("k", "f"), Some(first.id), now()));
    assert_eq!(store.transact(taking).await.expect("done"), CommitOutcome::Done);
    assert_eq!(
        store.transact(insert(&second)).await.expect("answered"),
        CommitOutcome::Busy(first.id)
    );
    assert_eq!(store.supervision(second.id).await.expect("read"), None);

    let mut again = insert(&supervision("contact-3", "another"));
    again.key = Some(KeyWrite::Take(key("k", "other"), Some(second.id), now()));
    let CommitOutcome::KeyUsed(record) = store.transact(again).await.expect("answered") else {
        panic!("taken twice")
    };
    assert_eq!(
        (record.fingerprint.as_str(), record.supervision, record.answer),
        ("f", Some(first.id), None)
    );
    store.transact_later(Transaction {
        key: Some(KeyWrite::Answer(key("k", "f"), 201, "{}".into())),
        ..Transaction::default()
    });
    store.flush().await.expect("done");
    assert_eq!(
        store.key("c", "k").await.expect("read").expect("there").answer,
        Some((201, "{}".into()))
    );

    let event = || Transaction {
        event: Some(("e-1".into(), now())),
        ..Transaction::default()
    };
    assert_eq!(store.transact(event()).await.expect("done"), CommitOutcome::Done);
    assert_eq!(
        store.transact(event()).await.expect("answered"),
        CommitOutcome::Duplicate
    );
}

#[tokio::test]
async fn store_is_locked_against_a_second_process() {
    let desk = Desk::new();
    let store = desk.open().await;
    assert!(matches!(SqliteStore::open(&desk.url()).await, Err(OpenError::InUse(_))));
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

#[tokio::test]
async fn sweep_removes_only_finished_rows_past_retention() {
    let desk = Desk::new();
    let store = desk.open().await;
    let (active, mut over) = (supervision("contact-1", "user-1"), supervision("contact-2", "user-2"));
    over.fail(OwnJoinFailure::TimedOut.into(), "too late", now())
        .expect("fits");
    store.transact(insert(&active)).await.expect("done");
    store.transact(insert(&over)).await.expect("done");
    let mut unsent = supervision("contact-3", "user-3");
    unsent
        .fail(OwnJoinFailure::TimedOut.into(), "too late", now())
        .expect("fits");
    let waiting = Transaction {
        deliver_at: Some(now()),
        ..insert(&unsent)
    };
    store.transact(waiting).await.expect("done");
    let before = |t| Retention {
        keys_before: t,
        evidence_before: t,
        supervisions_before: t,
        unsent_too: false,
    };
    assert_eq!(store.sweep(&before(now())).await.expect("swept"), 0);
    assert_eq!(
        store
            .sweep(&before(now() + SignedDuration::from_hours(1)))
            .await
            .expect("swept"),
        1
    );
    assert!(store.supervision(active.id).await.expect("read").is_some());
    assert!(store.supervision(over.id).await.expect("read").is_none());
    assert!(
        store.supervision(unsent.id).await.expect("read").is_some(),
        "its row is on its way"
    );
    let without_a_crm = Retention {
        unsent_too: true,
        ..before(now() + SignedDuration::from_hours(1))
    };
    assert_eq!(store.sweep(&without_a_crm).await.expect("swept"), 1);
    assert!(store.supervision(unsent.id).await.expect("read").is_none());
    assert_eq!(store.in_states(&[State::Requested], 10).await.expect("read").len(), 1);
    assert_eq!(store.supervision(new_id()).await.expect("read"), None);
}

/// A repeated request that fails or comes late neither frees the key of the first request nor stores a response for it.
#[tokio::test]
async fn key_is_answered_or_freed_only_by_its_claim() {
    let desk = Desk::new();
    let store = desk.open().await;
    let (mine, theirs) = (
        key("k", "f"),
        KeyUse {
            claim: "second".into(),
            ..key("k", "f")
        },
    );
    let write = async |write: KeyWrite| {
        let change = Transaction {
            key: Some(write),
            ..Transaction::default()
        };
        store.transact(change).await.expect("answered")
    };
    let answer = async || store.key("c", "k").await.expect("read").map(|record| record.answer);
    assert_eq!(
        write(KeyWrite::Take(mine.clone(), None, now())).await,
        CommitOutcome::Done
    );
    write(KeyWrite::Forget(theirs.clone())).await;
    write(KeyWrite::Answer(theirs.clone(), 409, "{}".into())).await;
    assert_eq!(answer().await, Some(None), "it runs, whatever became of a repeat");
    assert!(matches!(
        write(KeyWrite::Take(theirs.clone(), None, now())).await,
        CommitOutcome::KeyUsed(_)
    ));
    write(KeyWrite::Answer(mine.clone(), 200, "[]".into())).await;
    for late in [
        KeyWrite::Forget(theirs),
        KeyWrite::Forget(mine.clone()),
        KeyWrite::Answer(mine, 500, "{}".into()),
    ] {
        write(late).await;
        assert_eq!(answer().await, Some(Some((200, "[]".into()))), "the answer stays");
    }
    // A key that its own request freed may be taken again.
    assert_eq!(
        write(KeyWrite::Take(key("k-2", "f"), None, now())).await,
        CommitOutcome::Done
    );
    write(KeyWrite::Forget(key("k-2", "f"))).await;
    assert_eq!(store.key("c", "k-2").await.expect("read"), None);
}

/// A request about no supervision may run again if the process that began it crashed without a response. A request about a supervision
/// may not, because the supervision answers it.
#[tokio::test]
async fn key_left_unanswered_by_crash_is_taken_again() {
    let desk = Desk::new();
    let store = desk.open().await;
    let s = supervision("contact", "user");
    let take = |name: &str, fingerprint: &str, of| Transaction {
        key: Some(KeyWrite::Take(key(name, fingerprint), of, now())),
        ..Transaction::default()
    };
    for change in [take("of none", "f", None), take("of one", "f", Some(s.id))] {
        assert_eq!(store.transact(change).await.expect("done"), CommitOutcome::Done);
    }
    store.close().await;
    drop(store);
    let store = desk.open().await;
    for (change, taken) in [
        (take("of none", "other", None), false),
        (take("of none", "f", None), true),
        (take("of none", "f", None), false),
        (take("of one", "f", Some(s.id)), false),
    ] {
        let told = format!("{:?}", change.key);
        let committed = store.transact(change).await.expect("answered");
        assert_eq!(committed == CommitOutcome::Done, taken, "{told}");
    }
}
