//! Salesforce, as the flows see it.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::participant::ParticipantRow;

/// A row that stands in the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The object it is kept in.
    pub object_name: String,
    /// The record's id; some answers (a bare 204) carry none.
    pub record_id: Option<String>,
    /// Whether it was made by this very write.
    pub created: bool,
}

/// What may be done about a CRM's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmVerdict {
    /// The same write may succeed later.
    Retry,
    /// A create race: again at once, and it becomes an update.
    RetryNow,
    /// The whole org takes nothing for now (limits): park everything this long.
    Park(Duration),
    /// The whole org changed (field, right or object gone): every row would fail. Park everything this long and look
    /// at the org anew; never dead-letter thousands for one permission.
    OrgFault(Duration),
    /// A lookup was refused: once more without the lookups.
    WithoutLookups,
    /// This row needs a person.
    DeadLetter,
}

/// A write that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CrmError {
    /// A stable word: the CRM's own error code in its spelling, or ours in lower case (`salesforce_unreachable`).
    pub code: String,
    /// What to tell people.
    pub message: String,
    /// The CRM's answer as it came, cut to 4 KiB, for the dead letter.
    pub answer: Option<String>,
    /// What may be done.
    pub verdict: CrmVerdict,
}

/// The CRM. Makes **one** attempt (an expired token is renewed once on the way).
#[async_trait]
pub trait Crm: Send + Sync {
    /// Writes the row, made or changed by its external id.
    ///
    /// # Errors
    /// The CRM's, with its verdict.
    async fn upsert(&self, row: &ParticipantRow) -> Result<Recorded, CrmError>;
}
