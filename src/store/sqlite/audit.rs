//! The audit. A line is written in the same transaction as the change that it reports; triggers of the database refuse to change or remove one.

use std::cell::Cell;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::audit::{AuditAction, AuditEntry, Phase};
use sidedoor_domain::audit_chain::{AuditKeys, AuditSeal, LineContent};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{AuditFilter, AuditLine, AuditStore};

use super::filters::{Conditions, Statement};
use super::rows::{Answer, first, get, millis, moment, optional_text, run, supervision_id, text, unreadable};
use super::{SqliteStore, audit_seals};

pub(super) const COLUMNS: &str =
    "SELECT seq, at, actor, action, supervision_id, outcome, request_id, phase, operation, why, client_request_id,
    credential, peer, route, times FROM audit a ";

/// Gives lines their positions and MACs. The positions have no gaps, because only the writer thread writes lines.
#[derive(Debug, Clone)]
pub(super) struct LineWriter {
    keys: AuditKeys,
    /// The position of the next line of the running database transaction, once it is known. A transaction that is rolled back takes its
    /// positions with it.
    next: Cell<Option<i64>>,
}

impl LineWriter {
    pub(super) fn new(keys: AuditKeys) -> Self {
        Self {
            keys,
            next: Cell::new(None),
        }
    }

    /// A database transaction begins.
    pub(super) fn begin(&self) {
        self.next.set(None);
    }

    fn next_seq(&self, db: &Connection) -> Answer<i64> {
        let next = match self.next.get() {
            Some(next) => next,
            None => last_written(db)? + 1,
        };
        self.next.set(Some(next + 1));
        Ok(next)
    }
}

/// The highest position that was ever given to a line.
pub(super) fn last_written(db: &Connection) -> Answer<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'audit'";
    Ok(first(db, sql, [], |row| get(row, "seq"))?.unwrap_or(0))
}

pub(super) fn write(db: &Connection, lines: &LineWriter, entry: &AuditEntry) -> Answer<()> {
    let (seq, supervision) = (lines.next_seq(db)?, LineContent::supervision_of(entry));
    let signed = lines
        .keys
        .sign_line(&LineContent::of(seq, entry, supervision.as_deref()));
    run(
        db,
        "INSERT INTO audit (seq, at, actor, action, supervision_id, outcome, request_id, phase, operation, why, client_request_id,
           credential, peer, route, times, key_id, mac)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            seq,
            millis(entry.at),
            entry.actor,
            entry.action.as_str(),
            supervision,
            entry.outcome,
            entry.request_id,
            entry.phase.as_str(),
            entry.operation,
            entry.why,
            entry.client_request_id,
            entry.credential,
            entry.peer,
            entry.route,
            entry.times,
            signed.key_id,
            signed.mac
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
            client_request_id: get(row, "client_request_id")?,
            credential: get(row, "credential")?,
            peer: get(row, "peer")?,
            route: get(row, "route")?,
            times: get(row, "times")?,
        },
    })
}

/// The part of a supervision's id by which its lines are indexed.
fn indexed(id: &str) -> &str {
    id.get(28..).unwrap_or_default()
}

pub(super) fn of(db: &Connection, id: SupervisionId, limit: u32) -> Answer<Vec<AuditEntry>> {
    let id = id.to_string();
    let mut sql = Statement::of(COLUMNS);
    sql.push("WHERE supervision_id IS NOT NULL AND substr(supervision_id, 29) = ")
        .bind(indexed(&id).to_owned());
    sql.push(" AND +supervision_id = ").bind(id);
    // There may be many refusals and reads, which say nothing about the supervision itself.
    sql.push(" AND +action NOT IN ('access.refused', 'supervision.read') ORDER BY seq LIMIT ")
        .bind(limit);
    sql.all(db, |row| line(row).map(|l| l.entry))
}

pub(super) fn lines(db: &Connection, filter: &AuditFilter) -> Answer<Vec<AuditLine>> {
    let mut conditions = Conditions::of(format!("{COLUMNS}WHERE 1 = 1"));
    let supervision = filter.supervision.map(|id| id.to_string());
    if let Some(id) = supervision.as_deref() {
        conditions.also("supervision_id IS NOT NULL");
        conditions.equal("substr(supervision_id, 29)", Some(indexed(id)));
        conditions.equal("supervision_id", Some(id));
    }
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
        " AND NOT EXISTS (SELECT 1 FROM audit b WHERE b.supervision_id IS NOT NULL
             AND substr(b.supervision_id, 29) = substr(a.supervision_id, 29) AND +b.supervision_id = a.supervision_id
             AND +b.operation = a.operation AND b.seq > a.seq AND b.phase <> 'BEGUN')
          AND (a.supervision_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM audit b WHERE b.supervision_id IS NULL
             AND b.operation = a.operation AND b.seq > a.seq AND b.phase <> 'BEGUN'))
          ORDER BY seq LIMIT ",
    )
    .bind(limit);
    sql.all(db, |row| line(row).map(|l| l.entry))
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_of(&self, id: SupervisionId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.readers.read(move |db| of(db, id, limit)).await
    }

    async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, StoreError> {
        let filter = filter.clone();
        self.readers.read(move |db| lines(db, &filter)).await
    }

    async fn unfinished_acts(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.readers.read(move |db| unfinished(db, since, until, limit)).await
    }

    async fn last_audit_seal(&self) -> Result<Option<AuditSeal>, StoreError> {
        self.readers.read(audit_seals::last).await
    }

    async fn next_audit_seal(&self, at: Timestamp, limit: u32) -> Result<Option<AuditSeal>, StoreError> {
        let keys = self.keys.clone();
        self.readers
            .read(move |db| audit_seals::next(db, &keys, at, limit))
            .await
    }
}
