//! What the tests share: the whole service with fakes, and the contract that every answer is validated against.

pub mod apex;
pub mod app;
pub mod callers;
pub mod claims;
pub mod compatibility;
pub mod departures;
pub mod everything;
pub mod external_service;
pub mod fast_clock;
pub mod issuer;
pub mod openapi;
pub mod process;
pub mod request;
pub mod stored_states;
pub mod supervision_steps;

use std::path::Path;

use sqlx::{ConnectOptions, Row};

/// Runs SQL directly on the store's database, as an operator with a shell could. Returns every column as text.
pub async fn sql(store: &Path, sql: &'static str) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
    let mut connection = options.connect().await?;
    let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
    let text = |row: &sqlx::sqlite::SqliteRow| {
        (0..row.len())
            .map(|i| row.try_get_unchecked(i).unwrap_or_default())
            .collect()
    };
    Ok(rows.iter().map(text).collect())
}

/// Runs SQL with one parameter directly on the store's database.
pub async fn sql_with(store: &Path, sql: &'static str, text: &str) -> Result<(), sqlx::Error> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(store);
    let mut connection = options.connect().await?;
    sqlx::query(sql).bind(text).execute(&mut connection).await.map(|_| ())
}
