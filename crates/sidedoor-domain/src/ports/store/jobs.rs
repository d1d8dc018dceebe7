//! Background jobs in the store: due times, cursors and retention.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::StoreError;
use crate::ids::{InstanceName, SupervisionId, UserId};
use crate::supervision::NextStep;

/// The next step of a supervision, as it is stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The supervision.
    pub supervision: SupervisionId,
    /// The revision of the supervision that it belongs to.
    pub revision: i64,
    /// The instance of the supervision.
    pub instance: InstanceName,
    /// The step.
    pub step: NextStep,
}

/// A leg without a job, which only the polling round of idle supervisions asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdleLeg {
    /// The supervision.
    pub supervision: SupervisionId,
    /// The revision of the supervision.
    pub revision: i64,
    /// The instance of the leg.
    pub instance: InstanceName,
    /// The supervisor.
    pub user: UserId,
    /// The leg.
    pub leg: String,
}

/// When the next job that belongs to no supervision is due, by kind; `None` if there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextDue {
    /// A look-up of an unknown leg.
    pub unknown_leg: Option<Timestamp>,
    /// A delivery to Salesforce.
    pub delivery: Option<Timestamp>,
    /// A search for the CRM's record of a contact.
    pub contact_record: Option<Timestamp>,
}

/// The moments before which the sweep removes data.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Idempotency keys.
    pub keys_before: Timestamp,
    /// Evidence, clock samples and epochs, ids of seen events, and unknown legs without look-ups. The newest epoch of a clock that
    /// began before this is kept, because it counts until the next.
    pub evidence_before: Timestamp,
    /// Finished supervisions whose record was written, or that have none.
    pub supervisions_before: Timestamp,
    /// Counters of coverage, by whole days.
    pub coverage_before: Timestamp,
    /// Removes finished supervisions whose record was not written, too. Set where Salesforce is not configured.
    pub unsent_too: bool,
    /// Lines of the audit that a verified export covers; `None` keeps all.
    pub audit_before: Option<Timestamp>,
}

/// A measured age of an answer of GetCurrentUserData: it still listed a leg that had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollStaleness {
    /// The instance that answered.
    pub instance: InstanceName,
    /// When it was measured.
    pub measured_at: Timestamp,
    /// The age, in whole ms.
    pub age: SignedDuration,
}

impl PollStaleness {
    /// A measurement is replaced by a smaller one after this time.
    pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
}

/// Reads and upkeep for background jobs. Every method fails with [`StoreError`] if the store cannot be read or written.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// When the next of the other jobs is due.
    async fn next_due(&self) -> Result<NextDue, StoreError>;

    /// The jobs of supervisions, by the supervision's id, from the first after `after`, at most `limit`.
    async fn jobs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// The legs of the polling round, by the supervision's id, from the first after `after`, at most `limit`.
    async fn idle_legs(&self, after: Option<SupervisionId>, limit: u32) -> Result<Vec<IdleLeg>, StoreError>;

    /// The newest moment that is stored, of the last audit entry or evidence. It tells whether our own clock can be right.
    async fn newest_moment(&self) -> Result<Option<Timestamp>, StoreError>;

    /// The last change that the follower with this name has handled; `None` if it never ran.
    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError>;

    /// The greatest measured age of an instance's answers, not replaced by a smaller one within [`PollStaleness::KEPT_FOR`].
    async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError>;

    /// Removes all data that is past its retention, in slices between which other writes get through. Returns the number of rows,
    /// without those that belonged to a supervision. Dropping the call ends it after a slice.
    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError>;
}
