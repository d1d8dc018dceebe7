//! Changes of directives to be announced to those who do not hold a stream, and how far that has come.

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::apply::run;
use super::failed;
use super::rows::{get, unreadable};
use sidedoor_domain::ids::UserId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::DirectiveChange;

/// Changes that a browser must hear of: an answer came from a browser itself.
pub(super) async fn changes_after(
    pool: &SqlitePool,
    after: i64,
    limit: u32,
) -> Result<Vec<DirectiveChange>, StoreError> {
    let rows = sqlx::query(
        "SELECT seq, connect_user_id FROM directives WHERE seq > ? AND status IN ('OPEN', 'WITHDRAWN') ORDER BY seq LIMIT ?",
    )
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(DirectiveChange {
                seq: get(row, 0)?,
                user: UserId::parse(get::<&str>(row, 1)?).map_err(|e| unreadable(&e))?,
            })
        })
        .collect()
}

/// Right before the first directive that is open, or where changes have come to.
pub(super) async fn before_the_open_ones(pool: &SqlitePool) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT COALESCE((SELECT MIN(seq) - 1 FROM directives INDEXED BY directives_open WHERE status = 'OPEN'),
                         (SELECT seq FROM sqlite_sequence WHERE name = 'directives'), 0)",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    get(&row, 0)
}

pub(super) async fn cursor(pool: &SqlitePool, name: &'static str) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query("SELECT seq FROM cursors WHERE name = ?")
        .bind(name)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map(|row| get(&row, 0)).transpose()
}

pub(super) async fn move_cursor(db: &mut SqliteConnection, name: &'static str, seq: i64) -> Result<(), StoreError> {
    let upsert = sqlx::query(
        "INSERT INTO cursors (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = MAX(seq, excluded.seq)",
    )
    .bind(name)
    .bind(seq);
    run(db, upsert).await.map(|_| ())
}

pub(super) async fn salt(pool: &SqlitePool) -> Result<String, StoreError> {
    let row = sqlx::query("SELECT value FROM once WHERE name = 'stream_salt'")
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    get(&row, 0)
}
