//! `/v1/audit`: who did what.

pub(crate) mod head;
pub(crate) mod list;
