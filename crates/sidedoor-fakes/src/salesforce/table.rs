//! The records of one object, with an index of each field that was searched by.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A record by its fields.
pub(super) type Row = Map<String, Value>;

/// The ids of the records by the text of one field.
type Index = BTreeMap<String, BTreeSet<String>>;

/// The records of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
    /// By the name of the field in lower case. Without it, ten thousand upserts would compare a hundred million records.
    indexes: RefCell<BTreeMap<String, Index>>,
}

/// The text of a field. Salesforce ignores the case of field names.
fn text<'r>(row: &'r Row, field: &str) -> Option<&'r str> {
    row.iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(field))?
        .1
        .as_str()
}

impl Table {
    /// All records, by id.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.rows.contains_key(id)
    }

    /// The records whose `field` is this text, by id.
    pub(super) fn matching(&self, field: &str, value: &str) -> Vec<Row> {
        let mut indexes = self.indexes.borrow_mut();
        let index = indexes.entry(field.to_ascii_lowercase()).or_insert_with(|| {
            let mut index = Index::new();
            for (id, row) in &self.rows {
                if let Some(value) = text(row, field) {
                    index.entry(value.to_owned()).or_default().insert(id.clone());
                }
            }
            index
        });
        let ids = index.get(value).into_iter().flatten();
        ids.filter_map(|id| self.rows.get(id)).cloned().collect()
    }

    /// Adds or replaces a record.
    pub(super) fn put(&mut self, id: &str, row: Row) {
        self.remove(id);
        for (field, index) in self.indexes.get_mut() {
            if let Some(value) = text(&row, field) {
                index.entry(value.to_owned()).or_default().insert(id.to_owned());
            }
        }
        self.rows.insert(id.to_owned(), row);
    }

    /// Removes a record; returns whether it was there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(row) = self.rows.remove(id) else {
            return false;
        };
        for (field, index) in self.indexes.get_mut() {
            if let Some(ids) = text(&row, field).and_then(|value| index.get_mut(value)) {
                ids.remove(id);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_finds_records_after_every_change() {
        let row = |key: &str| json!({"Leg_Key__c": key}).as_object().cloned().expect("an object");
        let found = |table: &Table, key: &str| table.matching("leg_key__C", key).len();
        let mut table = Table::default();
        table.put("1", row("a"));
        assert_eq!((found(&table, "a"), found(&table, "b")), (1, 0));
        table.put("2", row("a"));
        table.put(
            "3",
            json!({"Other__c": "a", "Leg_Key__c": null})
                .as_object()
                .cloned()
                .expect("an object"),
        );
        assert_eq!(found(&table, "a"), 2);
        table.put("1", row("b"));
        assert_eq!((found(&table, "a"), found(&table, "b")), (1, 1));
        assert!(table.remove("2") && !table.remove("2"));
        assert_eq!((found(&table, "a"), table.rows().count()), (0, 2));
    }
}
