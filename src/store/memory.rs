//! A store in memory, for deterministic simulations. It answers as [`super::sqlite`] does: the same refusals, orders, limits and whole
//! milliseconds. `super::conformance` runs the same cases on both.
//!
//! **Disk and process.** A [`MemoryDisk`] has everything that was committed, and survives a crash. A [`MemoryStore`] is one process that
//! has it open. It keeps the transactions that wait to be written, and a crash loses them.
//!
//! **Nothing random.** The store reads no clock and no random source, its tables are ordered, and the ids that it makes are counted on
//! the disk. So a simulation with the same seed makes the same calls in the same order.

mod audit;
mod clocks;
mod completeness;
mod coverage;
mod deliveries;
mod directives;
mod evidence;
mod faults;
mod idempotency;
mod jobs;
mod supervisions;
mod sweep;
mod tables;
mod tests;

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
pub(crate) use faults::{CommitFate, NoFaults, StoreFaults};
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError, Transaction};
use tables::Tables;
use tokio::sync::oneshot;

use super::news::NewsOfDirectives;

/// The committed data. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Tables>>);

impl MemoryDisk {
    /// Lets a supervisor request to listen to so many voice contacts at a time.
    #[cfg(test)]
    pub(crate) fn with_voice_legs(self, most: usize) -> Self {
        self.tables().supervisions.max_voice_legs = most;
        self
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that waits to be written.
struct Waiting {
    number: u64,
    change: Transaction,
    reply: Option<oneshot::Sender<Result<CommitOutcome, StoreError>>>,
}

/// The transactions that wait, in the order in which they were handed in.
#[derive(Default)]
struct Queue {
    last: u64,
    waiting: VecDeque<Waiting>,
}

/// One process that has a [`MemoryDisk`] open.
pub(crate) struct MemoryStore {
    disk: MemoryDisk,
    faults: Arc<dyn StoreFaults>,
    process: u64,
    incarnation: String,
    salt: String,
    crashed: AtomicBool,
    queue: Mutex<Queue>,
    news: NewsOfDirectives,
}

impl MemoryStore {
    /// Opens the disk. A process that had it open before counts as crashed, because two processes never share a database.
    pub(crate) fn open(disk: MemoryDisk, faults: Arc<dyn StoreFaults>) -> Self {
        let process = disk.tables().begin_process();
        Self {
            faults,
            process,
            incarnation: format!("process-{process}"),
            salt: format!("{:064x}", 1),
            crashed: AtomicBool::new(false),
            queue: Mutex::default(),
            news: NewsOfDirectives::default(),
            disk,
        }
    }

    /// Ends the process: no call is answered any more, and what waits is never written.
    pub(crate) fn crash(&self) {
        self.crashed.store(true, Ordering::SeqCst);
        self.queue().waiting.clear();
    }

    /// Writes everything that waits, as the writer thread of the service does in the background.
    pub(crate) fn drain(&self) {
        self.write_until(u64::MAX);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self, tables: &Tables) -> bool {
        !self.crashed.load(Ordering::SeqCst) && tables.is_open_in(self.process)
    }

    /// Returns if the process runs, otherwise never.
    async fn running(&self) {
        let runs = self.is_running(&self.disk.tables());
        if !runs {
            pending::<()>().await;
        }
    }

    /// Answers a read from committed data.
    async fn read<T: Send>(
        &self,
        call: &'static str,
        answer: impl FnOnce(&Tables) -> T + Send,
    ) -> Result<T, StoreError> {
        self.running().await;
        self.faults.before(call).await;
        self.running().await;
        let found = answer(&self.disk.tables());
        self.faults.after(call).await;
        self.running().await;
        Ok(found)
    }

    /// Hands in a transaction, and answers after it was written. Once handed in it is written even if the caller stops waiting, as in
    /// the service. A simulated crash may come before the commit, or between the commit and the answer.
    async fn commit(&self, call: &'static str, change: Transaction) -> Result<CommitOutcome, StoreError> {
        self.running().await;
        self.faults.before(call).await;
        self.running().await;
        let (reply, mut answer) = oneshot::channel();
        let number = self.hand_in(change, Some(reply));
        yield_once().await;
        self.running().await;
        self.write_until(number);
        yield_once().await;
        self.running().await;
        let result = answer.try_recv().unwrap_or(Err(StoreError::Closed));
        self.faults.after(call).await;
        self.running().await;
        result
    }

    fn hand_in(&self, change: Transaction, reply: Option<oneshot::Sender<Result<CommitOutcome, StoreError>>>) -> u64 {
        let mut queue = self.queue();
        queue.last += 1;
        let number = queue.last;
        queue.waiting.push_back(Waiting { number, change, reply });
        number
    }

    /// Writes all transactions up to this number, in their order.
    fn write_until(&self, number: u64) {
        let next = || {
            let mut queue = self.queue();
            let due = queue.waiting.front().is_some_and(|first| first.number <= number);
            due.then(|| queue.waiting.pop_front()).flatten()
        };
        while let Some(Waiting { change, reply, .. }) = next() {
            let fate = self.faults.commit(&change);
            let Some(result) = self.write(&change, fate) else {
                return;
            };
            match (reply, result) {
                (Some(reply), result) => drop(reply.send(result)),
                (None, Err(e)) => tracing::warn!(error = %e, "dropped a best-effort write: {e}"),
                (None, Ok(_)) => {}
            }
        }
    }

    /// Writes one transaction, unless the process has crashed.
    fn write(&self, change: &Transaction, fate: CommitFate) -> Option<Result<CommitOutcome, StoreError>> {
        let mut tables = self.disk.tables();
        if !self.is_running(&tables) {
            return None;
        }
        if let Some(refused) = fate.error_without_write() {
            return Some(Err(refused));
        }
        let result = tables.apply(&self.incarnation, change);
        drop(tables);
        if let Some(lost) = fate.error_after_write() {
            return Some(Err(lost));
        }
        if let (Ok(CommitOutcome::Done(_)), Some(whose)) = (&result, directives::concerns(change.supervision.as_ref()))
        {
            self.news.publish(whose);
        }
        Some(result)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn transact(&self, change: Transaction) -> Result<CommitOutcome, StoreError> {
        self.commit("transact", change).await
    }

    fn transact_later(&self, change: Transaction) {
        if self.is_running(&self.disk.tables()) {
            self.hand_in(change, None);
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.commit("flush", Transaction::default()).await.map(|_| ())
    }
}

/// Lets the other tasks run once.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
