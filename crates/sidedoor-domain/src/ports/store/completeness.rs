//! How complete the record of legs is: what the checks for missed legs have covered, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::ids::InstanceName;

/// What the checks of an instance for missed legs have covered. A leg was missed if Amazon Connect lists it as ended, and neither
/// an event nor a poll had named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// The instance.
    pub instance: InstanceName,
    /// The checks began with legs that ended at this moment of the vendor's clock.
    pub since: Timestamp,
    /// Every leg that ended before this moment of the vendor's clock was checked.
    pub until: Timestamp,
    /// How many legs ended in that time.
    pub legs: u64,
    /// How many of them were missed.
    pub missed: u64,
}

/// Reads of what was covered. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait CompletenessStore: Send + Sync {
    /// What the checks of this instance have covered; `None` before the first.
    async fn completeness(&self, instance: &InstanceName) -> Result<Option<Completeness>, StoreError>;

    /// Which of these legs of an instance are neither a supervision's nor to be looked up.
    async fn unheard_of(&self, instance: &InstanceName, legs: &[String]) -> Result<Vec<String>, StoreError>;
}
