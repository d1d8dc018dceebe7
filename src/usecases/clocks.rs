//! TODO-AREA-DOC

pub mod calibrate;
pub mod recalibrate;
pub mod vendors;
