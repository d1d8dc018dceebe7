//! How many of the contacts that agents had were supervised, in the store.
//!
//! A contact is stored by its id when it ends, so that a repeated event counts once, and a leg that is learnt of late counts too. After two
//! days ([`COUNTED_AFTER`]) only its day's counter is kept.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreError;
use crate::ids::{ContactId, InstanceName, UserId};
use crate::supervision::Channel;

/// The age at which an ended contact becomes a part of its day's counter. Amazon EventBridge repeats an event for up to 24 hours.
pub const COUNTED_AFTER: SignedDuration = SignedDuration::from_hours(48);

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 1970-01-01 was a Thursday, three days after a Monday.
const DAYS_AFTER_MONDAY: i64 = 3;

/// A customer's contact that an agent had and that has ended, as a contact event said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandledContact {
    /// The instance.
    pub instance: InstanceName,
    /// The contact. A transfer makes a new one.
    pub contact: ContactId,
    /// When it ended, on the vendor's clock.
    pub ended_at: Timestamp,
    /// What counts it.
    pub key: CoverageKey,
}

/// By what contacts are counted, besides the instance and the time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoverageKey {
    /// The kind of contact.
    pub channel: Channel,
    /// The id of the queue; `None` if the contact was in none, or if the report does not tell queues apart.
    pub queue: Option<String>,
    /// The agent; `None` if the report does not tell agents apart.
    pub agent: Option<UserId>,
}

/// A handled contact, and whether a supervisor had a leg on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedContact {
    /// The contact.
    pub contact: HandledContact,
    /// Whether a leg on it is known.
    pub is_supervised: bool,
}

/// The contacts of a day or a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageCount {
    /// When the day or the week begins, in UTC. A week begins on Monday.
    pub since: Timestamp,
    /// The instance.
    pub instance: InstanceName,
    /// What was counted.
    pub key: CoverageKey,
    /// How many contacts agents had.
    pub contacts: u64,
    /// How many of them were supervised.
    pub supervised: u64,
}

/// What a report of coverage asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageQuestion {
    /// The first moment, which begins a day in UTC.
    pub since: Timestamp,
    /// The end, which begins a day in UTC.
    pub until: Timestamp,
    /// Whether queues are told apart.
    pub by_queue: bool,
    /// Whether agents are told apart.
    pub by_agent: bool,
}

/// Adds up days to the weeks of a report.
#[derive(Debug)]
pub struct CoverageSums<'q> {
    question: &'q CoverageQuestion,
    most: usize,
    sums: BTreeMap<(Timestamp, InstanceName, CoverageKey), (u64, u64)>,
}

/// The day of a moment, as days since 1970-01-01 in UTC.
pub fn day_of(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(DAY_MS)
}

/// When a day begins.
pub fn day_begins(day: i64) -> Timestamp {
    Timestamp::from_millisecond(day.saturating_mul(DAY_MS)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the week of a moment begins: Monday 00:00 UTC.
fn week_of(at: Timestamp) -> Timestamp {
    let day = day_of(at);
    day_begins(day - (day + DAYS_AFTER_MONDAY).rem_euclid(7))
}

impl<'q> CoverageSums<'q> {
    /// Sums with at most `most` rows, and one more that shows that there were too many.
    pub fn new(question: &'q CoverageQuestion, most: usize) -> Self {
        Self {
            question,
            most,
            sums: BTreeMap::new(),
        }
    }

    /// Adds contacts of a moment.
    pub fn add(&mut self, count: CoverageCount) {
        let CoverageQuestion { by_queue, by_agent, .. } = *self.question;
        let key = CoverageKey {
            channel: count.key.channel,
            queue: count.key.queue.filter(|_| by_queue),
            agent: count.key.agent.filter(|_| by_agent),
        };
        let place = (week_of(count.since), count.instance, key);
        if self.sums.len() > self.most && !self.sums.contains_key(&place) {
            return;
        }
        let (contacts, supervised) = self.sums.entry(place).or_default();
        *contacts += count.contacts;
        *supervised += count.supervised;
    }

    /// The weeks, the oldest first.
    pub fn rows(self) -> Vec<CoverageCount> {
        let rows = self.sums.into_iter();
        rows.map(|((since, instance, key), (contacts, supervised))| CoverageCount {
            since,
            instance,
            key,
            contacts,
            supervised,
        })
        .collect()
    }
}

/// Reads of the counters. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait CoverageStore: Send + Sync {
    /// The contacts of a time by week, at most `most` rows and one more if there are more.
    async fn coverage(&self, question: &CoverageQuestion, most: usize) -> Result<Vec<CoverageCount>, StoreError>;

    /// Contacts that are stored by their ids and ended before this moment, those that ended first, at most `limit`.
    async fn handled_before(&self, before: Timestamp, limit: u32) -> Result<Vec<CountedContact>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn week_begins_on_monday_in_utc() {
        for (moment, week) in [
            ("2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("2026-11-29T23:59:59.999Z", "2026-11-23T00:00:00Z"),
            ("2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z"),
            ("1969-12-28T23:00:00Z", "1969-12-22T00:00:00Z"),
        ] {
            assert_eq!(week_of(at(moment)), at(week), "{moment}");
        }
    }

    #[test]
    fn sums_tell_apart_what_is_asked_and_stop_at_a_bound() {
        let count = |since: &str, queue: &str, agent: &str, supervised| CoverageCount {
            since: at(since),
            instance: InstanceName::parse("main").expect("a name"),
            key: CoverageKey {
                channel: Channel::Voice,
                queue: Some(queue.into()),
                agent: UserId::parse(agent).ok(),
            },
            contacts: 2,
            supervised,
        };
        let all = [
            count("2026-11-24T00:00:00Z", "q1", "a1", 1),
            count("2026-11-25T00:00:00Z", "q1", "a2", 0),
            count("2026-11-26T00:00:00Z", "q2", "a1", 2),
            count("2026-12-01T00:00:00Z", "q1", "a1", 0),
        ];
        let sum = |by_queue, by_agent, most| {
            let question = CoverageQuestion {
                since: at("2026-11-01T00:00:00Z"),
                until: at("2027-01-01T00:00:00Z"),
                by_queue,
                by_agent,
            };
            let mut sums = CoverageSums::new(&question, most);
            all.iter().cloned().for_each(|one| sums.add(one));
            let rows = sums.rows().into_iter();
            rows.map(|row| (row.key.queue, row.contacts, row.supervised))
                .collect::<Vec<_>>()
        };
        assert_eq!(sum(false, false, 10), [(None, 6, 3), (None, 2, 0)]);
        let (first, second) = (Some("q1".to_owned()), Some("q2".to_owned()));
        assert_eq!(
            sum(true, false, 10),
            [(first.clone(), 4, 1), (second, 2, 2), (first, 2, 0)]
        );
        assert_eq!(sum(false, true, 10).len(), 3);
        assert_eq!(
            sum(true, true, 2).len(),
            3,
            "one more than asked for shows that there are more"
        );
    }
}
