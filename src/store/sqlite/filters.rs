//! The conditions and pages of lists.

use jiff::Timestamp;
use sidedoor_domain::ids::SupervisionId;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};

use super::failed;
use super::rows::{Answer, get, skip_unreadable};

/// The conditions of a list. The first one chooses the index; every later one has a `+` before its column, which keeps it from choosing
/// another.
pub(super) struct Conditions {
    sql: QueryBuilder<Sqlite>,
    index_chosen: bool,
}

impl Conditions {
    /// Adds conditions to a statement that ends with one.
    pub(super) fn of(select: impl Into<String>) -> Self {
        Self {
            sql: QueryBuilder::new(select),
            index_chosen: false,
        }
    }

    /// The column has this value; no condition for `None`.
    pub(super) fn equal(&mut self, column: &str, wanted: Option<&str>) {
        if let Some(wanted) = wanted {
            let plus = if self.index_chosen { "+" } else { "" };
            self.sql
                .push(format_args!(" AND {plus}{column} = "))
                .push_bind(wanted.to_owned());
            self.index_chosen = true;
        }
    }

    /// A condition without a parameter, because SQLite uses a partial index only for the condition it was created with. `otherwise` is
    /// the same condition for when the index is chosen already.
    pub(super) fn literal(&mut self, leads: &str, otherwise: &str) {
        let condition = if self.index_chosen { otherwise } else { leads };
        self.sql.push(" AND ").push(condition);
        self.index_chosen = true;
    }

    /// A condition that neither chooses the index nor keeps another from it.
    pub(super) fn also(&mut self, condition: &str) {
        self.sql.push(" AND ").push(condition);
    }

    /// The column compares so with this number; no condition for `None`.
    pub(super) fn compare(&mut self, column_and_operator: &str, wanted: Option<i64>) {
        if let Some(wanted) = wanted {
            self.sql
                .push(format_args!(" AND {column_and_operator} "))
                .push_bind(wanted);
        }
    }

    pub(super) fn index_chosen(&self) -> bool {
        self.index_chosen
    }

    /// Orders and limits the list.
    pub(super) fn ordered(mut self, order: &str, limit: i64) -> QueryBuilder<Sqlite> {
        self.sql.push(format_args!(" ORDER BY {order} LIMIT ")).push_bind(limit);
        self.sql
    }

    /// The supervisions of `page`, newest first, by the column that holds their ids.
    pub(super) fn newest_first(mut self, id: &str, page: &Page) -> QueryBuilder<Sqlite> {
        // An id begins with the moment it was generated at (UUIDv7).
        let least_at = |at: Timestamp| SupervisionId::least_at(at).to_string();
        let bounds = [
            (">=", page.since.map(least_at)),
            ("<", page.until.map(least_at)),
            ("<", page.before.clone()),
        ];
        for (operator, bound) in bounds {
            if let Some(bound) = bound {
                self.sql.push(format_args!(" AND {id} {operator} ")).push_bind(bound);
            }
        }
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        self.ordered(&format!("{id} DESC"), limit)
    }
}

/// Which supervisions a page of a list may hold.
#[derive(Clone)]
pub(super) struct Page {
    /// Created at or after this moment.
    pub(super) since: Option<Timestamp>,
    /// Created before this moment.
    pub(super) until: Option<Timestamp>,
    /// Older than the supervision with this id, which may be damaged.
    pub(super) before: Option<String>,
    /// At most so many.
    pub(super) limit: usize,
}

impl Page {
    pub(super) fn new(
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        before: Option<SupervisionId>,
        limit: u32,
    ) -> Self {
        Self {
            since,
            until,
            before: before.map(|id| id.to_string()),
            limit: limit as usize,
        }
    }

    /// Reads a page of rows that [`select_stored`](super::rows::select_stored) selects. Rows that cannot be read are skipped and
    /// replaced by those after them, because a short page would end the caller's paging.
    pub(super) async fn read<T>(
        mut self,
        db: &mut SqliteConnection,
        select: impl Fn(Page) -> QueryBuilder<Sqlite>,
        one: fn(&SqliteRow) -> Answer<T>,
    ) -> Answer<Vec<T>> {
        let size = self.limit;
        let mut all = Vec::new();
        loop {
            self.limit = size.saturating_sub(all.len());
            let rows = select(self.clone()).build().fetch_all(&mut *db).await.map_err(failed)?;
            all.extend(rows.iter().filter_map(|row| skip_unreadable(row, one(row))));
            match rows.last() {
                Some(last) if rows.len() == self.limit && all.len() < size => {
                    self.before = Some(get(last, "supervision_id")?);
                }
                _ => return Ok(all),
            }
        }
    }
}
