//! Seals of the audit, the lines that they cover, and the receipts of exports.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::audit_chain::{
    AuditKeys, AuditSeal, ExportReceipt, LineContent, LineDigest, LineMac, LineSignature, Signature,
};

use super::rows::{Answer, all, first, get, millis, moment, optional_text, run, text};

const SEAL: &str = "SELECT number, first_seq, last_seq, lines, digest, previous, at, key_id, head FROM audit_seals ";

fn seal(row: &Row<'_>) -> Answer<AuditSeal> {
    Ok(AuditSeal {
        number: get(row, "number")?,
        first: get(row, "first_seq")?,
        last: get(row, "last_seq")?,
        lines: get(row, "lines")?,
        digest: get(row, "digest")?,
        previous: get(row, "previous")?,
        at: moment(row, "at")?,
        key_id: get(row, "key_id")?,
        head: get(row, "head")?,
    })
}

/// The newest seal.
pub(super) fn last(db: &Connection) -> Answer<Option<AuditSeal>> {
    first(db, &format!("{SEAL}ORDER BY number DESC LIMIT 1"), [], seal)
}

/// Seals after this number, at most `limit`.
pub(super) fn after(db: &Connection, number: i64, limit: u32) -> Answer<Vec<AuditSeal>> {
    let sql = format!("{SEAL}WHERE number > ? ORDER BY number LIMIT ?");
    all(db, &sql, params![number, limit], seal)
}

pub(super) fn write(db: &Connection, seal: &AuditSeal) -> Answer<()> {
    run(
        db,
        "INSERT INTO audit_seals (number, first_seq, last_seq, lines, digest, previous, at, key_id, head)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            seal.number,
            seal.first,
            seal.last,
            seal.lines,
            seal.digest,
            seal.previous,
            millis(seal.at),
            seal.key_id,
            seal.head
        ],
    )
    .map(|_| ())
}

/// What stands in the lines after `seq` up to `to`, in their order, at most `limit`. Words are not parsed, because a line of a later version
/// is read too.
pub(super) fn lines<T>(
    db: &Connection,
    (seq, to): (i64, i64),
    limit: u32,
    mut one: impl FnMut(&LineContent<'_>, LineSignature<'_>) -> T,
) -> Answer<Vec<T>> {
    all(
        db,
        "SELECT seq, at, actor, action, supervision_id, outcome, request_id, phase, operation, why, client_request_id, credential, peer,
           route, times, key_id, mac FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        params![seq, to, limit],
        |row| {
            let content = LineContent {
                seq: get(row, "seq")?,
                at_ms: get(row, "at")?,
                actor: text(row, "actor")?,
                action: text(row, "action")?,
                supervision: optional_text(row, "supervision_id")?,
                phase: text(row, "phase")?,
                operation: optional_text(row, "operation")?,
                outcome: text(row, "outcome")?,
                why: optional_text(row, "why")?,
                request_id: optional_text(row, "request_id")?,
                client_request_id: optional_text(row, "client_request_id")?,
                credential: optional_text(row, "credential")?,
                peer: optional_text(row, "peer")?,
                route: optional_text(row, "route")?,
                times: get(row, "times")?,
            };
            let signature = LineSignature {
                key_id: optional_text(row, "key_id")?,
                mac: get::<Option<Vec<u8>>>(row, "mac")?.map(as_mac),
            };
            Ok(one(&content, signature))
        },
    )
}

/// A MAC of another length fits no line, like one of zeros.
fn as_mac(bytes: Vec<u8>) -> LineMac {
    bytes.try_into().unwrap_or_default()
}

/// The seal for the oldest lines that have none.
pub(super) fn next(db: &Connection, keys: &AuditKeys, at: Timestamp, limit: u32) -> Answer<Option<AuditSeal>> {
    let previous = last(db)?;
    let sealed_to = previous.as_ref().map_or(0, |seal| seal.last);
    let digests = lines(db, (sealed_to, i64::MAX), limit, |content, signature| {
        LineDigest::of(content, signature.mac)
    })?;
    Ok(AuditSeal::next(keys, previous.as_ref(), digests, at))
}

/// The receipts of all exports.
pub(super) fn receipts(db: &Connection) -> Answer<Vec<ExportReceipt>> {
    all(
        db,
        "SELECT first_seq, last_seq, lines, head, file, at, key_id, mac FROM audit_exports ORDER BY id",
        [],
        |row| {
            Ok(ExportReceipt {
                first: get(row, "first_seq")?,
                last: get(row, "last_seq")?,
                lines: get(row, "lines")?,
                head: get(row, "head")?,
                file: get(row, "file")?,
                at: moment(row, "at")?,
                signature: Signature {
                    key_id: get(row, "key_id")?,
                    mac: get(row, "mac")?,
                },
            })
        },
    )
}
