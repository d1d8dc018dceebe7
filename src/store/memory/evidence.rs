//! Evidence of legs, unknown legs, and the events that were seen.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{EvidenceStore, LegEvidence, UnknownLeg};

use super::MemoryStore;
use super::tables::{at, millis, whole};

/// The most evidence of one leg that is read.
const EVIDENCE: usize = 200;

type Leg = (InstanceName, String);

/// The evidence of every leg, the unknown legs, and the events.
#[derive(Default)]
pub(super) struct EvidenceTables {
    last: u64,
    pub(super) by_leg: BTreeMap<Leg, BTreeMap<u64, Evidence>>,
    pub(super) unknown: BTreeMap<Leg, (i64, u32)>,
    pub(super) unknown_due: BTreeSet<(i64, Leg)>,
    /// When each event was seen.
    pub(super) events: BTreeMap<String, i64>,
}

impl EvidenceTables {
    /// When the newest evidence arrived.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let all = self.by_leg.values().flat_map(BTreeMap::values);
        all.map(|evidence| whole(evidence.learnt_at)).max()
    }

    pub(super) fn write(&mut self, new: &LegEvidence) {
        self.last += 1;
        let of_leg = self.by_leg.entry((new.instance.clone(), new.leg.clone())).or_default();
        of_leg.insert(self.last, new.evidence.clone());
    }

    /// A leg that is observed again keeps its count of looks and its earlier time, unless this write is the result of a look.
    pub(super) fn write_unknown(&mut self, leg: &UnknownLeg) {
        let key = (leg.instance.clone(), leg.leg.clone());
        let new = (millis(leg.due_at), leg.looks);
        let old = self.unknown.get(&key).copied();
        let (due_at, looks) = match old {
            Some((due_at, looks)) if leg.looks <= looks => (due_at.min(new.0), looks),
            _ => new,
        };
        if let Some((due_at, _)) = old {
            self.unknown_due.remove(&(due_at, key.clone()));
        }
        self.unknown_due.insert((due_at, key.clone()));
        self.unknown.insert(key, (due_at, looks));
    }

    pub(super) fn remove_unknown(&mut self, instance: &InstanceName, leg: &str) {
        let key = (instance.clone(), leg.to_owned());
        if let Some((due_at, _)) = self.unknown.remove(&key) {
            self.unknown_due.remove(&(due_at, key));
        }
    }

    /// Makes all unknown legs due by `by`.
    pub(super) fn expedite_unknown(&mut self, by: Timestamp) {
        let by = millis(by);
        self.unknown
            .values_mut()
            .for_each(|(due_at, _)| *due_at = by.min(*due_at));
        self.unknown_due = self
            .unknown
            .iter()
            .map(|(key, (due_at, _))| (*due_at, key.clone()))
            .collect();
    }

    /// When the next unknown leg is due.
    pub(super) fn next_unknown(&self) -> Option<Timestamp> {
        self.unknown_due.first().map(|(due_at, _)| at(*due_at))
    }

    pub(super) fn event_was_seen(&self, id: &str) -> bool {
        self.events.contains_key(id)
    }

    pub(super) fn write_event(&mut self, id: &str, seen_at: Timestamp) {
        self.events.insert(id.to_owned(), millis(seen_at));
    }
}

#[async_trait]
impl EvidenceStore for MemoryStore {
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        let key = (instance.clone(), leg.to_owned());
        self.read("evidence", |t| {
            let of_leg = t.evidence.by_leg.get(&key).into_iter().flat_map(BTreeMap::values);
            of_leg.take(EVIDENCE).cloned().collect()
        })
        .await
    }

    async fn unknown_leg_count(&self, instance: &InstanceName, limit: u32) -> Result<u32, StoreError> {
        self.read("unknown_leg_count", |t| {
            let theirs = t.evidence.unknown.keys().filter(|(of, _)| of == instance);
            u32::try_from(theirs.take(limit as usize).count()).unwrap_or(limit)
        })
        .await
    }

    async fn due_unknown_legs(&self, now: Timestamp, limit: u32) -> Result<Vec<UnknownLeg>, StoreError> {
        self.read("due_unknown_legs", |t| {
            let due = t.evidence.unknown_due.iter();
            let due = due.take_while(|(due_at, _)| *due_at <= millis(now));
            let legs = due.map(|(due_at, key)| UnknownLeg {
                instance: key.0.clone(),
                leg: key.1.clone(),
                due_at: at(*due_at),
                looks: t.evidence.unknown.get(key).map_or(0, |(_, looks)| *looks),
            });
            legs.take(limit as usize).collect()
        })
        .await
    }
}
