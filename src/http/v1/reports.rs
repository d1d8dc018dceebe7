//! `/v1/reports`: what a quality manager asks.

pub(crate) mod coverage;
mod csv;
mod row;
pub(crate) mod supervision;
