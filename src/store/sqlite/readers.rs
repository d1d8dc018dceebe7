//! The reader threads. Each has a connection of its own that cannot write, and sees all committed data.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use sidedoor_domain::ports::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::connection;
use super::health::StoreHealth;
use super::rows::Answer;
use super::unreadable::{self, Logged, UnreadableRow};

/// Questions that may wait for a thread.
const WAITING: usize = 1024;
/// How long a question waits for its place in the queue.
const PATIENCE: Duration = Duration::from_secs(5);

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A handle to the reader threads. They end when it is closed or dropped.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Mutex<Option<mpsc::Sender<Question>>>,
    health: StoreHealth,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(super) fn start(database: &Path, threads: usize, health: StoreHealth) -> rusqlite::Result<Self> {
        let (queue, waiting) = mpsc::channel::<Question>(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        let logged = Arc::new(Logged::default());
        let mut running = Vec::with_capacity(threads);
        for _ in 0..threads {
            let (connection, waiting, logged) = (connection::open_to_read(database)?, waiting.clone(), logged.clone());
            running.push(std::thread::spawn(move || {
                answer_until_closed(&connection, &waiting, &logged);
            }));
        }
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            health,
            threads: Mutex::new(running),
        })
    }

    /// Asks a question in one of the threads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else {
            return Err(StoreError::Closed);
        };
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |db| {
            let _ = reply.send(question(db));
        });
        match queue.try_send(question) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(StoreError::Closed),
            Err(mpsc::error::TrySendError::Full(question)) => match queue.send_timeout(question, PATIENCE).await {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => return Err(StoreError::Overloaded),
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return Err(StoreError::Closed),
            },
        }
        let answer = answer
            .await
            .map_err(|_| StoreError::Store("a read of the database panicked".into()))?;
        answer.inspect_err(|e| self.health.read_failed(e))
    }

    /// Asks a question, and returns the rows that could not be read beside its answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn read_with_unreadable<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
    ) -> Answer<(T, Vec<UnreadableRow>)> {
        self.read(move |db| {
            let answer = question(db)?;
            Ok((answer, unreadable::found()))
        })
        .await
    }

    /// Answers what waits, and closes the connections.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::warn!("a reader thread of the store ended by a panic");
        }
    }
}

fn answer_until_closed(connection: &Connection, waiting: &Mutex<mpsc::Receiver<Question>>, logged: &Logged) {
    loop {
        let question = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(question) = question else { return };
        // The caller learns of a panic, because the reply is dropped. The thread goes on, because the connection only reads.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| question(connection)));
        logged.log(&unreadable::take());
    }
}
