//! `/v1/reports`: what a quality manager asks.

mod row;
pub(crate) mod supervision;
