//! Tests the query plan of every statement that the store issues, on a store with a history. No statement may read a whole table or
//! sort rows whose number grows with the history, whether or not SQLite has statistics.
//!
//! The test calls every method of the store and collects the statements that SQLite reports, so that it sees exactly the SQL that it
//! executes. It fails for a statement in the sources that it did not collect, because otherwise a new one could be forgotten.

mod everything;
pub(super) mod history;
mod listener;

use std::path::Path;

use everything::{ask_everything, write_everything};
use history::{connect, fill, now};
use jiff::SignedDuration;
pub(super) use listener::listen;
use listener::{forget, heard};
use rusqlite::Connection;
use sidedoor_domain::ports::store::{JobStore, Retention};

use super::{SqliteStore, StoreView};
use crate::store::conformance::SQLITE_STATEMENTS;

/// The number of finished supervisions in the store. The environment variable SIDEDOOR_HISTORY overrides it.
const HISTORY: i64 = 200_000;

/// Plan steps that are allowed although they look like reading or sorting the history: part of the statement, the step, and why it is
/// bounded.
const EXCEPTIONS: [(&str, &str, &str); 16] = [
    (
        "SELECT COUNT(*) AS number FROM (SELECT 1",
        "SCAN (subquery-1)",
        "counted to a bound",
    ),
    (
        "FROM clock_epochs",
        "SCAN clock_epochs USING INDEX clock_epochs_by_time",
        "the newest, to a bound",
    ),
    ("FROM clocks", "SCAN clocks", "one row a clock"),
    (
        "FROM audit_seals ORDER BY number DESC LIMIT 1",
        "SCAN audit_seals",
        "the newest",
    ),
    (
        "FROM audit_seals WHERE number > ?",
        "SCAN audit_seals",
        "if statistics say that there are hardly any; in the order of numbers until a page is full",
    ),
    ("FROM audit_exports", "SCAN audit_exports", "one row an export"),
    ("", "SCAN CONSTANT ROW", "no table at all"),
    (
        "FROM unreadable_supervisions r",
        "SCAN r USING ",
        "the newest, to a bound; there are hardly any",
    ),
    ("sqlite_sequence", "SCAN sqlite_sequence", "one row a table"),
    (
        "WITH RECURSIVE supervisors",
        "SCAN supervisors",
        "the recursive step: one row a supervisor",
    ),
    (
        "GROUP BY state",
        "SCAN supervisions USING COVERING INDEX supervisions_unfinished",
        "only the unfinished ones",
    ),
    (
        "AND s.state IN (?",
        "USE TEMP B-TREE FOR ORDER BY",
        "sorts only the unfinished ones",
    ),
    (
        "a.operation AND b.seq > a.seq",
        "USE TEMP B-TREE FOR ORDER BY",
        "sorts the vendor requests since the last look, a minute ago",
    ),
    (
        " AND at >= ",
        "USE TEMP B-TREE FOR ORDER BY",
        "sorts the lines of the time that the caller asks for, and keeps a page of them",
    ),
    (
        "FROM audit a WHERE 1 = 1",
        "SCAN a",
        "reads from the newest or the oldest audit entry until a page is full; nearly every entry matches",
    ),
    (
        "WHERE 1 = 1",
        "SCAN ",
        "in the order of ids until a page is full, where nearly every row fits",
    ),
];

/// The index that a statement must use. Another index would be no scan either, but would read every supervision that one supervisor or
/// contact ever had.
const BY_INDEX: [(&str, &str); 14] = [
    ("voice_slot > 0", "voice_slots"),
    (
        "s.connect_user_id = ?\n         AND s.state IN",
        "supervisions_unfinished_by_user",
    ),
    (
        "s.contact_id = ? COLLATE NOCASE\n         AND +s.state IN",
        "supervisions_by_contact",
    ),
    (
        "AND +connect_user_id = ? AND +state = 'LEFT'",
        "supervisions_by_contact",
    ),
    ("AND s.state IN (?", "supervisions_unfinished"),
    ("s.contact_id = h.contact_id", "supervisions_by_contact"),
    (
        "s.ended_at >= ? AND s.ended_at <= ? AND +s.state",
        "supervisions_by_end",
    ),
    ("ended_at < ? ORDER BY ended_at", "supervisions_by_end"),
    ("COALESCE(d.state, 'RECORDED')", "supervisions_by_end"),
    ("AND NOT EXISTS (SELECT 1 FROM comparisons", "supervisions_by_end"),
    ("c.left_at IS NULL AND", "comparisons_to_repeat"),
    ("o.status = 'OPEN'", "directives_open_by_user"),
    ("WHERE status = 'OPEN'", "directives_open"),
    ("d.state = 'PENDING' AND d.due_at", "deliveries_due"),
];

/// Upgrades, copies and the check of the audit read the whole store; the others issue no statements of the service.
const EXCLUDED: [&str; 6] = [
    "audit_trail.rs",
    "backup.rs",
    "migrations.rs",
    "plans.rs",
    "rows.rs",
    "upkeep_tests.rs",
];

/// The statements in the sources; of a statement that is built at run time, its first literal.
fn written_statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("readable") {
        let path = file.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".rs") || EXCLUDED.contains(&name.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        for literal in text.split('"').skip(1).step_by(2) {
            let begins = |word: &&str| literal.starts_with(*word);
            if ["SELECT ", "WITH ", "INSERT ", "UPDATE ", "DELETE ", "WHERE ", "JOIN "]
                .iter()
                .any(begins)
            {
                found.push(literal.trim().to_owned());
            }
        }
    }
    found
}

/// Excludes the statements that start and end transactions, and those that ask which migrations the store has.
fn is_ours(sql: &str) -> bool {
    let begins = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"]
        .iter()
        .any(|word| sql.starts_with(word));
    begins && !sql.contains("migrations") && !sql.contains("sqlite_schema")
}

/// The forbidden steps and missing indexes of a statement's plan.
fn plan_problems(db: &Connection, sql: &str) -> Vec<String> {
    let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("prepared");
    // A parameter that is not bound is NULL, which is as good as any value for a plan.
    let steps = explain.raw_query().mapped(|row| row.get("detail"));
    let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("explained");
    let uses = |index: &str| steps.iter().any(|step| step.split(' ').any(|word| word == index));
    let missed = BY_INDEX.iter().filter(|(of, index)| sql.contains(of) && !uses(index));
    let missed = missed.map(|(_, index)| format!("without {index}, by {steps:?}: {sql}"));
    let bad = |step: &String| {
        let whole = step.starts_with("SCAN") || step.starts_with("USE TEMP B-TREE");
        let allowed = |(of, says, _): &(&str, &str, &str)| sql.contains(of) && step.starts_with(says);
        whole && !EXCEPTIONS.iter().any(allowed)
    };
    let wrong = steps
        .iter()
        .filter(|step| bad(step))
        .map(|step| format!("{step}: {sql}"));
    wrong.chain(missed).collect()
}

#[tokio::test]
async fn no_statement_reads_or_sorts_the_whole_history() {
    // The listener hears the statements of every store in this process.
    let _alone = SQLITE_STATEMENTS.write().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    let url = format!("sqlite://{}", path.display());
    let store = SqliteStore::open(&url, 1).await.expect("opens");
    let history = std::env::var("SIDEDOOR_HISTORY")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(HISTORY);
    fill(&path, history);
    // Opens the store again, because the statements of the migrations are not tested.
    store.close().await;
    drop(store);
    connect(&path)
        .execute_batch(
            "INSERT INTO unreadable_supervisions SELECT id, 0, 'damaged' FROM supervisions LIMIT 1;
             INSERT INTO unexplained_legs (instance, leg_id, due_at, looks) VALUES ('removed', 'leg', 0, 0);
             INSERT INTO clock_epochs SELECT 'acme', 'main', 'T', 'released', column1, column1, 0, 'OWN_STEP'
             FROM (VALUES (2), (3));
             INSERT INTO audit_exports (first_seq, last_seq, lines, head, file, at, mac) VALUES (1, 4, 4, zeroblob(32), zeroblob(32), 0, zeroblob(32));",
        )
        .expect("written");
    forget();
    let store = SqliteStore::open(&url, 1).await.expect("opens");
    write_everything(&store).await;
    let view = StoreView::open(&url).await.expect("opens");
    ask_everything(&store, &view).await;
    store.writer.probe().await.expect("written");
    view.unreadable().await.expect("read");
    let row = super::unreadable::UnreadableRow::new("none", "damaged");
    store.writer.park(vec![row], now()).await.expect("written");
    for (unsent_too, before) in [
        (false, SignedDuration::from_hours(24 * 400)),
        (true, SignedDuration::from_hours(24 * 80)),
    ] {
        let retention = Retention {
            keys_before: now() - before,
            evidence_before: now() - before,
            supervisions_before: now() - before,
            coverage_before: now() - before,
            unsent_too,
            audit_before: Some(now() - before),
        };
        let began = tokio::time::Instant::now();
        let removed = store.sweep(&retention).await.expect("swept");
        println!(
            "a sweep of {removed} rows beside {history} finished supervisions: {:?}",
            began.elapsed()
        );
    }
    let heard = heard();
    let unheard = |s: &String| !heard.iter().any(|h| h.contains(s.as_str()));
    let forgotten: Vec<String> = written_statements().into_iter().filter(unheard).collect();
    assert_eq!(
        forgotten,
        Vec::<String>::new(),
        "statements in the sources that this test does not issue"
    );
    for (of, _) in BY_INDEX {
        assert!(heard.iter().any(|sql| sql.contains(of)), "no statement holds {of:?}");
    }
    let mut db = connect(&path);
    let mut wrong = Vec::new();
    for statistics in [false, true] {
        if statistics {
            db.execute_batch("ANALYZE").expect("analysed");
            db = connect(&path);
        }
        for sql in heard.iter().filter(|sql| is_ours(sql)) {
            for problem in plan_problems(&db, sql) {
                wrong.push(format!("statistics: {statistics}; {problem}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} statements:\n{}",
        wrong.len(),
        heard.len(),
        wrong.join("\n")
    );
}
