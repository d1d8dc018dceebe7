//! TODO-AREA-DOC

pub mod audit;
pub mod supervisions;
pub mod timeline;
