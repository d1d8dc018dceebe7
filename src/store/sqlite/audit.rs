//! The audit. A line is written in the same transaction as the change that it reports; triggers of the database refuse to change or remove one.

use jiff::Timestamp;
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::failed;
use super::filters::Conditions;
use super::rows::{Answer, get, millis, moment, run, supervision_id, unreadable};

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
    let about_one = get::<Option<&str>>(row, "supervision_id")?.is_some();
    Ok(AuditLine {
        seq: get(row, "seq")?,
        entry: AuditEntry {
            at: moment(row, "at")?,
            actor: get(row, "actor")?,
            action: AuditAction::parse(get(row, "action")?).ok_or_else(|| unreadable(&"an audit action"))?,
            supervision: about_one.then(|| supervision_id(row, "supervision_id")).transpose()?,
            outcome: get(row, "outcome")?,
            request_id: get(row, "request_id")?,
            phase: Phase::parse(get(row, "phase")?).ok_or_else(|| unreadable(&"a phase"))?,
            operation: get(row, "operation")?,
            why: get(row, "why")?,
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
    let mut conditions = Conditions::of(format!("{COLUMNS}WHERE 1 = 1"));
    let supervision = filter.supervision.map(|id| id.to_string());
    conditions.equal("supervision_id", supervision.as_deref());
    conditions.equal("request_id", filter.request_id.as_deref());
    conditions.equal("actor", filter.actor.as_deref());
    conditions.equal("action", filter.action.as_deref());
    match filter.phase {
        // Nearly every line is DONE, so that an index of the phase would not help.
        Some(Phase::Done) => conditions.literal("+phase = 'DONE'", "+phase = 'DONE'"),
        Some(phase) => {
            let word = phase.as_str();
            let leads = format!("phase <> 'DONE' AND phase = '{word}'");
            conditions.literal(&leads, &format!("+phase = '{word}'"));
        }
        None => {}
    }
    // The index of times does not give the order of lines. It is used only if no narrower condition chose an index.
    let at = if conditions.index_chosen() || filter.since.is_none() {
        "+at"
    } else {
        "at"
    };
    conditions.compare(&format!("{at} >="), filter.since.map(millis));
    conditions.compare(&format!("{at} <"), filter.until.map(millis));
    conditions.compare("seq <", filter.before);
    conditions.compare("seq >", filter.after);
    let order = if filter.oldest_first { "seq" } else { "seq DESC" };
    let mut sql = conditions.ordered(order, i64::from(filter.limit));
    let rows = sql.build().fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(line).collect()
}

/// Vendor requests that started between `since` and `until` and have no line that says how they ended.
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
