//! Supervisions: the questions to the readers, and the writes of the one writer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::CommitOutcome;
use sidedoor_domain::ports::store::{Counts, Filter, StoredSupervision, SupervisionWrite};
use sidedoor_domain::supervision::{Origin, State, Supervision};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::failed;
use super::filters::{Conditions, Page};
use super::rows::{
    Answer, Query, get, millis, readable, record_state, run, select_stored, stored, supervision_id, unreadable,
};
use crate::store::documents;

fn all_stored(rows: &[SqliteRow]) -> Answer<Vec<StoredSupervision>> {
    rows.iter().map(stored).collect()
}

pub(super) async fn by_id(pool: &SqlitePool, id: SupervisionId) -> Answer<Option<StoredSupervision>> {
    let row = sqlx::query(select_stored!("WHERE s.id = ?"))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(stored).transpose()
}

pub(super) async fn by_leg(pool: &SqlitePool, instance: &InstanceName, leg: &str) -> Answer<Option<StoredSupervision>> {
    let row = sqlx::query(select_stored!("WHERE s.instance = ? AND s.leg_id = ?"))
        .bind(instance.as_str())
        .bind(leg)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(stored).transpose()
}

pub(super) async fn active_of(
    pool: &SqlitePool,
    instance: &InstanceName,
    user: &UserId,
) -> Answer<Vec<StoredSupervision>> {
    let rows = sqlx::query(select_stored!(
        "WHERE +s.instance = ? AND s.connect_user_id = ?
         AND s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    ))
    .bind(instance.as_str())
    .bind(user.as_str())
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    all_stored(&rows)
}

pub(super) async fn active_on(
    pool: &SqlitePool,
    instance: &InstanceName,
    contact: &ContactId,
) -> Answer<Vec<StoredSupervision>> {
    let rows = sqlx::query(select_stored!(
        "WHERE +s.instance = ? AND s.contact_id = ?
         AND +s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    ))
    .bind(instance.as_str())
    .bind(contact.as_str())
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    all_stored(&rows)
}

pub(super) async fn list(pool: &SqlitePool, filter: &Filter) -> Answer<Vec<StoredSupervision>> {
    // Each state is selected by itself, because an index orders ids within one state only. All are read in one transaction, so that a
    // supervision whose state changes meanwhile is listed once.
    let mut snapshot = pool.begin().await.map_err(failed)?;
    let mut all = Vec::new();
    if filter.states.is_empty() {
        all = in_one_state(&mut snapshot, filter, None).await?;
    }
    for state in State::ALL.into_iter().filter(|state| filter.states.contains(state)) {
        all.append(&mut in_one_state(&mut snapshot, filter, Some(state)).await?);
    }
    snapshot.commit().await.map_err(failed)?;
    all.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.supervision.id));
    all.truncate(filter.limit as usize);
    Ok(all)
}

async fn in_one_state(
    db: &mut SqliteConnection,
    filter: &Filter,
    state: Option<State>,
) -> Answer<Vec<StoredSupervision>> {
    Page::new(filter.since, filter.until, filter.before, filter.limit)
        .read(db, |page| select_page(filter, state, &page), stored)
        .await
}

/// The narrowest condition comes first and chooses the index: few supervisions are unfinished, and one contact or one supervisor has
/// fewer than all.
fn select_page(filter: &Filter, state: Option<State>, page: &Page) -> QueryBuilder<Sqlite> {
    let mut conditions = Conditions::of(select_stored!("WHERE 1 = 1"));
    let in_state = |conditions: &mut Conditions, wanted: Option<State>| {
        if let Some(state) = wanted {
            let word = state.as_str();
            conditions.literal(&format!("s.state = '{word}'"), &format!("+s.state = '{word}'"));
        }
    };
    in_state(&mut conditions, state.filter(|state| !state.is_final()));
    conditions.equal("s.contact_id", filter.contact.as_ref().map(ContactId::as_str));
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

pub(super) async fn over_on(
    pool: &SqlitePool,
    instance: &InstanceName,
    contact: &ContactId,
    user: &UserId,
    limit: u32,
) -> Answer<Vec<SupervisionId>> {
    let rows = sqlx::query(
        "SELECT id FROM supervisions WHERE +instance = ? AND contact_id = ? AND +connect_user_id = ? AND +state = 'LEFT'
         ORDER BY id DESC LIMIT ?",
    )
    .bind(instance.as_str())
    .bind(contact.as_str())
    .bind(user.as_str())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter().map(|row| supervision_id(row, "id")).collect()
}

pub(super) async fn counts(pool: &SqlitePool) -> Answer<Counts> {
    let rows = sqlx::query(
        "SELECT 'active' AS kind, state, COUNT(*) AS number, SUM(overdue) AS overdue FROM supervisions
         WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') GROUP BY state
         UNION ALL SELECT 'deliveries', 'PENDING', COUNT(*), 0 FROM deliveries WHERE state = 'PENDING'
         UNION ALL SELECT 'deliveries', 'DEAD', COUNT(*), 0 FROM deliveries WHERE state = 'DEAD'",
    )
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let mut counts = Counts::default();
    for row in &rows {
        let (kind, word): (&str, &str) = (get(row, "kind")?, get(row, "state")?);
        let number = |column| get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0));
        if kind == "active" {
            let state = State::parse(word).ok_or_else(|| unreadable(&"a state"))?;
            counts.active.push((state, number("number")?));
            counts.overdue += number("overdue")?;
        } else {
            counts.rows.push((record_state(word)?, number("number")?));
        }
    }
    Ok(counts)
}

pub(super) async fn supervisors_since(
    pool: &SqlitePool,
    instance: &InstanceName,
    since: Timestamp,
    after: Option<&UserId>,
    limit: u32,
) -> Answer<Vec<UserId>> {
    let rows = sqlx::query(
        // Goes from one supervisor to the next by the index, because DISTINCT would read every supervision that each of them ever had.
        "WITH RECURSIVE supervisors (id) AS (
           SELECT MIN(connect_user_id) FROM supervisions WHERE connect_user_id > ?1
           UNION ALL
           SELECT (SELECT MIN(connect_user_id) FROM supervisions WHERE connect_user_id > supervisors.id)
           FROM supervisors WHERE supervisors.id IS NOT NULL)
         SELECT id FROM supervisors
         WHERE EXISTS (SELECT 1 FROM supervisions s
                       WHERE s.connect_user_id = supervisors.id AND +s.instance = ?2 AND s.id >= ?3) LIMIT ?4",
    )
    .bind(after.map_or("", UserId::as_str))
    .bind(instance.as_str())
    .bind(SupervisionId::least_at(since).to_string())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| UserId::parse(get::<String>(row, "id")?).map_err(|e| unreadable(&e)))
        .collect()
}

pub(super) async fn in_states(pool: &SqlitePool, states: &[State], limit: u32) -> Answer<Vec<StoredSupervision>> {
    let mut sql = QueryBuilder::<Sqlite>::new(select_stored!(
        "WHERE s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') AND s.state IN ("
    ));
    let mut list = sql.separated(", ");
    for state in states {
        list.push_bind(state.as_str());
    }
    sql.push(") ORDER BY s.id LIMIT ").push_bind(i64::from(limit));
    Ok(readable(&sql.build().fetch_all(pool).await.map_err(failed)?))
}

pub(super) async fn left_between(
    pool: &SqlitePool,
    since: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Answer<Vec<StoredSupervision>> {
    let rows = sqlx::query(select_stored!(
        "WHERE s.ended_at >= ? AND s.ended_at <= ? AND +s.state = 'LEFT' ORDER BY s.ended_at DESC LIMIT ?"
    ))
    .bind(millis(since))
    .bind(millis(until))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

/// Why a supervision must not be written, if there is a reason.
pub(super) async fn refusal(
    db: &mut SqliteConnection,
    write: &SupervisionWrite,
    max_voice_legs: usize,
) -> Answer<Option<CommitOutcome>> {
    match write {
        SupervisionWrite::Insert(new) => match slots_taken(db, new, max_voice_legs).await? {
            Some(refusal) => Ok(Some(refusal)),
            None => leg_taken(db, new).await,
        },
        SupervisionWrite::Update(new, revision) => {
            let newest = sqlx::query("SELECT revision FROM supervisions WHERE id = ?").bind(new.id.to_string());
            let newest = one(db, newest).await?;
            let newest = newest.map(|row| get::<i64>(&row, "revision")).transpose()?;
            if newest != Some(*revision) {
                return Ok(Some(CommitOutcome::Stale));
            }
            // Only a supervision that waited for a voice slot can be refused, and it is REQUESTED.
            if new.state == State::Requested
                && let Some(refusal) = slots_taken(db, new, max_voice_legs).await?
            {
                return Ok(Some(refusal));
            }
            leg_taken(db, new).await
        }
    }
}

async fn one(db: &mut SqliteConnection, query: Query) -> Answer<Option<SqliteRow>> {
    query.fetch_optional(&mut *db).await.map_err(failed)
}

/// The voice slots that other supervisions of this supervisor occupy, the oldest supervision first.
async fn other_slots(db: &mut SqliteConnection, new: &Supervision) -> Answer<Vec<(SupervisionId, i64)>> {
    let Some(user) = &new.supervisor.connect_user_id else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(
        "SELECT id, voice_slot FROM supervisions WHERE instance = ? AND connect_user_id = ? AND voice_slot > 0",
    )
    .bind(new.instance.to_string())
    .bind(user.to_string())
    .fetch_all(&mut *db)
    .await
    .map_err(failed)?;
    let mut slots = Vec::with_capacity(rows.len());
    for row in &rows {
        slots.push((supervision_id(row, "id")?, get(row, "voice_slot")?));
    }
    slots.retain(|(id, _)| *id != new.id);
    slots.sort_unstable();
    Ok(slots)
}

/// Whether other supervisions have all voice slots that a request may take.
async fn slots_taken(
    db: &mut SqliteConnection,
    new: &Supervision,
    max_voice_legs: usize,
) -> Answer<Option<CommitOutcome>> {
    if new.origin != Origin::Api || !new.holds_voice_slot() {
        return Ok(None);
    }
    let others = other_slots(db, new).await?;
    let holder = others.first().filter(|_| others.len() >= max_voice_legs);
    Ok(holder.map(|(id, _)| CommitOutcome::Busy(*id)))
}

async fn leg_taken(db: &mut SqliteConnection, new: &Supervision) -> Answer<Option<CommitOutcome>> {
    let Some(leg) = &new.leg else { return Ok(None) };
    let other = sqlx::query("SELECT id FROM supervisions WHERE instance = ? AND leg_id = ? AND id <> ?")
        .bind(new.instance.to_string())
        .bind(leg.to_string())
        .bind(new.id.to_string());
    match one(db, other).await? {
        Some(row) => Ok(Some(CommitOutcome::LegTaken(supervision_id(&row, "id")?))),
        None => Ok(None),
    }
}

/// The lowest free voice slot, if the supervision occupies one; otherwise 0. A running leg is a fact, so it takes one above the limit
/// of requests, too.
async fn voice_slot(db: &mut SqliteConnection, new: &Supervision) -> Answer<i64> {
    if !new.holds_voice_slot() {
        return Ok(0);
    }
    let taken: BTreeSet<i64> = other_slots(db, new).await?.into_iter().map(|(_, slot)| slot).collect();
    Ok((1..).find(|slot| !taken.contains(slot)).unwrap_or(0))
}

pub(super) async fn write(db: &mut SqliteConnection, write: &SupervisionWrite) -> Answer<()> {
    let (SupervisionWrite::Insert(changed) | SupervisionWrite::Update(changed, _)) = write;
    let voice_slot = voice_slot(db, changed).await?;
    let (query, new, revision) = match write {
        SupervisionWrite::Insert(new) => (
            "INSERT INTO supervisions (contact_id, leg_id, connect_user_id, agent_id, state, voice_slot, overdue,
             next_check_at, ended_at, voice_call_id, doc, revision, id, origin, instance)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new,
            0,
        ),
        SupervisionWrite::Update(new, revision) => (
            "UPDATE supervisions SET contact_id = ?, leg_id = ?, connect_user_id = ?, agent_id = ?, state = ?,
             voice_slot = ?, overdue = ?, next_check_at = ?, ended_at = ?, voice_call_id = ?, doc = ?, revision = ?
             WHERE id = ?",
            new,
            *revision,
        ),
    };
    let query = sqlx::query(query)
        .bind(new.contact.as_ref().map(ToString::to_string))
        .bind(new.leg.as_ref().map(ToString::to_string))
        .bind(new.supervisor.connect_user_id.as_ref().map(ToString::to_string))
        .bind(new.agent.as_ref().map(ToString::to_string))
        .bind(new.state.as_str())
        .bind(voice_slot)
        .bind(i64::from(new.overdue))
        .bind(new.next_check_at.map(millis))
        .bind(ended_at(new).map(millis))
        .bind(new.voice_call_id.clone())
        .bind(documents::write_supervision(new).map_err(|e| unreadable(&e))?)
        .bind(revision + 1)
        .bind(new.id.to_string());
    let query = match write {
        SupervisionWrite::Insert(_) => query.bind(new.origin.as_str()).bind(new.instance.to_string()),
        SupervisionWrite::Update(..) => query,
    };
    run(db, query).await.map(|_| ())
}

fn ended_at(supervision: &Supervision) -> Option<Timestamp> {
    let left = supervision.departure.as_ref().map(|d| d.latest);
    left.or_else(|| supervision.failure.as_ref().map(|f| f.at))
}
