//! Collects the statements that SQLite executes, as it reports them itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Collects the statements of a connection from now on.
pub(in crate::store::sqlite) fn listen(connection: &mut Connection) {
    let collect = |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(statement, _) = event {
            let sql = statement.sql().trim().to_owned();
            HEARD.lock().unwrap_or_else(PoisonError::into_inner).insert(sql);
        }
    };
    let listening = connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(collect));
    listening.expect("SQLite reports its statements");
}

/// The statements collected so far.
pub(super) fn heard() -> BTreeSet<String> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Drops the statements collected so far.
pub(super) fn forget() {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
