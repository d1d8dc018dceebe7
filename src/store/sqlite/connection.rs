//! Opens connections to the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a statement waits while another program has locked the database.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps. There are about a hundred different ones.
const STATEMENTS: usize = 256;

/// The path in a store's URL (`sqlite://path`).
pub(super) fn path_of(url: &str) -> Option<PathBuf> {
    url.strip_prefix("sqlite://")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// The connection of the writer. Creates the database if there is none.
pub(super) fn open_to_write(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(database, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Syncs the log at every commit.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", super::wal::MAX_BYTES)?;
    Ok(connection)
}

/// A connection to a database that exists, to copy it. It may write, because SQLite opens the copy with the same rights.
pub(super) fn open_to_copy(database: &Path) -> rusqlite::Result<Connection> {
    open(
        database,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

/// A connection that cannot write.
pub(super) fn open_to_read(database: &Path) -> rusqlite::Result<Connection> {
    open(
        database,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

fn open(database: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    #[cfg_attr(not(test), allow(unused_mut, reason = "only tests listen to statements"))]
    let mut connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Otherwise SQLite prepares a statement again whenever other values are bound to it, to look for a better plan with its statistics.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    #[cfg(test)]
    super::plans::listen(&mut connection);
    Ok(connection)
}
