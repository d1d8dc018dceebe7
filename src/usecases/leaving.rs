//! TODO-AREA-DOC

pub mod after_check;
pub mod barge_safety;
pub mod disconnect;
pub mod end_leg;
