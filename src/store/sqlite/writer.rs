//! The one writer thread. It puts all waiting transactions of the port, up to a bound, into one database transaction and answers them
//! after its one fsync. So the cost of an fsync is shared under load, and an idle store commits at once.
//!
//! If a group fails (disk full, constraint violated), it is rolled back and each of its transactions is tried alone, because otherwise
//! a single invalid one would fail the others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, TransactionBehavior};
use sidedoor_domain::ports::store::DirectiveNews;
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::sweep::Removal;
use super::{apply, directives, failed, sweep};

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
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        // The thread is not joined: it ends on `Work::Close`, or when the last handle is dropped.
        std::thread::spawn(move || run(connection, &process, &news, waiting));
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

fn run(
    mut connection: Connection,
    process: &apply::Process,
    news: &broadcast::Sender<DirectiveNews>,
    mut waiting: mpsc::Receiver<Work>,
) {
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
        commit_group(&mut connection, process, news, &mut group);
        match after {
            Some(Work::Remove(removal, reply)) => {
                let _ = reply.send(sweep::remove(&mut connection, &removal));
            }
            Some(Work::Close(done)) => {
                waiting.close();
                if let Err((_, e)) = connection.close() {
                    tracing::warn!(error = %e, "could not close the database; the next start recovers from its write-ahead log: {e}");
                }
                let _ = done.send(());
                return;
            }
            Some(Work::Commit(..)) | None => {}
        }
    }
}

fn commit_group(
    connection: &mut Connection,
    process: &apply::Process,
    news: &broadcast::Sender<DirectiveNews>,
    group: &mut Vec<(Box<Transaction>, Option<Reply<CommitOutcome>>)>,
) {
    if group.is_empty() {
        return;
    }
    let changes: Vec<&Transaction> = group.iter().map(|(change, _)| change.as_ref()).collect();
    let mut results = match transaction(connection, process, &changes) {
        Ok(done) => done.into_iter().map(Ok).collect(),
        // None of them is at fault, and each would wait as long for a database that another program has locked.
        Err(Failed::ToBegin(e)) => vec![Err(e); changes.len()],
        Err(Failed::ToWrite(e)) if changes.len() == 1 => vec![Err(e)],
        Err(Failed::ToWrite(_)) => {
            let mut alone = Vec::with_capacity(changes.len());
            for change in &changes {
                let one = transaction(connection, process, &[*change]);
                alone.push(one.map(|mut done| done.remove(0)).map_err(Failed::into_error));
            }
            alone
        }
    };
    for ((change, reply), result) in group.drain(..).zip(results.drain(..)) {
        if let (Ok(CommitOutcome::Done), Some(whose)) = (&result, directives::concerns(change.supervision.as_ref())) {
            // It fails if no stream is open, and then no browser needs the news.
            let _ = news.send(whose);
        }
        match reply {
            Some(reply) => {
                let _ = reply.send(result);
            }
            None => {
                if let Err(e) = result {
                    tracing::warn!(error = %e, "dropped a best-effort write: {e}");
                }
            }
        }
    }
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

/// Writes a group as a whole, or nothing of it. A panic is an error of this group only, because without the thread nothing could be
/// written any more.
fn transaction(
    connection: &mut Connection,
    process: &apply::Process,
    changes: &[&Transaction],
) -> Result<Vec<CommitOutcome>, Failed> {
    let written = catch_unwind(AssertUnwindSafe(|| write_group(connection, process, changes)));
    written.unwrap_or_else(|_| {
        Err(Failed::ToWrite(StoreError::Store(
            "a write to the database panicked".into(),
        )))
    })
}

fn write_group(
    connection: &mut Connection,
    process: &apply::Process,
    changes: &[&Transaction],
) -> Result<Vec<CommitOutcome>, Failed> {
    // Rolled back when it is dropped without a commit.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|e| Failed::ToBegin(failed(e)))?;
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(apply::apply(&transaction, process, change).map_err(Failed::ToWrite)?);
    }
    transaction.commit().map_err(|e| Failed::ToWrite(failed(e)))?;
    Ok(done)
}
