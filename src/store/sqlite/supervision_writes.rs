//! Writes supervisions: the document and the next step in `unfinished` while something is left to be done, and the columns that are
//! searched in `supervisions`. Only columns that changed are named in an UPDATE, because SQLite rewrites every index whose column is named.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use sidedoor_domain::ids::{ContactId, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::CommitOutcome;
use sidedoor_domain::ports::store::SupervisionWrite;
use sidedoor_domain::supervision::{Origin, State, Supervision};

use super::rows::{Answer, all, first, get, millis, run, supervision_id, unreadable};
use crate::store::documents;

/// The columns beside the document that may change.
const COLUMNS: [&str; 9] = [
    "contact_id",
    "leg_id",
    "connect_user_id",
    "agent_id",
    "state",
    "voice_slot",
    "overdue",
    "ended_at",
    "voice_call_id",
];
/// The places of some of them.
const LEG: usize = 1;
const USER: usize = 2;
const VOICE_SLOT: usize = 5;

/// The values of [`COLUMNS`].
type Columns = [Value; COLUMNS.len()];

/// The stored state of a supervision before it is written.
pub(super) struct Before {
    columns: Option<Box<Columns>>,
    rows: Rows,
}

/// Which other tables have a row of the supervision.
#[derive(Clone, Copy, Default)]
struct Rows {
    unfinished: bool,
    unnamed: bool,
}

/// The stored state of a supervision: its revision, its columns, and its rows in other tables.
type Stored = (i64, Columns, Rows);

/// Whether a supervision may be written.
pub(super) enum Verdict {
    Accepted(Before),
    Refused(CommitOutcome),
}

/// Finds the reason why a supervision must not be written, if there is one.
pub(super) fn check(db: &Connection, write: &SupervisionWrite, max_voice_legs: usize) -> Answer<Verdict> {
    let (new, before, rows) = match write {
        SupervisionWrite::Insert(new) => (new, None, Rows::default()),
        SupervisionWrite::Update(new, revision) => match stored(db, new.id)? {
            Some((newest, before, rows)) if newest == *revision => (new, Some(before), rows),
            _ => return Ok(Verdict::Refused(CommitOutcome::Stale)),
        },
    };
    // A stored one can be refused only if it waited for a voice slot, and then it is REQUESTED.
    let needs_slot = before.is_none() || new.state == State::Requested;
    if needs_slot && let Some(refusal) = slots_taken(db, new, max_voice_legs)? {
        return Ok(Verdict::Refused(refusal));
    }
    let leg = new.leg.as_ref().map(LegId::as_str);
    let has_it = before.as_ref().is_some_and(|columns| columns[LEG] == text(leg));
    if !has_it && let Some(refusal) = leg_taken(db, new)? {
        return Ok(Verdict::Refused(refusal));
    }
    let columns = before.map(Box::new);
    Ok(Verdict::Accepted(Before { columns, rows }))
}

/// The stored state of a supervision, for a change that no other supervision can prevent.
pub(super) fn before(db: &Connection, id: SupervisionId) -> Answer<Option<Before>> {
    let found = stored(db, id)?;
    Ok(found.map(|(_, columns, rows)| Before {
        columns: Some(Box::new(columns)),
        rows,
    }))
}

fn stored(db: &Connection, id: SupervisionId) -> Answer<Option<Stored>> {
    first(
        db,
        "SELECT COALESCE(u.revision, s.revision) AS revision, contact_id, leg_id, connect_user_id, agent_id, state, voice_slot,
           overdue, ended_at, voice_call_id, u.revision IS NOT NULL AS is_unfinished,
           EXISTS (SELECT 1 FROM unnamed WHERE supervision_id = s.id) AS is_unnamed
         FROM supervisions s LEFT JOIN unfinished u INDEXED BY unfinished_by_supervision ON u.supervision_id = s.id
         WHERE s.id = ?",
        [id.to_string()],
        |row| {
            let mut columns: Columns = [const { Value::Null }; COLUMNS.len()];
            for (column, name) in columns.iter_mut().zip(COLUMNS) {
                *column = get(row, name)?;
            }
            let rows = Rows {
                unfinished: get(row, "is_unfinished")?,
                unnamed: get(row, "is_unnamed")?,
            };
            Ok((get(row, "revision")?, columns, rows))
        },
    )
}

/// The voice slots that other supervisions of this supervisor occupy, the oldest supervision first.
fn other_slots(db: &Connection, new: &Supervision) -> Answer<Vec<(SupervisionId, i64)>> {
    let Some(user) = &new.supervisor.connect_user_id else {
        return Ok(Vec::new());
    };
    let mut slots = all(
        db,
        "SELECT id, voice_slot FROM supervisions WHERE instance = ? AND connect_user_id = ? AND voice_slot > 0",
        params![new.instance.as_str(), user.as_str()],
        |row| Ok((supervision_id(row, "id")?, get(row, "voice_slot")?)),
    )?;
    slots.retain(|(id, _)| *id != new.id);
    slots.sort_unstable();
    Ok(slots)
}

/// Whether other supervisions have all voice slots that a request may take.
fn slots_taken(db: &Connection, new: &Supervision, max_voice_legs: usize) -> Answer<Option<CommitOutcome>> {
    if new.origin != Origin::Api || !new.holds_voice_slot() {
        return Ok(None);
    }
    let others = other_slots(db, new)?;
    let holder = others.first().filter(|_| others.len() >= max_voice_legs);
    Ok(holder.map(|(id, _)| CommitOutcome::Busy(*id)))
}

fn leg_taken(db: &Connection, new: &Supervision) -> Answer<Option<CommitOutcome>> {
    let Some(leg) = &new.leg else { return Ok(None) };
    let other = first(
        db,
        "SELECT id FROM supervisions WHERE instance = ? AND leg_id = ? AND id <> ?",
        params![new.instance.as_str(), leg.as_str(), new.id.to_string()],
        |row| supervision_id(row, "id"),
    )?;
    Ok(other.map(CommitOutcome::LegTaken))
}

/// The supervision's voice slot, if it occupies one; otherwise 0. A new one is the lowest free number. A running leg is a fact, so it
/// takes one above the limit of requests, too.
fn voice_slot(db: &Connection, new: &Supervision, before: Option<&Columns>) -> Answer<i64> {
    if !new.holds_voice_slot() {
        return Ok(0);
    }
    let user = text(new.supervisor.connect_user_id.as_ref().map(UserId::as_str));
    match before.map(|columns| (&columns[USER], &columns[VOICE_SLOT])) {
        Some((theirs, Value::Integer(slot))) if *slot > 0 && *theirs == user => return Ok(*slot),
        _ => {}
    }
    let taken: BTreeSet<i64> = other_slots(db, new)?.into_iter().map(|(_, slot)| slot).collect();
    Ok((1..).find(|slot| !taken.contains(slot)).unwrap_or(0))
}

fn text(value: Option<&str>) -> Value {
    value.map_or(Value::Null, |value| Value::Text(value.to_owned()))
}

fn number(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Integer)
}

fn columns(new: &Supervision, voice_slot: i64) -> Columns {
    [
        text(new.contact.as_ref().map(ContactId::as_str)),
        text(new.leg.as_ref().map(LegId::as_str)),
        text(new.supervisor.connect_user_id.as_ref().map(UserId::as_str)),
        text(new.agent.as_ref().map(UserId::as_str)),
        text(Some(new.state.as_str())),
        Value::Integer(voice_slot),
        Value::Integer(i64::from(new.overdue)),
        number(ended_at(new).map(millis)),
        text(new.voice_call_id.as_deref()),
    ]
}

/// Writes a supervision that [`check`] has accepted.
pub(super) fn write(db: &Connection, write: &SupervisionWrite, before: &Before) -> Answer<()> {
    let (SupervisionWrite::Insert(new) | SupervisionWrite::Update(new, _)) = write;
    let columns = columns(new, voice_slot(db, new, before.columns.as_deref())?);
    let text = documents::write_supervision(new).map_err(|e| unreadable(&e))?;
    let finished = new.state.is_final() && new.next_step().is_none();
    let packed = match finished {
        true => Value::Blob(documents::packed::pack(&text).map_err(|e| unreadable(&e))?),
        false => Value::Null,
    };
    match write {
        SupervisionWrite::Insert(_) => insert(db, new, columns, packed)?,
        SupervisionWrite::Update(..) => {
            let mut changed = changed_columns(before, columns);
            if finished || !before.rows.unfinished {
                changed.push(("packed", packed));
                changed.push(("revision", Value::Integer(write.next_revision())));
            }
            update(db, new, changed)?;
        }
    }
    let id = new.id.to_string();
    if new.lacks_names() != before.rows.unnamed {
        let sql = if before.rows.unnamed {
            "DELETE FROM unnamed WHERE supervision_id = ?"
        } else {
            "INSERT INTO unnamed (supervision_id) VALUES (?)"
        };
        run(db, sql, [&id])?;
    }
    if !finished {
        return write_unfinished(db, new, write.next_revision(), &text, before.rows.unfinished);
    }
    if before.rows.unfinished {
        run(db, "DELETE FROM unfinished WHERE supervision_id = ?", [id])?;
    }
    Ok(())
}

fn insert(db: &Connection, new: &Supervision, columns: Columns, packed: Value) -> Answer<()> {
    let others = [
        text(Some(new.origin.as_str())),
        text(Some(new.instance.as_str())),
        packed,
        Value::Text(new.id.to_string()),
    ];
    run(
        db,
        "INSERT INTO supervisions (contact_id, leg_id, connect_user_id, agent_id, state, voice_slot, overdue,
         ended_at, voice_call_id, origin, instance, packed, id, revision, doc)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, '')",
        params_from_iter(columns.into_iter().chain(others)),
    )
    .map(|_| ())
}

fn changed_columns(before: &Before, columns: Columns) -> Vec<(&'static str, Value)> {
    let named = COLUMNS.into_iter().zip(columns).enumerate();
    let is_changed = |i: usize, value: &Value| before.columns.as_ref().is_none_or(|before| before[i] != *value);
    named
        .filter(|(i, (_, value))| is_changed(*i, value))
        .map(|(_, column)| column)
        .collect()
}

fn update(db: &Connection, new: &Supervision, changed: Vec<(&'static str, Value)>) -> Answer<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let mut sql = "UPDATE supervisions SET ".to_owned();
    let mut values = vec![Value::Text(new.id.to_string())];
    for (i, (name, value)) in changed.into_iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        values.push(value);
        let _ = write!(sql, "{separator}{name} = ?{}", values.len());
    }
    sql.push_str(" WHERE id = ?1");
    run(db, &sql, params_from_iter(values)).map(|_| ())
}

/// Writes the row of a supervision for which something is left to be done.
fn write_unfinished(db: &Connection, new: &Supervision, revision: i64, doc: &str, is_there: bool) -> Answer<()> {
    let step = new.next_step();
    let sql = if is_there {
        "UPDATE unfinished SET revision = ?2, class = ?3, due_at = ?4, doc = ?5 WHERE supervision_id = ?1"
    } else {
        "INSERT INTO unfinished (supervision_id, revision, class, due_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)"
    };
    let class = step.map(|step| step.class.as_str());
    let due_at = step.map(|step| millis(step.due_at));
    run(db, sql, params![new.id.to_string(), revision, class, due_at, doc]).map(|_| ())
}

fn ended_at(supervision: &Supervision) -> Option<Timestamp> {
    let left = supervision.departure.as_ref().map(|d| d.latest);
    left.or_else(|| supervision.failure.as_ref().map(|f| f.at))
}
