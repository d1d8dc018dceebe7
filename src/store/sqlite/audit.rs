//! The audit. A line is written in the same transaction as the change that it reports; triggers of the database refuse to change or remove one.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine};

use super::filters::{Conditions, Statement};
use super::rows::{Answer, get, millis, moment, optional_text, run, supervision_id, text, unreadable};

const COLUMNS: &str =
    "SELECT seq, at, actor, action, supervision_id, outcome, request_id, phase, operation, why FROM audit a ";

pub(super) fn write(db: &Connection, entry: &AuditEntry) -> Answer<()> {
    run(
        db,
        "INSERT INTO audit (at, actor, action, supervision_id, outcome, request_id, phase, operation, why)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            millis(entry.at),
            entry.actor,
            entry.action.as_str(),
            entry.supervision.map(|id| id.to_string()),
            entry.outcome,
            entry.request_id,
            entry.phase.as_str(),
            entry.operation,
            entry.why
        ],
    )
    .map(|_| ())
}

fn line(row: &Row<'_>) -> Answer<AuditLine> {
    let about_one = optional_text(row, "supervision_id")?.is_some();
    Ok(AuditLine {
        seq: get(row, "seq")?,
        entry: AuditEntry {
            at: moment(row, "at")?,
            actor: get(row, "actor")?,
            action: AuditAction::parse(text(row, "action")?).ok_or_else(|| unreadable(&"an audit action"))?,
            supervision: about_one.then(|| supervision_id(row, "supervision_id")).transpose()?,
            outcome: get(row, "outcome")?,
            request_id: get(row, "request_id")?,
            phase: Phase::parse(text(row, "phase")?).ok_or_else(|| unreadable(&"a phase"))?,
            operation: get(row, "operation")?,
            why: get(row, "why")?,
        },
    })
}

pub(super) fn of(db: &Connection, id: SupervisionId, limit: u32) -> Answer<Vec<AuditEntry>> {
    let mut sql = Statement::of(COLUMNS);
    sql.push("WHERE supervision_id = ").bind(id.to_string());
    sql.push(" ORDER BY seq LIMIT ").bind(limit);
    sql.all(db, |row| line(row).map(|l| l.entry))
}

pub(super) fn lines(db: &Connection, filter: &AuditFilter) -> Answer<Vec<AuditLine>> {
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
    conditions.ordered(order, i64::from(filter.limit)).all(db, line)
}

/// Vendor requests that started between `since` and `until` and have no line that says how they ended.
pub(super) fn unfinished(db: &Connection, since: Timestamp, until: Timestamp, limit: u32) -> Answer<Vec<AuditEntry>> {
    let mut sql = Statement::of(COLUMNS);
    sql.push("WHERE phase = 'BEGUN' AND at >= ").bind(millis(since));
    sql.push(" AND at < ").bind(millis(until));
    sql.push(
        " AND NOT EXISTS (SELECT 1 FROM audit b WHERE b.operation = a.operation AND b.seq > a.seq AND b.phase <> 'BEGUN')
          ORDER BY seq LIMIT ",
    )
    .bind(limit);
    sql.all(db, |row| line(row).map(|l| l.entry))
}
