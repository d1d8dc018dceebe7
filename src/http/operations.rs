//! Operations: health, metrics and the contract, outside the versioned API.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
