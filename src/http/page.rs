//! Paging of lists: `pageSize`, `cursor`, and the `nextCursor` of the answer.

use serde::Serialize;

use super::query::Query;

const DEFAULT_SIZE: u32 = 50;
const MAX_SIZE: u32 = 200;

/// How many items to read for the page size that the caller wants: one more than that, because the additional item
/// shows whether there is a next page.
pub(super) fn items_to_read(query: &mut Query) -> u32 {
    let size = query.take("pageSize", "must be a number from 1 to 200", |raw| {
        raw.parse().ok().filter(|size| (1..=MAX_SIZE).contains(size))
    });
    size.unwrap_or(DEFAULT_SIZE) + 1
}

/// Where the page begins: the `nextCursor` of the page before.
pub(super) fn cursor<T>(query: &mut Query, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    query.take("cursor", "must be the nextCursor of an earlier page", parse)
}

/// One page of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of the items that were read when `items_to_read` were asked for. `cursor` gives the cursor after an item.
    pub(super) fn of<R>(
        mut read: Vec<R>,
        items_to_read: u32,
        cursor: impl FnOnce(&R) -> String,
        view: impl FnMut(R) -> T,
    ) -> Self {
        let size = items_to_read.saturating_sub(1) as usize;
        let has_next = read.len() > size;
        read.truncate(size);
        Self {
            next_cursor: read.last().filter(|_| has_next).map(cursor),
            items: read.into_iter().map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_cursor_only_if_more_items_were_read() {
        let page = |read: Vec<u32>| Page::of(read, 3, u32::to_string, |n| n);
        assert_eq!(page(vec![9, 8, 7]).next_cursor.as_deref(), Some("8"));
        assert_eq!(page(vec![9, 8, 7]).items, [9, 8]);
        assert_eq!(page(vec![9, 8]).next_cursor, None);
        assert_eq!(page(Vec::new()).items, [0; 0]);
    }
}
