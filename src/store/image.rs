//! An image in memory of the supervisions that this process wrote and that are not done with, so that a use case need not ask the
//! database for its own recent writes.
//!
//! It is a cache and not the truth: every update names the revision that it was made from, so an entry that is too old can only end in
//! [`CommitOutcome::Stale`](sidedoor_domain::ports::CommitOutcome::Stale), and never in a wrong write. Only the writer fills it, because
//! a reader that fills it after a miss could replace a newer entry by an older one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::interlock::LegId;
use sidedoor_domain::ports::store::{RecordState, RecordSync, StoredSupervision};

/// The most supervisions in the image. The oldest leave it first, and are then read from the database.
const MOST: usize = 12_000;

/// The supervisions, by id and by leg.
#[derive(Debug, Default)]
pub(super) struct Image(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    supervisions: BTreeMap<SupervisionId, StoredSupervision>,
    legs: BTreeMap<(InstanceName, String), SupervisionId>,
}

fn leg_of(stored: &StoredSupervision) -> Option<(InstanceName, String)> {
    let leg = stored.supervision.leg.as_ref().map(LegId::as_str)?;
    Some((stored.supervision.instance.clone(), leg.to_owned()))
}

/// Whether nothing is left to be done for it.
fn is_done_with(stored: &StoredSupervision) -> bool {
    let pending = stored
        .record_sync
        .as_ref()
        .is_some_and(|sync| sync.state == RecordState::Pending);
    stored.supervision.state.is_final() && stored.supervision.next_step().is_none() && !pending
}

impl Held {
    fn remove(&mut self, id: SupervisionId) -> Option<StoredSupervision> {
        let old = self.supervisions.remove(&id)?;
        if let Some(leg) = leg_of(&old) {
            self.legs.remove(&leg);
        }
        Some(old)
    }

    fn insert(&mut self, new: StoredSupervision) {
        let id = new.supervision.id;
        self.remove(id);
        if is_done_with(&new) {
            return;
        }
        if let Some(leg) = leg_of(&new) {
            self.legs.insert(leg, id);
        }
        self.supervisions.insert(id, new);
        if self.supervisions.len() > MOST
            && let Some(oldest) = self.supervisions.keys().next().copied()
        {
            self.remove(oldest);
        }
    }
}

impl Image {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The supervision, if the image holds it.
    pub(super) fn get(&self, id: SupervisionId) -> Option<StoredSupervision> {
        self.held().supervisions.get(&id).cloned()
    }

    /// The supervision that has this leg, if the image holds it.
    pub(super) fn by_leg(&self, instance: &InstanceName, leg: &str) -> Option<StoredSupervision> {
        let held = self.held();
        let id = held.legs.get(&(instance.clone(), leg.to_owned()))?;
        held.supervisions.get(id).cloned()
    }

    /// A supervision was committed.
    pub(super) fn written(&self, new: StoredSupervision) {
        self.held().insert(new);
    }

    /// The delivery of a supervision was committed.
    pub(super) fn delivery_changed(&self, id: SupervisionId, sync: Option<RecordSync>) {
        let mut held = self.held();
        if let Some(old) = held.remove(id) {
            held.insert(StoredSupervision {
                record_sync: sync,
                ..old
            });
        }
    }

    /// The image is not known to be right.
    pub(super) fn clear(&self) {
        *self.held() = Held::default();
    }

    /// Supervisions were removed, or the outcome of a commit is unknown.
    pub(super) fn forget(&self, ids: impl IntoIterator<Item = SupervisionId>) {
        let mut held = self.held();
        for id in ids {
            held.remove(id);
        }
    }
}
