//! TODO-AREA-DOC

pub mod acknowledge;
pub mod announce;
pub mod feed;
pub mod presence;
