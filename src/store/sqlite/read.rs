//! Questions to the store. Read-only connections; each answer is one consistent moment of it.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::failed;
use super::rows::{get, millis, readable, record_state, select_stored, stored, supervision_id, timestamp, unreadable};
use crate::store::documents;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{Counts, Filter, KeyRecord, NextDue, Stored, UnexplainedLeg};
use sidedoor_domain::supervision::{Origin, State};

type Answer<T> = Result<T, StoreError>;

fn all_stored(rows: Vec<SqliteRow>) -> Answer<Vec<Stored>> {
    rows.iter().map(stored).collect()
}

pub(super) async fn supervision(pool: &SqlitePool, id: SupervisionId) -> Answer<Option<Stored>> {
    let row = sqlx::query(select_stored!("WHERE s.id = ?"))
        .bind(id.to_string())
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(stored).transpose()
}

pub(super) async fn by_leg(pool: &SqlitePool, instance: &InstanceName, leg: &str) -> Answer<Option<Stored>> {
    let row = sqlx::query(select_stored!("WHERE s.instance = ? AND s.leg_id = ?"))
        .bind(instance.as_str())
        .bind(leg)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(stored).transpose()
}

pub(super) async fn active_of(pool: &SqlitePool, instance: &InstanceName, user: &UserId) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE +s.instance = ? AND s.connect_user_id = ?
         AND s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    ))
    .bind(instance.as_str())
    .bind(user.as_str())
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    all_stored(rows)
}

pub(super) async fn active_on(pool: &SqlitePool, instance: &InstanceName, contact: &ContactId) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE +s.instance = ? AND s.contact_id = ?
         AND +s.state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') ORDER BY s.id LIMIT 200"
    ))
    .bind(instance.as_str())
    .bind(contact.as_str())
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    all_stored(rows)
}

pub(super) async fn list(pool: &SqlitePool, filter: &Filter) -> Answer<Vec<Stored>> {
    // Every state is asked for by itself, because an index gives the order of ids within one state only; and all in one
    // transaction, so that a supervision whose state changes meanwhile is listed once.
    let mut moment = pool.begin().await.map_err(failed)?;
    let mut all = Vec::new();
    if filter.states.is_empty() {
        all = in_one_state(&mut moment, filter, None).await?;
    }
    for state in State::ALL.into_iter().filter(|state| filter.states.contains(state)) {
        all.append(&mut in_one_state(&mut moment, filter, Some(state)).await?);
    }
    moment.commit().await.map_err(failed)?;
    all.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.supervision.id));
    all.truncate(filter.limit as usize);
    Ok(all)
}

async fn in_one_state(db: &mut SqliteConnection, filter: &Filter, state: Option<State>) -> Answer<Vec<Stored>> {
    let most = filter.limit as usize;
    let mut before = filter.before.map(|id| id.to_string());
    let mut all = Vec::new();
    // What cannot be read is passed over, and the page filled with what comes after it.
    loop {
        let wanted = most.saturating_sub(all.len());
        let rows = page(filter, state, before.as_deref(), wanted)
            .build()
            .fetch_all(&mut *db)
            .await
            .map_err(failed)?;
        all.extend(readable(&rows));
        match rows.last() {
            Some(last) if rows.len() == wanted && all.len() < most => before = Some(get(last, last.len() - 1)?),
            _ => return Ok(all),
        }
    }
}

/// Conditions of a list, of which the first chooses the index: the ones after it have a `+` before their column.
pub(super) struct Conditions {
    sql: QueryBuilder<Sqlite>,
    led: bool,
}

impl Conditions {
    pub(super) fn of(sql: QueryBuilder<Sqlite>) -> Self {
        Self { sql, led: false }
    }

    /// A column that is to have this value, if one is wanted.
    pub(super) fn equal(&mut self, column: &str, wanted: Option<&str>) {
        if let Some(wanted) = wanted {
            let plus = if self.led { "+" } else { "" };
            self.sql
                .push(format_args!(" AND {plus}{column} = "))
                .push_bind(wanted.to_owned());
            self.led = true;
        }
    }

    /// A condition without a parameter, because a partial index is found by its own words and a state by what statistics say of it.
    pub(super) fn literal(&mut self, leads: &str, otherwise: &str) {
        let condition = if self.led { otherwise } else { leads };
        self.sql.push(" AND ").push(condition);
        self.led = true;
    }

    /// Whether an index was chosen.
    pub(super) fn led(&self) -> bool {
        self.led
    }

    pub(super) fn into_sql(self) -> QueryBuilder<Sqlite> {
        self.sql
    }
}

/// The narrowest condition leads: what is unfinished is little, what one contact or one supervisor had is less than all.
fn page(filter: &Filter, state: Option<State>, before: Option<&str>, limit: usize) -> QueryBuilder<Sqlite> {
    let select = QueryBuilder::<Sqlite>::new(select_stored!("WHERE 1 = 1", ", s.id"));
    let mut conditions = Conditions::of(select);
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
    let mut sql = conditions.into_sql();
    if filter.overdue == Some(false) {
        sql.push(" AND +s.overdue = 0");
    }
    // Ids begin with their moment (UUIDv7).
    if let Some(since) = filter.since {
        sql.push(" AND s.id >= ")
            .push_bind(SupervisionId::least_at(since).to_string());
    }
    if let Some(until) = filter.until {
        sql.push(" AND s.id < ")
            .push_bind(SupervisionId::least_at(until).to_string());
    }
    if let Some(before) = before {
        sql.push(" AND s.id < ").push_bind(before.to_owned());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql.push(" ORDER BY s.id DESC LIMIT ").push_bind(limit);
    sql
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
    rows.iter().map(|row| supervision_id(get(row, 0)?)).collect()
}

pub(super) async fn counts(pool: &SqlitePool) -> Answer<Counts> {
    let rows = sqlx::query(
        "SELECT 'active', state, COUNT(*), SUM(overdue) FROM supervisions
         WHERE state IN ('REQUESTED', 'JOINING', 'MONITORING', 'LEAVING') GROUP BY state
         UNION ALL SELECT 'rows', 'PENDING', COUNT(*), 0 FROM deliveries WHERE state = 'PENDING'
         UNION ALL SELECT 'rows', 'DEAD', COUNT(*), 0 FROM deliveries WHERE state = 'DEAD'",
    )
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let mut counts = Counts::default();
    for row in &rows {
        let (kind, word): (&str, &str) = (get(row, 0)?, get(row, 1)?);
        let count = |column| get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0));
        if kind == "active" {
            let state = State::parse(word).ok_or_else(|| unreadable(&"a state"))?;
            counts.active.push((state, count(2)?));
            counts.overdue += count(3)?;
        } else {
            let state = record_state(word)?;
            counts.rows.push((state, count(2)?));
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
        // From one supervisor to the next by the index, instead of over everything that each of them ever had.
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
        .map(|row| UserId::parse(get::<String>(row, 0)?).map_err(|e| unreadable(&e)))
        .collect()
}

pub(super) async fn in_states(pool: &SqlitePool, states: &[State], limit: u32) -> Answer<Vec<Stored>> {
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

pub(super) async fn due_checks(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE s.next_check_at <= ? ORDER BY s.next_check_at LIMIT ?"
    ))
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

pub(super) async fn left_since(pool: &SqlitePool, since: Timestamp, limit: u32) -> Answer<Vec<Stored>> {
    let rows = sqlx::query(select_stored!(
        "WHERE s.ended_at >= ? AND +s.state = 'LEFT' ORDER BY s.ended_at DESC LIMIT ?"
    ))
    .bind(millis(since))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    Ok(readable(&rows))
}

pub(super) async fn evidence(pool: &SqlitePool, instance: &InstanceName, leg: &str) -> Answer<Vec<Evidence>> {
    let rows = sqlx::query("SELECT doc FROM evidence WHERE instance = ? AND leg_id = ? ORDER BY seq LIMIT 200")
        .bind(instance.as_str())
        .bind(leg)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter()
        .map(|row| documents::read_evidence(get(row, 0)?).map_err(|e| unreadable(&e)))
        .collect()
}

pub(super) async fn due_unexplained(pool: &SqlitePool, now: Timestamp, limit: u32) -> Answer<Vec<UnexplainedLeg>> {
    let rows = sqlx::query(
        "SELECT instance, leg_id, due_at, looks FROM unexplained_legs WHERE due_at <= ? ORDER BY due_at LIMIT ?",
    )
    .bind(millis(now))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    rows.iter()
        .map(|row| {
            Ok(UnexplainedLeg {
                instance: InstanceName::parse(get::<String>(row, 0)?).map_err(|e| unreadable(&e))?,
                leg: get(row, 1)?,
                due_at: timestamp(get(row, 2)?)?,
                looks: u32::try_from(get::<i64>(row, 3)?).unwrap_or(u32::MAX),
            })
        })
        .collect()
}

pub(super) async fn next_due(pool: &SqlitePool) -> Answer<NextDue> {
    let row = sqlx::query(
        "SELECT (SELECT MIN(next_check_at) FROM supervisions WHERE next_check_at IS NOT NULL),
                (SELECT MIN(due_at) FROM unexplained_legs),
                (SELECT MIN(due_at) FROM deliveries WHERE state = 'PENDING'),
                (SELECT MIN(look_again_at) FROM deliveries WHERE look_again_at IS NOT NULL)",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    let at = |column| get::<Option<i64>>(&row, column)?.map(timestamp).transpose();
    Ok(NextDue {
        check: at(0)?,
        unexplained: at(1)?,
        delivery: at(2)?,
        voice_call: at(3)?,
    })
}

pub(super) async fn key(pool: &SqlitePool, caller: &str, key: &str) -> Answer<Option<KeyRecord>> {
    let row = sqlx::query(KEY_SQL)
        .bind(caller)
        .bind(key)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    row.as_ref().map(key_record).transpose()
}

/// A caller's key; the writer asks the same.
pub(super) const KEY_SQL: &str =
    "SELECT fingerprint, supervision_id, taken_by, status, body FROM idempotency_keys WHERE caller = ? AND key = ?";

pub(super) fn key_record(row: &SqliteRow) -> Answer<KeyRecord> {
    let status = get::<Option<i64>>(row, 3)?.and_then(|s| u16::try_from(s).ok());
    let body = get::<Option<String>>(row, 4)?;
    Ok(KeyRecord {
        fingerprint: get(row, 0)?,
        supervision: get::<Option<&str>>(row, 1)?.map(supervision_id).transpose()?,
        taken_by: get(row, 2)?,
        answer: status.zip(body),
    })
}
