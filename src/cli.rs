//! The commands beside `serve`: checks of an installation, copies of the store, the check and export of the audit, the vendors' clocks, and the fakes.

pub mod audit;
pub mod backup;
pub mod check;
pub mod fakes;
pub mod timing;
