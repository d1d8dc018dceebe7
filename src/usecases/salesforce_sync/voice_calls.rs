//! Finds the VoiceCall of a record if the caller gave none, by `VoiceCall.VendorCallKey`, which is the contact id. Many are
//! found in one search, and results are cached.
//!
//! A VoiceCall may be created after the record, may exist twice, or may be inaccessible (no such object, no permission). The
//! record is then written without it and carries a note, and a missing one is looked for again for a day.
//!
//! Guarantee: a failed search never delays a record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidedoor_domain::ids::ContactId;
use sidedoor_domain::ports::crm::CONTACTS_A_SEARCH;
use sidedoor_domain::ports::store::{DeliveryOutcome, DeliveryResult, FoundVoiceCall, StoredSupervision};
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
/// How soon a missing VoiceCall is looked for again, and for how long after the supervision began.
const EARLY_INTERVAL: SignedDuration = SignedDuration::from_mins(5);
const EARLY_PERIOD: SignedDuration = SignedDuration::from_mins(30);
const LATE_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
const GIVE_UP: SignedDuration = SignedDuration::from_hours(24);
/// How many are looked for in one search.
pub(super) const PAGE: u32 = CONTACTS_A_SEARCH as u32;

/// The result of looking for a record's VoiceCall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VoiceCallLookup {
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

impl VoiceCallLookup {
    /// The note on a record that is written without it.
    pub(super) fn note(&self) -> Option<String> {
        match self {
            Self::Given | Self::Found(_) => None,
            Self::Awaited => Some("written without a VoiceCall: it is looked for again".into()),
            Self::Refused => Some("written without a VoiceCall: the org could not be asked for it".into()),
            Self::Missing => Some("written without a VoiceCall: none has this contact as its VendorCallKey yet".into()),
            Self::Ambiguous => {
                Some("written without a VoiceCall: several have this contact as their VendorCallKey".into())
            }
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

/// The results of recent searches.
#[derive(Clone)]
pub(super) struct VoiceCallCache {
    known: ExpiringCache<ContactId, VoiceCallLookup>,
    /// Until when no search is made, because the org refused one.
    refused_until: Arc<Mutex<Option<Timestamp>>>,
}

impl VoiceCallCache {
    fn refused_until(&self) -> std::sync::MutexGuard<'_, Option<Timestamp>> {
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
    /// The VoiceCalls of these records, in order. A record that was written without one before is not searched for, because
    /// otherwise each of its versions would cost a search.
    pub(super) async fn voice_calls_of_records(
        &self,
        crm: &dyn Crm,
        supervisions: &[&StoredSupervision],
    ) -> Vec<VoiceCallLookup> {
        let awaited = |s: &StoredSupervision| s.record_sync.as_ref().is_some_and(|r| r.look_again_at.is_some());
        let fresh: Vec<&StoredSupervision> = supervisions.iter().copied().filter(|s| !awaited(s)).collect();
        self.find_unknown(crm, &fresh).await;
        supervisions
            .iter()
            .map(|s| match self.voice_call_known(s) {
                VoiceCallLookup::Refused if awaited(s) => VoiceCallLookup::Awaited,
                known => known,
            })
            .collect()
    }

    /// The VoiceCalls of these supervisions, in order.
    async fn voice_calls_of(&self, crm: &dyn Crm, wanting: &[&StoredSupervision]) -> Vec<VoiceCallLookup> {
        self.find_unknown(crm, wanting).await;
        wanting.iter().map(|s| self.voice_call_known(s)).collect()
    }

    /// Searches for those that are not in the cache.
    async fn find_unknown(&self, crm: &dyn Crm, wanting: &[&StoredSupervision]) {
        let mut unknown: Vec<ContactId> = wanting.iter().filter_map(|s| self.to_find(s)).cloned().collect();
        unknown.sort();
        unknown.dedup();
        let now = self.ctx.now();
        unknown.retain(|contact| !self.voice_calls.known.contains(contact, now));
        for some in unknown.chunks(CONTACTS_A_SEARCH) {
            self.search(crm, some).await;
        }
    }

    fn voice_call_known(&self, stored: &StoredSupervision) -> VoiceCallLookup {
        match self.to_find(stored) {
            None => VoiceCallLookup::Given,
            Some(contact) => self
                .voice_calls
                .known
                .get(contact, self.ctx.now())
                .unwrap_or(VoiceCallLookup::Refused),
        }
    }

    fn to_find<'s>(&self, stored: &'s StoredSupervision) -> Option<&'s ContactId> {
        let s = &stored.supervision;
        let wanted = self.ctx.settings.delivery.find_voice_calls && s.voice_call_id.is_none();
        s.contact.as_ref().filter(|_| wanted)
    }

    async fn search(&self, crm: &dyn Crm, contacts: &[ContactId]) {
        let now = self.ctx.now();
        let refused = self.voice_calls.refused_until().is_some_and(|until| now < until);
        // Scarce API calls are reserved for records.
        let short = crm
            .usage()
            .is_some_and(|u| u.share() >= self.ctx.settings.delivery.slow_above);
        if refused || short {
            return;
        }
        let answer = match crm.voice_calls(contacts).await {
            Ok(found) => found,
            Err(e) => {
                tracing::warn!(code = %e.code, contacts = contacts.len(), "could not search for VoiceCalls; writing the records without them for now: {e}");
                // A transient error says nothing about the next search, so the pause is short.
                let wait = match e.verdict {
                    CrmVerdict::Retry | CrmVerdict::RetryNow => TRANSIENT_PAUSE,
                    // A limit of concurrent requests passes in seconds.
                    CrmVerdict::Park(wait) => SignedDuration::try_from(wait).unwrap_or(REFUSED_PAUSE),
                    _ => REFUSED_PAUSE,
                };
                *self.voice_calls.refused_until() = Some(now + wait);
                return;
            }
        };
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, ids) in answer {
            found.entry(key.to_ascii_lowercase()).or_default().extend(ids);
        }
        for contact in contacts {
            let mut ids = found.remove(&contact.as_str().to_ascii_lowercase()).unwrap_or_default();
            let lookup = match (ids.pop(), ids.is_empty()) {
                (Some(id), true) => VoiceCallLookup::Found(id),
                (Some(_), false) => VoiceCallLookup::Ambiguous,
                (None, _) => VoiceCallLookup::Missing,
            };
            self.voice_calls.known.insert(contact.clone(), lookup, now);
        }
    }

    /// Looks at written records again: sends those once more of which a write got no answer, and searches for the VoiceCalls of the
    /// others.
    pub(super) async fn look_at_written(&self, crm: &dyn Crm, due: Vec<StoredSupervision>) -> Result<(), UseCaseError> {
        let others = self.send_due_again(due).await?;
        self.look_for_voice_calls(crm, &others).await
    }

    /// Looks again for missing VoiceCalls. A record whose VoiceCall now exists gets a new version. All results are stored in one
    /// transaction, because a missing VoiceCall is looked for 29 times in a day.
    async fn look_for_voice_calls(&self, crm: &dyn Crm, due: &[StoredSupervision]) -> Result<(), UseCaseError> {
        if due.is_empty() {
            return Ok(());
        }
        let lookups = self.voice_calls_of(crm, &due.iter().collect::<Vec<_>>()).await;
        let now = self.ctx.now();
        let mut change = Transaction {
            rides_along: true,
            ..Transaction::default()
        };
        for (stored, lookup) in due.iter().zip(lookups) {
            let supervision = stored.supervision.id;
            if let VoiceCallLookup::Found(voice_call) = &lookup {
                change.voice_calls.push(FoundVoiceCall {
                    supervision,
                    voice_call_id: voice_call.clone(),
                    deliver_at: Some(now),
                });
            }
            // A failed search is repeated later, like a missing VoiceCall.
            let ask = if lookup == VoiceCallLookup::Refused {
                VoiceCallLookup::Missing
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
