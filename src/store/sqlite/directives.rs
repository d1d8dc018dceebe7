//! Directives, by supervisor and in the order of their changes. They are derived from the supervision in the transaction that
//! writes it, so that no use case can forget to inform the browsers.

use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::{DirectiveId, InstanceName, UserId};
use sidedoor_domain::ports::store::{DirectiveChange, DirectiveNews, OrderedDirective, SupervisionWrite};

use super::rows::{Answer, all, first, get, only, run, select_stored, stored, text, unreadable};

/// Writes the directives of a supervision that changed.
pub(super) fn write(db: &Connection, write: &SupervisionWrite) -> Answer<()> {
    let (SupervisionWrite::Insert(s) | SupervisionWrite::Update(s, _)) = write;
    let Some(user) = &s.supervisor.connect_user_id else {
        return Ok(());
    };
    for directive in &s.directives {
        let status = directive.status().as_str();
        // Only a directive that changed gets a new `seq`, because browsers get every directive with a new one. REPLACE deletes the old row.
        run(
            db,
            "INSERT OR REPLACE INTO directives (id, supervision_id, instance, connect_user_id, status)
             SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM directives WHERE id = ?1 AND status = ?5)",
            params![
                directive.id.to_string(),
                s.id.to_string(),
                s.instance.as_str(),
                user.as_str(),
                status
            ],
        )?;
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

pub(super) fn of(
    db: &Connection,
    instance: &InstanceName,
    user: &UserId,
    after: Option<i64>,
    limit: u32,
) -> Answer<Vec<OrderedDirective>> {
    let ordered = |row: &Row<'_>| {
        Ok(OrderedDirective {
            seq: get(row, "seq")?,
            directive: DirectiveId::parse(text(row, "directive_id")?).ok_or_else(|| unreadable(&"a directive's id"))?,
            stored: stored(row)?,
        })
    };
    match after {
        Some(seq) => all(
            db,
            select_stored!(
                "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.seq > ? ORDER BY o.seq LIMIT ?",
                ", o.seq AS seq, o.id AS directive_id"
            ),
            params![instance.as_str(), user.as_str(), seq, limit],
            ordered,
        ),
        None => all(
            db,
            select_stored!(
                "JOIN directives o ON o.supervision_id = s.id
             WHERE o.instance = ? AND o.connect_user_id = ? AND o.status = 'OPEN' ORDER BY o.seq LIMIT ?",
                ", o.seq AS seq, o.id AS directive_id"
            ),
            params![instance.as_str(), user.as_str(), limit],
            ordered,
        ),
    }
}

pub(super) fn last_change(db: &Connection) -> Answer<i64> {
    // Not the greatest `seq` in the table, because the sweep may have removed the newest, whose `seq` must not be used again.
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'directives'";
    Ok(first(db, sql, [], |row| get(row, "seq"))?.unwrap_or(0))
}

/// Changes that a browser must learn of. An acknowledgement is none, because it came from a browser.
pub(super) fn changes_after(db: &Connection, after: i64, limit: u32) -> Answer<Vec<DirectiveChange>> {
    all(
        db,
        "SELECT seq, connect_user_id FROM directives WHERE seq > ? AND status IN ('OPEN', 'WITHDRAWN') ORDER BY seq LIMIT ?",
        params![after, limit],
        |row| {
            Ok(DirectiveChange {
                seq: get(row, "seq")?,
                user: UserId::parse(text(row, "connect_user_id")?).map_err(|e| unreadable(&e))?,
            })
        },
    )
}

pub(super) fn before_open(db: &Connection) -> Answer<i64> {
    only(
        db,
        "SELECT COALESCE((SELECT MIN(seq) - 1 FROM directives INDEXED BY directives_open WHERE status = 'OPEN'),
                         (SELECT seq FROM sqlite_sequence WHERE name = 'directives'), 0) AS seq",
        [],
        |row| get(row, "seq"),
    )
}

/// The salt of the keys by which Salesforce knows the channels of directives.
pub(super) fn salt(db: &Connection) -> Answer<String> {
    let sql = "SELECT value FROM once WHERE name = 'stream_salt'";
    only(db, sql, [], |row| get(row, "value"))
}
