//! Salesforce behind [`sidedoor_domain::ports::Crm`]: the only room that knows `oauth2` and the REST API's shapes.
//!
//! | file | story |
//! |---|---|
//! | [`client`] | one upsert, with an expired token renewed once on the way |
//! | [`token`] | the access token: cached, one renewal at a time |
//! | [`object`] | which object the rows go to, by describe |
//! | [`users`] | the Connect user name of a Salesforce User |
//! | [`row`] | a row as JSON, each field under its configured name |
//! | [`events`] | Platform Events that announce directives |
//! | [`participants`] | the org's own record of who was on a call, read only |
//! | [`survey`] | what `sidedoor check` asks |
//! | [`verdict`] | every error: what may be done about it |

mod client;
mod events;
mod object;
mod participants;
mod row;
mod survey;
mod token;
mod users;
mod verdict;

pub use client::Salesforce;
pub use survey::OrgDate;
pub use verdict::{Carried, answered, item_refused};
