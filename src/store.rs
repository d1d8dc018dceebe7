//! Implementations of the store ports ([`sidedoor_domain::ports::store`]): one folder for each database.

pub(crate) mod documents;
pub mod sqlite;
