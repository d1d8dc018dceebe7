//! How many of the contacts that agents had were supervised.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::{ContactId, InstanceName, UserId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{
    CountedContact, CoverageCount, CoverageKey, CoverageQuestion, CoverageStore, CoverageSums, HandledContact,
    day_begins, day_of,
};
use sidedoor_domain::supervision::Channel;

use super::SqliteStore;
use super::rows::{Answer, all, get, millis, moment, run, text, unreadable};

/// A failed start has no leg; a request has none yet.
macro_rules! handled {
    ($rest:literal) => {
        concat!(
            "SELECT instance, contact_id, ended_at, channel, queue, agent, EXISTS (SELECT 1 FROM supervisions s
               WHERE s.contact_id = h.contact_id AND +s.instance = h.instance AND +s.leg_id IS NOT NULL) AS supervised
             FROM handled_contacts h WHERE h.ended_at ",
            $rest
        )
    };
}

pub(super) fn write_handled(db: &Connection, handled: &HandledContact) -> Answer<()> {
    run(
        db,
        "INSERT INTO handled_contacts (instance, contact_id, ended_at, channel, queue, agent) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
        params![
            handled.instance.as_str(),
            handled.contact.as_str(),
            millis(handled.ended_at),
            handled.key.channel.as_str(),
            handled.key.queue.as_deref().unwrap_or_default(),
            handled.key.agent.as_ref().map_or("", UserId::as_str),
        ],
    )
    .map(|_| ())
}

pub(super) fn count(db: &Connection, counted: &CountedContact) -> Answer<()> {
    let HandledContact {
        instance,
        contact,
        ended_at,
        key,
    } = &counted.contact;
    let removed = run(
        db,
        "DELETE FROM handled_contacts WHERE instance = ? AND contact_id = ?",
        params![instance.as_str(), contact.as_str()],
    )?;
    if removed == 0 {
        return Ok(());
    }
    run(
        db,
        "INSERT INTO coverage_days (day, instance, channel, queue, agent, contacts, supervised) VALUES (?, ?, ?, ?, ?, 1, ?6)
         ON CONFLICT DO UPDATE SET contacts = contacts + 1, supervised = supervised + ?6",
        params![
            day_of(*ended_at),
            instance.as_str(),
            key.channel.as_str(),
            key.queue.as_deref().unwrap_or_default(),
            key.agent.as_ref().map_or("", UserId::as_str),
            counted.is_supervised,
        ],
    )
    .map(|_| ())
}

fn key(row: &Row<'_>) -> Answer<CoverageKey> {
    let (queue, agent) = (text(row, "queue")?, text(row, "agent")?);
    Ok(CoverageKey {
        channel: Channel::parse(text(row, "channel")?).ok_or_else(|| unreadable(&"a channel"))?,
        queue: (!queue.is_empty()).then(|| queue.to_owned()),
        agent: UserId::parse(agent).ok(),
    })
}

fn instance(row: &Row<'_>) -> Answer<InstanceName> {
    InstanceName::parse(text(row, "instance")?).map_err(|e| unreadable(&e))
}

fn counted(row: &Row<'_>) -> Answer<CountedContact> {
    Ok(CountedContact {
        contact: HandledContact {
            instance: instance(row)?,
            contact: ContactId::parse(text(row, "contact_id")?).map_err(|e| unreadable(&e))?,
            ended_at: moment(row, "ended_at")?,
            key: key(row)?,
        },
        is_supervised: get(row, "supervised")?,
    })
}

fn handled_before(db: &Connection, before: Timestamp, limit: u32) -> Answer<Vec<CountedContact>> {
    let sql = handled!("< ? ORDER BY h.ended_at, h.instance, h.contact_id LIMIT ?");
    all(db, sql, params![millis(before), limit], counted)
}

fn coverage(db: &Connection, question: &CoverageQuestion, most: usize) -> Answer<Vec<CoverageCount>> {
    let mut sums = CoverageSums::new(question, most);
    let number = |row: &Row<'_>, column| get::<i64>(row, column).map(|n| u64::try_from(n).unwrap_or(0));
    all(
        db,
        "SELECT day, instance, channel, queue, agent, contacts, supervised FROM coverage_days WHERE day >= ? AND day < ?",
        params![day_of(question.since), day_of(question.until)],
        |row| {
            sums.add(CoverageCount {
                since: day_begins(get(row, "day")?),
                instance: instance(row)?,
                key: key(row)?,
                contacts: number(row, "contacts")?,
                supervised: number(row, "supervised")?,
            });
            Ok(())
        },
    )?;
    all(
        db,
        handled!(">= ? AND h.ended_at < ?"),
        params![millis(question.since), millis(question.until)],
        |row| {
            let CountedContact { contact, is_supervised } = counted(row)?;
            sums.add(CoverageCount {
                since: contact.ended_at,
                instance: contact.instance,
                key: contact.key,
                contacts: 1,
                supervised: u64::from(is_supervised),
            });
            Ok(())
        },
    )?;
    Ok(sums.rows())
}

#[async_trait]
impl CoverageStore for SqliteStore {
    async fn coverage(&self, question: &CoverageQuestion, most: usize) -> Result<Vec<CoverageCount>, StoreError> {
        let question = question.clone();
        self.readers.read(move |db| coverage(db, &question, most)).await
    }

    async fn handled_before(&self, before: Timestamp, limit: u32) -> Result<Vec<CountedContact>, StoreError> {
        self.readers.read(move |db| handled_before(db, before, limit)).await
    }
}
