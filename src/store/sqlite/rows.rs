//! Conversions between the database's columns and the port's types.

use jiff::Timestamp;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{RecordState, RecordSync, StoredSupervision};
use sqlx::Row;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};

use super::failed;
use crate::store::documents;

/// The result of a read.
pub(super) type Answer<T> = Result<T, StoreError>;

/// A statement of the writer.
pub(super) type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

/// The columns of a [`StoredSupervision`], from `supervisions s LEFT JOIN deliveries d` or from the tables given as the last argument. The second
/// argument adds columns.
///
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
            "SELECT s.id AS supervision_id, s.doc AS doc, s.revision AS revision, d.id AS delivery_id, d.state AS record_state, ",
            "d.version AS version, d.recorded_version AS recorded_version, d.departure_written AS departure_written, d.object_name AS object_name, ",
            "d.record_id AS record_id, d.recorded_at AS recorded_at, d.attempts AS attempts, d.last_error AS last_error, ",
            "d.due_at AS due_at, d.refusals AS refusals, d.refused_at AS refused_at, d.look_again_at AS look_again_at",
            $more,
            " ",
            "FROM ",
            $from,
            $rest
        )
    };
}
pub(super) use select_stored;

/// Runs a statement of the writer and returns how many rows it changed.
pub(super) async fn run(db: &mut SqliteConnection, query: Query) -> Answer<u64> {
    Ok(query.execute(&mut *db).await.map_err(failed)?.rows_affected())
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
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Answer<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|e| unreadable(&e))
}

/// A column that holds a moment.
pub(super) fn moment(row: &SqliteRow, column: &str) -> Answer<Timestamp> {
    timestamp(get(row, column)?)
}

/// A column that holds a moment or NULL.
pub(super) fn optional_moment(row: &SqliteRow, column: &str) -> Answer<Option<Timestamp>> {
    get::<Option<i64>>(row, column)?.map(timestamp).transpose()
}

/// A column that holds a number of things.
pub(super) fn count(row: &SqliteRow, column: &str) -> Answer<u32> {
    Ok(u32::try_from(get::<i64>(row, column)?).unwrap_or(u32::MAX))
}

/// A column that holds a supervision's id.
pub(super) fn supervision_id(row: &SqliteRow, column: &str) -> Answer<SupervisionId> {
    SupervisionId::parse(get(row, column)?).ok_or_else(|| unreadable(&"a supervision's id"))
}

/// The word stored for a record's state. Stored words are older than the API's and never change, because existing stores
/// hold them.
pub(super) fn record_state_word(state: RecordState) -> &'static str {
    match state {
        RecordState::Pending => "PENDING",
        RecordState::Written => "RECORDED",
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
pub(super) fn stored(row: &SqliteRow) -> Answer<StoredSupervision> {
    let supervision = documents::read_supervision(get(row, "doc")?).map_err(|e| unreadable(&e))?;
    Ok(StoredSupervision {
        supervision,
        revision: get(row, "revision")?,
        record_sync: record_sync(row)?,
    })
}

fn record_sync(row: &SqliteRow) -> Answer<Option<RecordSync>> {
    let Some(id) = get::<Option<&str>>(row, "delivery_id")? else {
        return Ok(None);
    };
    Ok(Some(RecordSync {
        id: DeliveryId::parse(id).ok_or_else(|| unreadable(&"a delivery's id"))?,
        supervision: supervision_id(row, "supervision_id")?,
        state: record_state(get(row, "record_state")?)?,
        version: count(row, "version")?,
        written_version: count(row, "recorded_version")?,
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
pub(super) fn readable(rows: &[SqliteRow]) -> Vec<StoredSupervision> {
    rows.iter()
        .filter_map(|row| skip_unreadable(row, stored(row)))
        .collect()
}

/// The value read from a row of [`select_stored`]; logs an error and returns `None` if it could not be read.
pub(super) fn skip_unreadable<T>(row: &SqliteRow, read: Answer<T>) -> Option<T> {
    read.inspect_err(|e| {
        let supervision_id = get::<&str>(row, "supervision_id").unwrap_or_default();
        let beginning: String = get::<&str>(row, "doc").unwrap_or_default().chars().take(60).collect();
        tracing::error!(error = %e, supervision_id, beginning, "a stored supervision cannot be read; skipping it: {e}");
    })
    .ok()
}
