//! Supervisions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::{ContactId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::participant::ContactRecordKind;
use sidedoor_domain::ports::store::{
    Counts, Filter, RecordState, StoredSupervision, SupervisionStore, SupervisionWrite,
};
use sidedoor_domain::ports::{CommitOutcome, StoreError};
use sidedoor_domain::supervision::{Origin, State, Supervision};

use super::MemoryStore;
use super::tables::millis;

/// The most that [`SupervisionStore::active_of`] and [`SupervisionStore::active_on`] return.
const ACTIVE: u32 = 200;

/// A supervision in the table.
pub(super) struct Row {
    /// Grows with every insert. Rows with equal times are read in this order, as in SQLite.
    place: u64,
    pub(super) revision: i64,
    pub(super) supervision: Supervision,
}

/// The times of rows, each with the row's place and supervision.
pub(super) type Times = BTreeSet<(i64, u64, SupervisionId)>;

/// Every supervision, and the indexes.
#[derive(Default)]
pub(super) struct Supervisions {
    rows: BTreeMap<SupervisionId, Row>,
    last_place: u64,
    pub(super) legs: BTreeMap<(InstanceName, String), SupervisionId>,
    /// The supervisions that occupy a voice slot. The number of the slot does not matter here.
    voice_slots: BTreeSet<(InstanceName, UserId, SupervisionId)>,
    /// The most voice slots that requests may take; 0 means 1.
    pub(super) max_voice_legs: usize,
    unfinished: BTreeSet<SupervisionId>,
    ends: Times,
}

fn leg_key(supervision: &Supervision) -> Option<(InstanceName, String)> {
    let leg = supervision.leg.as_ref().map(LegId::as_str)?;
    Some((supervision.instance.clone(), leg.to_owned()))
}

fn ended_at(supervision: &Supervision) -> Option<Timestamp> {
    let left = supervision.departure.as_ref().map(|d| d.latest);
    left.or_else(|| supervision.failure.as_ref().map(|f| f.at))
}

impl Supervisions {
    pub(super) fn get(&self, id: SupervisionId) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// Why a supervision must not be written, if there is a reason.
    pub(super) fn refusal(&self, write: &SupervisionWrite) -> Option<CommitOutcome> {
        match write {
            SupervisionWrite::Insert(new) => self.slots_taken(new).or_else(|| self.leg_taken(new)),
            SupervisionWrite::Update(new, revision) => {
                if self.get(new.id).map(|row| row.revision) != Some(*revision) {
                    return Some(CommitOutcome::Stale);
                }
                // Only a supervision that waited for a voice slot can be refused, and it is REQUESTED.
                let taken = (new.state == State::Requested).then(|| self.slots_taken(new)).flatten();
                taken.or_else(|| self.leg_taken(new))
            }
        }
    }

    fn slots_taken(&self, new: &Supervision) -> Option<CommitOutcome> {
        if new.origin != Origin::Api || !new.holds_voice_slot() {
            return None;
        }
        let others: Vec<SupervisionId> = self.holders(new).collect();
        let is_full = others.len() >= self.max_voice_legs.max(1);
        others.first().filter(|_| is_full).map(|id| CommitOutcome::Busy(*id))
    }

    /// The other supervisions that occupy the supervisor's voice slots, by id.
    fn holders(&self, new: &Supervision) -> impl Iterator<Item = SupervisionId> {
        let user = new.supervisor.connect_user_id.clone();
        let key = user.map(|user| (new.instance.clone(), user));
        let found = key.map(|(instance, user)| {
            let first = (
                instance.clone(),
                user.clone(),
                SupervisionId::least_at(Timestamp::UNIX_EPOCH),
            );
            let same = move |(i, u, _): &&(InstanceName, UserId, SupervisionId)| *i == instance && *u == user;
            self.voice_slots.range(first..).take_while(same).map(|(_, _, id)| *id)
        });
        found.into_iter().flatten().filter(|id| *id != new.id)
    }

    fn leg_taken(&self, new: &Supervision) -> Option<CommitOutcome> {
        let holder = self.legs.get(&leg_key(new)?)?;
        (*holder != new.id).then_some(CommitOutcome::LegTaken(*holder))
    }

    /// Writes a supervision that [`Supervisions::refusal`] does not refuse. It fails where a constraint of the database would.
    pub(super) fn write(&mut self, write: &SupervisionWrite) -> Result<(), StoreError> {
        let (SupervisionWrite::Insert(new) | SupervisionWrite::Update(new, _)) = write;
        let row = match write {
            SupervisionWrite::Insert(_) if self.rows.contains_key(&new.id) => {
                return Err(StoreError::Store(format!("supervision {} exists already", new.id)));
            }
            SupervisionWrite::Insert(_) => {
                self.last_place += 1;
                Row {
                    place: self.last_place,
                    revision: 1,
                    supervision: (**new).clone(),
                }
            }
            SupervisionWrite::Update(_, revision) => {
                let old = self.remove(new.id);
                Row {
                    place: old.map_or(0, |row| row.place),
                    revision: revision + 1,
                    supervision: (**new).clone(),
                }
            }
        };
        self.insert(row);
        Ok(())
    }

    /// Writes a VoiceCall into its supervision. Returns whether that had none.
    pub(super) fn set_contact_record(&mut self, id: SupervisionId, kind: ContactRecordKind, record: &str) -> bool {
        let Some(row) = self.rows.get_mut(&id) else {
            return false;
        };
        let is_new = kind.set(&mut row.supervision, record);
        row.revision += i64::from(is_new);
        is_new
    }

    fn insert(&mut self, row: Row) {
        let s = &row.supervision;
        if let Some(key) = leg_key(s) {
            self.legs.insert(key, s.id);
        }
        if let (true, Some(user)) = (s.holds_voice_slot(), &s.supervisor.connect_user_id) {
            self.voice_slots.insert((s.instance.clone(), user.clone(), s.id));
        }
        if !s.state.is_final() {
            self.unfinished.insert(s.id);
        }
        self.ends.extend(ended_at(s).map(|at| (millis(at), row.place, s.id)));
        self.rows.insert(s.id, row);
    }

    pub(super) fn remove(&mut self, id: SupervisionId) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        let s = &row.supervision;
        if let Some(key) = leg_key(s) {
            self.legs.remove(&key);
        }
        if let Some(user) = &s.supervisor.connect_user_id {
            self.voice_slots.remove(&(s.instance.clone(), user.clone(), id));
        }
        self.unfinished.remove(&id);
        if let Some(at) = ended_at(s) {
            self.ends.remove(&(millis(at), row.place, id));
        }
        Some(row)
    }

    /// The rows after an id, in the order of ids.
    pub(super) fn rows_after(&self, after: Option<SupervisionId>) -> impl Iterator<Item = &Row> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range((from, Bound::Unbounded)).map(|(_, row)| row)
    }

    /// When supervisions ended.
    pub(super) fn ends(&self) -> &Times {
        &self.ends
    }

    /// How many supervisions with a leg the contact of this one has had.
    pub(super) fn legs_of_contact(&self, of: &Supervision) -> u32 {
        let Some(contact) = &of.contact else { return 0 };
        let same = |s: &Supervision| s.contact.as_ref() == Some(contact) && s.instance == of.instance;
        let with_leg = self.all().filter(|s| same(s) && s.leg.is_some());
        u32::try_from(with_leg.count()).unwrap_or(u32::MAX)
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Supervision> {
        self.rows.values().map(|row| &row.supervision)
    }

    fn unfinished(&self) -> impl Iterator<Item = &Supervision> {
        let rows = self.unfinished.iter().filter_map(|id| self.rows.get(id));
        rows.map(|row| &row.supervision)
    }

    fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Vec<UserId> {
        let recent = self.rows.range(SupervisionId::least_at(since)..);
        let of_instance = recent
            .map(|(_, row)| &row.supervision)
            .filter(|s| s.instance == *instance);
        let users: BTreeSet<&UserId> = of_instance
            .filter_map(|s| s.supervisor.connect_user_id.as_ref())
            .collect();
        let later = users.into_iter().filter(|user| after.is_none_or(|after| *user > after));
        later.take(limit as usize).cloned().collect()
    }

    fn counts(&self) -> Counts {
        // In the order of the states' words, in which SQLite groups them.
        let mut by_word = BTreeMap::new();
        for s in self.unfinished() {
            by_word.entry(s.state.as_str()).or_insert((s.state, 0)).1 += 1;
        }
        Counts {
            active: by_word.into_values().collect(),
            overdue: self.unfinished().filter(|s| s.overdue).count() as u64,
            rows: Vec::new(),
        }
    }
}

/// Whether an id is on a page of a list: an id begins with the moment it was generated at (UUIDv7).
pub(super) fn is_on_page(
    id: SupervisionId,
    (since, until, before): (Option<Timestamp>, Option<Timestamp>, Option<SupervisionId>),
) -> bool {
    since.is_none_or(|at| id >= SupervisionId::least_at(at))
        && until.is_none_or(|at| id < SupervisionId::least_at(at))
        && before.is_none_or(|before| id < before)
}

fn fits(filter: &Filter, s: &Supervision) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, has: Option<&T>) -> bool {
        wanted.is_none_or(|wanted| Some(wanted) == has)
    }
    (filter.states.is_empty() || filter.states.contains(&s.state))
        && is(filter.contact.as_ref(), s.contact.as_ref())
        && is(filter.supervisor.as_ref(), s.supervisor.connect_user_id.as_ref())
        && is(filter.agent.as_ref(), s.agent.as_ref())
        && is(filter.instance.as_ref(), Some(&s.instance))
        && is(filter.origin.as_ref(), Some(&s.origin))
        && is(filter.overdue.as_ref(), Some(&s.overdue))
        && is_on_page(s.id, (filter.since, filter.until, filter.before))
}

#[async_trait]
impl SupervisionStore for MemoryStore {
    async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError> {
        self.read("supervision", |t| t.stored(id)).await
    }

    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<StoredSupervision>, StoreError> {
        let key = (instance.clone(), leg.to_owned());
        self.read("by_leg", |t| t.supervisions.legs.get(&key).and_then(|id| t.stored(*id)))
            .await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("list", |t| {
            let fitting = t.supervisions.all().rev().filter(|s| fits(filter, s));
            t.all_stored(fitting.map(|s| s.id), filter.limit)
        })
        .await
    }

    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("active_of", |t| {
            let of = |s: &&Supervision| s.instance == *instance && s.supervisor.connect_user_id.as_ref() == Some(user);
            t.all_stored(t.supervisions.unfinished().filter(of).map(|s| s.id), ACTIVE)
        })
        .await
    }

    async fn active_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("active_on", |t| {
            let on = |s: &&Supervision| s.instance == *instance && s.contact.as_ref() == Some(contact);
            t.all_stored(t.supervisions.unfinished().filter(on).map(|s| s.id), ACTIVE)
        })
        .await
    }

    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("in_states", |t| {
            let found = t.supervisions.unfinished().filter(|s| states.contains(&s.state));
            t.all_stored(found.map(|s| s.id), limit)
        })
        .await
    }

    async fn left_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("left_between", |t| {
            let ends = t.supervisions.ends.iter().rev();
            let ends = ends.filter(|(ended_at, ..)| *ended_at <= millis(until));
            let recent = ends.take_while(|(ended_at, ..)| *ended_at >= millis(since));
            let left = |id: &SupervisionId| {
                t.supervisions
                    .get(*id)
                    .is_some_and(|r| r.supervision.state == State::Left)
            };
            t.all_stored(recent.map(|(_, _, id)| *id).filter(left), limit)
        })
        .await
    }

    async fn unnamed(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<SupervisionId>, StoreError> {
        self.read("unnamed", |t| {
            let unnamed = t.supervisions.all().filter(|s| s.lacks_names()).map(|s| s.id);
            let rest = unnamed.filter(|id| after.is_none_or(|after| *id > after));
            rest.take(limit as usize).collect()
        })
        .await
    }

    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError> {
        self.read("over_on", |t| {
            let on = |s: &&Supervision| s.instance == *instance && s.contact.as_ref() == Some(contact);
            let of = |s: &&Supervision| s.supervisor.connect_user_id.as_ref() == Some(user) && s.state == State::Left;
            let found = t.supervisions.all().rev().filter(|s| on(s) && of(s));
            found.map(|s| s.id).take(limit as usize).collect()
        })
        .await
    }

    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        self.read("supervisors_since", |t| {
            t.supervisions.supervisors_since(instance, since, after, limit)
        })
        .await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.read("counts", |t| Counts {
            rows: [RecordState::Pending, RecordState::Failed]
                .map(|state| (state, t.deliveries.count(state)))
                .to_vec(),
            ..t.supervisions.counts()
        })
        .await
    }
}
