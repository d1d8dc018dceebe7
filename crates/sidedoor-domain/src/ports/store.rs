//! The durable store, as the use cases see it: one trait for each aggregate's reads, and one way to write.
//!
//! A [`Transaction`] is written as a whole or not at all: a supervision's new state, the evidence that caused it, its delivery, its
//! idempotency key and its audit entries. When [`Store::transact`] answers [`CommitOutcome::Done`], the transaction is on disk
//! (fsync). Every update names the revision it was made from; if that is not the newest, it is [`CommitOutcome::Stale`] and writes
//! nothing, because otherwise it would undo what another request wrote meanwhile.
//!
//! The store compares and orders moments in whole milliseconds. Moments inside a supervision, an evidence or a sample are kept as they
//! are; all others are returned in whole milliseconds.

mod audit;
mod clocks;
mod completeness;
mod coverage;
mod deliveries;
mod directives;
mod evidence;
mod idempotency;
mod jobs;
mod news;
mod supervisions;
mod transaction;

use async_trait::async_trait;
pub use audit::{AuditFilter, AuditLine, AuditStore};
pub use clock_calibration::{Cause, ClockId, Sample};
pub use clocks::{ClockEpoch, ClockStore, EpochCause};
pub use completeness::{Completeness, CompletenessStore};
pub use coverage::{
    COUNTED_AFTER, CountedContact, CoverageCount, CoverageKey, CoverageQuestion, CoverageStore, CoverageSums,
    HandledContact, day_begins, day_of,
};
pub use deliveries::{
    Comparison, Delivery, DeliveryFilter, DeliveryOutcome, DeliveryResult, DeliveryStore, FailureScope,
    FoundContactRecord, RecordState, RecordSync,
};
pub use directives::{DirectiveChange, DirectiveNews, DirectiveStore, OrderedDirective};
pub use evidence::{EvidenceStore, LegEvidence, UnknownLeg};
pub use idempotency::{IdempotencyStore, KeyRecord, KeyUse, KeyWrite};
pub use jobs::{IdleLeg, Job, JobStore, NextDue, PollStaleness, Retention};
pub use news::{News, NewsBoard};
pub use supervisions::{Counts, Filter, SupervisionStore};
pub use transaction::{CommitOutcome, SupervisionWrite, Transaction};

use crate::supervision::Supervision;

/// A supervision and the revision it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSupervision {
    /// The supervision.
    pub supervision: Supervision,
    /// Grows with every write; an update of the supervision names it.
    pub revision: i64,
    /// Its delivery to Salesforce; `None` until the first version is due to be sent.
    pub record_sync: Option<RecordSync>,
}

/// Why the store did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The write queue is full. Nothing was written.
    #[error("the database write queue is full")]
    Overloaded,
    /// The service is shutting down. Nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The database failed. The transaction may or may not have been written.
    #[error("the database failed: {0}")]
    Store(String),
    /// A value in the database is damaged, or a later version of Sidedoor wrote it.
    #[error("the store contains an invalid value: {0}")]
    Unreadable(String),
}

/// The whole store: the reads of every aggregate, and the one way to change anything.
#[async_trait]
pub trait Store:
    SupervisionStore
    + EvidenceStore
    + JobStore
    + DeliveryStore
    + DirectiveStore
    + ClockStore
    + AuditStore
    + IdempotencyStore
    + CompletenessStore
    + CoverageStore
{
    /// Writes one transaction and waits until it is on disk.
    ///
    /// # Errors
    /// [`StoreError`]. A transaction that is refused because of the stored state is no error; see [`CommitOutcome`].
    async fn transact(&self, change: Transaction) -> Result<CommitOutcome, StoreError>;

    /// Queues one transaction and returns at once. Only for writes that a crash may lose without harm.
    fn transact_later(&self, change: Transaction);

    /// Waits until every transaction queued before is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn flush(&self) -> Result<(), StoreError>;
}
