//! Implementations of the store ports ([`sidedoor_domain::ports::store`]): one folder for each database.

pub mod sqlite;
