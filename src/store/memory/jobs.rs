//! Background jobs: due times and cursors.

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::ports::store::{IdleLeg, Job, JobStore, NextDue, PollStaleness, Retention, StoredSupervision};
use sidedoor_domain::ports::{StoreError, Transaction};
use sidedoor_domain::supervision::{NextStep, State};

use super::supervisions::{Row, Times};
use super::tables::{Tables, at, millis, whole};
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
            unknown_leg: t.evidence.next_unknown(),
            delivery: first(t.deliveries.due()),
            contact_record: first(t.deliveries.looking()),
        })
        .await
    }

    async fn jobs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read("jobs", |t| {
            let job = |row: &Row| {
                let step = row.supervision.next_step()?;
                let due_at = whole(step.due_at);
                Some(Job {
                    supervision: row.supervision.id,
                    revision: row.revision,
                    instance: row.supervision.instance.clone(),
                    step: NextStep { due_at, ..step },
                })
            };
            t.supervisions
                .rows_after(after)
                .filter_map(job)
                .take(limit as usize)
                .collect()
        })
        .await
    }

    async fn idle_legs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<IdleLeg>, StoreError> {
        self.read("idle_legs", |t| {
            let idle = |row: &Row| {
                let s = &row.supervision;
                let idles = s.state == State::Monitoring && s.next_step().is_none();
                let leg = s.leg.as_ref().filter(|_| idles)?;
                Some(IdleLeg {
                    supervision: s.id,
                    revision: row.revision,
                    instance: s.instance.clone(),
                    user: s.supervisor.connect_user_id.clone()?,
                    leg: leg.as_str().to_owned(),
                })
            };
            t.supervisions
                .rows_after(after)
                .filter_map(idle)
                .take(limit as usize)
                .collect()
        })
        .await
    }

    async fn newest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("newest_moment", |t| t.audit.newest().max(t.evidence.newest()))
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
