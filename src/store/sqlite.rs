//! The store: SQLite behind [`sidedoor_domain::ports::Store`]. The only room that knows `sqlx`.
//!
//! **Guarantee.** When [`sidedoor_domain::ports::Store::commit`] answers, the change is on disk: WAL with `synchronous = FULL`
//! syncs the log at every commit. A change is one transaction; a refused one writes nothing.
//!
//! **One writer, group commit.** All writes go through one task ([`writer`]), which takes whatever waits (bounded) into
//! one transaction and syncs once for all of them. Reads go through a small pool of read-only connections and see what
//! was committed.
//!
//! **Crash story.** The process may be killed at any instruction. What was answered stands; what was not answered may
//! stand or not, never in part. A lock file keeps a second process away from the same database; the kernel drops the
//! lock with the process, so nothing needs cleaning after a kill.

mod announcements;
mod apply;
mod audit;
mod clocks;
mod comparisons;
mod deliveries;
mod directives;
mod migrations;
#[cfg(test)]
mod plans;
mod read;
mod rows;
mod sweep;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::broadcast;

use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::{ContactId, DeliveryId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{
    AuditFilter, AuditLine, AuditStore, ClockEpoch, ClockId, ClockStore, Comparison, Counts, DeliveryFilter,
    DeliveryStore, DirectiveChange, DirectiveNews, DirectiveStore, EvidenceStore, Filter, IdempotencyStore, JobStore,
    KeyRecord, NextDue, Ordered, Retention, Row, Sample, Stored, SupervisionStore, UnexplainedLeg,
};
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError, Transaction};
use sidedoor_domain::supervision::State;

/// Readers at a time. Reads are short; more would only wait for the same two cores.
const READERS: u32 = 4;
/// Changes of directives that a listener may be behind before it must look by itself.
const NEWS: usize = 1024;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of SQLite's.
    #[error("store.url must be sqlite://<path>")]
    Url,
    /// Another process has it.
    #[error("{0} is in use by another Sidedoor process; stop that one, or give this one a store.url of its own")]
    InUse(PathBuf),
    /// The lock file cannot be made.
    #[error("cannot lock {0}: {1}")]
    Lock(PathBuf, std::io::Error),
    /// The database cannot be opened or migrated.
    #[error("cannot open the store: {0}")]
    Store(String),
}

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: writer::Writer,
    incarnation: String,
    salt: String,
    news: broadcast::Sender<DirectiveNews>,
    // Held for its lock; released by the kernel with the process.
    _lock: File,
}

impl SqliteStore {
    /// Opens (or makes) the database at `url` (`sqlite://path`), migrates it and starts the writer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let path = url
            .strip_prefix("sqlite://")
            .filter(|p| !p.is_empty())
            .ok_or(OpenError::Url)?;
        let lock = lock(Path::new(path))?;
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| OpenError::Url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(std::time::Duration::from_secs(5));
        let store = |e: sqlx::Error| OpenError::Store(e.to_string());
        let mut connection = options.connect().await.map_err(store)?;
        migrations::all()
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|e| OpenError::Store(e.to_string()))?;
        connection.ping().await.map_err(store)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // A file of this machine: a ping before every question would only double its cost.
            .test_before_acquire(false)
            .acquire_timeout(std::time::Duration::from_secs(5))
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(store)?;
        let incarnation = uuid::Uuid::new_v4().to_string();
        let salt = announcements::salt(&readers)
            .await
            .map_err(|e| OpenError::Store(e.to_string()))?;
        let (news, _) = broadcast::channel(NEWS);
        let writer = writer::Writer::start(connection, incarnation.clone(), news.clone());
        Ok(Self {
            readers,
            news,
            writer,
            incarnation,
            salt,
            _lock: lock,
        })
    }

    /// Writes what waits, syncs, folds the log into the database and closes.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

fn lock(database: &Path) -> Result<File, OpenError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| OpenError::Lock(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(OpenError::Lock(path, e)),
    }
}

/// A store opened for looking only: beside a running service, or without one. Takes no lock and writes nothing.
#[derive(Debug)]
pub struct StoreView {
    readers: SqlitePool,
}

impl StoreView {
    /// Opens the database at `url` (`sqlite://path`) for reading.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let store = |e: sqlx::Error| OpenError::Store(e.to_string());
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| OpenError::Url)?
            .read_only(true);
        let readers = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(store)?;
        Ok(Self { readers })
    }

    /// One supervision.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn supervision(&self, id: SupervisionId) -> Result<Option<Stored>, StoreError> {
        read::supervision(&self.readers, id).await
    }

    /// What the org itself has of a departure, if it was compared.
    pub async fn comparison(&self, id: SupervisionId) -> Result<Option<Comparison>, StoreError> {
        comparisons::of(&self.readers, id).await
    }

    /// How much is under way, and what needs a person.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        read::counts(&self.readers).await
    }

    /// A leg's evidence, oldest first.
    pub async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        read::evidence(&self.readers, instance, leg).await
    }

    /// Every epoch of every vendor clock, oldest first.
    pub async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError> {
        clocks::epochs(&self.readers).await
    }

    /// The samples of every vendor clock, oldest first, of each clock at most the latest `limit`.
    pub async fn clock_samples(&self, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError> {
        clocks::samples(&self.readers, Timestamp::UNIX_EPOCH, limit).await
    }
}

/// A store's failure, in words.
fn failed(e: sqlx::Error) -> StoreError {
    StoreError::Store(e.to_string())
}

#[async_trait]
impl SupervisionStore for SqliteStore {
    async fn supervision(&self, id: SupervisionId) -> Result<Option<Stored>, StoreError> {
        read::supervision(&self.readers, id).await
    }

    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<Stored>, StoreError> {
        read::by_leg(&self.readers, instance, leg).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Stored>, StoreError> {
        read::list(&self.readers, filter).await
    }

    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<Stored>, StoreError> {
        read::active_of(&self.readers, instance, user).await
    }

    async fn active_on(&self, instance: &InstanceName, contact: &ContactId) -> Result<Vec<Stored>, StoreError> {
        read::active_on(&self.readers, instance, contact).await
    }

    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<Stored>, StoreError> {
        read::in_states(&self.readers, states, limit).await
    }

    async fn left_since(&self, since: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError> {
        read::left_since(&self.readers, since, limit).await
    }

    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError> {
        read::over_on(&self.readers, instance, contact, user, limit).await
    }

    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        read::supervisors_since(&self.readers, instance, since, after, limit).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        read::counts(&self.readers).await
    }
}

#[async_trait]
impl EvidenceStore for SqliteStore {
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        read::evidence(&self.readers, instance, leg).await
    }

    async fn due_unexplained(&self, now: Timestamp, limit: u32) -> Result<Vec<UnexplainedLeg>, StoreError> {
        read::due_unexplained(&self.readers, now, limit).await
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn next_due(&self) -> Result<NextDue, StoreError> {
        read::next_due(&self.readers).await
    }

    async fn due_checks(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError> {
        read::due_checks(&self.readers, now, limit).await
    }

    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        announcements::cursor(&self.readers, name).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        sweep::sweep(&self.readers, &self.writer, retention).await
    }
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError> {
        deliveries::due_deliveries(&self.readers, now, limit).await
    }

    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        deliveries::due_delivery_count(&self.readers, now, limit).await
    }

    async fn due_voice_calls(&self, now: Timestamp, limit: u32) -> Result<Vec<Stored>, StoreError> {
        deliveries::due_voice_calls(&self.readers, now, limit).await
    }

    async fn rows(&self, filter: &DeliveryFilter) -> Result<Vec<Row>, StoreError> {
        deliveries::rows(&self.readers, filter).await
    }

    async fn row(&self, id: DeliveryId) -> Result<Option<Row>, StoreError> {
        deliveries::one(&self.readers, id).await
    }

    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Stored, u32)>, StoreError> {
        comparisons::due(&self.readers, since, until, again, limit).await
    }
}

#[async_trait]
impl DirectiveStore for SqliteStore {
    async fn directives_of(
        &self,
        instance: &InstanceName,
        user: &UserId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Ordered>, StoreError> {
        directives::of(&self.readers, instance, user, after, limit).await
    }

    async fn last_directive_change(&self) -> Result<i64, StoreError> {
        directives::last_change(&self.readers).await
    }

    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError> {
        announcements::changes_after(&self.readers, after, limit).await
    }

    async fn before_open_directives(&self) -> Result<i64, StoreError> {
        announcements::before_the_open_ones(&self.readers).await
    }

    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews> {
        self.news.subscribe()
    }

    fn stream_salt(&self) -> &str {
        &self.salt
    }
}

#[async_trait]
impl ClockStore for SqliteStore {
    async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError> {
        clocks::epochs(&self.readers).await
    }

    async fn clock_samples(&self, since: Timestamp, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError> {
        clocks::samples(&self.readers, since, limit).await
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_of(&self, id: SupervisionId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        audit::of(&self.readers, id, limit).await
    }

    async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, StoreError> {
        audit::lines(&self.readers, filter).await
    }

    async fn unfinished_acts(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        audit::unfinished(&self.readers, since, until, limit).await
    }
}

#[async_trait]
impl IdempotencyStore for SqliteStore {
    async fn key(&self, caller: &str, key: &str) -> Result<Option<KeyRecord>, StoreError> {
        read::key(&self.readers, caller, key).await
    }

    fn incarnation(&self) -> &str {
        &self.incarnation
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn transact(&self, change: Transaction) -> Result<CommitOutcome, StoreError> {
        self.writer.commit(change).await
    }

    fn transact_later(&self, change: Transaction) {
        self.writer.commit_later(change);
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.writer.commit(Transaction::default()).await.map(|_| ())
    }
}
