//! The conditions and pages of lists.

use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use sidedoor_domain::ids::SupervisionId;

use super::rows::{Answer, all, get, skip_unreadable};

/// A statement that is built at run time, and the values of its parameters.
pub(super) struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    pub(super) fn of(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            values: Vec::new(),
        }
    }

    /// Adds SQL.
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a parameter with its value.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let _ = write!(self.sql, "?{}", self.values.len());
        self
    }

    /// What `one` reads from every row.
    pub(super) fn all<T>(self, db: &Connection, one: impl FnMut(&Row<'_>) -> Answer<T>) -> Answer<Vec<T>> {
        all(db, &self.sql, params_from_iter(self.values), one)
    }
}

/// The conditions of a list. The first one chooses the index; every later one has a `+` before its column, which keeps it from choosing
/// another.
pub(super) struct Conditions {
    sql: Statement,
    index_chosen: bool,
}

impl Conditions {
    /// Adds conditions to a statement that ends with one.
    pub(super) fn of(select: impl Into<String>) -> Self {
        Self {
            sql: Statement::of(select),
            index_chosen: false,
        }
    }

    /// The column has this value; no condition for `None`.
    pub(super) fn equal(&mut self, column: &str, wanted: Option<&str>) {
        if let Some(wanted) = wanted {
            let plus = if self.index_chosen { "+" } else { "" };
            self.sql
                .push(&format!(" AND {plus}{column} = "))
                .bind(wanted.to_owned());
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
            self.sql.push(&format!(" AND {column_and_operator} ")).bind(wanted);
        }
    }

    pub(super) fn index_chosen(&self) -> bool {
        self.index_chosen
    }

    /// Orders and limits the list.
    pub(super) fn ordered(mut self, order: &str, limit: i64) -> Statement {
        self.sql.push(&format!(" ORDER BY {order} LIMIT ")).bind(limit);
        self.sql
    }

    /// The supervisions of `page`, newest first, by the column that holds their ids.
    pub(super) fn newest_first(mut self, id: &str, page: &Page) -> Statement {
        // An id begins with the moment it was generated at (UUIDv7).
        let least_at = |at: Timestamp| SupervisionId::least_at(at).to_string();
        let bounds = [
            (">=", page.since.map(least_at)),
            ("<", page.until.map(least_at)),
            ("<", page.before.clone()),
        ];
        for (operator, bound) in bounds {
            if let Some(bound) = bound {
                self.sql.push(&format!(" AND {id} {operator} ")).bind(bound);
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
    pub(super) fn read<T>(
        mut self,
        db: &Connection,
        select: impl Fn(Page) -> Statement,
        one: fn(&Row<'_>) -> Answer<T>,
    ) -> Answer<Vec<T>> {
        let size = self.limit;
        let mut found = Vec::new();
        loop {
            self.limit = size.saturating_sub(found.len());
            let (mut rows, mut last) = (0, None);
            let page = select(self.clone()).all(db, |row| {
                rows += 1;
                last = Some(get(row, "supervision_id")?);
                Ok(skip_unreadable(row, one(row)))
            })?;
            found.extend(page.into_iter().flatten());
            if rows < self.limit || found.len() >= size {
                return Ok(found);
            }
            self.before = last;
        }
    }
}
