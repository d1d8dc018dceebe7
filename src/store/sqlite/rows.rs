//! Between rows and the port's types.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::store::documents;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{RecordState, RecordSync, Stored};

/// The columns of a [`Stored`], from `supervisions s LEFT JOIN deliveries d`, or from what is named instead.
///
/// Where a condition must not choose the index, its column has a `+`: without statistics SQLite's planner takes any column that
/// is compared with a parameter for selective, and would read the whole history by it.
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
            "SELECT s.doc, s.revision, d.supervision_id, d.id, d.state, d.version, d.recorded_version, d.object_name, ",
            "d.record_id, d.recorded_at, d.attempts, d.last_error, d.due_at, d.refusals, d.refused_at, d.look_again_at",
            $more,
            " ",
            "FROM ",
            $from,
            $rest
        )
    };
}
pub(super) use select_stored;

pub(super) fn millis(t: Timestamp) -> i64 {
    t.as_millisecond()
}

pub(super) fn timestamp(ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms).map_err(|e| unreadable(&e))
}

pub(super) fn unreadable(e: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable(e.to_string())
}

pub(super) fn supervision_id(raw: &str) -> Result<SupervisionId, StoreError> {
    SupervisionId::parse(raw).ok_or_else(|| unreadable(&"a supervision's id"))
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

pub(super) fn record_state(word: &str) -> Result<RecordState, StoreError> {
    [RecordState::Pending, RecordState::Written, RecordState::Failed]
        .into_iter()
        .find(|state| record_state_word(*state) == word)
        .ok_or_else(|| unreadable(&"a delivery's state"))
}

/// A column, or why not.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|e| unreadable(&e))
}

pub(super) fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    let supervision = documents::read_supervision(get(row, 0)?).map_err(|e| unreadable(&e))?;
    let has_record = get::<Option<&str>>(row, 2)?.is_some();
    let record_sync = if has_record { Some(record_sync(row, 2)?) } else { None };
    Ok(Stored {
        supervision,
        revision: get(row, 1)?,
        record_sync,
    })
}

/// For what the service does by itself: one that cannot be read (a fault of the disk, a newer version's hand) must not hold the
/// others up.
pub(super) fn readable(rows: &[SqliteRow]) -> Vec<Stored> {
    rows.iter().filter_map(|row| passed_over(row, stored(row))).collect()
}

/// What was read; of a row that cannot be, only a line in the log.
pub(super) fn passed_over<T>(row: &SqliteRow, read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|e| {
        let beginning: String = get::<&str>(row, 0).unwrap_or_default().chars().take(60).collect();
        tracing::error!(error = %e, beginning, "a supervision in the store cannot be read and is passed over: {e}");
    })
    .ok()
}

/// A [`RecordSync`] whose columns begin at `at`, in the order of [`select_stored`].
pub(super) fn record_sync(row: &SqliteRow, at: usize) -> Result<RecordSync, StoreError> {
    let count = |i| Ok::<u32, StoreError>(u32::try_from(get::<i64>(row, at + i)?).unwrap_or(u32::MAX));
    let moment = |i| get::<Option<i64>>(row, at + i)?.map(timestamp).transpose();
    Ok(RecordSync {
        supervision: supervision_id(get(row, at)?)?,
        id: DeliveryId::parse(get(row, at + 1)?).ok_or_else(|| unreadable(&"a delivery's id"))?,
        state: record_state(get(row, at + 2)?)?,
        version: count(3)?,
        written_version: count(4)?,
        object_name: get(row, at + 5)?,
        record_id: get(row, at + 6)?,
        written_at: moment(7)?,
        attempts: count(8)?,
        last_error: get(row, at + 9)?,
        due_at: timestamp(get(row, at + 10)?)?,
        refusals: count(11)?,
        refused_at: moment(12)?,
        look_again_at: moment(13)?,
    })
}
