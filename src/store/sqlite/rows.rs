//! Conversions between the database's columns and the port's types.

use jiff::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row};
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{RecordState, RecordSync, StoredSupervision};
use sidedoor_domain::supervision::Supervision;

use super::{failed, unreadable};
use crate::store::documents;

/// The result of a read.
pub(super) type Answer<T> = Result<T, StoreError>;

/// The columns of a [`StoredSupervision`], from `supervisions s LEFT JOIN deliveries d` or from the tables given as the last argument. The second
/// argument adds columns.
///
/// `INDEXED BY` is needed because with the statistics of a quiet moment SQLite's planner takes `unfinished` for a table of a few rows.
/// A `+` before a column keeps that condition from choosing the index. Without statistics, SQLite's planner considers every column that
/// is compared with a parameter selective, and would read the whole history by it.
macro_rules! select_stored {
    ($rest:literal) => {
        select_stored!($rest, "")
    };
    ($rest:literal, $more:literal) => {
        select_stored!(
            $rest,
            $more,
            "supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id "
        )
    };
    ($rest:literal, $more:literal, $from:literal) => {
        concat!(
            "SELECT s.id AS supervision_id, u.doc AS unfinished, s.packed AS packed, s.doc AS doc, COALESCE(u.revision, s.revision) AS revision, d.id AS delivery_id, d.state AS record_state, ",
            "d.version AS version, d.recorded_version AS recorded_version, d.departure_written AS departure_written, d.object_name AS object_name, ",
            "d.record_id AS record_id, d.recorded_at AS recorded_at, d.attempts AS attempts, d.last_error AS last_error, ",
            "d.due_at AS due_at, d.refusals AS refusals, d.refused_at AS refused_at, d.look_again_at AS look_again_at",
            $more,
            " ",
            "FROM ",
            $from,
            "LEFT JOIN unfinished u INDEXED BY unfinished_by_supervision ON u.supervision_id = s.id ",
            $rest
        )
    };
}
pub(super) use select_stored;

/// Runs a statement of the writer and returns how many rows it changed.
pub(super) fn run(db: &Connection, sql: &str, parameters: impl Params) -> Answer<usize> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    statement.execute(parameters).map_err(failed)
}

/// What `one` reads from every row of a statement.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    parameters: impl Params,
    mut one: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(one(row)?);
    }
    Ok(found)
}

/// What `one` reads from the first row of a statement, if there is a row.
pub(super) fn first<T>(
    db: &Connection,
    sql: &str,
    parameters: impl Params,
    one: impl FnOnce(&Row<'_>) -> Answer<T>,
) -> Answer<Option<T>> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    rows.next().map_err(failed)?.map(one).transpose()
}

/// What `one` reads from the row of a statement that always has one.
pub(super) fn only<T>(
    db: &Connection,
    sql: &str,
    parameters: impl Params,
    one: impl FnOnce(&Row<'_>) -> Answer<T>,
) -> Answer<T> {
    first(db, sql, parameters, one)?.ok_or_else(|| failed(rusqlite::Error::QueryReturnedNoRows))
}

/// Milliseconds since the Unix epoch, which is how the store holds every moment.
pub(super) fn millis(t: Timestamp) -> i64 {
    t.as_millisecond()
}

fn timestamp(ms: i64) -> Answer<Timestamp> {
    Timestamp::from_millisecond(ms).map_err(|e| unreadable(&e))
}

pub(super) fn unreadable(e: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable(e.to_string())
}

/// A column by its name, or why it cannot be read.
pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Answer<T> {
    row.get(column).map_err(|e| unreadable(&e))
}

/// A column that holds a text, without copying it.
pub(super) fn text<'r>(row: &'r Row<'_>, column: &str) -> Answer<&'r str> {
    let value = row.get_ref(column).map_err(|e| unreadable(&e))?;
    value.as_str().map_err(|e| unreadable(&e))
}

/// A column that holds a text or NULL, without copying it.
pub(super) fn optional_text<'r>(row: &'r Row<'_>, column: &str) -> Answer<Option<&'r str>> {
    let value = row.get_ref(column).map_err(|e| unreadable(&e))?;
    value.as_str_or_null().map_err(|e| unreadable(&e))
}

/// A column that holds a moment.
pub(super) fn moment(row: &Row<'_>, column: &str) -> Answer<Timestamp> {
    timestamp(get(row, column)?)
}

/// A column that holds a moment or NULL.
pub(super) fn optional_moment(row: &Row<'_>, column: &str) -> Answer<Option<Timestamp>> {
    get::<Option<i64>>(row, column)?.map(timestamp).transpose()
}

/// A column that holds a number of things.
pub(super) fn count(row: &Row<'_>, column: &str) -> Answer<u32> {
    Ok(u32::try_from(get::<i64>(row, column)?).unwrap_or(u32::MAX))
}

/// A column that holds a supervision's id.
pub(super) fn supervision_id(row: &Row<'_>, column: &str) -> Answer<SupervisionId> {
    SupervisionId::parse(text(row, column)?).ok_or_else(|| unreadable(&"a supervision's id"))
}

/// The word stored for a record's state. Stored words are older than the API's and never change, because existing stores
/// hold them.
pub(super) fn record_state_word(state: RecordState) -> &'static str {
    match state {
        RecordState::Pending => "PENDING",
        // Nothing more is sent in both states. A discarded delivery has a version that Salesforce does not have.
        RecordState::Written | RecordState::Discarded => "RECORDED",
        RecordState::Failed => "DEAD",
    }
}

pub(super) fn record_state(word: &str) -> Answer<RecordState> {
    [RecordState::Pending, RecordState::Written, RecordState::Failed]
        .into_iter()
        .find(|state| record_state_word(*state) == word)
        .ok_or_else(|| unreadable(&"a delivery's state"))
}

/// The supervision of a row that [`select_stored`] selected.
pub(super) fn stored(row: &Row<'_>) -> Answer<StoredSupervision> {
    Ok(StoredSupervision {
        supervision: document(row)?,
        revision: get(row, "revision")?,
        record_sync: record_sync(row)?,
    })
}

/// The supervision in the columns `unfinished`, `packed` and `doc`.
pub(super) fn document(row: &Row<'_>) -> Answer<Supervision> {
    let supervision = match (optional_text(row, "unfinished")?, unpacked(row)?) {
        (Some(text), _) => documents::read_supervision(text),
        (None, Some(text)) => documents::read_supervision(&text),
        // A supervision that was finished before documents were packed.
        (None, None) => documents::read_supervision(text(row, "doc")?),
    };
    supervision.map_err(|e| unreadable(&e))
}

/// The column `packed` of a row, if something is packed in it.
pub(super) fn unpacked(row: &Row<'_>) -> Answer<Option<String>> {
    let packed = row.get_ref("packed").map_err(|e| unreadable(&e))?;
    let packed = packed.as_blob_or_null().map_err(|e| unreadable(&e))?;
    packed
        .map(|bytes| documents::packed::unpack(bytes).map_err(|e| unreadable(&e)))
        .transpose()
}

/// The delivery of a row, if it has one.
pub(super) fn record_sync(row: &Row<'_>) -> Answer<Option<RecordSync>> {
    let Some(id) = optional_text(row, "delivery_id")? else {
        return Ok(None);
    };
    let (version, written_version) = (count(row, "version")?, count(row, "recorded_version")?);
    let state = match record_state(text(row, "record_state")?)? {
        RecordState::Written if written_version < version => RecordState::Discarded,
        state => state,
    };
    Ok(Some(RecordSync {
        id: DeliveryId::parse(id).ok_or_else(|| unreadable(&"a delivery's id"))?,
        supervision: supervision_id(row, "supervision_id")?,
        state,
        version,
        written_version,
        departure_written: get::<i64>(row, "departure_written")? != 0,
        object_name: get(row, "object_name")?,
        record_id: get(row, "record_id")?,
        written_at: optional_moment(row, "recorded_at")?,
        attempts: count(row, "attempts")?,
        last_error: get(row, "last_error")?,
        due_at: moment(row, "due_at")?,
        refusals: count(row, "refusals")?,
        refused_at: optional_moment(row, "refused_at")?,
        look_again_at: optional_moment(row, "look_again_at")?,
    }))
}

/// The supervisions that can be read, for background jobs: one damaged document, or one of a later version, must not stop the job for
/// the others.
pub(super) fn readable(db: &Connection, sql: &str, parameters: impl Params) -> Answer<Vec<StoredSupervision>> {
    let found = all(db, sql, parameters, |row| Ok(skip_unreadable(row, stored(row))))?;
    Ok(found.into_iter().flatten().collect())
}

/// The value read from a row of [`select_stored`]; `None` if it could not be read, which is noted.
pub(super) fn skip_unreadable<T>(row: &Row<'_>, read: Answer<T>) -> Option<T> {
    read.inspect_err(|e| unreadable::note(row, e)).ok()
}
