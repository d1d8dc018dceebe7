//! What the tests share: the whole service with fakes, and the contract that every answer is validated against.

pub mod apex;
pub mod app;
pub mod callers;
pub mod certificates;
pub mod claims;
pub mod compatibility;
pub mod departures;
pub mod everything;
pub mod external_service;
pub mod fast_clock;
pub mod issuer;
pub mod jumping_clock;
pub mod openapi;
pub mod process;
pub mod raw;
pub mod request;
pub mod stored_states;
pub mod supervision_steps;

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// Runs SQL directly on the store's database, as an operator with a shell could. Returns every column as text.
pub async fn sql(store: &Path, sql: &'static str) -> rusqlite::Result<Vec<Vec<String>>> {
    let connection = connect(store)?;
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|i| Ok(text(row.get_ref(i)?))).collect())?;
    rows.collect()
}

/// Runs SQL with one parameter directly on the store's database.
pub async fn sql_with(store: &Path, sql: &'static str, text: &str) -> rusqlite::Result<()> {
    connect(store)?.execute(sql, [text]).map(|_| ())
}

/// Writes a file with a secret, which only its owner may read.
pub fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, secret).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("changed");
}

fn connect(store: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(store)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
