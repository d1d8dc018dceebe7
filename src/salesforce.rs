//! The adapter for Salesforce: implements [`sidedoor_domain::ports::Crm`]. Only this module knows `oauth2` and the shapes
//! of the REST API.
//!
//! | file | contents |
//! |---|---|
//! | [`client`] | the upserts and queries; renews an expired token once |
//! | [`contact_records`] | the org's own records of contacts: VoiceCall, MessagingSession |
//! | [`token`] | the access token: cached, one renewal at a time |
//! | [`record`] | the wire shape of a participant record, with the configured field names |
//! | [`stale_access`] | answers that ask for a new login |
//! | [`errors`] | what to do about every error |
//! | [`remedies`] | what a person can do about it |
//! | [`object`] | which object the records go to, found by describe |
//! | [`users`] | the Connect user name of a Salesforce User |
//! | [`events`] | Platform Events that announce directives |
//! | [`participants`] | the org's own, read-only record of who was on a call |
//! | [`describe`] | the read-only questions of `sidedoor check` |

mod client;
mod contact_records;
mod describe;
mod errors;
mod events;
mod object;
mod participants;
mod record;
mod remedies;
mod stale_access;
mod token;
mod users;

pub(crate) use client::Salesforce;
pub(crate) use errors::{LookupFields, answered, item_refused};
pub(crate) use events::NOTICE_FIELDS;
