//! Lines of the audit are removed only behind an export that was verified.

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use sidedoor::store::sqlite::audit_trail::{export, verify, verify_export};
use sidedoor_domain::ports::store::{JobStore, Retention};

use super::audit_chain::Trail;

const KEY: &str = "9b1c0a4f3e5d7786a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f00a1b";

fn later() -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000).expect("in range") + SignedDuration::from_hours(24)
}

async fn sweep(trail: &Trail) -> u64 {
    let retention = Retention {
        keys_before: Timestamp::UNIX_EPOCH,
        evidence_before: Timestamp::UNIX_EPOCH,
        supervisions_before: Timestamp::UNIX_EPOCH,
        coverage_before: Timestamp::UNIX_EPOCH,
        unsent_too: false,
        audit_before: Some(later()),
    };
    let store = trail.open().await;
    let swept = store.sweep(&retention).await.expect("swept");
    store.close().await;
    swept
}

#[tokio::test]
async fn audit_lines_are_removed_only_behind_a_verified_export() {
    let trail = Trail::new(KEY).await;
    assert_eq!(sweep(&trail).await, 0, "nothing was exported");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.ndjson");
    let exported = export(&trail.url(), &file, &trail.keys, later()).expect("exported");
    assert_eq!((exported.first, exported.last), (1, 10));
    assert!(
        export(&trail.url(), &file, &trail.keys, later()).is_err(),
        "it overwrites nothing"
    );
    let of_file = verify_export(&file, &trail.keys, Some(exported.head)).expect("whole");
    assert_eq!((of_file.lines, of_file.seals, of_file.head_found), (10, 2, true));

    // Ten lines and the older one of two seals.
    assert_eq!(sweep(&trail).await, 11);
    assert_eq!(sweep(&trail).await, 0);
    let rest = verify(&trail.url(), &trail.keys, Some(exported.head)).expect("whole");
    // Two that were not sealed, and the one about the export.
    assert_eq!((rest.lines, rest.first, rest.head_found), (3, Some(11), true));
    // The next seal and the next export go on there.
    trail.seal().await;
    let next = folder.path().join("next.ndjson");
    let exported = export(&trail.url(), &next, &trail.keys, later()).expect("exported");
    assert_eq!((exported.first, exported.last), (11, 13));
    assert!(verify_export(&next, &trail.keys, None).is_ok());
    assert_eq!(sweep(&trail).await, 4);
    assert_eq!(verify(&trail.url(), &trail.keys, None).expect("whole").first, Some(14));
}

#[tokio::test]
async fn audit_export_that_was_changed_is_found() {
    let trail = Trail::new(KEY).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("audit.ndjson");
    export(&trail.url(), &file, &trail.keys, later()).expect("exported");
    let text = std::fs::read_to_string(&file).expect("readable");
    let lines: Vec<&str> = text.lines().collect();
    let found = |changed: Vec<String>| {
        std::fs::write(&file, changed.join("\n") + "\n").expect("written");
        verify_export(&file, &trail.keys, None).expect_err("found").to_string()
    };
    let with = |at: usize, line: String| {
        let mut all: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        all[at] = line;
        all
    };
    let altered = found(with(2, lines[2].replace("back-end", "front-end")));
    assert!(altered.contains("line 3: altered"), "{altered}");
    let without: Vec<String> = lines
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != 2)
        .map(|(_, l)| (*l).to_owned())
        .collect();
    assert!(found(without).contains("line 3: missing"));
    assert!(found(with(2, "{\"seq\": 3}".into())).contains("line 3 is no record"));
    // A store whose lines are gone without a receipt is found, too.
    let gone = "DROP TRIGGER audit_exports_are_not_deleted; DELETE FROM audit_exports";
    assert_eq!(sweep(&trail).await, 11);
    Connection::open(trail.path())
        .and_then(|db| db.execute_batch(gone))
        .expect("changed");
    let missing = verify(&trail.url(), &trail.keys, None).expect_err("found").to_string();
    assert!(
        missing.contains("missing") || missing.contains("does not continue"),
        "{missing}"
    );
}

#[tokio::test]
async fn audit_lines_cannot_be_deleted_by_sql_before_an_export() {
    let trail = Trail::new(KEY).await;
    let refused = |sql: &str| {
        let db = Connection::open(trail.path()).expect("opens");
        db.execute_batch(sql).expect_err("refused").to_string()
    };
    for sql in [
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit_seals WHERE number = 1",
        "UPDATE audit_seals SET lines = 1",
        "INSERT OR REPLACE INTO audit_seals SELECT * FROM audit_seals",
    ] {
        assert!(refused(sql).contains("append-only"), "{sql}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    export(&trail.url(), &folder.path().join("a"), &trail.keys, later()).expect("exported");
    assert!(
        refused("DELETE FROM audit WHERE seq = 11").contains("append-only"),
        "it is not exported"
    );
    assert!(refused("UPDATE audit_exports SET last_seq = 11").contains("append-only"));
}
