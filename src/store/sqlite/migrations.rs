//! The migrations of the schema. A released migration is never edited, because every store holds its checksum and a service refuses
//! to open a store whose checksum differs.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// All migrations, oldest first.
pub(super) fn all() -> Migrator {
    Migrator::with_migrations(vec![
        step(1, "store", include_str!("migrations/0001_journal.sql")),
        step(2, "clocks", include_str!("migrations/0002_clocks.sql")),
        step(3, "directives", include_str!("migrations/0003_directives.sql")),
        step(4, "deliveries", include_str!("migrations/0004_deliveries.sql")),
        step(5, "org", include_str!("migrations/0005_org.sql")),
        step(6, "audit", include_str!("migrations/0006_audit.sql")),
        step(7, "refusals", include_str!("migrations/0007_refusals.sql")),
        step(8, "keys", include_str!("migrations/0008_keys.sql")),
        step(9, "indexes", include_str!("migrations/0009_indexes.sql")),
        step(10, "voice slots", include_str!("migrations/0010_voice_slots.sql")),
    ])
}

fn step(version: i64, description: &'static str, sql: &'static str) -> Migration {
    let sql = SqlStr::from_static(sql);
    Migration::new(version, Cow::Borrowed(description), MigrationType::Simple, sql, false)
}
