//! `/v1/agents`: the board of agents and their live contacts.

pub(crate) mod list;
