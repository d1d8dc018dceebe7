//! The one writer thread. It puts all waiting transactions of the port, up to a bound, into one database transaction and answers them
//! after its one fsync. So the cost of an fsync is shared under load, and an idle store commits at once. A transaction whose
//! caller does not wait is written with the next transaction that has a waiting caller, or a moment later.
//!
//! If a group fails (disk full, constraint violated), it is rolled back and each of its transactions is tried alone, because otherwise
//! a single invalid one would fail the others.
//!
//! A panic fails only the work that caused it. The thread goes on, because without it nothing could be written any more.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{RecordSync, StoredSupervision, SupervisionWrite};
use sidedoor_domain::ports::{CommitOutcome, StoreError, Transaction};
use tokio::sync::oneshot;

use super::apply::Applied;
use super::health::StoreHealth;
use super::rows::{Answer, run as run_sql};
use super::sweep::{Removal, Removed};
use super::unreadable::UnreadableRow;
use super::wal::WriteAheadLog;
use super::{apply, deliveries, directives, failed, sweep, unreadable};
use crate::store::image::Image;
use crate::store::news::NewsOfDirectives;

/// Transactions that may wait. More fail at once, because a caller that gets `service_unavailable` can retry, and a caller that
/// waits cannot.
const WAITING: usize = 4096;
/// Transactions that share one database transaction.
const GROUP: usize = 256;

/// The longest delay of a transaction whose caller does not wait.
const RIDE: Duration = Duration::from_millis(100);

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A transaction that waits, and who waits for it.
type Waiting = (Box<Transaction>, Option<Reply<CommitOutcome>>);
/// The delivery of a supervision, as it is stored now.
type Changed = (SupervisionId, Option<RecordSync>);

enum Work {
    Commit(Box<Transaction>, Option<Reply<CommitOutcome>>),
    Remove(Removal, Reply<Removed>),
    Park(Vec<UnreadableRow>, Timestamp, Reply<()>),
    /// Writes something, to see whether that is possible.
    Probe(Reply<()>),
    /// There is time for upkeep.
    Rest(Reply<()>),
    #[cfg(test)]
    Run(Box<dyn FnOnce(&Connection) + Send>, Reply<()>),
    Close(oneshot::Sender<()>),
}

/// A handle to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::SyncSender<Work>,
    /// The slices of sweeps.
    #[cfg(test)]
    pub(super) slices: std::sync::Mutex<Vec<Removed>>,
}

/// What the writer thread has beside its connection.
struct WriterState {
    process: apply::Process,
    news: NewsOfDirectives,
    health: StoreHealth,
    log: WriteAheadLog,
    image: Arc<Image>,
}

impl Writer {
    pub(super) fn start(
        mut connection: Connection,
        process: apply::Process,
        news: NewsOfDirectives,
        health: StoreHealth,
        image: Arc<Image>,
    ) -> rusqlite::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel(WAITING);
        let state = WriterState {
            process,
            news,
            health,
            log: WriteAheadLog::watch(&mut connection)?,
            image,
        };
        // The thread is not joined: it ends on `Work::Close`, or when the last handle is dropped.
        std::thread::spawn(move || run(connection, state, &waiting));
        Ok(Self {
            queue,
            #[cfg(test)]
            slices: std::sync::Mutex::default(),
        })
    }

    pub(super) async fn commit(&self, change: Transaction) -> Result<CommitOutcome, StoreError> {
        self.ask(|reply| Work::Commit(Box::new(change), Some(reply))).await
    }

    pub(super) fn commit_later(&self, mut change: Transaction) {
        change.rides_along = true;
        if let Err(e) = self.hand_in(Work::Commit(Box::new(change), None)) {
            tracing::warn!(error = %e, "dropped a best-effort write: {e}");
        }
    }

    pub(super) async fn remove(&self, removal: Removal) -> Result<Removed, StoreError> {
        let removed = self.ask(|reply| Work::Remove(removal, reply)).await?;
        #[cfg(test)]
        self.slices.lock().expect("not poisoned").push(removed);
        Ok(removed)
    }

    /// Puts off the work of supervisions that cannot be read.
    pub(super) async fn park(&self, found: Vec<UnreadableRow>, now: Timestamp) -> Result<(), StoreError> {
        self.ask(|reply| Work::Park(found, now, reply)).await
    }

    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.ask(Work::Probe).await
    }

    /// Lets the writer do upkeep that waits for writes otherwise.
    pub(super) async fn rest(&self) -> Result<(), StoreError> {
        self.ask(Work::Rest).await
    }

    /// Runs something on the writer's connection, such as a PRAGMA that makes writes fail.
    #[cfg(test)]
    pub(super) async fn run(&self, work: impl FnOnce(&Connection) + Send + 'static) -> Result<(), StoreError> {
        self.ask(|reply| Work::Run(Box::new(work), reply)).await
    }

    async fn ask<T>(&self, work: impl FnOnce(Reply<T>) -> Work) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(work(reply))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let mut close = Work::Close(done);
        loop {
            match self.queue.try_send(close) {
                Ok(()) => {
                    let _ = closed.await;
                    return;
                }
                Err(mpsc::TrySendError::Full(again)) => close = again,
                Err(mpsc::TrySendError::Disconnected(_)) => return,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn hand_in(&self, work: Work) -> Result<(), StoreError> {
        self.queue.try_send(work).map_err(|e| match e {
            mpsc::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }
}

#[allow(clippy::disallowed_methods, reason = "a wait of a thread, which no simulation runs")]
fn run(mut connection: Connection, mut state: WriterState, waiting: &mpsc::Receiver<Work>) {
    let mut group = Vec::new();
    // When the oldest transaction of the group was queued, while no caller of the group waits.
    let mut riding_since: Option<Instant> = None;
    loop {
        let mut next = match riding_since.map(|since| RIDE.saturating_sub(since.elapsed())) {
            None => match waiting.recv() {
                Ok(work) => Some(work),
                Err(_) => return,
            },
            // Without news in time, or without handles, the group is written.
            Some(left) => waiting.recv_timeout(left).ok(),
        };
        let time_is_up = next.is_none();
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
        let rides = |(change, _): &Waiting| change.rides_along;
        if !time_is_up && after.is_none() && group.len() < GROUP && group.iter().all(rides) {
            riding_since.get_or_insert_with(Instant::now);
            continue;
        }
        riding_since = None;
        commit_group(&mut connection, &state, std::mem::take(&mut group));
        match after {
            Some(Work::Close(done)) => {
                if let Err((_, e)) = connection.close() {
                    tracing::warn!(error = %e, "could not close the database; the next start recovers from its write-ahead log: {e}");
                }
                let _ = done.send(());
                return;
            }
            Some(work) => do_beside(&mut connection, &mut state, work),
            None => {}
        }
        let WriterState { log, .. } = &mut state;
        let _ = guarded(|| {
            log.keep_small(&connection);
            Ok(())
        });
    }
}

/// Work of the writer that is no transaction of the port.
fn do_beside(connection: &mut Connection, state: &mut WriterState, work: Work) {
    let (health, log) = (&state.health, &mut state.log);
    match work {
        Work::Remove(removal, reply) => {
            state.image.forget(removal.supervisions());
            let removed = guarded(|| sweep::remove(connection, &removal));
            note_result(health, &removed);
            let _ = reply.send(removed);
        }
        Work::Park(found, now, reply) => {
            let parked = guarded(|| in_transaction(connection, |db| unreadable::park(db, &found, now)));
            let _ = reply.send(parked);
        }
        Work::Probe(reply) => {
            let tried = guarded(|| probe(connection));
            note_result(health, &tried);
            let _ = reply.send(tried);
        }
        Work::Rest(reply) => {
            let rested = guarded(|| {
                log.keep_small_at_rest(connection);
                Ok(())
            });
            let _ = reply.send(rested);
        }
        #[cfg(test)]
        Work::Run(work, reply) => {
            let ran = guarded(|| {
                work(connection);
                Ok(())
            });
            if let Err(e) = &ran {
                health.write_failed(e);
            }
            let _ = reply.send(ran);
        }
        Work::Commit(..) | Work::Close(_) => {}
    }
}

fn in_transaction(connection: &mut Connection, work: impl FnOnce(&Connection) -> Answer<()>) -> Answer<()> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    work(&transaction)?;
    transaction.commit().map_err(failed)
}

/// Writes and removes as much as a few requests do, because a full disk may still have room for a page.
fn probe(connection: &mut Connection) -> Answer<()> {
    in_transaction(connection, |db| {
        run_sql(
            db,
            "INSERT OR REPLACE INTO once (name, value) VALUES ('probe', hex(zeroblob(32768)))",
            [],
        )
        .map(|_| ())
    })?;
    in_transaction(connection, |db| {
        run_sql(db, "DELETE FROM once WHERE name = 'probe'", []).map(|_| ())
    })
}

fn note_result<T>(health: &StoreHealth, result: &Answer<T>) {
    match result {
        Ok(_) => health.written(),
        Err(e) => health.write_failed(e),
    }
}

/// Turns a panic into an error. What it left unfinished in the database is rolled back.
fn guarded<T>(work: impl FnOnce() -> Answer<T>) -> Answer<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    done.unwrap_or_else(|_| Err(StoreError::Store("a write to the database panicked".into())))
}

fn commit_group(connection: &mut Connection, state: &WriterState, group: Vec<Waiting>) {
    if group.is_empty() {
        return;
    }
    let WriterState {
        process, health, image, ..
    } = state;
    let written_before = connection.total_changes();
    let changes: Vec<&Transaction> = group.iter().map(|(change, _)| change.as_ref()).collect();
    let mut deliveries = Vec::new();
    let results: Vec<Result<Applied, StoreError>> = match transaction(connection, process, &changes, &mut deliveries) {
        Ok(applied) => applied.into_iter().map(Ok).collect(),
        // None of them is at fault, and each would wait as long for a database that another program has locked.
        Err(Failed::ToBegin(e)) => changes.iter().map(|_| Err(e.clone())).collect(),
        Err(Failed::ToWrite(e)) if changes.len() == 1 => vec![Err(e)],
        Err(Failed::ToWrite(_)) => changes
            .iter()
            .map(|change| {
                let one = transaction(connection, process, &[*change], &mut deliveries);
                one.map(|mut applied| applied.remove(0)).map_err(Failed::into_error)
            })
            .collect(),
    };
    if let Some(Err(e)) = results.iter().find(|result| result.is_err()) {
        health.write_failed(e);
    } else if connection.total_changes() != written_before {
        // A group that was refused, or that was empty, has written nothing and says nothing about the disk.
        health.written();
    }
    let clears = changes.iter().any(|change| change.due_by.is_some());
    let with_contact_records: Vec<SupervisionId> = changes
        .iter()
        .flat_map(|change| change.contact_records.iter().map(|found| found.supervision))
        .collect();
    let outcomes = group.into_iter().zip(results);
    let outcomes: Vec<_> = outcomes
        .map(|((change, reply), result)| (reply, outcome(state, *change, result)))
        .collect();
    // What a later transaction of the group changed is newer than what an earlier one wrote.
    for (id, sync) in deliveries {
        image.delivery_changed(id, sync);
    }
    image.forget(with_contact_records);
    if clears {
        image.clear();
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

/// Tells the image and the open streams the outcome of a transaction.
fn outcome(
    state: &WriterState,
    change: Transaction,
    result: Result<Applied, StoreError>,
) -> Result<CommitOutcome, StoreError> {
    let news = directives::concerns(change.supervision.as_ref());
    let id = change.supervision.as_ref().map(SupervisionWrite::id);
    match result {
        Err(e) => {
            // It may have been written nevertheless.
            state.image.forget(id);
            Err(e)
        }
        Ok(Applied::Refused(refusal)) => {
            if refusal == CommitOutcome::Stale {
                state.image.forget(id);
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
                state.image.written(written.clone());
            }
            if let Some(whose) = news {
                state.news.publish(whose);
            }
            Ok(CommitOutcome::Done(written.map(Box::new)))
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

/// Writes a group as a whole, or nothing of it. Adds the deliveries that changed to `deliveries`.
fn transaction(
    connection: &mut Connection,
    process: &apply::Process,
    changes: &[&Transaction],
    deliveries: &mut Vec<Changed>,
) -> Result<Vec<Applied>, Failed> {
    let written = guarded(|| Ok(write_group(connection, process, changes)));
    let (applied, changed) = written.unwrap_or_else(|panicked| Err(Failed::ToWrite(panicked)))?;
    deliveries.extend(changed);
    Ok(applied)
}

fn write_group(
    connection: &mut Connection,
    process: &apply::Process,
    changes: &[&Transaction],
) -> Result<(Vec<Applied>, Vec<Changed>), Failed> {
    // Rolled back when it is dropped without a commit.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|e| Failed::ToBegin(failed(e)))?;
    process.lines.begin();
    let mut applied = Vec::with_capacity(changes.len());
    for change in changes {
        applied.push(apply::apply(&transaction, process, change).map_err(Failed::ToWrite)?);
    }
    let mut changed = Vec::new();
    for id in changed_deliveries(changes) {
        let sync = deliveries::of_supervision(&transaction, id).map_err(Failed::ToWrite)?;
        changed.push((id, sync));
    }
    transaction.commit().map_err(|e| Failed::ToWrite(failed(e)))?;
    Ok((applied, changed))
}

/// The supervisions whose deliveries change beside them.
fn changed_deliveries(changes: &[&Transaction]) -> BTreeSet<SupervisionId> {
    let of = |change: &&Transaction| {
        let results = change.delivery_results.iter().map(|result| result.supervision);
        let replayed = change.replayed.iter().map(|(id, _)| *id);
        let expedited = change.expedite.iter().map(|(id, _)| *id);
        let discarded = change.discarded.iter().copied();
        results
            .chain(replayed)
            .chain(discarded)
            .chain(expedited)
            .collect::<Vec<_>>()
    };
    changes.iter().flat_map(of).collect()
}
