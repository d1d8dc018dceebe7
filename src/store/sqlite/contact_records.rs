//! The org's records of contacts that were found for supervisions without one.

use rusqlite::Connection;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{FoundContactRecord, SupervisionWrite};

use super::rows::Answer;
use super::{deliveries, supervision_writes, supervisions};

/// Writes a record into its supervision, unless that has one or cannot be read.
pub(super) fn write(db: &Connection, found: &FoundContactRecord) -> Answer<()> {
    let stored = match supervisions::by_id(db, found.supervision) {
        Ok(Some(stored)) => stored,
        Ok(None) | Err(StoreError::Unreadable(_)) => return Ok(()),
        Err(e) => return Err(e),
    };
    let mut supervision = stored.supervision;
    if !found.kind.set(&mut supervision, &found.record_id) {
        return Ok(());
    }
    let write = SupervisionWrite::Update(Box::new(supervision), stored.revision);
    let Some(before) = supervision_writes::before(db, found.supervision)? else {
        return Ok(());
    };
    supervision_writes::write(db, &write, &before)?;
    match found.deliver_at {
        Some(due_at) => deliveries::new_version(db, found.supervision, due_at),
        None => Ok(()),
    }
}
