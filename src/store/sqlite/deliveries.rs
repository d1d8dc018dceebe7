//! Deliveries of records to Salesforce.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::store::{
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryResult, FailureScope, RecordState, RecordSync, StoredSupervision,
};

use super::filters::{Conditions, Page, Statement};
use super::rows::{
    Answer, count, first, get, millis, only, readable, record_state_word, record_sync, run, select_stored, stored,
};

/// The conditions that distinguish the two meanings of RECORDED.
const IS_WRITTEN: &str = "+d.recorded_version >= +d.version";
const IS_DISCARDED: &str = "+d.recorded_version < +d.version";

/// Gives the record a new version. A discarded delivery stays discarded. A delivery that waits after a failed attempt keeps its time, because otherwise every new version
/// would retry at once while Salesforce is unavailable.
pub(super) fn new_version(db: &Connection, supervision: SupervisionId, due_at: Timestamp) -> Answer<()> {
    run(
        db,
        "INSERT INTO deliveries (supervision_id, id, state, version, departure_written, due_at)
         VALUES (?, ?, 'PENDING', 1, 0, ?)
         ON CONFLICT (supervision_id) DO UPDATE SET
           version = version + 1,
           state = CASE WHEN state = 'RECORDED' AND recorded_version < version THEN state ELSE 'PENDING' END,
           due_at = CASE WHEN state = 'PENDING' AND attempts > 0 THEN due_at ELSE excluded.due_at END",
        params![
            supervision.to_string(),
            DeliveryId::of(supervision).to_string(),
            millis(due_at)
        ],
    )
    .map(|_| ())
}

/// Stores how an attempt ended. If a newer version was written meanwhile, the delivery stays pending, because that version is still
/// to be sent.
pub(super) fn settle(db: &Connection, result: &DeliveryResult) -> Answer<()> {
    let (id, version) = (result.supervision.to_string(), i64::from(result.version));
    match &result.result {
        DeliveryOutcome::Written {
            recorded,
            has_departure,
            note,
            look_again_at,
        } => run(
            db,
            "UPDATE deliveries SET recorded_version = MAX(recorded_version, ?1), object_name = ?2,
               record_id = COALESCE(?3, record_id), recorded_at = ?4, attempts = 0, refusals = 0, refused_at = NULL,
               last_error = ?5, last_answer = NULL,
               state = CASE WHEN version <= ?1 THEN 'RECORDED' ELSE state END, look_again_at = ?7,
               departure_written = MAX(departure_written, ?8)
             WHERE supervision_id = ?6",
            params![
                version,
                recorded.object_name,
                recorded.record_id,
                millis(result.at),
                note,
                id,
                look_again_at.map(millis),
                has_departure
            ],
        ),
        DeliveryOutcome::Again { due_at, error, blame } => run(
            db,
            "UPDATE deliveries SET attempts = attempts + 1, due_at = ?, last_error = ?, refusals = refusals + ?,
               refused_at = COALESCE(?, refused_at)
             WHERE supervision_id = ?",
            params![
                millis(*due_at),
                error,
                *blame == FailureScope::Row,
                (*blame != FailureScope::Crm).then(|| millis(result.at)),
                id
            ],
        ),
        DeliveryOutcome::Dead { error, answer } => run(
            db,
            "UPDATE deliveries SET attempts = attempts + 1, last_error = ?2, last_answer = ?3,
               state = CASE WHEN version <= ?1 THEN 'DEAD' ELSE state END
             WHERE supervision_id = ?4",
            params![version, error, answer, id],
        ),
        DeliveryOutcome::LookAgain { at } => run(
            db,
            "UPDATE deliveries SET look_again_at = ? WHERE supervision_id = ?",
            params![at.map(millis), id],
        ),
    }
    .map(|_| ())
}

/// Makes a delivery pending again, with the same version and the same external id.
pub(super) fn replay(db: &Connection, supervision: SupervisionId, at: Timestamp) -> Answer<()> {
    run(
        db,
        "UPDATE deliveries SET state = 'PENDING', attempts = 0, refusals = 0, refused_at = NULL, due_at = ?
             WHERE supervision_id = ?",
        params![millis(at), supervision.to_string()],
    )
    .map(|_| ())
}

/// Discards a dead letter: nothing more is sent, so it is stored as RECORDED with a version that Salesforce does not have.
pub(super) fn discard(db: &Connection, supervision: SupervisionId) -> Answer<()> {
    run(
        db,
        "UPDATE deliveries SET state = 'RECORDED', look_again_at = NULL WHERE supervision_id = ? AND state = 'DEAD'",
        [supervision.to_string()],
    )
    .map(|_| ())
}

/// Makes a pending delivery that has not failed yet due by `due_at`.
pub(super) fn expedite(db: &Connection, supervision: SupervisionId, due_at: Timestamp) -> Answer<()> {
    run(
        db,
        "UPDATE deliveries SET due_at = MIN(due_at, ?) WHERE supervision_id = ? AND state = 'PENDING' AND attempts = 0",
        params![millis(due_at), supervision.to_string()],
    )
    .map(|_| ())
}

/// The delivery of a supervision's record, if there is one.
pub(super) fn of_supervision(db: &Connection, supervision: SupervisionId) -> Answer<Option<RecordSync>> {
    let found = first(
        db,
        "SELECT supervision_id, id AS delivery_id, state AS record_state, version, recorded_version, departure_written,
           object_name, record_id, recorded_at, attempts, last_error, due_at, refusals, refused_at, look_again_at
         FROM deliveries WHERE supervision_id = ?",
        [supervision.to_string()],
        record_sync,
    )?;
    Ok(found.flatten())
}

pub(super) fn due_deliveries(db: &Connection, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!(
        "WHERE d.state = 'PENDING' AND d.due_at <= ? ORDER BY d.due_at LIMIT ?",
        "",
        "deliveries d INDEXED BY deliveries_due JOIN supervisions s ON s.id = d.supervision_id "
    );
    readable(db, sql, params![millis(now), limit])
}

pub(super) fn due_delivery_count(db: &Connection, now: Timestamp, limit: u32) -> Answer<u32> {
    only(
        db,
        "SELECT COUNT(*) AS number FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_due
             WHERE state = 'PENDING' AND due_at <= ? LIMIT ?)",
        params![millis(now), limit],
        |row| count(row, "number"),
    )
}

pub(super) fn due_contact_records(db: &Connection, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!("WHERE d.look_again_at <= ? ORDER BY d.look_again_at LIMIT ?");
    readable(db, sql, params![millis(now), limit])
}

pub(super) fn list(db: &Connection, filter: &DeliveryFilter) -> Answer<Vec<Delivery>> {
    Page::new(filter.since, filter.until, filter.before, filter.limit).read(
        db,
        |page| select_page(filter, &page),
        delivery,
    )
}

fn select_page(filter: &DeliveryFilter, page: &Page) -> Statement {
    let mut conditions = Conditions::of(select_stored!(
        "WHERE 1 = 1",
        ", d.last_answer AS last_answer",
        "deliveries d JOIN supervisions s ON s.id = d.supervision_id "
    ));
    conditions.equal("d.state", filter.state.map(record_state_word));
    match filter.state {
        Some(RecordState::Written) => conditions.also(IS_WRITTEN),
        Some(RecordState::Discarded) => conditions.also(IS_DISCARDED),
        _ => {}
    }
    conditions.newest_first("d.supervision_id", page)
}

pub(super) fn by_id(db: &Connection, id: DeliveryId) -> Answer<Option<Delivery>> {
    let sql = select_stored!("WHERE d.id = ?", ", d.last_answer AS last_answer");
    first(db, sql, [id.to_string()], delivery)
}

fn delivery(row: &Row<'_>) -> Answer<Delivery> {
    Ok(Delivery {
        stored: stored(row)?,
        last_answer: get(row, "last_answer")?,
    })
}
