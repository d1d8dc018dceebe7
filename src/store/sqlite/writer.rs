//! The one writer thread. It puts all waiting transactions of the port, up to a bound, into one database transaction and answers them
//! after its one fsync. So the cost of an fsync is shared under load, and an idle store commits at once.
//!
//! If a group fails (disk full, constraint violated), it is rolled back and each of its transactions is tried alone, because otherwise
//! a single invalid one would fail the others.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{DirectiveNews, RecordSync, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::apply::Applied;
use super::sweep::Removal;
use super::{apply, deliveries, directives, failed, sweep};
use crate::store::image::Image;

/// Transactions that may wait. More fail at once, because a caller that gets `service_unavailable` can retry, and a caller that
/// waits cannot.
const WAITING: usize = 4096;
/// Transactions that share one database transaction.
const GROUP: usize = 256;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Work {
    Commit(Box<Transaction>, Option<Reply<CommitOutcome>>),
    Remove(Removal, Reply<usize>),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Work>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        process: apply::Process,
        news: broadcast::Sender<DirectiveNews>,
        image: Arc<Image>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let thread = Thread {
            connection,
            process,
            news,
            image,
        };
        // The thread is not joined: it ends on `Work::Close`, or when the last handle is dropped.
        std::thread::spawn(move || thread.run(waiting));
        Self { queue }
    }

    pub(super) async fn commit(&self, change: Transaction) -> Result<CommitOutcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Work::Commit(Box::new(change), Some(reply)))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) fn commit_later(&self, change: Transaction) {
        if let Err(e) = self.hand_in(Work::Commit(Box::new(change), None)) {
            tracing::warn!(error = %e, "dropped a best-effort write: {e}");
        }
    }

    pub(super) async fn remove(&self, removal: Removal) -> Result<usize, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(Work::Remove(removal, reply))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Work::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    fn hand_in(&self, work: Work) -> Result<(), StoreError> {
        self.queue.try_send(work).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
    }
}

/// A transaction that waits, and who waits for it.
type Waiting = (Box<Transaction>, Option<Reply<CommitOutcome>>);

/// The delivery of a supervision, as it is stored now.
type Changed = (SupervisionId, Option<RecordSync>);

/// What was written of a group that is committed.
struct Committed {
    applied: Vec<Applied>,
    /// The deliveries that changed beside their supervisions.
    deliveries: Vec<Changed>,
}

/// What the writer thread owns.
struct Thread {
    connection: Connection,
    process: apply::Process,
    news: broadcast::Sender<DirectiveNews>,
    image: Arc<Image>,
}

impl Thread {
    fn run(mut self, mut waiting: mpsc::Receiver<Work>) {
        let mut group = Vec::new();
        while let Some(work) = waiting.blocking_recv() {
            let mut next = Some(work);
            let mut after = None;
            while let Some(work) = next {
                match work {
                    Work::Commit(change, reply) => group.push((change, reply)),
                    other => {
                        after = Some(other);
                        break;
                    }
                }
                next = if group.len() < GROUP {
                    waiting.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit_group(std::mem::take(&mut group));
            match after {
                Some(Work::Remove(removal, reply)) => {
                    if let Removal::Supervisions { ids, .. } = &removal {
                        self.image.forget(ids.iter().filter_map(|id| SupervisionId::parse(id)));
                    }
                    let _ = reply.send(sweep::remove(&mut self.connection, &removal));
                }
                Some(Work::Close(done)) => {
                    waiting.close();
                    if let Err((_, e)) = self.connection.close() {
                        tracing::warn!(error = %e, "could not close the database; the next start recovers from its write-ahead log: {e}");
                    }
                    let _ = done.send(());
                    return;
                }
                Some(Work::Commit(..)) | None => {}
            }
        }
    }

    fn commit_group(&mut self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let changes: Vec<&Transaction> = group.iter().map(|(change, _)| change.as_ref()).collect();
        let mut deliveries = Vec::new();
        let results: Vec<Result<Applied, StoreError>> = match self.transaction(&changes, &mut deliveries) {
            Ok(applied) => applied.into_iter().map(Ok).collect(),
            // None of them is at fault, and each would wait as long for a database that another program has locked.
            Err(Failed::ToBegin(e)) => changes.iter().map(|_| Err(e.clone())).collect(),
            Err(Failed::ToWrite(e)) if changes.len() == 1 => vec![Err(e)],
            Err(Failed::ToWrite(_)) => {
                let alone = changes
                    .iter()
                    .map(|change| self.transaction(&[*change], &mut deliveries));
                alone
                    .map(|done| done.map(|mut applied| applied.remove(0)).map_err(Failed::into_error))
                    .collect()
            }
        };
        let clears = changes.iter().any(|change| change.due_by.is_some());
        let outcomes = group.into_iter().zip(results);
        let outcomes: Vec<_> = outcomes
            .map(|((change, reply), result)| (reply, self.outcome(*change, result)))
            .collect();
        // What a later transaction of the group changed is newer than what an earlier one wrote.
        for (id, sync) in deliveries {
            self.image.delivery_changed(id, sync);
        }
        if clears {
            self.image.clear();
        }
        // Who gets an answer may read at once, so the image comes first.
        for answer in outcomes {
            match answer {
                (Some(reply), result) => drop(reply.send(result)),
                (None, Err(e)) => tracing::warn!(error = %e, "dropped a best-effort write: {e}"),
                (None, Ok(_)) => {}
            }
        }
    }

    /// Tells the image and the open streams what became of a transaction.
    fn outcome(&self, change: Transaction, result: Result<Applied, StoreError>) -> Result<CommitOutcome, StoreError> {
        let news = directives::concerns(change.supervision.as_ref());
        let id = change.supervision.as_ref().map(SupervisionWrite::id);
        match result {
            Err(e) => {
                // It may have been written all the same.
                self.image.forget(id);
                Err(e)
            }
            Ok(Applied::Refused(refusal)) => {
                if refusal == CommitOutcome::Stale {
                    self.image.forget(id);
                }
                Ok(refusal)
            }
            Ok(Applied::Done(record_sync)) => {
                let written = change.supervision.map(|write| StoredSupervision {
                    revision: write.next_revision(),
                    supervision: *write.into_supervision(),
                    record_sync,
                });
                if let Some(written) = &written {
                    self.image.written(written.clone());
                }
                if let Some(whose) = news {
                    // It fails if no stream is open, and then no browser needs the news.
                    let _ = self.news.send(whose);
                }
                Ok(CommitOutcome::Done(written.map(Box::new)))
            }
        }
    }

    /// Writes a group as a whole, or nothing of it. A panic is an error of this group only, because without the thread nothing could be
    /// written any more.
    /// Adds the deliveries that changed to `deliveries`.
    fn transaction(&mut self, changes: &[&Transaction], deliveries: &mut Vec<Changed>) -> Result<Vec<Applied>, Failed> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write_group(changes)));
        let committed = written.unwrap_or_else(|_| {
            Err(Failed::ToWrite(StoreError::Store(
                "a write to the database panicked".into(),
            )))
        })?;
        deliveries.extend(committed.deliveries);
        Ok(committed.applied)
    }

    fn write_group(&mut self, changes: &[&Transaction]) -> Result<Committed, Failed> {
        // Rolled back when it is dropped without a commit.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| Failed::ToBegin(failed(e)))?;
        let mut applied = Vec::with_capacity(changes.len());
        for change in changes {
            applied.push(apply::apply(&transaction, &self.process, change).map_err(Failed::ToWrite)?);
        }
        let mut deliveries = Vec::new();
        for id in changed_deliveries(changes) {
            let sync = deliveries::of_supervision(&transaction, id).map_err(Failed::ToWrite)?;
            deliveries.push((id, sync));
        }
        transaction.commit().map_err(|e| Failed::ToWrite(failed(e)))?;
        Ok(Committed { applied, deliveries })
    }
}

/// The supervisions whose deliveries change beside them.
fn changed_deliveries(changes: &[&Transaction]) -> BTreeSet<SupervisionId> {
    let of = |change: &&Transaction| {
        let results = change.delivery_results.iter().map(|result| result.supervision);
        let replayed = change.replayed.iter().map(|(id, _)| *id);
        let expedited = change.expedite.iter().map(|(id, _)| *id);
        results.chain(replayed).chain(expedited).collect::<Vec<_>>()
    };
    changes.iter().flat_map(of).collect()
}

/// Why a group was not written.
enum Failed {
    /// The database could not be locked.
    ToBegin(StoreError),
    /// One of its transactions failed, or the commit.
    ToWrite(StoreError),
}

impl Failed {
    fn into_error(self) -> StoreError {
        match self {
            Self::ToBegin(e) | Self::ToWrite(e) => e,
        }
    }
}
