//! Background jobs: due times, and the cursors of the followers of changes.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::{NextDue, PollStaleness, StoredSupervision};

use super::rows::{Answer, first, get, millis, moment, only, optional_moment, readable, run, select_stored};

pub(super) fn next_due(db: &Connection) -> Answer<NextDue> {
    only(
        db,
        "SELECT (SELECT MIN(next_check_at) FROM supervisions WHERE next_check_at IS NOT NULL) AS next_check,
                (SELECT MIN(due_at) FROM unexplained_legs) AS unknown_leg,
                (SELECT MIN(due_at) FROM deliveries WHERE state = 'PENDING') AS delivery,
                (SELECT MIN(look_again_at) FROM deliveries WHERE look_again_at IS NOT NULL) AS voice_call",
        [],
        |row| {
            Ok(NextDue {
                check: optional_moment(row, "next_check")?,
                unknown_leg: optional_moment(row, "unknown_leg")?,
                delivery: optional_moment(row, "delivery")?,
                voice_call: optional_moment(row, "voice_call")?,
            })
        },
    )
}

pub(super) fn due_checks(db: &Connection, now: Timestamp, limit: u32) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!("WHERE s.next_check_at <= ? ORDER BY s.next_check_at LIMIT ?");
    readable(db, sql, params![millis(now), limit])
}

pub(super) fn cursor(db: &Connection, name: &'static str) -> Answer<Option<i64>> {
    let sql = "SELECT seq FROM cursors WHERE name = ?";
    first(db, sql, [name], |row| get(row, "seq"))
}

pub(super) fn note_staleness(db: &Connection, measured: &PollStaleness) -> Answer<()> {
    run(
        db,
        "INSERT INTO poll_staleness (instance, measured_at, age_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (instance) DO UPDATE SET measured_at = ?2, age_ms = ?3 WHERE age_ms <= ?3 OR measured_at < ?4",
        params![
            measured.instance.as_str(),
            millis(measured.measured_at),
            i64::try_from(measured.age.as_millis()).unwrap_or(i64::MAX),
            millis(measured.measured_at - PollStaleness::KEPT_FOR)
        ],
    )
    .map(|_| ())
}

pub(super) fn poll_staleness(db: &Connection, instance: &InstanceName) -> Answer<Option<PollStaleness>> {
    let sql = "SELECT measured_at, age_ms FROM poll_staleness WHERE instance = ?";
    first(db, sql, [instance.as_str()], |row| {
        Ok(PollStaleness {
            instance: instance.clone(),
            measured_at: moment(row, "measured_at")?,
            age: SignedDuration::from_millis(get(row, "age_ms")?),
        })
    })
}

pub(super) fn move_cursor(db: &Connection, name: &'static str, seq: i64) -> Answer<()> {
    run(
        db,
        "INSERT INTO cursors (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = MAX(seq, excluded.seq)",
        params![name, seq],
    )
    .map(|_| ())
}
