//! The commands beside `serve`: checks of an installation, copies of the store, the vendors' clocks, and the fakes.

pub mod backup;
pub mod check;
pub mod fakes;
pub mod timing;
