//! Background jobs: due times, and the cursors of the followers of changes.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::{InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::Priority;
use sidedoor_domain::ports::store::{IdleLeg, Job, NextDue, PollStaleness};
use sidedoor_domain::supervision::NextStep;

use super::rows::{
    Answer, all, first, get, millis, moment, only, optional_moment, optional_text, run, supervision_id, text,
    unreadable,
};

pub(super) fn next_due(db: &Connection) -> Answer<NextDue> {
    only(
        db,
        "SELECT (SELECT MIN(due_at) FROM unexplained_legs) AS unknown_leg,
                (SELECT MIN(due_at) FROM deliveries WHERE state = 'PENDING') AS delivery,
                (SELECT MIN(look_again_at) FROM deliveries WHERE look_again_at IS NOT NULL) AS contact_record",
        [],
        |row| {
            Ok(NextDue {
                unknown_leg: optional_moment(row, "unknown_leg")?,
                delivery: optional_moment(row, "delivery")?,
                contact_record: optional_moment(row, "contact_record")?,
            })
        },
    )
}

/// The columns `class` and `due_at` of a job, if there is one.
fn step(row: &Row<'_>) -> Answer<Option<NextStep>> {
    let Some(word) = optional_text(row, "class")? else {
        return Ok(None);
    };
    let class = Priority::parse(word).ok_or_else(|| unreadable(&"a job's class"))?;
    let due_at = moment(row, "due_at")?;
    Ok(Some(NextStep { class, due_at }))
}

pub(super) fn all_of(db: &Connection, after: Option<SupervisionId>, limit: u32) -> Answer<Vec<Job>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let found = all(
        db,
        "SELECT u.supervision_id AS id, u.revision AS revision, s.instance AS instance, u.class AS class, u.due_at AS due_at
         FROM unfinished u INDEXED BY unfinished_by_supervision CROSS JOIN supervisions s ON s.id = u.supervision_id
         WHERE u.supervision_id > ? AND u.class IS NOT NULL ORDER BY u.supervision_id LIMIT ?",
        params![after, limit],
        |row| {
            let (supervision, revision) = (supervision_id(row, "id")?, get(row, "revision")?);
            let instance = InstanceName::parse(text(row, "instance")?).map_err(|e| unreadable(&e))?;
            Ok(step(row)?.map(|step| Job {
                supervision,
                revision,
                instance,
                step,
            }))
        },
    )?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn idle_legs(db: &Connection, after: Option<SupervisionId>, limit: u32) -> Answer<Vec<IdleLeg>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    all(
        db,
        "SELECT s.id AS id, u.revision AS revision, s.instance AS instance, s.connect_user_id AS connect_user_id,
           s.leg_id AS leg_id
         FROM unfinished u INDEXED BY unfinished_by_supervision CROSS JOIN supervisions s ON s.id = u.supervision_id
         WHERE u.supervision_id > ? AND u.class IS NULL AND +s.state = 'MONITORING' AND +s.leg_id IS NOT NULL
           AND +s.connect_user_id IS NOT NULL
         ORDER BY u.supervision_id LIMIT ?",
        params![after, limit],
        |row| {
            Ok(IdleLeg {
                supervision: supervision_id(row, "id")?,
                revision: get(row, "revision")?,
                instance: InstanceName::parse(text(row, "instance")?).map_err(|e| unreadable(&e))?,
                user: UserId::parse(text(row, "connect_user_id")?).map_err(|e| unreadable(&e))?,
                leg: get(row, "leg_id")?,
            })
        },
    )
}

pub(super) fn newest_moment(db: &Connection) -> Answer<Option<Timestamp>> {
    only(
        db,
        "SELECT MAX(COALESCE((SELECT at FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)), 0),
                    COALESCE((SELECT MAX(learnt_at) FROM evidence), 0)) AS newest",
        [],
        |row| Ok(optional_moment(row, "newest")?.filter(|at| *at > Timestamp::UNIX_EPOCH)),
    )
}

/// Makes all jobs that belong to no supervision due by `by`.
pub(super) fn expedite_all(db: &Connection, by: Timestamp) -> Answer<()> {
    for sql in [
        "UPDATE deliveries SET due_at = ?1 WHERE state = 'PENDING' AND due_at > ?1",
        "UPDATE deliveries SET look_again_at = ?1 WHERE look_again_at > ?1",
        "UPDATE unexplained_legs SET due_at = ?1 WHERE due_at > ?1",
    ] {
        run(db, sql, [millis(by)])?;
    }
    Ok(())
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
