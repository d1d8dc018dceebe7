//! What the checks for missed legs have covered.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{Completeness, CompletenessStore};

use super::SqliteStore;
use super::rows::{Answer, first, get, millis, moment, run};

pub(super) fn of(db: &Connection, instance: &InstanceName) -> Answer<Option<Completeness>> {
    first(
        db,
        "SELECT since, until, legs, missed FROM completeness WHERE instance = ?",
        [instance.as_str()],
        |row| {
            let number = |column| get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0));
            Ok(Completeness {
                instance: instance.clone(),
                since: moment(row, "since")?,
                until: moment(row, "until")?,
                legs: number("legs")?,
                missed: number("missed")?,
            })
        },
    )
}

pub(super) fn write(db: &Connection, covered: &Completeness) -> Answer<()> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    run(
        db,
        "INSERT OR REPLACE INTO completeness (instance, since, until, legs, missed) VALUES (?, ?, ?, ?, ?)",
        params![
            covered.instance.as_str(),
            millis(covered.since),
            millis(covered.until),
            number(covered.legs),
            number(covered.missed)
        ],
    )
    .map(|_| ())
}

/// Which of these legs are neither a supervision's nor to be looked up.
fn unheard_of(db: &Connection, instance: &InstanceName, legs: &[String]) -> Answer<Vec<String>> {
    let mut unheard_of = Vec::new();
    for leg in legs {
        let known = first(
            db,
            "SELECT 1 FROM supervisions WHERE instance = ?1 AND leg_id = ?2
             UNION ALL SELECT 1 FROM unexplained_legs WHERE instance = ?1 AND leg_id = ?2",
            params![instance.as_str(), leg],
            |_| Ok(()),
        )?;
        if known.is_none() {
            unheard_of.push(leg.clone());
        }
    }
    Ok(unheard_of)
}

#[async_trait]
impl CompletenessStore for SqliteStore {
    async fn completeness(&self, instance: &InstanceName) -> Result<Option<Completeness>, StoreError> {
        let instance = instance.clone();
        self.readers.read(move |db| of(db, &instance)).await
    }

    async fn unheard_of(&self, instance: &InstanceName, legs: &[String]) -> Result<Vec<String>, StoreError> {
        let (instance, legs) = (instance.clone(), legs.to_vec());
        self.readers.read(move |db| unheard_of(db, &instance, &legs)).await
    }
}
