//! The store: SQLite behind [`sidedoor_domain::ports::Store`]. The only module that uses `rusqlite`; one file for each aggregate.
//!
//! **Guarantee.** When [`sidedoor_domain::ports::Store::transact`] answers, the transaction is on disk, because WAL with
//! `synchronous = FULL` syncs the log at every commit. A transaction is written as a whole; a refused one writes nothing.
//!
//! **One writer, group commit.** All writes go through one thread ([`writer`]), which puts all waiting writes (bounded) into one
//! database transaction and syncs once for all of them. A few threads read ([`readers`]) and see all committed data.
//!
//! **Crash safety.** The process may be killed at any instruction. A transaction with a result is in the store; a transaction without one
//! is there as a whole or not at all. A lock file keeps a second process from opening the same database. The kernel releases the lock
//! with the process, so that nothing needs cleaning up after a kill.

mod apply;
mod audit;
mod audit_cut;
mod audit_seals;
pub mod audit_trail;
pub mod backup;
mod clocks;
mod comparisons;
mod completeness;
mod connection;
mod contact_records;
mod copies;
mod coverage;
mod deliveries;
mod directives;
mod evidence;
mod file;
mod filters;
mod health;
mod idempotency;
mod jobs;
mod migrations;
#[cfg(test)]
mod plans;
mod readers;
mod rows;
mod supervision_writes;
mod supervisions;
mod sweep;
mod unreadable;
#[cfg(test)]
mod upkeep_tests;
mod view;
mod wal;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use sidedoor_domain::audit_chain::AuditKeys;
use sidedoor_domain::ids::{ContactId, DeliveryId, InstanceName, SupervisionId, UserId};
use sidedoor_domain::ports::store::{
    Counts, Delivery, DeliveryFilter, DeliveryStore, DirectiveChange, DirectiveNews, DirectiveStore, Filter, IdleLeg,
    Job, JobStore, News, NextDue, OrderedDirective, PollStaleness, Retention, StoredSupervision, SupervisionStore,
};
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError, Transaction};
use sidedoor_domain::supervision::State;
use tokio::sync::broadcast;

pub use self::health::StoreFault;
use self::health::StoreHealth;
use self::readers::Readers;
pub use self::view::StoreView;
use super::image::Image;
use super::news::NewsOfDirectives;

/// Threads for reading. More would not help, because reads are short and share the same cores.
const READERS: usize = 4;

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
    /// A file of the store may be read by others than its owner, and that cannot be changed.
    #[error("others may read {0}, and its mode cannot be changed: {1}; run chmod 600 as its owner")]
    Private(PathBuf, std::io::Error),
    /// The copy that is kept before an upgrade cannot be written.
    #[error("cannot keep a copy of the store in {0} before its upgrade: {1}; make room there, or move the store")]
    Copy(PathBuf, String),
    /// The database cannot be opened or migrated.
    #[error("cannot open the store: {0}")]
    Store(String),
}

impl OpenError {
    fn store(e: impl std::fmt::Display) -> Self {
        Self::Store(e.to_string())
    }
}

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    writer: writer::Writer,
    image: Arc<Image>,
    health: StoreHealth,
    incarnation: String,
    salt: String,
    keys: AuditKeys,
    news: NewsOfDirectives,
    // Kept open because the kernel releases the lock when the file is closed.
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the database at `url` (`sqlite://path`), migrates it and starts the writer. A supervisor may request to
    /// listen to at most `max_voice_legs` voice contacts at a time. The audit is not signed with a key.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, max_voice_legs: usize) -> Result<Self, OpenError> {
        Self::open_signing(url, max_voice_legs, AuditKeys::none()).await
    }

    /// [`Self::open`] with the keys of the audit.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_signing(url: &str, max_voice_legs: usize, keys: AuditKeys) -> Result<Self, OpenError> {
        let path = connection::path_of(url).ok_or(OpenError::Url)?;
        // Migrating may take long.
        let opened = tokio::task::spawn_blocking(move || Self::open_file(&path, max_voice_legs, keys));
        opened.await.map_err(OpenError::store)?
    }

    fn open_file(path: &Path, max_voice_legs: usize, keys: AuditKeys) -> Result<Self, OpenError> {
        let path = file::canonical(path).map_err(|e| OpenError::Lock(path.to_owned(), e))?;
        let lock = file::lock(&path)?;
        file::create(&path).map_err(OpenError::store)?;
        file::keep_private(&path)?;
        let mut connection = connection::open_to_write(&path).map_err(OpenError::store)?;
        migrations::migrate(&mut connection, &path)?;
        let salt = directives::salt(&connection).map_err(OpenError::store)?;
        unreadable::recheck(&connection).map_err(OpenError::store)?;
        let health = StoreHealth::default();
        let readers = Readers::start(&path, READERS, health.clone()).map_err(OpenError::store)?;
        let incarnation = uuid::Uuid::new_v4().to_string();
        let news = NewsOfDirectives::default();
        let process = apply::Process {
            incarnation: incarnation.clone(),
            max_voice_legs,
            lines: audit::LineWriter::new(keys.clone()),
        };
        let image = Arc::new(Image::default());
        let writer = writer::Writer::start(connection, process, news.clone(), health.clone(), image.clone())
            .map_err(OpenError::store)?;
        Ok(Self {
            readers,
            image,
            news,
            writer,
            health,
            incarnation,
            salt,
            keys,
            _lock: lock,
        })
    }

    /// Asks for supervisions whose work is due. Those that cannot be read are put off, and if there is no other, the next ones are read.
    async fn due(
        &self,
        now: Timestamp,
        question: impl Fn(&Connection) -> Result<Vec<StoredSupervision>, StoreError> + Clone + Send + 'static,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        loop {
            let (found, unreadable) = self.readers.read_with_unreadable(question.clone()).await?;
            if unreadable.is_empty() {
                return Ok(found);
            }
            self.writer.park(unreadable, now).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Writes all waiting transactions, checkpoints the write-ahead log into the database and closes it.
    pub async fn close(&self) {
        // The readers first, because only the last connection that closes removes the write-ahead log.
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn failed(e: rusqlite::Error) -> StoreError {
    StoreError::Store(e.to_string())
}

#[async_trait]
impl SupervisionStore for SqliteStore {
    async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError> {
        match self.image.get(id) {
            Some(stored) => Ok(Some(stored)),
            None => self.readers.read(move |db| supervisions::by_id(db, id)).await,
        }
    }

    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<StoredSupervision>, StoreError> {
        if let Some(stored) = self.image.by_leg(instance, leg) {
            return Ok(Some(stored));
        }
        let (instance, leg) = (instance.clone(), leg.to_owned());
        self.readers
            .read(move |db| supervisions::by_leg(db, &instance, &leg))
            .await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<StoredSupervision>, StoreError> {
        let filter = filter.clone();
        self.readers.read(move |db| supervisions::list(db, &filter)).await
    }

    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<StoredSupervision>, StoreError> {
        let (instance, user) = (instance.clone(), user.clone());
        self.readers
            .read(move |db| supervisions::active_of(db, &instance, &user))
            .await
    }

    async fn active_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        let (instance, contact) = (instance.clone(), contact.clone());
        self.readers
            .read(move |db| supervisions::active_on(db, &instance, &contact))
            .await
    }

    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        let states = states.to_vec();
        self.readers
            .read(move |db| supervisions::in_states(db, &states, limit))
            .await
    }

    async fn left_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSupervision>, StoreError> {
        self.readers
            .read(move |db| supervisions::left_between(db, since, until, limit))
            .await
    }

    async fn unnamed(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<SupervisionId>, StoreError> {
        self.readers
            .read(move |db| supervisions::unnamed(db, after, limit))
            .await
    }

    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError> {
        let (instance, contact, user) = (instance.clone(), contact.clone(), user.clone());
        self.readers
            .read(move |db| supervisions::over_on(db, &instance, &contact, &user, limit))
            .await
    }

    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError> {
        let (instance, after) = (instance.clone(), after.cloned());
        self.readers
            .read(move |db| supervisions::supervisors_since(db, &instance, since, after.as_ref(), limit))
            .await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(supervisions::counts).await
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    async fn next_due(&self) -> Result<NextDue, StoreError> {
        self.readers.read(jobs::next_due).await
    }

    async fn jobs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.readers.read(move |db| jobs::all_of(db, after, limit)).await
    }

    async fn idle_legs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<IdleLeg>, StoreError> {
        self.readers.read(move |db| jobs::idle_legs(db, after, limit)).await
    }

    async fn newest_moment(&self) -> Result<Option<Timestamp>, StoreError> {
        self.readers.read(jobs::newest_moment).await
    }

    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError> {
        self.readers.read(move |db| jobs::cursor(db, name)).await
    }

    async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError> {
        let instance = instance.clone();
        self.readers.read(move |db| jobs::poll_staleness(db, &instance)).await
    }

    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError> {
        sweep::sweep(&self.readers, &self.writer, retention).await
    }
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn due_deliveries(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.due(now, move |db| deliveries::due_deliveries(db, now, limit))
            .await
    }

    async fn due_delivery_count(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.readers
            .read(move |db| deliveries::due_delivery_count(db, now, limit))
            .await
    }

    async fn due_contact_records(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError> {
        self.due(now, move |db| deliveries::due_contact_records(db, now, limit))
            .await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        let filter = filter.clone();
        self.readers.read(move |db| deliveries::list(db, &filter)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.readers.read(move |db| deliveries::by_id(db, id)).await
    }

    async fn due_comparisons(
        &self,
        since: Timestamp,
        until: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<(StoredSupervision, u32)>, StoreError> {
        self.readers
            .read(move |db| comparisons::due(db, since, until, again, limit))
            .await
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
        let (instance, user) = (instance.clone(), user.clone());
        self.readers
            .read(move |db| directives::of(db, &instance, &user, after, limit))
            .await
    }

    async fn last_directive_change(&self) -> Result<i64, StoreError> {
        self.readers.read(directives::last_change).await
    }

    async fn directive_changes(&self, after: i64, limit: u32) -> Result<Vec<DirectiveChange>, StoreError> {
        self.readers
            .read(move |db| directives::changes_after(db, after, limit))
            .await
    }

    async fn before_open_directives(&self) -> Result<i64, StoreError> {
        self.readers.read(directives::before_open).await
    }

    fn directive_news(&self) -> broadcast::Receiver<DirectiveNews> {
        self.news.of_all.subscribe()
    }

    fn directive_news_of(&self, whose: DirectiveNews) -> News<DirectiveNews> {
        self.news.of_each.follow(whose)
    }

    fn channel_salt(&self) -> &str {
        &self.salt
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
