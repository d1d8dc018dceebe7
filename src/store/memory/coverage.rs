//! How many of the contacts that agents had were supervised.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::{ContactId, InstanceName};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{
    CountedContact, CoverageCount, CoverageKey, CoverageQuestion, CoverageStore, CoverageSums, HandledContact,
    day_begins, day_of,
};

use super::MemoryStore;
use super::tables::{Tables, millis, whole};

/// Contacts by their ids, and the counters of days.
#[derive(Default)]
pub(super) struct Coverage {
    handled: BTreeMap<(InstanceName, ContactId), HandledContact>,
    pub(super) days: BTreeMap<(i64, InstanceName, CoverageKey), (u64, u64)>,
}

impl Coverage {
    pub(super) fn write_handled(&mut self, new: &HandledContact) {
        let place = (new.instance.clone(), new.contact.clone());
        self.handled.entry(place).or_insert_with(|| HandledContact {
            ended_at: whole(new.ended_at),
            ..new.clone()
        });
    }

    pub(super) fn count(&mut self, counted: &CountedContact) {
        let HandledContact {
            instance,
            contact,
            ended_at,
            key,
        } = &counted.contact;
        if self.handled.remove(&(instance.clone(), contact.clone())).is_some() {
            let day = (day_of(*ended_at), instance.clone(), key.clone());
            let (contacts, supervised) = self.days.entry(day).or_default();
            *contacts += 1;
            *supervised += u64::from(counted.is_supervised);
        }
    }
}

impl Tables {
    fn counted(&self, contact: &HandledContact) -> CountedContact {
        let is_on_it = |s: &sidedoor_domain::supervision::Supervision| {
            s.instance == contact.instance && s.contact.as_ref() == Some(&contact.contact) && s.leg.is_some()
        };
        CountedContact {
            contact: contact.clone(),
            is_supervised: self.supervisions.all().any(is_on_it),
        }
    }

    fn handled_between(&self, since: Timestamp, until: Timestamp) -> Vec<CountedContact> {
        let all = self.coverage.handled.values();
        let ended = all.filter(|c| (millis(since)..millis(until)).contains(&millis(c.ended_at)));
        let mut found: Vec<CountedContact> = ended.map(|contact| self.counted(contact)).collect();
        // The table is in the order of instances and contacts, and the sort is stable.
        found.sort_by_key(|c| c.contact.ended_at);
        found
    }

    fn coverage(&self, question: &CoverageQuestion, most: usize) -> Vec<CoverageCount> {
        let mut sums = CoverageSums::new(question, most);
        for ((day, instance, key), (contacts, supervised)) in &self.coverage.days {
            if (day_of(question.since)..day_of(question.until)).contains(day) {
                sums.add(CoverageCount {
                    since: day_begins(*day),
                    instance: instance.clone(),
                    key: key.clone(),
                    contacts: *contacts,
                    supervised: *supervised,
                });
            }
        }
        for CountedContact { contact, is_supervised } in self.handled_between(question.since, question.until) {
            sums.add(CoverageCount {
                since: contact.ended_at,
                instance: contact.instance,
                key: contact.key,
                contacts: 1,
                supervised: u64::from(is_supervised),
            });
        }
        sums.rows()
    }
}

#[async_trait]
impl CoverageStore for MemoryStore {
    async fn coverage(&self, question: &CoverageQuestion, most: usize) -> Result<Vec<CoverageCount>, StoreError> {
        self.read("coverage", |t| t.coverage(question, most)).await
    }

    async fn handled_before(&self, before: Timestamp, limit: u32) -> Result<Vec<CountedContact>, StoreError> {
        self.read("handled_before", |t| {
            let mut found = t.handled_between(Timestamp::MIN, before);
            found.truncate(limit as usize);
            found
        })
        .await
    }
}
