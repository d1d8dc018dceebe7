//! TODO-AREA-DOC

pub mod supervisors;
pub mod token_binding;
