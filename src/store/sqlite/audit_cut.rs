//! Removes the oldest lines of the audit, if their retention is over and a verified export has them. Lines are removed from the oldest on
//! without a gap, and the newest seal of removed lines stays, so that what remains can be verified.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use sidedoor_domain::audit_chain::{AuditSeal, ExportReceipt};

use super::audit_seals;
use super::readers::Readers;
use super::rows::{Answer, all, get};
use super::sweep::{Key, Removal, Sweep};

/// Lines, and seals, that are found at a time.
const PAGE: u32 = 1000;

pub(super) async fn cut(readers: &Readers, sweep: &mut Sweep<'_>, before: Timestamp) -> Answer<()> {
    loop {
        let seals = readers.read(move |db| seals_before(db, before)).await?;
        let Some(last) = seals.last().map(|seal| seal.last) else {
            return Ok(());
        };
        loop {
            let lines = readers.read(move |db| lines_to(db, last)).await?;
            if lines.is_empty() {
                break;
            }
            sweep
                .remove(lines, |keys| Removal::ByKey("DELETE FROM audit WHERE seq = ?", keys))
                .await?;
        }
        // The next seal refers to the last of these.
        let superseded: Vec<Key> = seals[..seals.len() - 1]
            .iter()
            .map(|seal| vec![Value::Integer(seal.number)])
            .collect();
        let remove_seal = "DELETE FROM audit_seals WHERE number = ?";
        let removed = sweep
            .remove(superseded, |keys| Removal::ByKey(remove_seal, keys))
            .await?;
        if removed == 0 {
            return Ok(());
        }
    }
}

/// The oldest seals whose lines may be removed. The first of them may have lost its lines before.
fn seals_before(db: &Connection, before: Timestamp) -> Answer<Vec<AuditSeal>> {
    let exported_to = ExportReceipt::covered_to(&audit_seals::receipts(db)?);
    if exported_to == 0 {
        return Ok(Vec::new());
    }
    let mut seals = audit_seals::after(db, 0, PAGE)?;
    let kept = seals
        .iter()
        .position(|seal| seal.at >= before || seal.last > exported_to);
    seals.truncate(kept.unwrap_or(seals.len()));
    Ok(seals)
}

fn lines_to(db: &Connection, last: i64) -> Answer<Vec<Key>> {
    let sql = "SELECT seq FROM audit WHERE seq <= ? ORDER BY seq LIMIT ?";
    all(db, sql, params![last, PAGE], |row| Ok(vec![get(row, "seq")?]))
}
