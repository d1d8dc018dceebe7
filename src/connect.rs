//! The adapter for Amazon Connect: implements [`sidedoor_domain::ports::Telephony`]. Only this module knows `aws_*`.
//!
//! | file | contents |
//! |---|---|
//! | [`client`] | an SDK client and the rate budgets for each instance |
//! | [`calls`] | one attempt of each operation |
//! | [`contact`] | the wire shape of DescribeContact, as a `ContactSeen` |
//! | [`errors`] | a stable code and a retry verdict for every error |
//! | [`error_texts`] | what callers and operators read about an error |
//! | [`users`] | GetCurrentUserData and SearchUsers, page by page |
//! | [`budget`] | the rate budget: disconnects before joins before polls |
//! | [`dates`] | the `Date` header of every answer |
//! | [`describe`] | the read-only questions of `sidedoor check` |
//!
//! Credentials come from the SDK's default chain. The SDK's own retries are off, because the use cases retry and because
//! otherwise the rate budget would not see every call.

pub(crate) mod budget;
mod calls;
mod client;
mod contact;
mod dates;
mod describe;
mod error_texts;
mod errors;
mod search;
mod users;

pub(crate) use self::client::AmazonConnect;
pub(crate) use self::describe::{Attribute, Identity, InstanceSeen, LegDescription};
pub(crate) use self::errors::translate;
