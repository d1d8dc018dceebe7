//! Directives, by supervisor and in the order of their changes. They are derived from the supervision in the transaction that
//! writes it, so that no flow can forget to tell the browsers.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::apply::run;
use super::failed;
use super::rows::{get, select_stored, stored, unreadable};
use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{DirectiveNews, Ordered, SupervisionWrite};

/// Writes what changed of a supervision's directives.
pub(super) async fn write(db: &mut SqliteConnection, write: &SupervisionWrite) -> Result<(), StoreError> {
    let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write;
    let Some(user) = &s.supervisor.connect_user_id else {
        return Ok(());
    };
    for directive in &s.directives {
        let status = directive.status().as_str();
        // A new `seq` only for a change; REPLACE takes the old row away.
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

/// Whose directives a write may change.
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
) -> Result<Vec<Ordered>, StoreError> {
    let query = match after {
        Some(seq) => sqlx::query(select_stored!(
            "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.seq > ? ORDER BY o.seq LIMIT ?",
            ", o.seq, o.id"
        ))
        .bind(instance.as_str())
        .bind(user.as_str())
        .bind(seq),
        None => sqlx::query(select_stored!(
            "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.status = 'OPEN' ORDER BY o.seq LIMIT ?",
            ", o.seq, o.id"
        ))
        .bind(instance.as_str())
        .bind(user.as_str()),
    };
    let rows = query.bind(i64::from(limit)).fetch_all(pool).await.map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(Ordered {
                seq: get(row, row.len() - 2)?,
                directive: DirectiveId::parse(get(row, row.len() - 1)?)
                    .ok_or_else(|| unreadable(&"a directive's id"))?,
                stored: stored(row)?,
            })
        })
        .collect()
}

pub(super) async fn last_change(pool: &SqlitePool) -> Result<i64, StoreError> {
    // Not the greatest there is: what was removed must not be counted again.
    let row = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = 'directives'")
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.map_or(Ok(0), |row| get(&row, 0))
}
