//! One change, inside the writer's transaction: first every question that could refuse it, then the writes. So a
//! refused change has written nothing, and the group it shares a transaction with is not disturbed.

use jiff::Timestamp;
use sqlx::Sqlite;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};

use super::read::{KEY_SQL, key_record};
use super::rows::{get, millis, supervision_id, unreadable};
use super::{announcements, audit, clocks, comparisons, deliveries, directives, failed};
use crate::store::documents;
use sidedoor_domain::ports::store::{KeyRecord, KeyWrite, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};
use sidedoor_domain::supervision::{Origin, State, Supervision};

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

pub(super) async fn run(db: &mut SqliteConnection, query: Query) -> Result<u64, StoreError> {
    Ok(query.execute(&mut *db).await.map_err(failed)?.rows_affected())
}

async fn one(db: &mut SqliteConnection, query: Query) -> Result<Option<SqliteRow>, StoreError> {
    query.fetch_optional(&mut *db).await.map_err(failed)
}

pub(super) async fn apply(
    db: &mut SqliteConnection,
    incarnation: &str,
    change: &Transaction,
) -> Result<CommitOutcome, StoreError> {
    if let Some(refusal) = refusal(db, incarnation, change).await? {
        return Ok(refusal);
    }
    if let Some(write) = &change.supervision {
        write_supervision(db, write).await?;
        directives::write(db, write).await?;
        let (SupervisionWrite::Insert(supervision) | SupervisionWrite::Update(supervision, _)) = write;
        if let Some(due_at) = change.deliver_at {
            deliveries::new_version(db, supervision.id, due_at).await?;
        }
    }
    for new in &change.evidence {
        let insert = sqlx::query("INSERT INTO evidence (instance, leg_id, learnt_at, doc) VALUES (?, ?, ?, ?)")
            .bind(new.instance.to_string())
            .bind(new.leg.clone())
            .bind(millis(new.evidence.learnt_at))
            .bind(documents::write_evidence(&new.evidence).map_err(|e| unreadable(&e))?);
        run(db, insert).await?;
    }
    for leg in &change.unexplained {
        // One seen again keeps its count of looks unless this is the look.
        let upsert = sqlx::query(
            "INSERT INTO unexplained_legs (instance, leg_id, due_at, looks) VALUES (?, ?, ?, ?)
             ON CONFLICT (instance, leg_id) DO UPDATE SET
               due_at = CASE WHEN excluded.looks > looks THEN excluded.due_at ELSE MIN(due_at, excluded.due_at) END,
               looks = MAX(looks, excluded.looks)",
        )
        .bind(leg.instance.to_string())
        .bind(leg.leg.clone())
        .bind(millis(leg.due_at))
        .bind(i64::from(leg.looks));
        run(db, upsert).await?;
    }
    for (instance, leg) in &change.explained {
        let delete = sqlx::query("DELETE FROM unexplained_legs WHERE instance = ? AND leg_id = ?")
            .bind(instance.to_string())
            .bind(leg.clone());
        run(db, delete).await?;
    }
    if let Some((id, at)) = &change.event {
        let insert = sqlx::query("INSERT INTO seen_events (id, seen_at) VALUES (?, ?)")
            .bind(id.clone())
            .bind(millis(*at));
        run(db, insert).await?;
    }
    if let Some((supervision, due_at)) = &change.hasten {
        let hasten = sqlx::query(
            "UPDATE deliveries SET due_at = MIN(due_at, ?) WHERE supervision_id = ? AND state = 'PENDING' AND attempts = 0",
        )
        .bind(millis(*due_at))
        .bind(supervision.to_string());
        run(db, hasten).await?;
    }
    for result in &change.delivered {
        deliveries::settle(db, result).await?;
    }
    if let Some((name, seq)) = change.cursor {
        announcements::move_cursor(db, name, seq).await?;
    }
    for comparison in &change.comparisons {
        comparisons::write(db, comparison).await?;
    }
    for (supervision, at) in &change.replayed {
        deliveries::replay(db, *supervision, *at).await?;
    }
    if let Some(key) = &change.key {
        write_key(db, incarnation, key).await?;
    }
    for (key, sample) in &change.samples {
        clocks::write_sample(db, key, sample).await?;
    }
    for epoch in &change.epochs {
        clocks::write_epoch(db, epoch).await?;
    }
    for entry in &change.audit {
        audit::write(db, entry).await?;
    }
    Ok(CommitOutcome::Done)
}

/// Every reason not to write.
async fn refusal(
    db: &mut SqliteConnection,
    incarnation: &str,
    change: &Transaction,
) -> Result<Option<CommitOutcome>, StoreError> {
    if let Some((id, _)) = &change.event {
        let seen = sqlx::query("SELECT 1 FROM seen_events WHERE id = ?").bind(id.clone());
        if one(db, seen).await?.is_some() {
            return Ok(Some(CommitOutcome::Duplicate));
        }
    }
    if let Some(KeyWrite::Take(key, ..)) = &change.key {
        let used = sqlx::query(KEY_SQL).bind(key.caller.clone()).bind(key.key.clone());
        let used = one(db, used).await?.as_ref().map(key_record).transpose()?;
        let lost = |record: &KeyRecord| record.is_lost(&key.fingerprint, incarnation);
        if let Some(record) = used.filter(|record| !lost(record)) {
            return Ok(Some(CommitOutcome::KeyUsed(record)));
        }
    }
    match &change.supervision {
        None => Ok(None),
        Some(SupervisionWrite::Insert(new)) => match place_taken(db, new).await? {
            Some(refusal) => Ok(Some(refusal)),
            None => leg_taken(db, new).await,
        },
        Some(SupervisionWrite::Update(new, revision)) => {
            let at = sqlx::query("SELECT revision FROM supervisions WHERE id = ?").bind(new.id.to_string());
            let found = one(db, at).await?.map(|row| get::<i64>(&row, 0)).transpose()?;
            if found != Some(*revision) {
                return Ok(Some(CommitOutcome::Stale));
            }
            // Only one that has waited takes the place by an update, and it waits at REQUESTED.
            if new.state == State::Requested
                && let Some(refusal) = place_taken(db, new).await?
            {
                return Ok(Some(refusal));
            }
            leg_taken(db, new).await
        }
    }
}

/// Whether another holds the voice place this one would take.
async fn place_taken(db: &mut SqliteConnection, new: &Supervision) -> Result<Option<CommitOutcome>, StoreError> {
    let (Origin::Api, true, Some(user)) = (new.origin, new.holds_voice_place(), &new.supervisor.connect_user_id) else {
        return Ok(None);
    };
    let holder = sqlx::query(
        "SELECT id FROM supervisions WHERE instance = ? AND connect_user_id = ? AND voice_place = 1 AND id <> ?
         ORDER BY id LIMIT 1",
    )
    .bind(new.instance.to_string())
    .bind(user.to_string())
    .bind(new.id.to_string());
    match one(db, holder).await? {
        Some(row) => Ok(Some(CommitOutcome::Busy(supervision_id(get(&row, 0)?)?))),
        None => Ok(None),
    }
}

async fn leg_taken(db: &mut SqliteConnection, new: &Supervision) -> Result<Option<CommitOutcome>, StoreError> {
    let Some(leg) = &new.leg else { return Ok(None) };
    let other = sqlx::query("SELECT id FROM supervisions WHERE instance = ? AND leg_id = ? AND id <> ?")
        .bind(new.instance.to_string())
        .bind(leg.to_string())
        .bind(new.id.to_string());
    match one(db, other).await? {
        Some(row) => Ok(Some(CommitOutcome::LegTaken(supervision_id(get(&row, 0)?)?))),
        None => Ok(None),
    }
}

async fn write_supervision(db: &mut SqliteConnection, write: &SupervisionWrite) -> Result<(), StoreError> {
    let (query, new, revision) = match write {
        SupervisionWrite::Insert(new) => (
            "INSERT INTO supervisions (contact_id, leg_id, connect_user_id, agent_id, state, voice_place, overdue,
             next_check_at, ended_at, voice_call_id, doc, revision, id, origin, instance)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new,
            0,
        ),
        SupervisionWrite::Update(new, revision) => (
            "UPDATE supervisions SET contact_id = ?, leg_id = ?, connect_user_id = ?, agent_id = ?, state = ?,
             voice_place = ?, overdue = ?, next_check_at = ?, ended_at = ?, voice_call_id = ?, doc = ?, revision = ?
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
        .bind(i64::from(new.holds_voice_place()))
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

async fn write_key(db: &mut SqliteConnection, incarnation: &str, key: &KeyWrite) -> Result<(), StoreError> {
    let query = match key {
        KeyWrite::Take(key, supervision, at) => sqlx::query(
            "INSERT OR REPLACE INTO idempotency_keys (caller, key, fingerprint, claim, supervision_id, taken_by, taken_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .bind(key.fingerprint.clone())
        .bind(key.claim.clone())
        .bind(supervision.map(|id| id.to_string()))
        .bind(incarnation.to_owned())
        .bind(millis(*at)),
        KeyWrite::Answer(key, status, body) => sqlx::query(
            "UPDATE idempotency_keys SET status = ?, body = ? WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL",
        )
        .bind(i64::from(*status))
        .bind(body.clone())
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .bind(key.claim.clone()),
        KeyWrite::Forget(key) => sqlx::query(
            "DELETE FROM idempotency_keys WHERE caller = ? AND key = ? AND claim = ? AND status IS NULL",
        )
        .bind(key.caller.clone())
        .bind(key.key.clone())
        .bind(key.claim.clone()),
    };
    run(db, query).await.map(|_| ())
}
