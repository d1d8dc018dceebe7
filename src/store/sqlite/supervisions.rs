//! The questions about supervisions. [`super::supervision_writes`] writes them.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{Counts, Filter, StoredSupervision};
use sidedoor_domain::supervision::{Origin, State};

use super::failed;
use super::filters::{Conditions, Page, Statement};
use super::rows::{
    Answer, all, first, get, millis, readable, record_state, select_stored, skip_unreadable, stored, supervision_id,
    text, unreadable,
};

pub(super) fn by_id(db: &Connection, id: SupervisionId) -> Answer<Option<StoredSupervision>> {
    first(db, select_stored!("WHERE s.id = ?"), [id.to_string()], stored)
}

pub(super) fn by_leg(db: &Connection, instance: &InstanceName, leg: &str) -> Answer<Option<StoredSupervision>> {
    let sql = select_stored!("WHERE s.instance = ? AND s.leg_id = ?");
    first(db, sql, params![instance.as_str(), leg], stored)
}

pub(super) fn active_of(db: &Connection, instance: &InstanceName, user: &UserId) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!(
        "WHERE +s.instance = ? AND s.connect_user_id = ?
         AND s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    );
    all(db, sql, params![instance.as_str(), user.as_str()], stored)
}

pub(super) fn active_on(
    db: &Connection,
    instance: &InstanceName,
    contact: &ContactId,
) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!(
        "WHERE +s.instance = ? AND s.contact_id = ? COLLATE NOCASE
         AND +s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    );
    all(db, sql, params![instance.as_str(), contact.as_str()], stored)
}

pub(super) fn list(db: &Connection, filter: &Filter) -> Answer<Vec<StoredSupervision>> {
    // Each state is selected by itself, because an index orders ids within one state only. All are read in one transaction, so that a
    // supervision whose state changes meanwhile is listed once.
    let snapshot = db.unchecked_transaction().map_err(failed)?;
    let mut found = Vec::new();
    if filter.states.is_empty() {
        found = in_one_state(&snapshot, filter, None)?;
    }
    for state in State::ALL.into_iter().filter(|state| filter.states.contains(state)) {
        found.append(&mut in_one_state(&snapshot, filter, Some(state))?);
    }
    snapshot.commit().map_err(failed)?;
    found.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.supervision.id));
    found.truncate(filter.limit as usize);
    Ok(found)
}

fn in_one_state(db: &Connection, filter: &Filter, state: Option<State>) -> Answer<Vec<StoredSupervision>> {
    Page::new(filter.since, filter.until, filter.before, filter.limit).read(
        db,
        |page| select_page(filter, state, &page),
        stored,
    )
}

/// The narrowest condition comes first and chooses the index: few supervisions are unfinished, and one contact or one supervisor has
/// fewer than all.
fn select_page(filter: &Filter, state: Option<State>, page: &Page) -> Statement {
    let mut conditions = Conditions::of(select_stored!("WHERE 1 = 1"));
    let in_state = |conditions: &mut Conditions, wanted: Option<State>| {
        if let Some(state) = wanted {
            let word = state.as_str();
            conditions.literal(&format!("s.state = '{word}'"), &format!("+s.state = '{word}'"));
        }
    };
    in_state(&mut conditions, state.filter(|state| !state.is_final()));
    conditions.equal(
        "s.contact_id COLLATE NOCASE",
        filter.contact.as_ref().map(ContactId::as_str),
    );
    conditions.equal("s.connect_user_id", filter.supervisor.as_ref().map(UserId::as_str));
    conditions.equal("s.agent_id", filter.agent.as_ref().map(UserId::as_str));
    if filter.overdue == Some(true) {
        conditions.literal("s.overdue = 1", "+s.overdue = 1");
    }
    in_state(&mut conditions, state.filter(|state| state.is_final()));
    conditions.equal("s.origin", filter.origin.map(Origin::as_str));
    conditions.equal("s.instance", filter.instance.as_ref().map(InstanceName::as_str));
    if filter.overdue == Some(false) {
        conditions.also("+s.overdue = 0");
    }
    conditions.newest_first("s.id", page)
}

/// The supervisions whose names are still looked up, by id.
pub(super) fn unnamed(db: &Connection, after: Option<SupervisionId>, limit: u32) -> Answer<Vec<SupervisionId>> {
    let after = after.map_or_else(String::new, |id| id.to_string());
    all(
        db,
        "SELECT supervision_id FROM unnamed WHERE supervision_id > ? ORDER BY supervision_id LIMIT ?",
        params![after, limit],
        |row| supervision_id(row, "supervision_id"),
    )
}

pub(super) fn over_on(
    db: &Connection,
    instance: &InstanceName,
    contact: &ContactId,
    user: &UserId,
    limit: u32,
) -> Answer<Vec<SupervisionId>> {
    all(
        db,
        "SELECT id FROM supervisions WHERE +instance = ? AND contact_id = ? COLLATE NOCASE AND +connect_user_id = ? AND +state = 'LEFT'
         ORDER BY id DESC LIMIT ?",
        params![instance.as_str(), contact.as_str(), user.as_str(), limit],
        |row| supervision_id(row, "id"),
    )
}

pub(super) fn counts(db: &Connection) -> Answer<Counts> {
    let mut counts = Counts::default();
    let mut add = |row: &Row<'_>| {
        let (kind, word) = (text(row, "kind")?, text(row, "state")?);
        let number = |column| get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0));
        if kind == "active" {
            let state = State::parse(word).ok_or_else(|| unreadable(&"a state"))?;
            counts.active.push((state, number("number")?));
            counts.overdue += number("overdue")?;
        } else {
            counts.rows.push((record_state(word)?, number("number")?));
        }
        Ok(())
    };
    all(
        db,
        "SELECT 'active' AS kind, state, COUNT(*) AS number, SUM(overdue) AS overdue FROM supervisions
         WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') GROUP BY state
         UNION ALL SELECT 'deliveries', 'PENDING', COUNT(*), 0 FROM deliveries WHERE state = 'PENDING'
         UNION ALL SELECT 'deliveries', 'DEAD', COUNT(*), 0 FROM deliveries WHERE state = 'DEAD'",
        [],
        &mut add,
    )?;
    Ok(counts)
}

pub(super) fn supervisors_since(
    db: &Connection,
    instance: &InstanceName,
    since: Timestamp,
    after: Option<&UserId>,
    limit: u32,
) -> Answer<Vec<UserId>> {
    all(
        db,
        // Goes from one supervisor to the next by the index, because DISTINCT would read every supervision that each of them ever had.
        "WITH RECURSIVE supervisors (id) AS (
           SELECT MIN(connect_user_id) FROM supervisions WHERE connect_user_id > ?1
           UNION ALL
           SELECT (SELECT MIN(connect_user_id) FROM supervisions WHERE connect_user_id > supervisors.id)
           FROM supervisors WHERE supervisors.id IS NOT NULL)
         SELECT id FROM supervisors
         WHERE EXISTS (SELECT 1 FROM supervisions s
                       WHERE s.connect_user_id = supervisors.id AND +s.instance = ?2 AND s.id >= ?3) LIMIT ?4",
        params![
            after.map_or("", UserId::as_str),
            instance.as_str(),
            SupervisionId::least_at(since).to_string(),
            limit
        ],
        |row| UserId::parse(text(row, "id")?).map_err(|e| unreadable(&e)),
    )
}

pub(super) fn in_states(db: &Connection, states: &[State], limit: u32) -> Answer<Vec<StoredSupervision>> {
    let mut sql = Statement::of(select_stored!(
        "WHERE s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') AND s.state IN ("
    ));
    for (i, state) in states.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        sql.push(separator).bind(state.as_str().to_owned());
    }
    sql.push(") ORDER BY s.id LIMIT ").bind(limit);
    let found = sql.all(db, |row| Ok(skip_unreadable(row, stored(row))))?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn left_between(
    db: &Connection,
    since: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Answer<Vec<StoredSupervision>> {
    let sql = select_stored!(
        "WHERE s.ended_at >= ? AND s.ended_at <= ? AND +s.state = 'LEFT' ORDER BY s.ended_at DESC LIMIT ?"
    );
    readable(db, sql, params![millis(since), millis(until), limit])
}
