//! The one writer task. It puts all waiting transactions of the port, up to a bound, into one database transaction and answers them
//! after its one fsync. So the cost of an fsync is shared under load, and an idle store commits at once.
//!
//! If a group fails (disk full, constraint violated), it is rolled back and each of its transactions is tried alone, because otherwise
//! a single invalid one would fail the others.

use sidedoor_domain::ports::store::DirectiveNews;
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};
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
    Remove(Removal, Reply<u64>),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer task.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Work>,
}

impl Writer {
    pub(super) fn start(
        connection: SqliteConnection,
        process: apply::Process,
        news: broadcast::Sender<DirectiveNews>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        // The task is not tracked: it ends on `Work::Close`, or when the last handle is dropped.
        tokio::spawn(run(connection, process, news, waiting));
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

    pub(super) async fn remove(&self, removal: Removal) -> Result<u64, StoreError> {
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

async fn run(
    mut connection: SqliteConnection,
    process: apply::Process,
    news: broadcast::Sender<DirectiveNews>,
    mut waiting: mpsc::Receiver<Work>,
) {
    let mut group = Vec::new();
    while let Some(work) = waiting.recv().await {
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
        commit_group(&mut connection, &process, &news, &mut group).await;
        match after {
            Some(Work::Remove(removal, reply)) => {
                let _ = reply.send(sweep::remove(&mut connection, &removal).await);
            }
            Some(Work::Close(done)) => {
                waiting.close();
                if let Err(e) = connection.close().await {
                    tracing::warn!(error = %e, "could not close the database; the next start recovers from its write-ahead log: {e}");
                }
                let _ = done.send(());
                return;
            }
            Some(Work::Commit(..)) | None => {}
        }
    }
}

async fn commit_group(
    connection: &mut SqliteConnection,
    process: &apply::Process,
    news: &broadcast::Sender<DirectiveNews>,
    group: &mut Vec<(Box<Transaction>, Option<Reply<CommitOutcome>>)>,
) {
    if group.is_empty() {
        return;
    }
    let changes: Vec<&Transaction> = group.iter().map(|(change, _)| change.as_ref()).collect();
    let mut results = match transaction(connection, process, &changes).await {
        Ok(done) => done.into_iter().map(Ok).collect(),
        Err(e) if changes.len() == 1 => vec![Err(e)],
        Err(_) => {
            let mut alone = Vec::with_capacity(changes.len());
            for change in &changes {
                let one = transaction(connection, process, &[*change]).await;
                alone.push(one.map(|mut done| done.remove(0)));
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

async fn transaction(
    connection: &mut SqliteConnection,
    process: &apply::Process,
    changes: &[&Transaction],
) -> Result<Vec<CommitOutcome>, StoreError> {
    connection.execute("BEGIN IMMEDIATE").await.map_err(failed)?;
    let mut done = Vec::with_capacity(changes.len());
    let mut outcome = Ok(());
    for change in changes {
        match apply::apply(connection, process, change).await {
            Ok(committed) => done.push(committed),
            Err(e) => {
                outcome = Err(e);
                break;
            }
        }
    }
    let outcome = match outcome {
        Ok(()) => connection.execute("COMMIT").await.map(|_| ()).map_err(failed),
        Err(e) => Err(e),
    };
    if let Err(e) = outcome {
        // SQLite may have rolled back a failed COMMIT already. Then this fails, which changes nothing.
        let _ = connection.execute("ROLLBACK").await;
        return Err(e);
    }
    Ok(done)
}
