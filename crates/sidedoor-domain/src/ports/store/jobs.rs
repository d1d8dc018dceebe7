//! Background jobs in the store: due times, cursors and retention.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{StoreError, StoredSupervision};
use crate::ids::InstanceName;

/// When the next job of each kind is due; `None` if there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextDue {
    /// A check of a supervision.
    pub check: Option<Timestamp>,
    /// A look-up of an unknown leg.
    pub unknown_leg: Option<Timestamp>,
    /// A delivery to Salesforce.
    pub delivery: Option<Timestamp>,
    /// A search for a VoiceCall.
    pub voice_call: Option<Timestamp>,
}

/// The moments before which the sweep removes data.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Idempotency keys.
    pub keys_before: Timestamp,
    /// Evidence, clock samples and ids of seen events.
    pub evidence_before: Timestamp,
    /// Finished supervisions whose record was written, or that have none.
    pub supervisions_before: Timestamp,
    /// Removes finished supervisions whose record was not written, too. Set where Salesforce is not configured.
    pub unsent_too: bool,
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
    /// When the next job of each kind is due.
    async fn next_due(&self) -> Result<NextDue, StoreError>;

    /// Supervisions to check by `now`, longest due first, at most `limit`.
    async fn due_checks(&self, now: Timestamp, limit: u32) -> Result<Vec<StoredSupervision>, StoreError>;

    /// The last change that the follower with this name has handled; `None` if it never ran.
    async fn cursor(&self, name: &'static str) -> Result<Option<i64>, StoreError>;

    /// The greatest measured age of an instance's answers, not replaced by a smaller one within [`PollStaleness::KEPT_FOR`].
    async fn poll_staleness(&self, instance: &InstanceName) -> Result<Option<PollStaleness>, StoreError>;

    /// Removes data that is past its retention, at most a bounded number of rows in one call. Returns how many.
    async fn sweep(&self, retention: &Retention) -> Result<u64, StoreError>;
}
