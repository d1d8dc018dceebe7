//! Errors that every area can return, and when to use which.
//!
//! Each area has an error enum of its own (`MonitoringError`, `LeavingError`, …) for the refusals that only it can make;
//! its `Common` variant carries a [`UseCaseError`]. The HTTP layer maps each variant to a status and a stable code.

use sidedoor_domain::ports::StoreError;

/// A name in a request that is not configured, and the configured ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// The name in the request, as the caller sent it; `None` if the request names none and there is no default.
    pub name: Option<String>,
    /// The configured names, sorted.
    pub configured: Vec<String>,
}

/// Why an operation failed, for reasons that every area shares.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UseCaseError {
    /// The supervision does not exist, or the caller may not see it.
    #[error("there is no such supervision")]
    SupervisionNotFound,
    /// The named Connect instance is not configured, or the request names none and several are configured.
    #[error("unknown Connect instance {:?}", .0.name.as_deref().unwrap_or_default())]
    InstanceNotFound(UnknownName),
    /// The named vendor is not configured.
    #[error("unknown vendor {:?}", .0.name.as_deref().unwrap_or_default())]
    VendorNotFound(UnknownName),
    /// The caller's credential does not allow the operation.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The store failed or is overloaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Every attempt to write was overtaken by another request that changed the same supervision.
    #[error("the supervision is being changed by too many requests at once")]
    Conflict,
    /// The store gave an answer that the operation cannot produce. This is a bug in Sidedoor.
    #[error("unexpected outcome: {0}")]
    Unexpected(&'static str),
    /// The work panicked; the log has the panic with its location.
    #[error("the work panicked")]
    Panicked,
    /// The process is shutting down and starts no new supervision.
    #[error("the service is stopping")]
    Stopping,
}

impl UseCaseError {
    /// The error for a request with this vendor, where `allowed` are the possible ones.
    pub(crate) fn vendor_not_found<'v>(named: &str, allowed: impl IntoIterator<Item = &'v str>) -> Self {
        Self::VendorNotFound(UnknownName {
            name: Some(named.to_owned()),
            configured: allowed.into_iter().map(str::to_owned).collect(),
        })
    }
}

/// Lets `?` convert a store error into the error of an area.
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
