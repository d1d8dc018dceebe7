//! TODO-AREA-DOC

pub mod change_mode;
pub mod compliance;
pub mod join;
pub mod start;
pub mod switch;
