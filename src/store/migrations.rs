//! Which migrations a store needs. The same rules hold for every store; each applies the SQL in its own way.
//!
//! A released migration is never edited, because every store holds its checksum, and a service refuses to open a store whose checksum
//! differs.

use sha2::{Digest, Sha384};

/// One step of a schema.
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

impl Migration {
    /// The SHA-384 of the SQL.
    pub(super) fn checksum(&self) -> Vec<u8> {
        Sha384::digest(self.sql.as_bytes()).to_vec()
    }
}

/// A migration that a store has, as it is recorded there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) checksum: Vec<u8>,
}

/// Why a store must not be opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// The store is of a later version of Sidedoor.
    #[error("a later version of Sidedoor wrote it (migration {0}); use that version or a newer one")]
    Newer(i64),
    /// The store was made by other SQL than this version has.
    #[error("migration {0} was applied with other contents than this version has")]
    Changed(i64),
    /// The store lacks a migration before its newest.
    #[error("migration {0} is missing, although a later one was applied")]
    Missing(i64),
}

/// The migrations that a store still needs, oldest first. Both lists are in the order of versions.
pub(super) fn pending<'m>(all: &'m [Migration], applied: &[Applied]) -> Result<&'m [Migration], Unfit> {
    if let Some(unknown) = applied.iter().find(|a| all.iter().all(|m| m.version != a.version)) {
        return Err(Unfit::Newer(unknown.version));
    }
    for (migration, applied) in all.iter().zip(applied) {
        if migration.version != applied.version {
            return Err(Unfit::Missing(migration.version));
        }
        if migration.checksum() != applied.checksum {
            return Err(Unfit::Changed(migration.version));
        }
    }
    Ok(&all[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Migration; 3] = [step(1, "one"), step(2, "two"), step(3, "three")];

    const fn step(version: i64, sql: &'static str) -> Migration {
        Migration {
            version,
            name: "step",
            sql,
        }
    }

    fn applied(version: i64, sql: &'static str) -> Applied {
        Applied {
            version,
            checksum: step(version, sql).checksum(),
        }
    }

    fn versions(applied: &[Applied]) -> Result<Vec<i64>, Unfit> {
        pending(&ALL, applied).map(|found| found.iter().map(|m| m.version).collect())
    }

    #[test]
    fn migrations_that_a_store_lacks_are_pending() {
        assert_eq!(versions(&[]), Ok(vec![1, 2, 3]));
        assert_eq!(versions(&[applied(1, "one"), applied(2, "two")]), Ok(vec![3]));
        let all = [applied(1, "one"), applied(2, "two"), applied(3, "three")];
        assert_eq!(versions(&all), Ok(vec![]));
    }

    #[test]
    fn store_with_other_migrations_is_unfit() {
        let newer = [
            applied(1, "one"),
            applied(2, "two"),
            applied(3, "three"),
            applied(4, "four"),
        ];
        assert_eq!(versions(&newer), Err(Unfit::Newer(4)));
        assert_eq!(versions(&[applied(1, "another")]), Err(Unfit::Changed(1)));
        assert_eq!(
            versions(&[applied(1, "one"), applied(3, "three")]),
            Err(Unfit::Missing(2))
        );
    }
}
