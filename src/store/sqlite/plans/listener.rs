//! Collects the statements that SQLite executes, from the log of `sqlx`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A subscriber that collects the statements.
pub(super) struct Listener;

struct Statement {
    summary: String,
    whole: String,
}

impl tracing::field::Visit for Statement {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.whole = value.to_owned(),
            _ => {}
        }
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut statement = Statement {
            summary: String::new(),
            whole: String::new(),
        };
        event.record(&mut statement);
        // `sqlx` logs a short statement as its summary only.
        let whole = Some(statement.whole.trim()).filter(|s| !s.is_empty());
        let sql = whole.unwrap_or(&statement.summary).to_owned();
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).insert(sql);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// The statements collected so far.
pub(super) fn heard() -> BTreeSet<String> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Drops the statements collected so far.
pub(super) fn forget() {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
