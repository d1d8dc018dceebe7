//! What can go wrong in every area; each area has an error of its own that adds what only it can refuse.

use sidedoor_domain::ports::StoreError;

/// Why an operation failed, for reasons that every area shares.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UseCaseError {
    /// There is no such supervision, or the caller may not know of it.
    #[error("there is no such supervision")]
    SupervisionNotFound,
    /// The named Connect instance is not configured, or none was named and there are several.
    #[error("no Connect instance of that name is configured")]
    InstanceNotFound,
    /// No such vendor is configured.
    #[error("no vendor of that name is configured")]
    VendorNotFound,
    /// The caller's credential does not allow it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other requests changed the same supervision each time before this one could write.
    #[error("the supervision is being changed by too many requests at once")]
    Conflict,
    /// The store refused a write for a reason that cannot occur here: a fault of ours.
    #[error("unexpected outcome: {0}")]
    Unexpected(&'static str),
    /// The work panicked; the panic is in the log.
    #[error("the work panicked")]
    Panicked,
    /// The process is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// Lets `?` turn a store's error into an area's.
macro_rules! from_store_error {
    ($($area:ty),+ $(,)?) => {$(
        impl From<sidedoor_domain::ports::StoreError> for $area {
            fn from(e: sidedoor_domain::ports::StoreError) -> Self {
                Self::Common(e.into())
            }
        }
    )+};
}
pub(crate) use from_store_error;
