//! The tables of a disk, and the application of one transaction to them. Every reason to refuse is checked before the first write, in the
//! order of `sqlite::apply`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sidedoor_domain::ids::{DeliveryId, InstanceName, SupervisionId};
use sidedoor_domain::ports::store::{
    Comparison, Completeness, KeyWrite, PollStaleness, StoredSupervision, SupervisionWrite,
};
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};

use super::audit::AuditTrail;
use super::clocks::Clocks;
use super::coverage::Coverage;
use super::deliveries::Deliveries;
use super::directives::Directives;
use super::evidence::EvidenceTables;
use super::idempotency::Keys;
use super::supervisions::Supervisions;

/// Everything that is committed.
#[derive(Default)]
pub(super) struct Tables {
    processes: u64,
    delivery_ids: u64,
    pub(super) supervisions: Supervisions,
    pub(super) deliveries: Deliveries,
    pub(super) directives: Directives,
    pub(super) evidence: EvidenceTables,
    pub(super) keys: Keys,
    pub(super) cursors: BTreeMap<&'static str, i64>,
    pub(super) poll_staleness: BTreeMap<InstanceName, PollStaleness>,
    pub(super) completeness: BTreeMap<InstanceName, Completeness>,
    pub(super) coverage: Coverage,
    pub(super) comparisons: BTreeMap<SupervisionId, Comparison>,
    pub(super) clocks: Clocks,
    pub(super) audit: AuditTrail,
}

impl Tables {
    /// A new process opens the disk. Returns its number.
    pub(super) fn begin_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    /// Whether this process was the last to open the disk.
    pub(super) fn is_open_in(&self, process: u64) -> bool {
        self.processes == process
    }

    /// The supervision with the state of its delivery.
    pub(super) fn stored(&self, id: SupervisionId) -> Option<StoredSupervision> {
        let row = self.supervisions.get(id)?;
        Some(StoredSupervision {
            supervision: row.supervision.clone(),
            revision: row.revision,
            record_sync: self.deliveries.get(id).map(|delivery| delivery.sync.clone()),
        })
    }

    /// The supervisions with these ids, in this order, at most `limit`.
    pub(super) fn all_stored(
        &self,
        ids: impl Iterator<Item = SupervisionId>,
        limit: impl Into<u64>,
    ) -> Vec<StoredSupervision> {
        let limit = usize::try_from(limit.into()).unwrap_or(usize::MAX);
        ids.filter_map(|id| self.stored(id)).take(limit).collect()
    }

    pub(super) fn apply(&mut self, incarnation: &str, change: &Transaction) -> Result<CommitOutcome, StoreError> {
        if let Some(refusal) = self.refusal(incarnation, change) {
            return Ok(refusal);
        }
        if let Some(write) = &change.supervision {
            self.supervisions.write(write)?;
            self.directives.write(write);
            let (SupervisionWrite::Insert(new) | SupervisionWrite::Update(new, _)) = write;
            if let Some(due_at) = change.deliver_at {
                self.new_version(new.id, due_at);
            }
        }
        for new in &change.evidence {
            self.evidence.write(new);
        }
        for leg in &change.unknown_legs {
            self.evidence.write_unknown(leg);
        }
        for (instance, leg) in &change.adopted_legs {
            self.evidence.remove_unknown(instance, leg);
        }
        if let Some((id, at)) = &change.event {
            self.evidence.write_event(id, *at);
        }
        if let Some((supervision, due_at)) = change.expedite {
            self.deliveries.expedite(supervision, due_at);
        }
        for found in &change.contact_records {
            let is_new = self
                .supervisions
                .set_contact_record(found.supervision, found.kind, &found.record_id);
            if let Some(due_at) = found.deliver_at.filter(|_| is_new) {
                self.new_version(found.supervision, due_at);
            }
        }
        for result in &change.delivery_results {
            self.deliveries.settle(result);
        }
        if let Some((name, seq)) = change.cursor {
            let newest = self.cursors.entry(name).or_insert(seq);
            *newest = seq.max(*newest);
        }
        if let Some(covered) = &change.completeness {
            let stored = Completeness {
                since: whole(covered.since),
                until: whole(covered.until),
                ..covered.clone()
            };
            self.completeness.insert(covered.instance.clone(), stored);
        }
        if let Some(handled) = &change.handled_contact {
            self.coverage.write_handled(handled);
        }
        for counted in &change.counted_contacts {
            self.coverage.count(counted);
        }
        for comparison in &change.comparisons {
            self.write_comparison(comparison);
        }
        if let Some(by) = change.due_by {
            self.deliveries.expedite_all(by);
            self.evidence.expedite_unknown(by);
        }
        if let Some(measured) = &change.poll_staleness {
            self.note_staleness(measured);
        }
        for (supervision, at) in &change.replayed {
            self.deliveries.replay(*supervision, *at);
        }
        for supervision in &change.discarded {
            self.deliveries.discard(*supervision);
        }
        if let Some(key) = &change.key {
            self.keys.write(incarnation, key);
        }
        for (clock, sample) in &change.samples {
            self.clocks.write_sample(clock, sample);
        }
        for epoch in &change.epochs {
            self.clocks.write_epoch(epoch);
        }
        for entry in &change.audit {
            self.audit.write(entry);
        }
        if let Some(seal) = &change.audit_seal {
            self.audit.write_seal(seal);
        }
        let written = change.supervision.clone().map(|write| StoredSupervision {
            revision: write.next_revision(),
            record_sync: self.deliveries.get(write.id()).map(|delivery| delivery.sync.clone()),
            supervision: *write.into_supervision(),
        });
        Ok(CommitOutcome::Done(written.map(Box::new)))
    }

    fn refusal(&self, incarnation: &str, change: &Transaction) -> Option<CommitOutcome> {
        if let Some((id, _)) = &change.event
            && self.evidence.event_was_seen(id)
        {
            return Some(CommitOutcome::Duplicate);
        }
        if let Some(KeyWrite::Take(key, ..)) = &change.key
            && let Some(record) = self.keys.earlier_use(incarnation, key)
        {
            return Some(CommitOutcome::KeyUsed(record));
        }
        if let Some(seal) = &change.audit_seal
            && !seal.continues(self.audit.last_seal())
        {
            return Some(CommitOutcome::Stale);
        }
        self.supervisions.refusal(change.supervision.as_ref()?)
    }

    fn note_staleness(&mut self, measured: &PollStaleness) {
        let (measured_at, oldest) = (
            whole(measured.measured_at),
            measured.measured_at - PollStaleness::KEPT_FOR,
        );
        let known = self.poll_staleness.get(&measured.instance);
        let is_replaced = known.is_none_or(|k| k.age <= measured.age || millis(k.measured_at) < millis(oldest));
        if is_replaced {
            let new = PollStaleness {
                measured_at,
                ..measured.clone()
            };
            self.poll_staleness.insert(measured.instance.clone(), new);
        }
    }

    fn new_version(&mut self, supervision: SupervisionId, due_at: Timestamp) {
        let number = self.delivery_ids + 1;
        let id = format!("00000000-0000-7000-8000-{number:012x}");
        let id = DeliveryId::parse(&id).expect("an id");
        if self.deliveries.new_version(supervision, due_at, id) {
            self.delivery_ids = number;
        }
    }

    fn write_comparison(&mut self, comparison: &Comparison) {
        // The sweep may have removed the supervision meanwhile.
        if self.supervisions.get(comparison.supervision).is_some() {
            let stored = Comparison {
                looked_at: whole(comparison.looked_at),
                left_at: comparison.left_at.map(whole),
                ours_at: whole(comparison.ours_at),
                ..comparison.clone()
            };
            self.comparisons.insert(comparison.supervision, stored);
        }
    }

    /// Removes a supervision and everything that refers to it.
    pub(super) fn remove_supervision(&mut self, id: SupervisionId) {
        self.supervisions.remove(id);
        self.deliveries.remove(id);
        self.directives.remove_of(id);
        self.comparisons.remove(&id);
    }
}

/// Milliseconds since the Unix epoch, by which the store compares and orders.
pub(super) fn millis(t: Timestamp) -> i64 {
    t.as_millisecond()
}

/// The moment of this millisecond.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).expect("a moment that was stored")
}

/// The moment in whole milliseconds, which is how SQLite's columns hold it.
pub(super) fn whole(t: Timestamp) -> Timestamp {
    at(millis(t))
}
