//! Deliveries of records to Salesforce, and the comparisons with the org's own records.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::{DeliveryId, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{
    Delivery, DeliveryFilter, DeliveryOutcome, DeliveryResult, DeliveryStore, FailureScope, RecordState, RecordSync,
    StoredSupervision,
};
use sidedoor_domain::supervision::State;

use super::MemoryStore;
use super::supervisions::{Times, is_on_page};
use super::tables::{Tables, millis, whole};

/// A delivery in the table.
pub(super) struct Row {
    /// Grows with every new delivery. Rows with equal times are read in this order, as in SQLite.
    place: u64,
    pub(super) sync: RecordSync,
    last_answer: Option<String>,
}

/// Every delivery, and the indexes.
#[derive(Default)]
pub(super) struct Deliveries {
    rows: BTreeMap<SupervisionId, Row>,
    last_place: u64,
    ids: BTreeMap<DeliveryId, SupervisionId>,
    /// When pending deliveries are due.
    due: Times,
    /// When to look for a VoiceCall again.
    looking: Times,
}

impl Deliveries {
    pub(super) fn get(&self, supervision: SupervisionId) -> Option<&Row> {
        self.rows.get(&supervision)
    }

    pub(super) fn due(&self) -> &Times {
        &self.due
    }

    pub(super) fn looking(&self) -> &Times {
        &self.looking
    }

    pub(super) fn count(&self, state: RecordState) -> u64 {
        self.rows.values().filter(|row| row.sync.state == state).count() as u64
    }

    /// Gives the record a new version; the first gets the id. Returns whether it took the id.
    pub(super) fn new_version(&mut self, supervision: SupervisionId, due_at: Timestamp, id: DeliveryId) -> bool {
        let due_at = whole(due_at);
        if self.rows.contains_key(&supervision) {
            self.change(supervision, |row| {
                // A delivery that waits after a failed attempt keeps its time.
                if !(row.sync.state == RecordState::Pending && row.sync.attempts > 0) {
                    row.sync.due_at = due_at;
                }
                row.sync.version += 1;
                if row.sync.state != RecordState::Discarded {
                    row.sync.state = RecordState::Pending;
                }
            });
            return false;
        }
        self.last_place += 1;
        self.ids.insert(id, supervision);
        self.insert(Row {
            place: self.last_place,
            last_answer: None,
            sync: RecordSync {
                id,
                supervision,
                state: RecordState::Pending,
                version: 1,
                written_version: 0,
                departure_written: false,
                object_name: None,
                record_id: None,
                written_at: None,
                attempts: 0,
                last_error: None,
                due_at,
                refusals: 0,
                refused_at: None,
                look_again_at: None,
            },
        });
        true
    }

    /// Makes all pending deliveries and searches due by `by`.
    pub(super) fn expedite_all(&mut self, by: Timestamp) {
        let by = whole(by);
        for id in self.rows.keys().copied().collect::<Vec<_>>() {
            self.change(id, |row| {
                if row.sync.state == RecordState::Pending {
                    row.sync.due_at = row.sync.due_at.min(by);
                }
                row.sync.look_again_at = row.sync.look_again_at.map(|at| at.min(by));
            });
        }
    }

    /// Stores how an attempt ended.
    pub(super) fn settle(&mut self, result: &DeliveryResult) {
        let (version, at) = (result.version, whole(result.at));
        self.change(result.supervision, |row| {
            let sync = &mut row.sync;
            let is_newest = sync.version <= version;
            match &result.result {
                DeliveryOutcome::Written {
                    recorded,
                    has_departure,
                    note,
                    look_again_at,
                } => {
                    sync.written_version = sync.written_version.max(version);
                    sync.departure_written |= has_departure;
                    sync.object_name = Some(recorded.object_name.clone());
                    sync.record_id = recorded.record_id.clone().or_else(|| sync.record_id.take());
                    sync.written_at = Some(at);
                    (sync.attempts, sync.refusals, sync.refused_at) = (0, 0, None);
                    sync.last_error.clone_from(note);
                    sync.look_again_at = look_again_at.map(whole);
                    row.last_answer = None;
                    if is_newest {
                        sync.state = RecordState::Written;
                    }
                }
                DeliveryOutcome::Again { due_at, error, blame } => {
                    sync.attempts += 1;
                    sync.due_at = whole(*due_at);
                    sync.last_error = Some(error.clone());
                    sync.refusals += u32::from(*blame == FailureScope::Row);
                    if *blame != FailureScope::Crm {
                        sync.refused_at = Some(at);
                    }
                }
                DeliveryOutcome::Dead { error, answer } => {
                    sync.attempts += 1;
                    sync.last_error = Some(error.clone());
                    row.last_answer.clone_from(answer);
                    if is_newest {
                        sync.state = RecordState::Failed;
                    }
                }
                DeliveryOutcome::LookAgain { at } => sync.look_again_at = at.map(whole),
            }
        });
    }

    pub(super) fn replay(&mut self, supervision: SupervisionId, at: Timestamp) {
        self.change(supervision, |row| {
            row.sync.state = RecordState::Pending;
            (row.sync.attempts, row.sync.refusals, row.sync.refused_at) = (0, 0, None);
            row.sync.due_at = whole(at);
        });
    }

    pub(super) fn discard(&mut self, supervision: SupervisionId) {
        self.change(supervision, |row| {
            if row.sync.state == RecordState::Failed {
                row.sync.look_again_at = None;
                row.sync.state = if row.sync.written_version < row.sync.version {
                    RecordState::Discarded
                } else {
                    RecordState::Written
                };
            }
        });
    }

    pub(super) fn expedite(&mut self, supervision: SupervisionId, due_at: Timestamp) {
        self.change(supervision, |row| {
            if row.sync.state == RecordState::Pending && row.sync.attempts == 0 {
                row.sync.due_at = row.sync.due_at.min(whole(due_at));
            }
        });
    }

    fn change(&mut self, supervision: SupervisionId, change: impl FnOnce(&mut Row)) {
        if let Some(mut row) = self.take(supervision) {
            change(&mut row);
            self.insert(row);
        }
    }

    fn insert(&mut self, row: Row) {
        let id = row.sync.supervision;
        if row.sync.state == RecordState::Pending {
            self.due.insert((millis(row.sync.due_at), row.place, id));
        }
        self.looking
            .extend(row.sync.look_again_at.map(|at| (millis(at), row.place, id)));
        self.rows.insert(id, row);
    }

    fn take(&mut self, supervision: SupervisionId) -> Option<Row> {
        let row = self.rows.remove(&supervision)?;
        self.due.remove(&(millis(row.sync.due_at), row.place, supervision));
        if let Some(at) = row.sync.look_again_at {
            self.looking.remove(&(millis(at), row.place, supervision));
        }
        Some(row)
    }

    pub(super) fn remove(&mut self, supervision: SupervisionId) {
        if let Some(row) = self.take(supervision) {
            self.ids.remove(&row.sync.id);
        }
    }
}

impl Tables {
    fn delivery_of(&self, supervision: SupervisionId) -> Option<Delivery> {
        Some(Delivery {
            last_answer: self.deliveries.get(supervision)?.last_answer.clone(),
            stored: self.stored(supervision)?,
        })
    }

    fn comparisons_due(&self, (since, until, again): (i64, i64, i64), limit: u32) -> Vec<(StoredSupervision, u32)> {
        let in_time = |ended_at: i64| since < ended_at && ended_at <= until;
        let written = |id: &SupervisionId| {
            let found = self.supervisions.get(*id).map(|row| &row.supervision);
            let left = found.is_some_and(|s| s.state == State::Left && s.voice_call_id.is_some());
            let record = self.deliveries.get(*id).map(|row| row.sync.state);
            left && matches!(record, Some(RecordState::Written | RecordState::Discarded))
        };
        let ended = self.supervisions.ends().iter().filter(|(at, ..)| in_time(*at));
        let ended: Vec<SupervisionId> = ended.map(|(_, _, id)| *id).filter(written).collect();
        let never = ended.iter().filter(|id| !self.comparisons.contains_key(id)).copied();
        let mut repeated: Vec<(i64, SupervisionId)> = ended
            .iter()
            .filter_map(|id| self.comparisons.get(id))
            .filter(|c| c.left_at.is_none())
            .map(|c| (millis(c.looked_at), c.supervision))
            .filter(|(looked_at, _)| since < *looked_at && *looked_at <= again)
            .collect();
        repeated.sort_unstable();
        let due = self.all_stored(never.chain(repeated.into_iter().map(|(_, id)| id)), limit);
        let with_legs = due.into_iter().map(|stored| {
            let legs = self.supervisions.legs_of_contact(&stored.supervision);
            (stored, legs)
        });
        with_legs.collect()
    }
}

#[async_trait]
impl DeliveryStore for MemoryStore {
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("due_deliveries", |t| t.due_by(t.deliveries.due(), now, limit))
            .await
    }

    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.read("due_delivery_count", |t| {
            let due = t.deliveries.due().iter().take_while(|(at, ..)| *at <= millis(now));
            u32::try_from(due.take(limit as usize).count()).unwrap_or(limit)
        })
        .await
    }

    async fn due_contact_records(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("due_contact_records", |t| t.due_by(t.deliveries.looking(), now, limit))
            .await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.read("deliveries", |t| {
            let page = (filter.since, filter.until, filter.before);
            let fits = |row: &Row| filter.state.is_none_or(|state| row.sync.state == state);
            let rows = t.deliveries.rows.iter().rev();
            let fitting = rows.filter(|(id, row)| is_on_page(**id, page) && fits(row));
            let found = fitting.filter_map(|(id, _)| t.delivery_of(*id));
            found.take(filter.limit as usize).collect()
        })
        .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.read("delivery", |t| {
            let of = t.deliveries.ids.get(&id)?;
            t.delivery_of(*of)
        })
        .await
    }

    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(StoredSupervision, u32)>, StoreError> {
        let times = (millis(since), millis(until), millis(again));
        self.read("due_comparisons", |t| t.comparisons_due(times, limit)).await
    }
}
