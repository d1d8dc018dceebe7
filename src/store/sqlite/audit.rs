//! The audit, read: of one supervision, a page by its filters, and what was begun and never completed. Written with the change
//! it tells of (see `apply`); the database refuses to change or remove a line.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::apply::run;
use super::failed;
use super::read::Conditions;
use super::rows::{get, millis, supervision_id, timestamp, unreadable};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};

type Answer<T> = Result<T, StoreError>;

const COLUMNS: &str =
    "SELECT seq, at, actor, action, supervision_id, outcome, request_id, phase, operation, why FROM audit a ";

pub(super) async fn write(db: &mut SqliteConnection, entry: &AuditEntry) -> Answer<()> {
    let insert = sqlx::query(
        "INSERT INTO audit (at, actor, action, supervision_id, outcome, request_id, phase, operation, why)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(millis(entry.at))
    .bind(entry.actor.clone())
    .bind(entry.action.as_str())
    .bind(entry.supervision.map(|id| id.to_string()))
    .bind(entry.outcome.clone())
    .bind(entry.request_id.clone())
    .bind(entry.phase.as_str())
    .bind(entry.operation.clone())
    .bind(entry.why.clone());
    run(db, insert).await.map(|_| ())
}

fn line(row: &SqliteRow) -> Answer<AuditLine> {
    Ok(AuditLine {
        seq: get(row, 0)?,
        entry: AuditEntry {
            at: timestamp(get(row, 1)?)?,
            actor: get(row, 2)?,
            action: AuditAction::parse(get(row, 3)?).ok_or_else(|| unreadable(&"an audit action"))?,
            supervision: get::<Option<&str>>(row, 4)?.map(supervision_id).transpose()?,
            outcome: get(row, 5)?,
            request_id: get(row, 6)?,
            phase: Phase::parse(get(row, 7)?).ok_or_else(|| unreadable(&"a phase"))?,
            operation: get(row, 8)?,
            why: get(row, 9)?,
        },
    })
}

pub(super) async fn of(pool: &SqlitePool, id: SupervisionId, limit: u32) -> Answer<Vec<AuditEntry>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push("WHERE supervision_id = ").push_bind(id.to_string());
    sql.push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(|row| line(row).map(|l| l.entry)).collect()
}

pub(super) async fn lines(pool: &SqlitePool, filter: &AuditFilter) -> Answer<Vec<AuditLine>> {
    let mut select = QueryBuilder::<Sqlite>::new(COLUMNS);
    select.push("WHERE 1 = 1");
    let mut conditions = Conditions::of(select);
    let supervision = filter.supervision.map(|id| id.to_string());
    conditions.equal("supervision_id", supervision.as_deref());
    conditions.equal("request_id", filter.request_id.as_deref());
    conditions.equal("actor", filter.actor.as_deref());
    conditions.equal("action", filter.action.as_deref());
    match filter.phase {
        // Nearly every line that ever was: none is gone to by it.
        Some(Phase::Done) => conditions.literal("+phase = 'DONE'", "+phase = 'DONE'"),
        Some(phase) => {
            let word = phase.as_str();
            let leads = format!("phase <> 'DONE' AND phase = '{word}'");
            conditions.literal(&leads, &format!("+phase = '{word}'"));
        }
        None => {}
    }
    // By its time only if nothing narrower is asked for: the index of times does not give the order of lines.
    let at = if conditions.led() || filter.since.is_none() {
        "+at"
    } else {
        "at"
    };
    let mut sql = conditions.into_sql();
    if let Some(since) = filter.since {
        sql.push(format_args!(" AND {at} >= ")).push_bind(millis(since));
    }
    if let Some(until) = filter.until {
        sql.push(format_args!(" AND {at} < ")).push_bind(millis(until));
    }
    if let Some(before) = filter.before {
        sql.push(" AND seq < ").push_bind(before);
    }
    if let Some(after) = filter.after {
        sql.push(" AND seq > ").push_bind(after);
    }
    sql.push(if filter.oldest_first {
        " ORDER BY seq"
    } else {
        " ORDER BY seq DESC"
    });
    sql.push(" LIMIT ").push_bind(i64::from(filter.limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(line).collect()
}

/// What was begun between `since` and `until` and has no end.
pub(super) async fn unfinished(
    pool: &SqlitePool,
    since: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Answer<Vec<AuditEntry>> {
    let mut sql = QueryBuilder::<Sqlite>::new(COLUMNS);
    sql.push("WHERE phase = 'BEGUN' AND at >= ").push_bind(millis(since));
    sql.push(" AND at < ").push_bind(millis(until));
    sql.push(
        " AND NOT EXISTS (SELECT 1 FROM audit b WHERE b.operation = a.operation AND b.seq > a.seq AND b.phase <> 'BEGUN')
          ORDER BY seq LIMIT ",
    )
    .push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(|row| line(row).map(|l| l.entry)).collect()
}
