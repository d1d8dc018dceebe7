//! Directives, by supervisor and in the order of their changes. They are derived from the supervision in the transaction that
//! writes it, so that no use case can forget to inform the browsers.

use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::store::{DirectiveChange, DirectiveNews, OrderedDirective, SupervisionWrite};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::failed;
use super::rows::{Answer, get, run, select_stored, stored, unreadable};

/// Writes the directives of a supervision that changed.
pub(super) async fn write(db: &mut SqliteConnection, write: &SupervisionWrite) -> Answer<()> {
    let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write;
    let Some(user) = &s.supervisor.connect_user_id else {
        return Ok(());
    };
    for directive in &s.directives {
        let status = directive.status().as_str();
        // Only a directive that changed gets a new `seq`, because browsers get every directive with a new one. REPLACE deletes the old row.
        let query = sqlx::query(
            "INSERT OR REPLACE INTO directives (id, supervision_id, instance, connect_user_id, status)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM directives WHERE id = ?1 AND status = ?5)",
        )
        .bind(directive.id.to_string())
        .bind(s.id.to_string())
        .bind(s.instance.to_string())
        .bind(user.to_string())
        .bind(status);
        run(db, query).await?;
    }
    Ok(())
}

/// The supervisor whose directives a write may change.
pub(super) fn concerns(write: Option<&SupervisionWrite>) -> Option<DirectiveNews> {
    let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write?;
    let user = s
        .supervisor
        .connect_user_id
        .clone()
        .filter(|_| !s.directives.is_empty())?;
    Some((s.instance.clone(), user))
}

pub(super) async fn of(
    pool: &SqlitePool,
    instance: &InstanceName,
    user: &UserId,
    after: Option<i64>,
    limit: u32,
) -> Answer<Vec<OrderedDirective>> {
    let query = match after {
        Some(seq) => sqlx::query(select_stored!(
            "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.seq > ? ORDER BY o.seq LIMIT ?",
            ", o.seq AS seq, o.id AS directive_id"
        ))
        .bind(instance.as_str())
        .bind(user.as_str())
        .bind(seq),
        None => sqlx::query(select_stored!(
            "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.status = 'OPEN' ORDER BY o.seq LIMIT ?",
            ", o.seq AS seq, o.id AS directive_id"
        ))
        .bind(instance.as_str())
        .bind(user.as_str()),
    };
    let rows = query.bind(i64::from(limit)).fetch_all(pool).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(OrderedDirective {
                seq: get(row, "seq")?,
                directive: DirectiveId::parse(get(row, "directive_id")?)
                    .ok_or_else(|| unreadable(&"a directive's id"))?,
                stored: stored(row)?,
            })
        })
        .collect()
}

pub(super) async fn last_change(pool: &SqlitePool) -> Answer<i64> {
    // Not the greatest `seq` in the table, because the sweep may have removed the newest, whose `seq` must not be used again.
    let row = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'directives'")
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map_or(Ok(0), |row| get(&row, "seq"))
}

/// Changes that a browser must learn of. An acknowledgement is none, because it came from a browser.
pub(super) async fn changes_after(pool: &SqlitePool, after: i64, limit: u32) -> Answer<Vec<DirectiveChange>> {
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
                seq: get(row, "seq")?,
                user: UserId::parse(get::<&str>(row, "connect_user_id")?).map_err(|e| unreadable(&e))?,
            })
        })
        .collect()
}

pub(super) async fn before_open(pool: &SqlitePool) -> Answer<i64> {
    let row = sqlx::query(
        "SELECT COALESCE((SELECT MIN(seq) - 1 FROM directives INDEXED BY directives_open WHERE status = 'OPEN'),
                         (SELECT seq FROM sqlite_sequence WHERE name = 'directives'), 0) AS seq",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    get(&row, "seq")
}

/// The salt of the keys by which Salesforce knows the channels of directives.
pub(super) async fn salt(pool: &SqlitePool) -> Answer<String> {
    let row = sqlx::query("SELECT value FROM once WHERE name = 'stream_salt'")
        .fetch_one(pool)
        .await
        .map_err(failed)?;
    get(&row, "value")
}
