//! Background jobs: due times and cursors.

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::store::{JobStore, NextDue, PollStaleness, Retention, StoredSupervision};
use sidedoor_domain::ports::{StoreError, Transaction};

use super::supervisions::Times;
use super::tables::{Tables, at, millis};
use super::{MemoryStore, yield_once};

impl Tables {
    /// The supervisions that are due by `now`, longest due first.
    pub(super) fn due_by(&self, times: &Times, now: Timestamp, limit: u32) -> Vec<StoredSupervision> {
        let due = times.iter().take_while(|(due_at, ..)| *due_at <= millis(now));
        self.all_stored(due.map(|(_, _, id)| *id), limit)
    }
}

fn first(times: &Times) -> Option<Timestamp> {
    times.first().map(|(due_at, ..)| at(*due_at))
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn next_due(&self) -> Result<NextDue, StoreError> {
        self.read("next_due", |t| NextDue {
            check: first(t.supervisions.checks()),
            unknown_leg: t.evidence.next_unknown(),
            delivery: first(t.deliveries.due()),
            voice_call: first(t.deliveries.looking()),
        })
        .await
    }

    async fn due_checks(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.read("due_checks", |t| t.due_by(t.supervisions.checks(), now, limit))
            .await
    }

    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        self.read("cursor", |t| t.cursors.get(name).copied()).await
    }

    async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError> {
        self.read("poll_staleness", |t| t.poll_staleness.get(instance).cloned())
            .await
    }

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        self.running().await;
        self.faults.before("sweep").await;
        self.running().await;
        yield_once().await;
        self.running().await;
        self.drain();
        let fate = self.faults.commit(&Transaction::default());
        self.running().await;
        let removed = match fate.error_without_write() {
            Some(refused) => Err(refused),
            None => Ok(self.disk.tables().sweep(retention)),
        };
        yield_once().await;
        self.running().await;
        self.faults.after("sweep").await;
        self.running().await;
        fate.error_after_write().map_or(removed, Err)
    }
}
