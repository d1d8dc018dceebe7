//! Implementations of the store ports ([`sidedoor_domain::ports::store`]): one folder for each database, and one in memory for
//! simulations.

#[cfg(test)]
mod conformance;
pub(crate) mod documents;
mod image;
#[cfg(test)]
pub(crate) mod memory;
mod migrations;
mod news;
pub mod sqlite;
