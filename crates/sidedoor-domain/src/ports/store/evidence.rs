//! Evidence of legs, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::evidence::Evidence;
use crate::ids::InstanceName;

/// One observation of a leg, whether or not a supervision has that leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvidence {
    /// The leg's Amazon Connect instance.
    pub instance: InstanceName,
    /// The leg, as Amazon Connect spells it.
    pub leg: String,
    /// The observation.
    pub evidence: Evidence,
}

/// A MONITOR leg that belongs to no supervision so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLeg {
    /// The leg's Amazon Connect instance.
    pub instance: InstanceName,
    /// The leg, as Amazon Connect spells it.
    pub leg: String,
    /// When to look it up in Amazon Connect.
    pub due_at: Timestamp,
    /// How often it was looked up before.
    pub looks: u32,
}

/// Reads of evidence and of unknown legs. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait EvidenceStore: Send + Sync {
    /// The evidence of a leg in the order in which it was stored, at most the first 200.
    async fn evidence(&self, instance: &InstanceName, leg: &str) -> Result<Vec<Evidence>, StoreError>;

    /// How many unknown legs of an instance are to be looked up, counted up to `limit`.
    async fn unknown_leg_count(&self, instance: &InstanceName, limit: u32) -> Result<u32, StoreError>;

    /// Unknown legs to look up by `now`, longest due first, at most `limit`.
    async fn due_unknown_legs(&self, now: Timestamp, limit: u32) -> Result<Vec<UnknownLeg>, StoreError>;
}
