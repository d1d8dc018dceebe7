//! The audit shows that it was changed. Each test does what somebody with the store's file could do, and checks that the verification
//! names the first place.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::Value;
use sidedoor::store::sqlite::SqliteStore;
use sidedoor::store::sqlite::audit_trail::{TrailError, verify};
use sidedoor_domain::audit::{AuditAction, AuditEntry};
use sidedoor_domain::audit_chain::{AuditHead, AuditKeys, Verified};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::AuditStore;
use sidedoor_domain::ports::{Store, Transaction};

use crate::support::app::{AUDITOR, TestApp};
use crate::support::{sql, write_secret};

const KEY: &str = "9b1c0a4f3e5d7786a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00a1b";

/// A store with ten sealed lines and two that are not.
pub struct Trail {
    folder: tempfile::TempDir,
    outcome: String,
    pub keys: AuditKeys,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + ms).expect("in range")
}

impl Trail {
    pub async fn new(keys: &str) -> Self {
        Self::with(keys, "é\0ok").await
    }

    /// A store whose lines have this outcome.
    async fn with(keys: &str, outcome: &str) -> Self {
        let keys = if keys.is_empty() {
            AuditKeys::none()
        } else {
            AuditKeys::parse(keys).expect("keys")
        };
        let trail = Self {
            folder: tempfile::tempdir().expect("a folder"),
            outcome: outcome.into(),
            keys,
        };
        trail.write(6, true).await;
        trail.write(4, true).await;
        trail.write(2, false).await;
        trail
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    pub fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    pub async fn open(&self) -> SqliteStore {
        SqliteStore::open_signing(&self.url(), 1, self.keys.clone())
            .await
            .expect("opens")
    }

    async fn write(&self, lines: i64, sealed: bool) {
        let store = self.open().await;
        for n in 0..lines {
            let id = SupervisionId::new(at(n), 0, 1);
            let entry = AuditEntry::done(at(n), "back-end", AuditAction::ModeRequested, &self.outcome)
                .of(id)
                .because((n % 2 == 0).then(|| "a reason".into()));
            let change = Transaction {
                audit: vec![entry],
                ..Transaction::default()
            };
            assert!(store.transact(change).await.expect("written").is_done());
        }
        if sealed {
            seal(&store).await;
        }
        store.close().await;
    }

    /// Seals all lines.
    pub async fn seal(&self) {
        let store = self.open().await;
        seal(&store).await;
        store.close().await;
    }

    /// Verifies a copy of the store on which somebody has run this SQL after removing the triggers.
    fn after(&self, change: &str, head: Option<AuditHead>) -> Result<Verified, String> {
        let copy = self.folder.path().join("changed.db");
        std::fs::copy(self.path(), &copy).expect("copied");
        let db = Connection::open(&copy).expect("opens");
        let triggers: Vec<String> = db
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .and_then(|mut s| s.query_map([], |row| row.get(0))?.collect())
            .expect("read");
        for name in triggers {
            db.execute_batch(&format!("DROP TRIGGER {name}")).expect("dropped");
        }
        db.execute_batch(change).expect("changed");
        drop(db);
        self.verify(&copy, head)
    }

    fn verify(&self, store: &Path, head: Option<AuditHead>) -> Result<Verified, String> {
        verify(&format!("sqlite://{}", store.display()), &self.keys, head).map_err(|e| match e {
            TrailError::Broken(broken) => broken.to_string(),
            other => panic!("{other}"),
        })
    }

    fn head(&self) -> AuditHead {
        self.verify(&self.path(), None).expect("whole").head.expect("sealed")
    }
}

/// Seals all lines.
async fn seal(store: &SqliteStore) {
    while let Some(seal) = store.next_audit_seal(at(100), 1000).await.expect("read") {
        let change = Transaction {
            audit_seal: Some(seal),
            ..Transaction::default()
        };
        assert!(store.transact(change).await.expect("written").is_done());
    }
}

fn problem(verified: Result<Verified, String>) -> String {
    verified.expect_err("a change that is not noticed")
}

#[tokio::test]
async fn audit_change_of_a_line_is_found_and_named() {
    let trail = Trail::new(KEY).await;
    let whole = trail.verify(&trail.path(), None).expect("whole");
    assert_eq!(
        (whole.lines, whole.unsealed, whole.seals, whole.signed),
        (12, 2, 2, true)
    );
    let id = SupervisionId::new(at(9), 0, 9);
    for (change, expected) in [
        ("UPDATE audit SET outcome = 'other' WHERE seq = 3".to_owned(), "line 3: altered"),
        (format!("UPDATE audit SET supervision_id = '{id}' WHERE seq = 4"), "line 4: altered"),
        ("UPDATE audit SET why = NULL WHERE seq = 5".to_owned(), "line 5: altered"),
        ("UPDATE audit SET why = '' WHERE seq = 4".to_owned(), "line 4: altered"),
        ("UPDATE audit SET actor = 'x' WHERE seq >= 11".to_owned(), "line 11: altered"),
        ("UPDATE audit SET mac = zeroblob(16) WHERE seq = 2".to_owned(), "line 2: altered"),
        ("UPDATE audit SET mac = NULL WHERE seq = 8".to_owned(), "line 8: not signed"),
        ("UPDATE audit SET key_id = 'ffffffff' WHERE seq = 8".to_owned(), "line 8: unknown key ffffffff"),
        ("DELETE FROM audit WHERE seq = 7".to_owned(), "line 7: missing"),
        ("DELETE FROM audit WHERE seq <= 3".to_owned(), "lines 1 to 3: missing"),
        ("DELETE FROM audit WHERE seq = 10".to_owned(), "line 10: missing"),
        ("DELETE FROM audit".to_owned(), "lines 1 to 6: missing"),
        (
            "UPDATE audit SET seq = 100 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = 100"
                .to_owned(),
            "line 5: out of order; it was written as line 6",
        ),
        ("DELETE FROM audit_seals WHERE number = 1".to_owned(), "line 7: seal 2 does not continue"),
        ("UPDATE audit_seals SET lines = 5 WHERE number = 2".to_owned(), "line 10: altered"),
    ] {
        let found = problem(trail.after(&change, None));
        assert!(found.starts_with(expected), "{change}: {found}");
    }
}

#[tokio::test]
async fn audit_cut_end_and_old_copy_are_found_with_a_head_only() {
    let trail = Trail::new(KEY).await;
    let old = trail.folder.path().join("old.db");
    std::fs::copy(trail.path(), &old).expect("copied");
    let old_head = trail.head();
    trail.write(3, true).await;
    let head = Some(trail.head());
    assert!(trail.verify(&trail.path(), head).expect("whole").head_found);
    assert!(trail.verify(&trail.path(), Some(old_head)).expect("whole").head_found);
    // The end is cut at a seal, and the counter of lines is set back.
    let cut = "DELETE FROM audit WHERE seq > 6; DELETE FROM audit_seals WHERE number > 1;
               UPDATE sqlite_sequence SET seq = 6 WHERE name = 'audit'";
    assert!(trail.after(cut, None).is_ok(), "nothing inside the store shows it");
    let found = problem(trail.after(cut, head));
    assert!(
        found.starts_with("line 7: missing; the given head covers line 15"),
        "{found}"
    );
    // Somebody who forgets the counter is noticed at once.
    let found = problem(trail.after("DELETE FROM audit WHERE seq > 15 - 2", None));
    assert!(found.contains("missing"), "{found}");
    let careless = "DELETE FROM audit WHERE seq > 6; DELETE FROM audit_seals WHERE number > 1";
    assert!(problem(trail.after(careless, None)).starts_with("lines 7 to 15: missing"));
    // An old copy in the place of the store is whole in itself.
    assert!(trail.verify(&old, None).is_ok());
    assert!(problem(trail.verify(&old, head)).contains("the given head covers line 15"));
}

#[tokio::test]
async fn audit_written_anew_without_the_key_is_found() {
    let trail = Trail::new(KEY).await;
    // An attacker replaces the whole store, with a key of their own or with none.
    let other = "00".repeat(31) + "01";
    for keys in ["", other.as_str()] {
        let mut forged = Trail::new(keys).await;
        forged.keys = trail.keys.clone();
        let found = problem(forged.verify(&forged.path(), None));
        assert!(found.contains("not signed") || found.contains("unknown key"), "{found}");
    }
    // Without a key only a head that was kept elsewhere shows it.
    let plain = Trail::new("").await;
    let head = Some(plain.head());
    let changed = Trail::with("", "another outcome").await;
    assert!(!changed.verify(&changed.path(), None).expect("whole").signed);
    let found = problem(changed.verify(&changed.path(), head));
    assert!(
        found.contains("another head") || found.contains("head covers"),
        "{found}"
    );
}

/// What docs/audit.md says is enough to verify the audit without Sidedoor.
#[tokio::test]
async fn audit_is_verified_by_a_stranger_in_python() {
    let trail = Trail::new(KEY).await;
    let key_file = trail.folder.path().join("audit.key");
    write_secret(&key_file, KEY);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/verify-audit.py");
    let run = |store: &Path| {
        let output = Command::new("python3").arg(&script).arg(store).arg(&key_file).output();
        let output = output.expect("python3 runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let (good, text) = run(&trail.path());
    assert!(good && text.contains(&trail.head().to_string()), "{text}");
    assert!(text.contains("12 lines, 2 seals"), "{text}");
    trail
        .after("UPDATE audit SET outcome = 'x' WHERE seq = 4", None)
        .expect_err("changed");
    let (good, text) = run(&trail.folder.path().join("changed.db"));
    assert!(!good && text.contains("line 4 was altered"), "{text}");
}

/// A store of an earlier version has lines without MACs. The first seal covers them, and the check says what that is worth.
#[tokio::test]
async fn audit_of_an_old_store_is_sealed_at_the_first_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store-0008.db");
    std::fs::copy(old, &path).expect("copied");
    let (url, keys) = (
        format!("sqlite://{}", path.display()),
        AuditKeys::parse(KEY).expect("a key"),
    );
    let earlier = verify(&url, &keys, None).expect_err("it has no seals");
    assert!(earlier.to_string().contains("an earlier version"), "{earlier}");
    let store = SqliteStore::open_signing(&url, 1, keys.clone()).await.expect("opens");
    let unsealed = verify(&url, &keys, None).expect_err("nothing is signed yet");
    assert!(unsealed.to_string().contains("not signed"), "{unsealed}");
    seal(&store).await;
    store.close().await;
    let verified = verify(&url, &keys, None).expect("whole");
    assert!(
        verified.lines > 10 && verified.without_mac == verified.lines,
        "{verified:?}"
    );
    assert_eq!((verified.unsealed, verified.signed), (0, true));
    Connection::open(&path)
        .and_then(|db| {
            db.execute_batch("DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor = 'x' WHERE seq = 2")
        })
        .expect("changed");
    let found = verify(&url, &keys, None).expect_err("found");
    assert!(found.to_string().contains("do not fit seal 1"), "{found}");
}

async fn head_of(app: &TestApp) -> Value {
    for _ in 0..200 {
        let answer = app.call("GET", "/v1/audit/head").key(AUDITOR).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        if answer.body["unsealedEntries"] == 0 && !answer.body["head"].is_null() {
            return answer.body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the audit was not sealed");
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_of_a_running_service_is_sealed_and_verified_by_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("audit.key");
    write_secret(&key_file, KEY);
    let mut app = TestApp::build()
        .set("AUDIT__KEY_FILE", key_file.to_str().expect("text"))
        .start()
        .await;
    let call = app.connect().create_call();
    let joined = app.joined(&call, "supervisor-1").await;
    let id = joined["id"].as_str().expect("an id");
    app.leave(id, "supervisor-1").await;
    app.until_written(id).await;
    let sealed = head_of(&app).await;
    let head = sealed["head"].as_str().expect("a head");
    assert_eq!(
        sealed["keyId"].as_str(),
        AuditKeys::parse(KEY).expect("a key").current()
    );
    let verified = app.command(&["audit", "verify", "--head", head]).await;
    assert!(verified.status.success(), "{}", said(&verified));
    assert!(said(&verified).contains("nothing was changed"), "{}", said(&verified));
    let copy = folder.path().join("copy.db");
    let backup = app.command(&["backup", copy.to_str().expect("text")]).await;
    assert!(backup.status.success(), "{}", said(&backup));

    // Nothing new, nothing written.
    let seals = async || {
        sql(&app.store_path(), "SELECT COUNT(*) FROM audit_seals")
            .await
            .expect("read")
    };
    let before = seals().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(seals().await, before, "an idle service writes seals");
    let refused = app.call("GET", "/v1/audit/head").send().await;
    assert_eq!((refused.status, refused.code()), (403, "action_forbidden"));
    head_of(&app).await;

    let (copy, key) = (copy.to_str().expect("text"), key_file.to_str().expect("text"));
    let arguments = [
        "audit",
        "verify",
        "--store",
        copy,
        "--key-file",
        key,
        "--output",
        "json",
    ];
    let of_copy = app.command(&arguments).await;
    assert!(of_copy.status.success(), "{}", said(&of_copy));
    let told: Value = serde_json::from_slice(&of_copy.stdout).expect("JSON");
    assert_eq!(
        (&told["whole"], &told["signed"]),
        (&true.into(), &true.into()),
        "{told}"
    );
    app.crash();
    let change = "UPDATE audit SET actor = 'x' WHERE seq = 3";
    let db = Connection::open(app.store_path()).expect("opens");
    db.busy_timeout(Duration::from_secs(5)).expect("set");
    db.execute_batch("DROP TRIGGER audit_is_not_changed").expect("dropped");
    db.execute_batch(change).expect("changed");
    drop(db);
    let found = app.command(&["audit", "verify", "--output", "json"]).await;
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    let told: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!((&told["whole"], &told["line"]), (&false.into(), &3.into()), "{told}");
    assert!(said(&found).contains("line 3: altered"), "{}", said(&found));
}
