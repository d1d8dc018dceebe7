//! The store: SQLite behind [`sidedoor_domain::ports::Store`]. The only module that uses `sqlx`; one file for each aggregate.
//!
//! **Guarantee.** When [`sidedoor_domain::ports::Store::transact`] answers, the transaction is on disk, because WAL with
//! `synchronous = FULL` syncs the log at every commit. A transaction is written as a whole; a refused one writes nothing.
//!
//! **One writer, group commit.** All writes go through one task ([`writer`]), which puts all waiting writes (bounded) into one
//! database transaction and syncs once for all of them. Reads use a small pool of read-only connections and see all committed data.
//!
//! **Crash safety.** The process may be killed at any instruction. A transaction with a result is in the store; a transaction without one
//! is there as a whole or not at all. A lock file keeps a second process from opening the same database. The kernel releases the lock
//! with the process, so that nothing needs cleaning up after a kill.

mod apply;
mod audit;
mod clocks;
mod comparisons;
mod deliveries;
mod directives;
mod evidence;
mod filters;
mod idempotency;
mod jobs;
mod migrations;
#[cfg(test)]
mod plans;
mod rows;
mod supervisions;
mod sweep;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use sidedoor_domain::audit::AuditEntry;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::{ContactId, DeliveryId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{
    AuditFilter, AuditLine, AuditStore, ClockEpoch, ClockId, ClockStore, Comparison, Counts, Delivery, DeliveryFilter,
    DeliveryStore, DirectiveChange, DirectiveNews, DirectiveStore, EvidenceStore, Filter, IdempotencyStore, JobStore,
    KeyRecord, NextDue, OrderedDirective, PollStaleness, Retention, Sample, StoredSupervision, SupervisionStore,
    UnknownLeg,
};
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError, Transaction};
use sidedoor_domain::supervision::State;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::broadcast;

/// Connections for reading. More would not help, because reads are short and share the same cores.
const READERS: u32 = 4;
/// Changes of directives that a receiver may lag behind before it misses some and must read the store.
const NEWS: usize = 1024;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL does not begin with `sqlite://`, or has no path.
    #[error("store.url must be sqlite://<path>")]
    Url,
    /// Another process has locked the database.
    #[error("{0} is in use by another Sidedoor process; stop that process, or set another store.url for this one")]
    InUse(PathBuf),
    /// The lock file cannot be created or locked.
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
    // Kept open because the kernel releases the lock when the file is closed.
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the database at `url` (`sqlite://path`), migrates it and starts the writer. A supervisor may request to
    /// listen to at most `max_voice_legs` voice contacts at a time.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, max_voice_legs: usize) -> Result<Self, OpenError> {
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
            // A connection to a local file does not go stale, and a ping would double the cost of every read.
            .test_before_acquire(false)
            .acquire_timeout(std::time::Duration::from_secs(5))
            .connect_with(options.read_only(true).create_if_missing(false))
            .await
            .map_err(store)?;
        let incarnation = uuid::Uuid::new_v4().to_string();
        let salt = directives::salt(&readers)
            .await
            .map_err(|e| OpenError::Store(e.to_string()))?;
        let (news, _) = broadcast::channel(NEWS);
        let process = apply::Process {
            incarnation: incarnation.clone(),
            max_voice_legs,
        };
        let writer = writer::Writer::start(connection, process, news.clone());
        Ok(Self {
            readers,
            news,
            writer,
            incarnation,
            salt,
            _lock: lock,
        })
    }

    /// Writes all waiting transactions, checkpoints the write-ahead log into the database and closes it.
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

/// A store opened for reading only, with or without a running service. It takes no lock and writes nothing.
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
    pub async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError> {
        supervisions::by_id(&self.readers, id).await
    }

    /// The comparison of a departure with the org's own record, if it was made.
    pub async fn comparison(&self, id: SupervisionId) -> Result<Option<Comparison>, StoreError> {
        comparisons::of(&self.readers, id).await
    }

    /// How many supervisions are active and how many deliveries need work.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        supervisions::counts(&self.readers).await
    }

    /// The greatest measured age of GetCurrentUserData's answers in the last days, and when it was measured; `None` if none was older
    /// than it should be.
    pub async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError> {
        jobs::poll_staleness(&self.readers, instance).await
    }

    /// A leg's evidence, oldest first.
    pub async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        evidence::of_leg(&self.readers, instance, leg).await
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

fn failed(e: sqlx::Error) -> StoreError {
    StoreError::Store(e.to_string())
}

#[async_trait]
impl SupervisionStore for SqliteStore {
    async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError> {
        supervisions::by_id(&self.readers, id).await
    }

    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<StoredSupervision>, StoreError> {
        supervisions::by_leg(&self.readers, instance, leg).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<StoredSupervision>, StoreError> {
        supervisions::list(&self.readers, filter).await
    }

    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<StoredSupervision>, StoreError> {
        supervisions::active_of(&self.readers, instance, user).await
    }

    async fn active_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        supervisions::active_on(&self.readers, instance, contact).await
    }

    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        supervisions::in_states(&self.readers, states, limit).await
    }

    async fn left_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        supervisions::left_between(&self.readers, since, until, limit).await
    }

    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError> {
        supervisions::over_on(&self.readers, instance, contact, user, limit).await
    }

    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        supervisions::supervisors_since(&self.readers, instance, since, after, limit).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        supervisions::counts(&self.readers).await
    }
}

#[async_trait]
impl EvidenceStore for SqliteStore {
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        evidence::of_leg(&self.readers, instance, leg).await
    }

    async fn unknown_leg_count(&self, instance: &InstanceName, limit: u32) -> Result<u32, StoreError> {
        evidence::unknown_leg_count(&self.readers, instance, limit).await
    }

    async fn due_unknown_legs(&self, now: Timestamp, limit: u32) -> Result<Vec<UnknownLeg>, StoreError> {
        evidence::due_unknown_legs(&self.readers, now, limit).await
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn next_due(&self) -> Result<NextDue, StoreError> {
        jobs::next_due(&self.readers).await
    }

    async fn due_checks(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        jobs::due_checks(&self.readers, now, limit).await
    }

    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        jobs::cursor(&self.readers, name).await
    }

    async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError> {
        jobs::poll_staleness(&self.readers, instance).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        sweep::sweep(&self.readers, &self.writer, retention).await
    }
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        deliveries::due_deliveries(&self.readers, now, limit).await
    }

    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        deliveries::due_delivery_count(&self.readers, now, limit).await
    }

    async fn due_voice_calls(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        deliveries::due_voice_calls(&self.readers, now, limit).await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        deliveries::list(&self.readers, filter).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        deliveries::by_id(&self.readers, id).await
    }

    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(StoredSupervision, u32)>, StoreError> {
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
    ) -> Result<Vec<OrderedDirective>, StoreError> {
        directives::of(&self.readers, instance, user, after, limit).await
    }

    async fn last_directive_change(&self) -> Result<i64, StoreError> {
        directives::last_change(&self.readers).await
    }

    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError> {
        directives::changes_after(&self.readers, after, limit).await
    }

    async fn before_open_directives(&self) -> Result<i64, StoreError> {
        directives::before_open(&self.readers).await
    }

    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews> {
        self.news.subscribe()
    }

    fn channel_salt(&self) -> &str {
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
        idempotency::key(&self.readers, caller, key).await
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
