//! Fills a store with finished supervisions: one real supervision is copied with all its rows, under other ids and in the past. By SQL,
//! because the service would need hours for a million. It reads the columns from the store, so that it fits any version of it.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::Outcome;

/// Copies in one transaction.
const SLICE: usize = 20_000;
/// The copies are spread over this time before now, ms: 60 days.
const SPREAD_MS: i64 = 60 * 86_400_000;

/// Id of copy `n`: a UUIDv7 of its time, so that it sorts where an old one would.
const COPY_ID: &str = "printf('%08x-%04x-7000-8000-%012x', (?1 - back) / 65536, (?1 - back) % 65536, n)";
const COPY_LEG: &str = "printf('%08x-0000-4000-8000-%012x', n, n)";
const COPY_EVENT: &str = "printf('%08x-0000-4000-9000-%s', n, lower(hex(randomblob(6))))";

/// What a copy replaces.
struct Original {
    id: String,
    leg: String,
    user: String,
}

struct Column {
    name: String,
    is_text: bool,
    /// The rowid, which SQLite gives.
    is_serial: bool,
}

/// Adds `many` finished supervisions to a store that has at least one and that no service has open.
pub(crate) fn add(path: &Path, many: usize, now_ms: i64) -> Outcome<()> {
    if many == 0 {
        return Ok(());
    }
    let db = Connection::open(path)?;
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -200000;")?;
    let original = db.query_row(
        "SELECT id, leg_id, connect_user_id FROM supervisions WHERE state = 'LEFT' ORDER BY id LIMIT 1",
        [],
        |row| {
            Ok(Original {
                id: row.get(0)?,
                leg: row.get(1)?,
                user: row.get(2)?,
            })
        },
    )?;
    let mut copies = Vec::new();
    for table in tables(&db)? {
        if let Some(sql) = copy(&db, &table, &original)? {
            copies.push(sql);
        }
    }
    // Seen events name no supervision. A pair has about five.
    copies.push(format!("INSERT INTO seen_events (id, seen_at) SELECT {COPY_EVENT}, ?1 - back FROM copy, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5)"));
    let (mut from, step) = (0, SPREAD_MS / i64::try_from(many)?);
    while from < many {
        let to = many.min(from + SLICE);
        db.execute_batch(
            "BEGIN; DROP TABLE IF EXISTS temp.copy; CREATE TEMP TABLE copy (n INTEGER PRIMARY KEY, back INTEGER);",
        )?;
        db.execute(
            "WITH RECURSIVE c (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM c WHERE n + 1 < ?2)
             INSERT INTO copy SELECT n, ?4 - n * ?3 FROM c",
            params![i64::try_from(from)?, i64::try_from(to)?, step, SPREAD_MS],
        )?;
        for sql in &copies {
            db.execute(sql, params![now_ms])?;
        }
        db.execute_batch("COMMIT")?;
        from = to;
    }
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// `supervisions` first, then the others.
fn tables(db: &Connection) -> Outcome<Vec<String>> {
    let sql = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        ORDER BY name <> 'supervisions', name";
    let mut tables = db.prepare(sql)?;
    let names = tables.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// The statement that copies the original's rows of `table`; `None` for a table without rows of a supervision.
fn copy(db: &Connection, table: &str, original: &Original) -> Outcome<Option<String>> {
    let mut info = db.prepare(&format!("PRAGMA main.table_info({table})"))?;
    let columns = info.query_map([], |row| {
        let (kind, key): (String, i64) = (row.get("type")?, row.get("pk")?);
        Ok(Column {
            name: row.get("name")?,
            is_text: kind == "TEXT",
            is_serial: kind == "INTEGER" && key > 0,
        })
    })?;
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    let has = |name: &str| columns.iter().any(|c| c.name == name);
    let (key, value) = match table {
        "supervisions" => ("id", &original.id),
        _ if has("supervision_id") => ("supervision_id", &original.id),
        _ if has("subject") => ("subject", &original.id),
        _ if has("leg_id") => ("leg_id", &original.leg),
        _ => return Ok(None),
    };
    db.execute(
        &format!("CREATE TEMP TABLE original_{table} AS SELECT * FROM main.{table} WHERE {key} = ?1"),
        [value],
    )?;
    let copied: Vec<&Column> = columns.iter().filter(|c| !c.is_serial).collect();
    let names: Vec<&str> = copied.iter().map(|c| c.name.as_str()).collect();
    let values: Vec<String> = copied.iter().map(|c| value_of(c, original)).collect();
    let (names, values) = (names.join(", "), values.join(", "));
    Ok(Some(format!(
        "INSERT INTO main.{table} ({names}) SELECT {values} FROM temp.copy CROSS JOIN temp.original_{table}"
    )))
}

fn value_of(column: &Column, original: &Original) -> String {
    let Original { id, leg, user } = original;
    let name = &column.name;
    match name.as_str() {
        // Of a directive or a delivery, unless it has the supervision's.
        "id" | "request_id" | "operation" => {
            format!("CASE WHEN {name} = '{id}' THEN {COPY_ID} WHEN {name} IS NOT NULL THEN {COPY_EVENT} END")
        }
        _ if column.is_text => format!(
            "replace(replace(replace({name}, '{id}', {COPY_ID}), '{leg}', {COPY_LEG}), '{user}', 'past-' || n % 500)"
        ),
        _ if name == "at" || name.ends_with("_at") => format!("{name} - back"),
        _ => name.clone(),
    }
}
