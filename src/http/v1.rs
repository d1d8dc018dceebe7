//! Version 1 of the API: a folder for each resource, a file for each operation with its request and response types.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod reports;
pub(crate) mod supervisions;
pub(crate) mod supervisors;
pub(crate) mod vendors;
