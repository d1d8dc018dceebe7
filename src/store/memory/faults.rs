//! What a simulation may do to a store: delay a call, crash around it, or make a commit fail.

use async_trait::async_trait;
use sidedoor_domain::ports::{StoreError, Transaction};

/// How a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFate {
    /// As the tables decide.
    Commit,
    /// Nothing is written, and the caller gets [`StoreError::Store`].
    FailNotCommitted,
    /// It is written as the tables decide, and the caller gets [`StoreError::Store`], because the outcome of COMMIT is unknown.
    FailCommitted,
    /// Nothing is written, because the write queue is full.
    Overloaded,
}

impl CommitFate {
    pub(super) fn error_without_write(self) -> Option<StoreError> {
        match self {
            Self::FailNotCommitted => Some(StoreError::Store("disk I/O error".into())),
            Self::Overloaded => Some(StoreError::Overloaded),
            Self::Commit | Self::FailCommitted => None,
        }
    }

    pub(super) fn error_after_write(self) -> Option<StoreError> {
        (self == Self::FailCommitted).then(|| StoreError::Store("the outcome of COMMIT is unknown".into()))
    }
}

/// The faults of a store. `call` is the name of the port's method. No method is called while the store holds a lock, so that it may
/// crash the store or read it.
#[async_trait]
pub(crate) trait StoreFaults: Send + Sync {
    /// Awaited before each call begins.
    async fn before(&self, _call: &'static str) {}

    /// Awaited after each call has its answer and before its caller gets it.
    async fn after(&self, _call: &'static str) {}

    /// Decides how the commit of a transaction ends. A flush commits an empty one, and so does a sweep.
    fn commit(&self, _change: &Transaction) -> CommitFate {
        CommitFate::Commit
    }
}

/// A store without faults.
pub(crate) struct NoFaults;

#[async_trait]
impl StoreFaults for NoFaults {}
