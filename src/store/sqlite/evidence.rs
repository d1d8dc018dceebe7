//! Evidence of legs, unknown legs, and the events that were seen.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, params};
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{EvidenceStore, LegEvidence, UnknownLeg};

use super::SqliteStore;
use super::rows::{Answer, all, count, first, get, millis, moment, only, run, text, unreadable};
use crate::store::documents;

pub(super) fn of_leg(db: &Connection, instance: &InstanceName, leg: &str) -> Answer<Vec<Evidence>> {
    all(
        db,
        "SELECT doc FROM evidence WHERE instance = ? AND leg_id = ? ORDER BY seq LIMIT 200",
        params![instance.as_str(), leg],
        |row| documents::read_evidence(text(row, "doc")?).map_err(|e| unreadable(&e)),
    )
}

pub(super) fn unknown_leg_count(db: &Connection, instance: &InstanceName, limit: u32) -> Answer<u32> {
    only(
        db,
        "SELECT COUNT(*) AS number FROM (SELECT 1 FROM unexplained_legs WHERE instance = ? LIMIT ?)",
        params![instance.as_str(), limit],
        |row| count(row, "number"),
    )
}

pub(super) fn due_unknown_legs(db: &Connection, now: Timestamp, limit: u32) -> Answer<Vec<UnknownLeg>> {
    all(
        db,
        "SELECT instance, leg_id, due_at, looks FROM unexplained_legs WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        params![millis(now), limit],
        |row| {
            Ok(UnknownLeg {
                instance: InstanceName::parse(text(row, "instance")?).map_err(|e| unreadable(&e))?,
                leg: get(row, "leg_id")?,
                due_at: moment(row, "due_at")?,
                looks: count(row, "looks")?,
            })
        },
    )
}

pub(super) fn write(db: &Connection, new: &LegEvidence) -> Answer<()> {
    run(
        db,
        "INSERT INTO evidence (instance, leg_id, learnt_at, doc) VALUES (?, ?, ?, ?)",
        params![
            new.instance.as_str(),
            new.leg,
            millis(new.evidence.learnt_at),
            documents::write_evidence(&new.evidence).map_err(|e| unreadable(&e))?
        ],
    )
    .map(|_| ())
}

pub(super) fn write_unknown(db: &Connection, leg: &UnknownLeg) -> Answer<()> {
    run(
        db,
        // A leg that is observed again keeps its count of looks and its earlier time, unless this write is the result of a look.
        "INSERT INTO unexplained_legs (instance, leg_id, due_at, looks) VALUES (?, ?, ?, ?)
         ON CONFLICT (instance, leg_id) DO UPDATE SET
           due_at = CASE WHEN excluded.looks > looks THEN excluded.due_at ELSE MIN(due_at, excluded.due_at) END,
           looks = MAX(looks, excluded.looks)",
        params![leg.instance.as_str(), leg.leg, millis(leg.due_at), leg.looks],
    )
    .map(|_| ())
}

pub(super) fn remove_unknown(db: &Connection, instance: &InstanceName, leg: &str) -> Answer<()> {
    let sql = "DELETE FROM unexplained_legs WHERE instance = ? AND leg_id = ?";
    run(db, sql, params![instance.as_str(), leg]).map(|_| ())
}

pub(super) fn event_was_seen(db: &Connection, id: &str) -> Answer<bool> {
    let seen = first(db, "SELECT 1 FROM seen_events WHERE id = ?", [id], |_| Ok(()))?;
    Ok(seen.is_some())
}

pub(super) fn write_event(db: &Connection, id: &str, at: Timestamp) -> Answer<()> {
    let sql = "INSERT INTO seen_events (id, seen_at) VALUES (?, ?)";
    run(db, sql, params![id, millis(at)]).map(|_| ())
}

#[async_trait]
impl EvidenceStore for SqliteStore {
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        let (instance, leg) = (instance.clone(), leg.to_owned());
        self.readers.read(move |db| of_leg(db, &instance, &leg)).await
    }

    async fn unknown_leg_count(&self, instance: &InstanceName, limit: u32) -> Result<u32, StoreError> {
        let instance = instance.clone();
        self.readers
            .read(move |db| unknown_leg_count(db, &instance, limit))
            .await
    }

    async fn due_unknown_legs(&self, now: Timestamp, limit: u32) -> Result<Vec<UnknownLeg>, StoreError> {
        self.readers.read(move |db| due_unknown_legs(db, now, limit)).await
    }
}
