//! The migrations of the schema, and how they are applied. Each is a transaction of its own, so that an upgrade that was interrupted goes
//! on where it ended. Before the first, a copy of the store is kept beside it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::copies::beside;
use super::{OpenError, copies};
use crate::store::migrations::{Applied, Migration, pending};

/// All migrations, oldest first.
const ALL: [Migration; 18] = [
    step(1, "store", include_str!("migrations/0001_journal.sql")),
    step(2, "clocks", include_str!("migrations/0002_clocks.sql")),
    step(3, "directives", include_str!("migrations/0003_directives.sql")),
    step(4, "deliveries", include_str!("migrations/0004_deliveries.sql")),
    step(5, "org", include_str!("migrations/0005_org.sql")),
    step(6, "audit", include_str!("migrations/0006_audit.sql")),
    step(7, "refusals", include_str!("migrations/0007_refusals.sql")),
    step(8, "keys", include_str!("migrations/0008_keys.sql")),
    step(9, "indexes", include_str!("migrations/0009_indexes.sql")),
    step(10, "voice slots", include_str!("migrations/0010_voice_slots.sql")),
    step(11, "unfinished", include_str!("migrations/0011_unfinished.sql")),
    step(12, "packed", include_str!("migrations/0012_packed.sql")),
    step(13, "unreadable", include_str!("migrations/0013_unreadable.sql")),
    step(14, "completeness", include_str!("migrations/0014_completeness.sql")),
    step(15, "unnamed", include_str!("migrations/0015_unnamed.sql")),
    step(16, "coverage", include_str!("migrations/0016_coverage.sql")),
    step(17, "contacts", include_str!("migrations/0017_contacts.sql")),
    step(18, "audit chain", include_str!("migrations/0018_audit_chain.sql")),
];

const fn step(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration { version, name, sql }
}

/// Brings the database to this version.
pub(super) fn migrate(db: &mut Connection, database: &Path) -> Result<(), OpenError> {
    let applied = applied(db).map_err(OpenError::store)?;
    let pending = pending(&ALL, &applied).map_err(|e| OpenError::Store(e.to_string()))?;
    if let (Some(newest), false) = (applied.last(), pending.is_empty()) {
        keep_copy(db, database, newest.version)?;
    }
    take_over(db).map_err(OpenError::store)?;
    for migration in pending {
        apply(db, migration).map_err(OpenError::store)?;
    }
    Ok(())
}

/// Checks that this version can open the database.
pub(super) fn check(db: &Connection) -> Result<(), String> {
    let applied = applied(db).map_err(|e| e.to_string())?;
    pending(&ALL, &applied).map(|_| ()).map_err(|e| e.to_string())
}

/// Earlier versions used a library, which recorded the migrations in a table of its own.
const EARLIER_RECORD: &str = "_sqlx_migrations";

fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)",
        [name],
        |row| row.get(0),
    )
}

fn applied(db: &Connection) -> rusqlite::Result<Vec<Applied>> {
    let table = match (has_table(db, "migrations")?, has_table(db, EARLIER_RECORD)?) {
        (true, _) => "migrations",
        (false, true) => EARLIER_RECORD,
        (false, false) => return Ok(Vec::new()),
    };
    let mut statement = db.prepare(&format!("SELECT version, checksum FROM {table} ORDER BY version"))?;
    let rows = statement.query_map([], |row| {
        Ok(Applied {
            version: row.get(0)?,
            checksum: row.get(1)?,
        })
    })?;
    rows.collect()
}

/// Creates the record of migrations, from that of an earlier version if there is one.
fn take_over(db: &mut Connection) -> rusqlite::Result<()> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
           version    INTEGER PRIMARY KEY,
           name       TEXT    NOT NULL,
           checksum   BLOB    NOT NULL,    -- SHA-384 of the SQL
           applied_at INTEGER NOT NULL     -- epoch seconds, by the clock of the database
         ) STRICT",
    )?;
    if has_table(&change, EARLIER_RECORD)? {
        change.execute_batch(
            "INSERT INTO migrations (version, name, checksum, applied_at)
             SELECT version, description, checksum, unixepoch(installed_on) FROM _sqlx_migrations;
             DROP TABLE _sqlx_migrations;",
        )?;
    }
    change.commit()
}

fn apply(db: &mut Connection, migration: &Migration) -> rusqlite::Result<()> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.execute_batch(migration.sql)?;
    change.execute(
        "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, unixepoch())",
        params![migration.version, migration.name, migration.checksum()],
    )?;
    change.commit()
}

/// Keeps a copy of the store as `<store>.version-<n>`, so that the earlier version of Sidedoor can be used again. A copy that is there
/// is whole, because it gets its name last.
fn keep_copy(db: &Connection, database: &Path, version: i64) -> Result<(), OpenError> {
    let copy = beside(database, &format!(".version-{version}"));
    if copy.exists() {
        return Ok(());
    }
    tracing::info!(version, copy = %copy.display(), "upgrading the store; keeping a copy of version {version} in {}", copy.display());
    let failed = |e: String| OpenError::Copy(copy.clone(), e);
    let written = copies::copy(db, &copy).map_err(|e| failed(e.to_string()))?;
    copies::publish(&written, &copy).map_err(|e| failed(e.to_string()))
}
