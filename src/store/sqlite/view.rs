//! A store that another process may have open, for commands that only read.

use jiff::Timestamp;
use sidedoor_domain::evidence::Evidence;
use sidedoor_domain::ids::{InstanceName, SupervisionId};
use sidedoor_domain::ports::StoreError;
use sidedoor_domain::ports::store::{
    ClockEpoch, ClockId, Comparison, Completeness, Counts, PollStaleness, Sample, StoredSupervision,
};

use super::health::StoreHealth;
use super::readers::Readers;
use super::{OpenError, clocks, comparisons, completeness, connection, evidence, jobs, supervisions, unreadable};

/// A store opened for reading only, with or without a running service. It takes no lock and writes nothing.
#[derive(Debug)]
pub struct StoreView {
    readers: Readers,
}

impl StoreView {
    /// Opens the database at `url` (`sqlite://path`) for reading.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let path = connection::path_of(url).ok_or(OpenError::Url)?;
        let readers = Readers::start(&path, 1, StoreHealth::default()).map_err(OpenError::store)?;
        Ok(Self { readers })
    }

    /// One supervision.
    ///
    /// # Errors
    /// [`StoreError`], here and below.
    pub async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError> {
        self.readers.read(move |db| supervisions::by_id(db, id)).await
    }

    /// The comparison of a departure with the org's own record, if it was made.
    pub async fn comparison(&self, id: SupervisionId) -> Result<Option<Comparison>, StoreError> {
        self.readers.read(move |db| comparisons::of(db, id)).await
    }

    /// How many supervisions are active and how many deliveries need work.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(supervisions::counts).await
    }

    /// The ids of supervisions that cannot be read, as a service found when their work was due, and when it first did; the latest first.
    pub async fn unreadable(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.readers.read(unreadable::list).await
    }

    /// The greatest measured age of GetCurrentUserData's answers in the last days, and when it was measured; `None` if none was older
    /// than it should be.
    pub async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError> {
        let instance = instance.clone();
        self.readers.read(move |db| jobs::poll_staleness(db, &instance)).await
    }

    /// What the service's checks of an instance for missed legs have covered; `None` before the first.
    pub async fn completeness(&self, instance: &InstanceName) -> Result<Option<Completeness>, StoreError> {
        let instance = instance.clone();
        self.readers.read(move |db| completeness::of(db, &instance)).await
    }

    /// A leg's evidence, oldest first.
    pub async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError> {
        let (instance, leg) = (instance.clone(), leg.to_owned());
        self.readers.read(move |db| evidence::of_leg(db, &instance, &leg)).await
    }

    /// Every epoch of every vendor clock, oldest first.
    pub async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError> {
        self.readers.read(clocks::epochs).await
    }

    /// The samples of every vendor clock, oldest first, of each clock at most the latest `limit`.
    pub async fn clock_samples(&self, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError> {
        self.readers
            .read(move |db| clocks::samples(db, Timestamp::UNIX_EPOCH, limit))
            .await
    }
}
