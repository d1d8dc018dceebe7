//! Names of things. Each is its own type, so that the compiler keeps apart what a tired engineer would mix up:
//! a [`ContactId`] is the customer's conversation, and nothing in this crate can end one.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text cannot be the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of A-Z a-z 0-9 . _ : -")]
pub struct BadName {
    /// Which name was refused, in the API's words.
    pub what: &'static str,
    /// The most characters it may have.
    pub max: usize,
}

fn check(what: &'static str, max: usize, raw: &str) -> Result<(), BadName> {
    let fits = !raw.is_empty() && raw.len() <= max;
    let plain = raw
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
    // "." and ".." would be path steps in a vendor's URL.
    if fits && plain && raw.bytes().any(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(BadName { what, max })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Takes a name if it is acceptable.
            ///
            /// # Errors
            /// [`BadName`] when it is empty, too long or holds a character outside `A-Z a-z 0-9 . _ : -`.
            pub fn parse(raw: impl Into<String>) -> Result<Self, BadName> {
                let raw = raw.into();
                check($what, $max, &raw)?;
                Ok(Self(raw))
            }

            /// The name as the vendor spells it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;
            fn try_from(raw: String) -> Result<Self, BadName> {
                Self::parse(raw)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name! {
    /// The customer–agent conversation in Amazon Connect (1 to 256 characters in its model).
    ContactId, "contactId", 256
}
name! {
    /// A user of Amazon Connect, by id (1 to 256 characters in its model).
    UserId, "connectUserId", 256
}
name! {
    /// Our name of a configured Connect instance (`[connect.instances.<name>]`).
    InstanceName, "instance", 64
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Uuid);

        impl $type {
            /// A new one; ids made later sort later (UUIDv7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id a text spells, if it spells one.
            pub fn parse(raw: &str) -> Option<Self> {
                // Only the hyphenated form: one id, one spelling, also in URLs and logs.
                (raw.len() == 36).then(|| Uuid::try_parse(raw).ok()).flatten().map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_name! {
    /// One supervisor's presence on one contact.
    SupervisionId
}
impl SupervisionId {
    /// An id no later than any made at or after `at`, and later than any made before that millisecond.
    pub fn least_at(at: jiff::Timestamp) -> Self {
        let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid())
    }
}

uuid_name! {
    /// One order to a supervisor's browser.
    DirectiveId
}
uuid_name! {
    /// One row on its way to Salesforce.
    DeliveryId
}

/// The `ClientToken` of a MonitorContact call: stored before the call, so that the same request sent again after a
/// crash yields the same leg (`MonitorContact` is idempotent by it; at most 500 characters).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientToken(String);

impl ClientToken {
    /// A new random token.
    pub fn generate() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The token as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_steer_a_url_or_a_log() {
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\nb",
            "é",
            "a?b",
            "a%2fb",
            &"x".repeat(257),
        ] {
            assert!(ContactId::parse(bad).is_err(), "{bad:?} was taken");
        }
        for good in ["a", "12345678-1234-1234-1234-123456789012", "A_b.c:d", &"x".repeat(256)] {
            assert_eq!(ContactId::parse(good).expect("acceptable").as_str(), good);
        }
    }

    #[test]
    fn ids_have_one_spelling() {
        let id = SupervisionId::generate();
        assert_eq!(SupervisionId::parse(&id.to_string()), Some(id));
        assert_eq!(SupervisionId::parse(&id.to_string().replace('-', "")), None);
        assert_eq!(SupervisionId::parse("nonsense"), None);
    }
}
