//! Ids. Each kind is a type of its own, so that the compiler finds ids that are mixed up. A [`ContactId`] names the customer's
//! conversation, and no function in this crate ends one.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of A-Z a-z 0-9 . _ : -")]
pub struct BadName {
    /// The field, by its name in the API.
    pub what: &'static str,
    /// The most characters that it may have.
    pub max: usize,
}

fn check(what: &'static str, max: usize, raw: &str) -> Result<(), BadName> {
    let fits = !raw.is_empty() && raw.len() <= max;
    let plain = raw
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
    // A letter or digit is required, because "." and ".." would be path segments in a vendor's URL.
    if fits && plain && raw.bytes().any(|b| b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(BadName { what, max })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Parses an id.
            ///
            /// # Errors
            /// [`BadName`] if it is empty, too long or has a character outside `A-Z a-z 0-9 . _ : -`.
            pub fn parse(raw: impl Into<String>) -> Result<Self, BadName> {
                let raw = raw.into();
                check($what, $max, &raw)?;
                Ok(Self(raw))
            }

            /// The id as the vendor spells it.
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
    /// The id of a customer's contact in Amazon Connect (1 to 256 characters in its API model). It is a UUID, so ids that differ only in
    /// upper and lower case are equal. The spelling is kept.
    ContactId, "contactId", 256
}

impl ContactId {
    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for ContactId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ContactId {}

impl PartialOrd for ContactId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ContactId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for ContactId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| state.write_u8(byte));
        state.write_u8(0xFF);
    }
}

name! {
    /// The id of an Amazon Connect user (1 to 256 characters in its API model).
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    UserId, "connectUserId", 256
}
name! {
    /// The name of an AWS Region, such as `us-west-2`.
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    RegionName, "region", 32
}
name! {
    /// The name of a configured Connect instance (`[connect.instances.<name>]`).
    #[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
    InstanceName, "instance", 64
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Uuid);

        impl $type {
            /// Parses an id; `None` if the text is not one.
            pub fn parse(raw: &str) -> Option<Self> {
                // Only the hyphenated form is valid, so that an id has one spelling in URLs and logs.
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
    /// The id of a supervision.
    SupervisionId
}
impl SupervisionId {
    /// The id of a supervision created at `at` (UUIDv7). Ids of one millisecond sort by `serial`, of which 12 bits are used;
    /// `random` makes the ids of two processes differ.
    pub fn new(at: jiff::Timestamp, serial: u16, random: u64) -> Self {
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&(serial & 0x0FFF).to_be_bytes());
        rest[2..].copy_from_slice(&random.to_be_bytes());
        let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &rest).into_uuid())
    }

    /// The lower bound of the ids that are generated at or after the millisecond `at`.
    pub fn least_at(at: jiff::Timestamp) -> Self {
        let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &[0; 10]).into_uuid())
    }
}

uuid_name! {
    /// The id of a directive.
    DirectiveId
}
uuid_name! {
    /// The id of a delivery to Salesforce.
    DeliveryId
}

impl DirectiveId {
    /// The id of a directive issued at `at`, after the directive `before` of the same supervision if there is one. It is derived
    /// (UUIDv5), so that the state machine needs no random numbers.
    pub fn next(supervision: SupervisionId, before: Option<DirectiveId>, at: jiff::Timestamp) -> Self {
        let namespace = before.map_or(supervision.0, |before| before.0);
        Self(Uuid::new_v5(&namespace, at.as_millisecond().to_string().as_bytes()))
    }
}

impl DeliveryId {
    /// The id of a supervision's delivery. A supervision has one.
    pub fn of(supervision: SupervisionId) -> Self {
        Self(Uuid::new_v5(&supervision.0, b"delivery"))
    }
}

/// The `ClientToken` of a MonitorContact call (at most 500 characters). MonitorContact is idempotent by it: the same request,
/// sent again after a crash, yields the same leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientToken(String);

impl ClientToken {
    /// The token of a supervision's join. It is the supervision's id, so that AWS CloudTrail shows which supervision called.
    pub fn of(supervision: SupervisionId) -> Self {
        Self(supervision.to_string())
    }

    /// A token of a call that belongs to no supervision.
    pub fn unique() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_rejects_url_and_log_injection() {
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
            assert!(ContactId::parse(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "12345678-1234-1234-1234-123456789012", "A_b.c:d", &"x".repeat(256)] {
            assert_eq!(ContactId::parse(good).expect("acceptable").as_str(), good);
        }
    }

    #[test]
    fn contact_ids_in_upper_and_lower_case_are_one_id() {
        use std::collections::{BTreeSet, HashSet};
        let id = |raw: &str| ContactId::parse(raw).expect("acceptable");
        let spellings = ["12ab-cd", "12AB-CD", "12aB-Cd"].map(id);
        assert_eq!(spellings.iter().collect::<BTreeSet<_>>().len(), 1);
        assert_eq!(spellings.iter().collect::<HashSet<_>>().len(), 1);
        assert_eq!(spellings[1].as_str(), "12AB-CD", "the spelling is kept");
        assert!(id("a") != id("b") && id("A") < id("b") && id("a") < id("B"));
        assert_ne!(id("12ab"), id("12ab-cd"));
    }

    #[test]
    fn id_has_one_spelling() {
        let id = SupervisionId::new(jiff::Timestamp::UNIX_EPOCH, 0, 7);
        assert_eq!(SupervisionId::parse(&id.to_string()), Some(id));
        assert_eq!(SupervisionId::parse(&id.to_string().replace('-', "")), None);
        assert_eq!(SupervisionId::parse("nonsense"), None);
    }

    #[test]
    fn id_of_supervision_sorts_by_time_then_serial() {
        let at = |ms| jiff::Timestamp::from_millisecond(1_800_000_000_000_i64 + ms).expect("in range");
        let ids = [(0, 0, u64::MAX), (0, 1, 0), (1, 0, 9)]
            .map(|(ms, serial, random)| SupervisionId::new(at(ms), serial, random));
        assert!(ids.is_sorted() && SupervisionId::least_at(at(1)) <= ids[2] && ids[1] < SupervisionId::least_at(at(1)));
    }

    #[test]
    fn id_of_directive_differs_from_every_earlier_one() {
        let (of, at) = (
            SupervisionId::new(jiff::Timestamp::UNIX_EPOCH, 0, 7),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let first = DirectiveId::next(of, None, at);
        let second = DirectiveId::next(of, Some(first), at);
        assert!(first != second && second != DirectiveId::next(of, Some(second), at));
    }

    #[test]
    fn id_needs_a_letter_or_digit() {
        for good in ["._:-1", "._:-Z", "z"] {
            assert!(ContactId::parse(good).is_ok(), "{good:?}");
        }
        assert!(ContactId::parse("._:-").is_err());
        assert!(InstanceName::parse("x".repeat(64)).is_ok() && InstanceName::parse("x".repeat(65)).is_err());
    }

    #[test]
    fn id_error_names_field_and_limit() {
        let error = InstanceName::parse("").expect_err("empty");
        assert_eq!(
            error.to_string(),
            "instance must be 1 to 64 characters of A-Z a-z 0-9 . _ : -"
        );
    }

    #[test]
    fn client_token_is_the_supervision_or_unique() {
        let of = SupervisionId::new(jiff::Timestamp::UNIX_EPOCH, 0, 7);
        assert_eq!(ClientToken::of(of).as_str(), of.to_string());
        assert_ne!(ClientToken::unique(), ClientToken::unique());
    }

    #[test]
    fn delivery_id_belongs_to_one_supervision() {
        let [one, other] = [0, 1].map(|serial| SupervisionId::new(jiff::Timestamp::UNIX_EPOCH, serial, 7));
        assert_eq!(DeliveryId::of(one), DeliveryId::of(one));
        assert_ne!(DeliveryId::of(one), DeliveryId::of(other));
    }
}
