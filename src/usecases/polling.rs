//! TODO-AREA-DOC

pub mod batch_poll;
pub mod reconcile;
