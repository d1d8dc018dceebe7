//! The commands beside `serve`: checks of an installation, the vendors' clocks, and the fakes.

pub mod check;
pub mod fakes;
pub mod timing;
