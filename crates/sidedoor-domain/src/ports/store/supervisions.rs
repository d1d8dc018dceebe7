//! Supervisions in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{RecordState, StoreError, StoredSupervision};
use crate::ids::{ContactId, InstanceName, SupervisionId, UserId};
use crate::supervision::{Origin, State};

/// Which supervisions to list, newest first. A field that is `None` excludes nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states; empty for any state.
    pub states: Vec<State>,
    /// Of this contact.
    pub contact: Option<ContactId>,
    /// Of this supervisor.
    pub supervisor: Option<UserId>,
    /// Of this agent's contacts.
    pub agent: Option<UserId>,
    /// In this Amazon Connect instance.
    pub instance: Option<InstanceName>,
    /// Started through the API, or observed.
    pub origin: Option<Origin>,
    /// `true`: only supervisions whose leave is overdue; `false`: only the others.
    pub overdue: Option<bool>,
    /// Created at or after this moment.
    pub since: Option<Timestamp>,
    /// Created before this moment.
    pub until: Option<Timestamp>,
    /// Older than this supervision (the page's cursor).
    pub before: Option<SupervisionId>,
    /// The page's size.
    pub limit: u32,
}

/// How many supervisions are active and how many deliveries need work, now. The metrics' gauges report it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Unfinished supervisions, by state.
    pub active: Vec<(State, u64)>,
    /// How many of these are overdue to leave.
    pub overdue: u64,
    /// Pending deliveries and dead letters, by state.
    pub rows: Vec<(RecordState, u64)>,
}

/// Reads of supervisions. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait SupervisionStore: Send + Sync {
    /// The supervision with this id.
    async fn supervision(&self, id: SupervisionId) -> Result<Option<StoredSupervision>, StoreError>;

    /// The supervision that has this leg.
    async fn by_leg(&self, instance: &InstanceName, leg: &str) -> Result<Option<StoredSupervision>, StoreError>;

    /// A page of supervisions, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<StoredSupervision>, StoreError>;

    /// The unfinished supervisions of one supervisor, oldest first, at most 200.
    async fn active_of(&self, instance: &InstanceName, user: &UserId) -> Result<Vec<StoredSupervision>, StoreError>;

    /// The unfinished supervisions of one contact, oldest first, at most 200.
    async fn active_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
    ) -> Result<Vec<StoredSupervision>, StoreError>;

    /// The unfinished supervisions in these states, oldest first, at most `limit`, so that a restarted service can resume them. A
    /// final state finds none.
    async fn in_states(&self, states: &[State], limit: u32) -> Result<Vec<StoredSupervision>, StoreError>;

    /// Supervisions whose names are still looked up, by id, from the first after `after`, at most `limit`.
    async fn unnamed(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<SupervisionId>, StoreError>;

    /// Supervisions that ended at or after `since` and by `until`, latest end first, at most `limit`.
    async fn left_between(
        &self,
        since: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<StoredSupervision>, StoreError>;

    /// The supervisions of one supervisor on one contact that had a leg and have ended, newest first, at most `limit`.
    async fn over_on(
        &self,
        instance: &InstanceName,
        contact: &ContactId,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<SupervisionId>, StoreError>;

    /// The supervisors of an instance who have a supervision created at or after `since`, sorted by user id, from the first id after
    /// `after`; at most `limit`.
    async fn supervisors_since(
        &self,
        instance: &InstanceName,
        since: Timestamp,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, StoreError>;

    /// The numbers that the gauges report.
    async fn counts(&self) -> Result<Counts, StoreError>;
}
