//! Finds the org's own record of the contact, to which the participant record refers: the VoiceCall of a call if the caller gave none, and
//! the MessagingSession of a chat. Many are found in one search, and results are cached.
//!
//! A record may be created later than ours, may exist twice, or may be inaccessible (no such object, no permission). Ours is then
//! written without it and carries a note, and a missing one is looked for again for a day.
//!
//! Guarantee: a failed search never delays a record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::crm::CONTACTS_A_SEARCH;
use sidedoor_domain::ports::store::{DeliveryOutcome, DeliveryResult, FoundContactRecord, StoredSupervision};
use sidedoor_domain::ports::{Crm, CrmVerdict, Transaction};
use sidedoor_domain::supervision::Supervision;

use crate::usecases::error::UseCaseError;
use crate::usecases::expiring_cache::ExpiringCache;
use crate::usecases::salesforce_sync::SalesforceSyncService;
use crate::usecases::salesforce_sync::late_commits;

/// The most contacts in the cache, and how long they stay.
const MAX_REMEMBERED: u64 = 10_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How long no search is made after one was rejected, and after one failed with a transient error.
const REFUSED_PAUSE: SignedDuration = SignedDuration::from_mins(10);
const TRANSIENT_PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// How soon a missing record is looked for again, and for how long after the supervision began.
const EARLY_INTERVAL: SignedDuration = SignedDuration::from_mins(5);
const EARLY_PERIOD: SignedDuration = SignedDuration::from_mins(30);
const LATE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);
/// How many are looked for in one search.
pub(super) const PAGE: u32 = CONTACTS_A_SEARCH as u32;

/// The result of looking for the org's record of a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContactRecordLookup {
    /// The caller gave it, or none is wanted.
    Given,
    /// It was found.
    Found(String),
    /// None exists yet.
    Missing,
    /// Several match.
    Ambiguous,
    /// The search failed.
    Refused,
    /// The record was written without it before. It is looked for at its own time, not with every version of the record.
    Awaited,
}

impl ContactRecordLookup {
    /// The note on the participant record of this supervision, if it is written without it.
    pub(super) fn note(&self, s: &Supervision) -> Option<String> {
        let object = ContactRecordKind::of(s.channel).map_or("", ContactRecordKind::object);
        match self {
            Self::Given | Self::Found(_) => None,
            Self::Awaited => Some(format!("written without a {object}: it is looked for again")),
            Self::Refused => Some(format!("written without a {object}: the org could not be asked for it")),
            Self::Missing => Some(format!("written without a {object}: none has this contact's id yet")),
            Self::Ambiguous => Some(format!("written without a {object}: several have this contact's id")),
        }
    }

    /// When to look again, or `None` if that is useless: at fixed multiples, so that one search serves many records; every five
    /// minutes at first, every hour later.
    pub(super) fn look_again_at(&self, s: &Supervision, now: Timestamp) -> Option<Timestamp> {
        let begun = s.requested_at.or(s.joined.map(|j| j.at)).unwrap_or(now);
        let wanted = !matches!(self, Self::Given | Self::Found(_)) && now < begun + GIVE_UP;
        let every = if now < begun + EARLY_PERIOD {
            EARLY_INTERVAL
        } else {
            LATE_INTERVAL
        };
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
        let next = now
            .as_millisecond()
            .div_euclid(every)
            .saturating_add(1)
            .saturating_mul(every);
        Timestamp::from_millisecond(next).ok().filter(|_| wanted)
    }
}

/// What is looked for.
type Wanted = (ContactRecordKind, ContactId);

/// The results of recent searches.
#[derive(Clone)]
pub(super) struct ContactRecordCache {
    known: ExpiringCache<Wanted, ContactRecordLookup>,
    /// Until when no search of a kind is made, because the org refused one.
    refused_until: Arc<Mutex<BTreeMap<ContactRecordKind, Timestamp>>>,
}

impl ContactRecordCache {
    fn refused_until(&self) -> std::sync::MutexGuard<'_, BTreeMap<ContactRecordKind, Timestamp>> {
        self.refused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new() -> Self {
        Self {
            known: ExpiringCache::new(MAX_REMEMBERED, REMEMBERED_FOR),
            refused_until: Arc::default(),
        }
    }
}

impl SalesforceSyncService {
    /// The org's records of these contacts, in order. A VoiceCall without which the participant record was written before is not searched
    /// for, because otherwise each version of the record would cost a search. A MessagingSession is: chats are fewer, and the first version
    /// may have been written before it was known that the contact is a chat.
    pub(super) async fn contact_records_of(
        &self,
        crm: &dyn Crm,
        supervisions: &[&StoredSupervision],
    ) -> Vec<ContactRecordLookup> {
        let awaited = |s: &StoredSupervision| {
            let is_call = ContactRecordKind::of(s.supervision.channel) == Some(ContactRecordKind::VoiceCall);
            is_call && s.record_sync.as_ref().is_some_and(|r| r.look_again_at.is_some())
        };
        let fresh: Vec<&StoredSupervision> = supervisions.iter().copied().filter(|s| !awaited(s)).collect();
        self.find_unknown(crm, &fresh).await;
        supervisions
            .iter()
            .map(|s| match self.known_record(s) {
                ContactRecordLookup::Refused if awaited(s) => ContactRecordLookup::Awaited,
                known => known,
            })
            .collect()
    }

    /// The org's records of the contacts of these supervisions, in order.
    async fn find_all(&self, crm: &dyn Crm, wanting: &[&StoredSupervision]) -> Vec<ContactRecordLookup> {
        self.find_unknown(crm, wanting).await;
        wanting.iter().map(|s| self.known_record(s)).collect()
    }

    /// Searches for those that are not in the cache.
    async fn find_unknown(&self, crm: &dyn Crm, wanting: &[&StoredSupervision]) {
        let now = self.ctx.now();
        let mut unknown: BTreeMap<ContactRecordKind, BTreeSet<ContactId>> = BTreeMap::new();
        for wanted in wanting.iter().filter_map(|s| self.to_find(s)) {
            if !self.contact_records.known.contains(&wanted, now) {
                unknown.entry(wanted.0).or_default().insert(wanted.1);
            }
        }
        for (kind, contacts) in unknown {
            let contacts: Vec<ContactId> = contacts.into_iter().collect();
            for some in contacts.chunks(CONTACTS_A_SEARCH) {
                self.search(crm, kind, some).await;
            }
        }
    }

    fn known_record(&self, stored: &StoredSupervision) -> ContactRecordLookup {
        match self.to_find(stored) {
            None => ContactRecordLookup::Given,
            Some(wanted) => self
                .contact_records
                .known
                .get(&wanted, self.ctx.now())
                .unwrap_or(ContactRecordLookup::Refused),
        }
    }

    fn to_find(&self, stored: &StoredSupervision) -> Option<Wanted> {
        let s = &stored.supervision;
        let kind = ContactRecordKind::of(s.channel)?;
        let delivery = &self.ctx.settings.delivery;
        let is_wanted = match kind {
            ContactRecordKind::VoiceCall => delivery.find_voice_calls,
            ContactRecordKind::MessagingSession => delivery.find_messaging_sessions,
        };
        let contact = s
            .contact
            .clone()
            .filter(|_| is_wanted && kind.of_supervision(s).is_none());
        Some((kind, contact?))
    }

    async fn search(&self, crm: &dyn Crm, kind: ContactRecordKind, contacts: &[ContactId]) {
        let now = self.ctx.now();
        let refused = self
            .contact_records
            .refused_until()
            .get(&kind)
            .is_some_and(|until| now < *until);
        // Scarce API calls are reserved for records.
        let short = crm
            .usage()
            .is_some_and(|u| u.share() >= self.ctx.settings.delivery.slow_above);
        if refused || short {
            return;
        }
        let mut found: BTreeMap<String, Vec<String>> = match crm.contact_records(kind, contacts).await {
            Ok(found) => found,
            Err(e) => {
                tracing::warn!(code = %e.code, contacts = contacts.len(), "could not search for a {}; writing the records without it for now: {e}", kind.object());
                // A transient error says nothing about the next search, so the pause is short.
                let wait = match e.verdict {
                    CrmVerdict::Retry | CrmVerdict::RetryNow => TRANSIENT_PAUSE,
                    // A limit of concurrent requests passes in seconds.
                    CrmVerdict::Park(wait) => SignedDuration::try_from(wait).unwrap_or(REFUSED_PAUSE),
                    _ => REFUSED_PAUSE,
                };
                self.contact_records.refused_until().insert(kind, now + wait);
                return;
            }
        };
        for contact in contacts {
            let mut ids = found.remove(contact.as_str()).unwrap_or_default();
            let lookup = match (ids.pop(), ids.is_empty()) {
                (Some(id), true) => ContactRecordLookup::Found(id),
                (Some(_), false) => ContactRecordLookup::Ambiguous,
                (None, _) => ContactRecordLookup::Missing,
            };
            self.contact_records.known.insert((kind, contact.clone()), lookup, now);
        }
    }

    /// Looks at written records again: sends those once more of which a write got no answer, and searches for the org's records of the
    /// others.
    pub(super) async fn look_at_written(&self, crm: &dyn Crm, due: Vec<StoredSupervision>) -> Result<(), UseCaseError> {
        let others = self.send_due_again(due).await?;
        self.look_for_contact_records(crm, &others).await
    }

    /// Looks again for missing records. A participant record to whose contact there is one now gets a new version. All results are stored in
    /// one transaction, because a missing one is looked for 29 times in a day.
    async fn look_for_contact_records(&self, crm: &dyn Crm, due: &[StoredSupervision]) -> Result<(), UseCaseError> {
        if due.is_empty() {
            return Ok(());
        }
        let lookups = self.find_all(crm, &due.iter().collect::<Vec<_>>()).await;
        let now = self.ctx.now();
        let mut change = Transaction {
            rides_along: true,
            ..Transaction::default()
        };
        for (stored, lookup) in due.iter().zip(lookups) {
            let supervision = stored.supervision.id;
            let kind = ContactRecordKind::of(stored.supervision.channel);
            if let (ContactRecordLookup::Found(record), Some(kind)) = (&lookup, kind) {
                change.contact_records.push(FoundContactRecord {
                    supervision,
                    kind,
                    record_id: record.clone(),
                    deliver_at: Some(now),
                });
            }
            // A failed search is repeated later, like a missing record.
            let ask = if lookup == ContactRecordLookup::Refused {
                ContactRecordLookup::Missing
            } else {
                lookup
            };
            let at = late_commits::look_again_at(ask.look_again_at(&stored.supervision, now), &stored.supervision);
            change.delivery_results.push(DeliveryResult {
                supervision,
                version: stored.record_sync.as_ref().map_or(0, |r| r.version),
                at: now,
                result: DeliveryOutcome::LookAgain { at },
            });
        }
        self.ctx.transact(change).await?;
        Ok(())
    }
}
